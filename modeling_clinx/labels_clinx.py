"""Labels: BIO outside of the model, BIOSE (or BIO) tags inside, and character spans at both ends.

BIO ids are `0: O, 1 + 2k: B-k, 2 + 2k: I-k` for the entity type k. A tag is a role and a type; tags are ordered by
role, I E O S B, so that those inside of a span, those that may end one and those that may begin one are each a slice.
"""

import numpy as np
import torch


UNKNOWN = -100  # a position of the chain whose label is not known


class TagSet:
    """The tags of `n_types` entity types: K = 1 + 4 types in BIOSE, 1 + 2 types in BIO.

    Attributes:
        roles: string of length K, the role of each tag, one of `O B I E S`.
        types: (K,) int64, the entity type of each tag, -1 for O.
        bio: (K,) int64, the BIO id that each tag stands for.
        unfinished: (K,) bool, tags after which the span goes on (B, I in BIOSE).
        allowed: (K, K) bool, `allowed[i, j]`: j may follow i.
        starts, ends: (K,) bool, tags that may open or close a document.
        continues: (K, K) bool, `continues[i, j]`: j carries on the span that i is in.
        closing, opening: slices of the tags that may precede one that begins a span or is O, and of those themselves.
    """

    def __init__(self, n_types: int, scheme: str):
        if n_types < 1:
            raise ValueError("a model needs at least one entity type")
        order = {"BIOSE": "IEOSB", "BIO": "IOB"}[scheme]
        self.n_types, self.scheme = n_types, scheme
        self.roles = "".join(role if role == "O" else role * n_types for role in order)
        with torch.device("cpu"):  # a model may be made on the meta device, which holds no values
            self.types = torch.cat([torch.tensor([-1]) if role == "O" else torch.arange(n_types) for role in order])
            inside = torch.tensor([role in "IE" for role in self.roles])
            self.unfinished = torch.tensor([role in "BI" for role in self.roles])
        self.bio = torch.where(self.types < 0, 0, 1 + 2 * self.types + inside)
        closed = ~self.unfinished if scheme == "BIOSE" else torch.ones_like(inside)
        self.continues = (self.types[:, None] == self.types) & inside
        self.allowed = (self.continues & self.unfinished[:, None]) | (closed[:, None] & ~inside)
        self.starts, self.ends = ~inside, closed
        self.closing = slice(n_types, 3 * n_types + 1) if scheme == "BIOSE" else slice(None)
        self.opening = slice(self.roles.index("O"), None)

    def __len__(self) -> int:
        return len(self.roles)

    def of_type(self) -> torch.Tensor:
        """(types, R) int64: the tags of each entity type, R = 4 in BIOSE, 2 in BIO."""
        return torch.stack([(self.types == k).nonzero().flatten() for k in range(self.n_types)])

    def from_bio(self, labels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Which tags each position may have, given BIO ids.

        Args:
            labels: (B, T) int64, BIO ids left-aligned by row, `UNKNOWN` where not known. No span goes on after the
                last position.
            lengths: (B,) int64, positions of each row.

        Returns (B, T, K) bool: one tag where it is determined, several where this or the next label is unknown.
        """
        last = torch.arange(labels.shape[1], device=labels.device) == lengths[:, None] - 1
        following = labels.roll(-1, 1).masked_fill(last, 0)
        goes_on = (following == labels + labels % 2) & (labels > 0)  # (B, T) the next label is the I of the same type
        bio = self.bio.to(labels.device)
        possible = (labels[..., None] == bio) | (labels == UNKNOWN)[..., None]  # (B, T, K)
        if self.scheme == "BIOSE":
            decided = ((labels > 0) & (following != UNKNOWN))[..., None]
            possible &= ~decided | (self.unfinished.to(labels.device) == goes_on[..., None])
        return possible

    def fold(self, marginals: torch.Tensor) -> torch.Tensor:
        """Adds up (..., K) tag probabilities to (..., 1 + 2 types) BIO probabilities."""
        folded = marginals.new_zeros(*marginals.shape[:-1], 1 + 2 * self.n_types)
        return folded.index_add_(-1, self.bio.to(marginals.device), marginals)


def spans_from_bio(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads spans out of (T,) BIO ids; an `I` that carries on nothing begins a span.

    Returns first position, position after the last, and entity type of each span, (n,) int64 each, in order.
    """
    types = (labels - 1) // 2  # -1 for O
    inside = (labels > 0) & (labels % 2 == 0)
    continues = np.zeros(len(labels), bool)
    continues[1:] = inside[1:] & (types[1:] == types[:-1])
    first = np.flatnonzero((types >= 0) & ~continues)
    breaks = np.append(np.flatnonzero(~continues), len(labels))  # a span ends where anything else begins
    return first, breaks[np.searchsorted(breaks, first, side="right")], types[first]
