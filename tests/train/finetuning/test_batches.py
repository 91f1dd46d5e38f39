"""Batches: padding, and how many labelled subwords they hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.documents import Document
from clinx.errors import InputError
from clinx.finetuning.batches import SubwordBatchSampler, WindowCollator
from clinx.finetuning.windows import label_windows
from modeling_clinx.windows_clinx import special_affixes
from tests.train.annotated import config, document


def test_padding_is_neither_attended_nor_labelled(tokenizer):
    features, _ = label_windows([document("54 años"), Document("b", "Alta.")], tokenizer, config())
    batch = WindowCollator(tokenizer.pad_token_id)(features)
    padded = batch["attention_mask"] == 0
    assert padded.any()
    assert (batch["input_ids"][padded] == tokenizer.pad_token_id).all()
    assert (batch["labels"][padded] == -100).all() and not batch["core_mask"][padded].any()
    n_special = sum(map(len, special_affixes(tokenizer)))
    assert (batch["attention_mask"].sum(1) >= batch["core_mask"].sum(1) + n_special).all()


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    batch_subwords=st.integers(1, 1000),
    multiple_of=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_every_window_is_in_one_batch_and_no_batch_is_empty(sizes, batch_subwords, multiple_of, epoch):
    if len(sizes) < multiple_of:
        with pytest.raises(InputError):
            SubwordBatchSampler(sizes, batch_subwords, 0, multiple_of)
        return
    sampler = SubwordBatchSampler(sizes, batch_subwords, seed=0, multiple_of=multiple_of)
    sampler.sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) and len(batches) % multiple_of == 0
    assert all(batches)
    assert sorted(sum(batches, [])) == list(range(len(sizes)))


def test_epochs_are_shuffled_differently_and_reproducibly():
    def epoch(n, seed=0):
        sampler = SubwordBatchSampler([100] * 50, 500, seed)
        sampler.sampler.set_epoch(n)
        return list(sampler)

    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)


def test_batches_hold_about_as_many_labelled_subwords_as_asked():
    sizes = np.random.default_rng(0).integers(1, 60, 2000)
    filled = [sizes[batch].sum() for batch in SubwordBatchSampler(sizes, 512, 0)]
    assert abs(np.mean(filled) - 512) < 10 and max(filled) < 512 + 120
