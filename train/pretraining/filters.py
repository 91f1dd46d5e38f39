"""Which texts are learned from: none twice, none nearly twice, and none that holds a note to be tested on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from ..corpora.documents import same_note
from ..corpora.registry import read_corpus
from ..corpora.shared_text import ExcludedNotes, run_hashes, word_pieces
from .recipe import PretrainingRecipe
from .seen import SeenTexts
from .texts import Text


SHINGLE = 5  # words that are compared at a time (Lee et al. 2022, appendix A)
PERMUTATIONS = 128  # of MinHash
HASH_SEED = 42  # of MinHash: what is left out does not depend on the run
EXAMPLES = 5  # ids that are told of each filter
LABELS = {
    "too_short": "shorter than min_characters",
    "exact_duplicates": "copies of an earlier document",
    "excluded": "share text with a note of exclude",
    "near_duplicates": "nearly an earlier document",
}


@dataclass
class FilterReport:
    """How many documents were read, kept, and left out by each filter.

    Attributes:
        bytes_read, bytes_kept: of their texts as UTF-8.
        excluded_notes: notes that must not be learned from, with which the documents were compared.
        left_out: by filter the number of documents.
        examples: by filter the first few ids.
    """

    documents_read: int = 0
    bytes_read: int = 0
    documents_kept: int = 0
    bytes_kept: int = 0
    excluded_notes: int = 0
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LABELS, 0))
    examples: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in LABELS})

    def as_dict(self) -> dict:
        """Counts by name, and `examples`, for metrics.json."""
        names = ("documents_read", "bytes_read", "documents_kept", "bytes_kept", "excluded_notes")
        return {
            **{name: getattr(self, name) for name in names},
            **self.left_out,
            "examples": {name: ids for name, ids in self.examples.items() if ids},
        }

    def lines(self) -> list[str]:
        """The same for people."""
        lines = [
            f"{self.documents_read:,} documents read ({self.bytes_read / 1e6:,.1f} MB), "
            f"{self.documents_kept:,} kept ({self.bytes_kept / 1e6:,.1f} MB)"
        ]
        for name, count in self.left_out.items():
            if count:
                ids = ", ".join(self.examples[name]) + (", …" if count > EXAMPLES else "")
                lines.append(f"{count:,} left out, {LABELS[name]}: {ids}")
        return lines


class TextFilter:
    """Passes the texts on that are to be learned from; what went through once is a copy from then on.

    A text is left out, for the first reason that holds, if it is shorter than `min_characters` (white space around it
    does not count), has the words and signs of an earlier one, shares text with a note of `exclude` (see
    `ExcludedNotes`), or nearly all its word 5-grams with an earlier one that was kept: an estimated Jaccard index of at
    least `near_duplicates`, by MinHash (Broder 1997) and locality-sensitive hashing, as Lee et al. 2022 (ACL,
    "Deduplicating Training Data Makes Language Models Better").

    Args:
        seen: where what went through is kept; in memory, unless it is given.

    Raises InputError where a corpus of `exclude` cannot be read.
    """

    def __init__(self, recipe: PretrainingRecipe, seen: SeenTexts | None = None):
        self.report = FilterReport()
        self._min_characters, self._seen = recipe.min_characters, seen or SeenTexts()
        notes = (note.text for path in recipe.exclude or () for note in read_corpus(path, annotated=False))
        self._excluded = ExcludedNotes(notes) if recipe.exclude else None
        self.report.excluded_notes = self._excluded.n_notes if self._excluded else 0
        is_near_looked_for = recipe.near_duplicates < 1
        self._near = NearDuplicates(recipe.near_duplicates, self._seen) if is_near_looked_for else None

    def through(self, texts: Iterable[Text]) -> Iterator[Text]:
        """The texts that are kept, in their order."""
        report = self.report
        for text in texts:
            size = len(text.text.encode())
            report.documents_read += 1
            report.bytes_read += size
            if reason := self._reason(text.text):
                report.left_out[reason] += 1
                if len(report.examples[reason]) < EXAMPLES:
                    report.examples[reason].append(text.id)
                continue
            report.documents_kept += 1
            report.bytes_kept += size
            yield text

    def _reason(self, text: str) -> str | None:
        """The filter that leaves it out."""
        note = same_note(text)
        if len(note and text.strip()) < self._min_characters:
            return "too_short"
        digest = blake2b(note.encode(), digest_size=16).digest()
        if not self._seen.add_digest(digest):
            return "exact_duplicates"
        if self._excluded is not None and self._excluded.shares_text(text):
            return "excluded"
        if self._near is not None and not self._near.add(text):
            return "near_duplicates"
        return None


class NearDuplicates:
    """Texts that are not near each other.

    Args:
        threshold: Jaccard index of their word 5-grams from which two texts are near; of a text with fewer words, all
            of them are its only shingle.
        seen: where the sketches are kept; in memory, unless it is given.
    """

    def __init__(self, threshold: float, seen: SeenTexts | None = None):
        self._threshold, self._seen = threshold, seen or SeenTexts()

    def add(self, text: str) -> bool:
        """Adds a text, unless it is near an earlier one; whether it was added. One without words always is."""
        sketches = [sketch_of(words) for words in word_pieces(text, SHINGLE - 1)]
        return not sketches or self._seen.add_sketch(np.min(sketches, axis=0), self._threshold)


def sketch_of(words: list[str]) -> np.ndarray:
    """(128,) uint32, the MinHash sketch of the word 5-grams, which depends on nothing else."""
    from rensa import RMinHash  # not above: it is needed only here

    hashes = np.array(RMinHash.hash_token_sets([words])[0], np.uint64)
    shingles = run_hashes(hashes, min(SHINGLE, len(words)))
    of_one = np.array([0, len(shingles)], np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles, of_one, PERMUTATIONS, HASH_SEED)
    return np.array(matrix.to_rows()[0], np.uint32)
