"""Dropout on the encoder's output."""

import torch
from torch import nn

from clinx.finetuning.dropout import LockedDropout, WordDropout, output_dropout


HIDDEN = torch.ones(400, 5, 60)


def test_locked_dropout_zeroes_a_feature_at_all_positions_of_a_window_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = LockedDropout(0.5)(HIDDEN)
    assert (dropped == dropped[:, :1]).all() and not (dropped == dropped[:1]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert abs(dropped.mean() - 1) < 0.03


def test_word_dropout_zeroes_whole_positions_and_scales_none():
    torch.manual_seed(0)
    dropped = WordDropout(0.25)(HIDDEN)
    assert (dropped == dropped[..., :1]).all() and set(dropped.unique().tolist()) == {0.0, 1.0}
    assert abs(dropped.mean() - 0.75) < 0.05


def test_nothing_is_dropped_while_predicting_and_nothing_is_saved():
    dropout = output_dropout(0.1, 0.5, 0.05)
    assert not dropout.state_dict() and (dropout.eval()(HIDDEN) == HIDDEN).all()
    assert isinstance(output_dropout(0.1, 0, 0), nn.Dropout)
