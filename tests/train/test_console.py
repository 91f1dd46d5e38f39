"""What commands show of how far they are."""

import logging
import sys

from transformers import AutoModelForMaskedLM, XLMRobertaModel
from transformers.utils import logging as of_transformers

from clinx import console
from clinx.console import Progress, quiet_loading


def test_a_log_gets_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([100.0, 110.0, 131.0, 140.0, 200.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with Progress("Reading", "notes", total=20_000) as progress:
        for n in (500, 2_600, 100, 8_800):
            progress.update(n)
    assert capsys.readouterr() == (
        "",
        "Reading: 3,100 of 20,000 notes, 100.0 a second\nReading: 12,000 of 20,000 notes, 120.0 a second\n",
    )


def test_what_was_done_before_counts_for_no_speed_and_figures_stand_behind(monkeypatch, capsys):
    clock = iter([100.0, 140.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with Progress("Training", "updates", total=900, done=500) as progress:
        progress.show("loss 0.12")
        progress.update(80)
    assert capsys.readouterr().err == "Training: 580 of 900 updates, 2.0 a second; loss 0.12\n"


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(Progress("Reading", "notes").through("ab")) == ["a", "b"]
    assert capsys.readouterr().err == ""  # no bar for what is done at once
    monkeypatch.setattr(console, "SHORT", 0)
    assert list(Progress("Reading", "notes").through("ab")) == ["a", "b"]
    shown = capsys.readouterr().err
    assert "Reading: 0 notes" in shown and shown.endswith("\r")
    assert list(Progress("Reading", "notes", quiet=True).through("ab")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_unused_weights_are_not_listed_and_missing_ones_are(monkeypatch, caplog, tiny_encoder_dir, tmp_path):
    monkeypatch.setattr(of_transformers.get_logger("transformers.modeling_utils"), "filters", [])
    monkeypatch.setattr(of_transformers, "disable_progress_bar", lambda: None)
    caplog.set_level(logging.WARNING)
    AutoModelForMaskedLM.from_pretrained(tiny_encoder_dir).save_pretrained(tmp_path)
    caplog.clear()
    XLMRobertaModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert "lm_head" in caplog.text
    quiet_loading()
    caplog.clear()
    XLMRobertaModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert caplog.text == ""
    AutoModelForMaskedLM.from_pretrained(tiny_encoder_dir)
    assert "lm_head" in caplog.text
