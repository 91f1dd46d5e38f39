"""Batches: padding, and how many labelled subwords they hold."""

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, skip_first_batches
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TrainerState

from clinx.corpora.documents import Document
from clinx.errors import InputError
from clinx.finetuning.batches import WindowBatchSampler, WindowCollator
from clinx.finetuning.windows import TrainingWindows
from clinx.training import BeginEpoch
from modeling_clinx.windows_clinx import special_affixes
from tests.train.annotated import config, document


def test_padding_is_neither_attended_nor_labelled(tokenizer):
    windows = TrainingWindows([document("54 años"), Document("b", "Alta.")], tokenizer, config())
    batch = WindowCollator(tokenizer.pad_token_id)(windows.features)
    padded = batch["attention_mask"] == 0
    assert padded.any()
    assert (batch["input_ids"][padded] == tokenizer.pad_token_id).all()
    assert (batch["labels"][padded] == -100).all() and not batch["core_mask"][padded].any()
    n_special = sum(map(len, special_affixes(tokenizer)))
    assert (batch["attention_mask"].sum(1) >= batch["core_mask"].sum(1) + n_special).all()


class WindowsOf:
    """Windows of which only the sizes matter; those of a later epoch are given by `later`."""

    def __init__(self, sizes, later=None):
        self.now, self.later = np.array(sizes), later

    def __len__(self):
        return len(self.now)

    def sizes(self):
        return self.now

    def cut_anew(self, epoch):
        if epoch and self.later is not None:
            self.now = np.array(self.later)


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
            WindowBatchSampler(WindowsOf(sizes), batch_subwords, 0, multiple_of)
        return
    sampler = WindowBatchSampler(WindowsOf(sizes), batch_subwords, 0, multiple_of)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) and len(batches) % multiple_of == 0
    assert all(batches)
    assert sorted(sum(batches, [])) == list(range(len(sizes)))


def test_epochs_are_shuffled_differently_and_reproducibly():
    def epoch(n, seed=0):
        sampler = WindowBatchSampler(WindowsOf([100] * 50), 500, seed)
        sampler.set_epoch(n)
        return list(sampler)

    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)


def test_batches_hold_about_as_many_labelled_subwords_as_asked():
    sizes = np.random.default_rng(0).integers(1, 60, 2000)
    filled = [sizes[batch].sum() for batch in WindowBatchSampler(WindowsOf(sizes), 512, 0)]
    assert abs(np.mean(filled) - 512) < 10 and max(filled) < 512 + 120


def test_batches_of_windows_hold_as_many_however_long_they_are():
    sizes = np.random.default_rng(0).integers(1, 400, 163)
    lengths = [len(batch) for batch in WindowBatchSampler(WindowsOf(sizes), 16, 0, counts_windows=True)]
    assert sum(lengths) == 163 and len(lengths) == 10 and set(lengths) == {16, 17}


def test_an_epoch_has_as_many_batches_also_when_its_windows_are_others():
    sampler = WindowBatchSampler(WindowsOf([300] * 4, later=[200] * 6), 256, 0)
    assert [len(batch) for batch in sampler] == [1, 1, 1, 1]
    sampler.set_epoch(1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 4 and sorted(sum(batches, [])) == list(range(6))


def test_a_run_that_goes_on_inside_of_an_epoch_sees_its_order_under_several_processes_too():
    """accelerate's wrappers of several processes and of a resumed run forward no `set_epoch`."""

    def share(resumed):
        sampler = WindowBatchSampler(WindowsOf([100] * 48), 400, 0, multiple_of=2)
        shards = BatchSamplerShard(sampler, num_processes=2, process_index=1, even_batches=False)
        loader = DataLoaderShard(range(48), batch_sampler=shards, collate_fn=list)
        loader = skip_first_batches(loader, 2) if resumed else loader
        BeginEpoch(sampler).on_epoch_begin(None, TrainerState(epoch=3.4 if resumed else 3.0), None)
        loader.set_epoch(3)
        return list(loader)

    assert share(resumed=True) == share(resumed=False)[2:] and share(resumed=True)
