"""Batches: windows padded to tensors, and batches counted in labelled subwords or in windows."""

import numpy as np
import torch
from torch.utils.data import BatchSampler

from modeling_clinx.labels_clinx import UNKNOWN

from ..errors import InputError


OF_POSITIONS = ("input_ids", "attention_mask", "core_mask", "labels", "teacher_tags")  # (B, T, …)


class WindowCollator:
    """Pads windows to the longest of their batch: tensors (B, T), `edge_mask` (B, 2).

    Those that an ensemble has read also give `teacher_tags` (B, T, K) and `teacher_pairs` (B, K, K).
    """

    def __init__(self, pad_token_id: int, n_tags: int = 0):
        self.n_tags = n_tags
        self.fill = {"input_ids": pad_token_id, "core_mask": False, "labels": UNKNOWN, "attention_mask": 0}

    def __call__(self, features: list[dict]) -> dict[str, torch.Tensor]:
        width = max(len(feature["input_ids"]) for feature in features)
        batch = {"edge_mask": torch.from_numpy(np.stack([feature["edge_mask"] for feature in features]))}
        features = [{**feature, "attention_mask": np.ones(len(feature["input_ids"]), int)} for feature in features]
        for name, fill in self.fill.items():
            rows = [np.pad(f[name], (0, width - len(f[name])), constant_values=fill) for f in features]
            batch[name] = torch.from_numpy(np.stack(rows))
        for name, rows in (("teacher_tags", width), ("teacher_pairs", self.n_tags)):
            if name in features[0]:
                batch[name] = torch.zeros(len(features), rows, self.n_tags)
                for dense, feature in zip(batch[name].numpy(), features, strict=True):
                    indices, values = feature[name]
                    dense[indices] = values
        return batch


def by_length(batch: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The windows of a batch, longest first, in groups: none is less than half as long as the longest of its group."""
    lengths, order = batch["attention_mask"].sum(1).sort(descending=True, stable=True)
    lengths, order, groups = lengths.tolist(), order.tolist(), []
    while order:
        n = sum(2 * length >= lengths[0] for length in lengths)
        group = {name: values[order[:n]] for name, values in batch.items()}
        groups.append({name: v[:, : lengths[0]] if name in OF_POSITIONS else v for name, v in group.items()})
        lengths, order = lengths[n:], order[n:]
    return groups


class WindowBatchSampler(BatchSampler):
    """Batches of about equally many labelled subwords, or windows, shuffled anew each epoch; as many in every epoch.

    Args:
        windows: the `TrainingWindows`, which cut themselves anew when an epoch begins.
        batch_size: labelled subwords that a batch aims at, a window is never divided; or windows.
        multiple_of: the number of batches is a multiple of this, so that every process, and every update that
            accumulates, gets as many.
        counts_windows: whether `batch_size` is a number of windows.

    Raises InputError where there are fewer windows than that.
    """

    def __init__(self, windows, batch_size: int, seed: int, multiple_of: int = 1, counts_windows: bool = False):
        self.windows, self.seed, self.epoch, self.counts_windows = windows, seed, None, counts_windows
        self.batch_size, self.drop_last = None, False
        wanted = max(1, round(self._sizes().sum() / batch_size / multiple_of)) * multiple_of
        self.n_batches = min(wanted, len(windows) // multiple_of * multiple_of)
        if not self.n_batches:
            raise InputError(
                f"{len(windows)} training windows are too few for {multiple_of} batches an update, one in each process "
                "and step of accumulation"
            )

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch; accelerate may say so again."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.windows.cut_anew(epoch)

    def _sizes(self) -> np.ndarray:
        return np.ones(len(self.windows)) if self.counts_windows else self.windows.sizes()

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self):
        self.set_epoch(self.epoch or 0)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.windows))
        filled = np.cumsum(self._sizes()[order])
        ideal = np.searchsorted(filled, filled[-1] * np.arange(1, self.n_batches) / self.n_batches, side="right")
        steps = np.arange(1, self.n_batches)  # every batch gets a window, also where one is larger than a batch
        cuts = np.maximum.accumulate(np.maximum(ideal, 1) - steps) + steps
        cuts = np.minimum(cuts, len(order) - self.n_batches + steps)
        yield from (batch.tolist() for batch in np.split(order, cuts))
