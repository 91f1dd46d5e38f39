"""Masks: how many and of what kind, which never, and that nothing but seed, epoch and row decides."""

import numpy as np
import pytest
import torch

from clinx.pretraining.masking import NOT_PREDICTED, BlockSampler, MaskingCollator, TrainingBlocks
from tests.train.pretraining.conftest import blocks_of


N = 20_000


def long_block(tokenizer, seed=0):
    """A block of ordinary subwords, in which every third begins a word, between special tokens."""
    ordinary = MaskingCollator(tokenizer).ordinary_ids
    ids = np.random.default_rng(seed).choice(ordinary, N)
    ids[[0, -1]] = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids[500:N:500] = tokenizer.sep_token_id  # where documents meet
    return {"input_ids": ids.astype(np.int32), "word_starts": np.arange(N) % 3 == 1, "mask_seed": (1, 0, seed)}


@pytest.fixture(params=["tokenizer", "wordpiece_tokenizer"])
def masked_tokenizer(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("whole_words", [False, True])
def test_the_shares_are_berts(masked_tokenizer, whole_words):
    row = long_block(masked_tokenizer)
    batch = MaskingCollator(masked_tokenizer, 0.15, whole_words)([row])
    ids, labels, before = batch["input_ids"][0], batch["labels"][0], torch.from_numpy(row["input_ids"]).long()
    chosen = labels != NOT_PREDICTED
    share = 6 * (0.15 * 0.85 * (3 if whole_words else 1) / N) ** 0.5  # six standard deviations
    assert abs(chosen.float().mean() - 0.15) < share
    assert (labels[chosen] == before[chosen]).all() and (ids[~chosen] == before[~chosen]).all()
    is_mask = ids[chosen] == masked_tokenizer.mask_token_id
    is_other = (ids[chosen] != before[chosen]) & ~is_mask
    assert abs(is_mask.float().mean() - 0.8) < 0.04 and abs(is_other.float().mean() - 0.1) < 0.04
    assert not set(ids[chosen][is_other].tolist()) & set(masked_tokenizer.all_special_ids)


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("probability", [0.15, 0.999999])
def test_special_tokens_are_never_predicted(masked_tokenizer, whole_words, probability):
    batch = MaskingCollator(masked_tokenizer, probability, whole_words)([long_block(masked_tokenizer)])
    special = torch.isin(batch["labels"], torch.tensor(masked_tokenizer.all_special_ids))
    assert not special.any()


def test_words_are_predicted_whole_or_not_at_all(tokenizer):
    row = long_block(tokenizer)
    labels = MaskingCollator(tokenizer, 0.15, whole_words=True)([row])["labels"][0].numpy()
    is_special = np.isin(row["input_ids"], tokenizer.all_special_ids)
    whole = 0
    for word in np.split(np.arange(N), np.flatnonzero(row["word_starts"])):
        chosen = (labels[word] != NOT_PREDICTED)[~is_special[word]]
        if not is_special[word].any():
            assert chosen.all() or not chosen.any()
            whole += chosen.all()
    assert whole > 500


def test_a_word_does_not_reach_over_a_special_token(tokenizer):
    ids = [0, 7, 8, 2, 0, 9, 10, 2]  # two documents; the second goes on with a word that began in another block
    row = {"input_ids": ids, "word_starts": [False, True, False, False, False, False, False, False]}
    collator = MaskingCollator(tokenizer, 0.5, whole_words=True)
    apart = 0
    for seed in range(60):
        first, second = collator([{**row, "mask_seed": (seed,)}])["labels"][0].view(2, 4) != NOT_PREDICTED
        assert first[1] == first[2] and second[1] == second[2]
        apart += bool(first[1] != second[1])
    assert apart > 10


def test_batches_are_as_wide_as_a_multiple_of_eight(tokenizer):
    blocks = TrainingBlocks(blocks_of(tokenizer, 6), seed=1)
    rows = [blocks[0, i] for i in range(6)]
    batch = MaskingCollator(tokenizer)(rows)
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    assert len(set(lengths.tolist())) > 1
    assert batch["input_ids"].shape == (6, -(-int(lengths.max()) // 8) * 8)
    assert {(values.dtype, values.shape) for values in batch.values()} == {(torch.int64, batch["input_ids"].shape)}
    assert (batch["attention_mask"].sum(1) == lengths).all()
    padding = batch["attention_mask"] == 0
    assert (batch["input_ids"][padding] == tokenizer.pad_token_id).all()
    assert (batch["labels"][padding] == NOT_PREDICTED).all()


def test_masks_are_those_of_seed_epoch_and_row_whatever_else_is_in_the_batch(tokenizer):
    blocks, collator = TrainingBlocks(blocks_of(tokenizer, 6), seed=1), MaskingCollator(tokenizer, 0.3)
    together = collator([blocks[2, i] for i in range(6)])
    torch.manual_seed(99)
    np.random.seed(99)
    for i in reversed(range(6)):
        alone = collator([blocks[2, i]])
        width = alone["attention_mask"].sum()
        assert all(torch.equal(alone[name][0, :width], together[name][i, :width]) for name in alone)
    others = [TrainingBlocks(blocks.blocks, seed=2)[2, 0], blocks[3, 0]]
    assert all(not torch.equal(collator([other])["labels"], collator([blocks[2, 0]])["labels"]) for other in others)


def test_every_block_is_in_one_batch_at_most_and_updates_are_whole():
    sampler = BlockSampler(n_blocks=21, update_blocks=8, batch_size=4, seed=1)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) == 4 and {len(batch) for batch in batches} == {4}
        assert {place[0] for batch in batches for place in batch} == {epoch}
        epochs.append([row for batch in batches for _, row in batch])
        assert len(set(epochs[-1])) == 16
    assert epochs[0] != epochs[1] and set(epochs[0]) != set(epochs[1])
