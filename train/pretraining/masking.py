"""Masked language modelling: which subwords of a block are to be predicted, and the batches that say so."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import BatchSampler, Dataset


NOT_PREDICTED = -100  # as the losses of transformers ignore
MULTIPLE = 8  # widths of batches that GPUs multiply fast
REPLACED_BY_MASK, REPLACED_AT_RANDOM = 0.8, 0.1  # Devlin et al. 2019, section 3.1; the others stay as they are


class MaskingCollator:
    """Masks blocks, and pads them to the longest of their batch.

    Every subword, or every whole word, is to be predicted with the probability `mlm_probability`; special tokens never
    are. Of the subwords to be predicted 80 % are masked, 10 % are other subwords, 10 % stay (Devlin et al. 2019). What
    a block gets depends on its `mask_seed` alone, and so neither on the batch nor on the process that it is in.

    Takes rows `input_ids` (L,), `word_starts` (L,) and `mask_seed`, some integers; returns `input_ids`,
    `attention_mask` and `labels`, each (B, T) int64.
    """

    def __init__(self, tokenizer, mlm_probability: float = 0.15, whole_words: bool = False):
        self.mlm_probability, self.whole_words = mlm_probability, whole_words
        self.mask_token_id = tokenizer.mask_token_id
        self.special_ids = np.array(sorted(tokenizer.all_special_ids))
        self.ordinary_ids = np.setdiff1d(np.arange(len(tokenizer)), self.special_ids)
        self.fill = {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0, "labels": NOT_PREDICTED}

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        masked = [self._masked(row) for row in rows]
        width = -(-max(len(row["input_ids"]) for row in rows) // MULTIPLE) * MULTIPLE
        batch = {name: np.full((len(rows), width), fill, dtype=np.int64) for name, fill in self.fill.items()}
        for i, row in enumerate(masked):
            for name, values in row.items():
                batch[name][i, : len(values)] = values
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _masked(self, row: dict) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(row["mask_seed"])
        ids = np.asarray(row["input_ids"], dtype=np.int64)  # (L,)
        is_special = np.isin(ids, self.special_ids)
        units = self._units(np.asarray(row["word_starts"], dtype=bool), is_special)
        chosen = (rng.random(len(ids)) < self.mlm_probability)[units] & ~is_special
        labels = np.where(chosen, ids, NOT_PREDICTED)
        fate, others = rng.random(len(ids)), rng.choice(self.ordinary_ids, len(ids))
        is_random = chosen & (fate >= REPLACED_BY_MASK) & (fate < REPLACED_BY_MASK + REPLACED_AT_RANDOM)
        ids = np.where(chosen & (fate < REPLACED_BY_MASK), self.mask_token_id, np.where(is_random, others, ids))
        return {"input_ids": ids, "attention_mask": np.ones(len(ids), dtype=np.int64), "labels": labels}

    def _units(self, word_starts: np.ndarray, is_special: np.ndarray) -> np.ndarray:
        """By subword the number of what is masked with it: itself, or its word, which no special token is within."""
        if not self.whole_words:
            return np.arange(len(word_starts))
        starts = word_starts | is_special
        starts[1:] |= is_special[:-1]
        starts[:1] = True
        return starts.cumsum() - 1


class TrainingBlocks(Dataset):
    """Blocks by epoch and row, so that they are masked anew in every epoch, and alike wherever they are masked."""

    def __init__(self, blocks, seed: int):
        self.blocks, self.seed = blocks.with_format("numpy"), seed

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        epoch, row = place
        return {**self.blocks[row], "mask_seed": (self.seed, epoch, row)}


class HeldOutBlocks(Dataset):
    """Blocks by row, always masked alike, whatever the seed of a run: perplexities of all models can be compared."""

    def __init__(self, blocks):
        self.blocks = blocks.with_format("numpy")

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, row: int) -> dict:
        return {**self.blocks[row], "mask_seed": (row,)}


class BlockSampler(BatchSampler):
    """Places (epoch, row) of batches, shuffled anew each epoch; every update gets as many blocks.

    The few blocks that fill no update are left out, others in every epoch.

    Args:
        n_blocks: at least `update_blocks`.
        batch_size: divides `update_blocks`.
    """

    def __init__(self, n_blocks: int, update_blocks: int, batch_size: int, seed: int):
        self.n_blocks, self.seed, self.epoch = n_blocks, seed, 0
        self.batch_size, self.drop_last = batch_size, True
        self.n_used = n_blocks // update_blocks * update_blocks

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_used // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n_blocks)[: self.n_used]
        for batch in order.reshape(-1, self.batch_size).tolist():
            yield [(self.epoch, row) for row in batch]
