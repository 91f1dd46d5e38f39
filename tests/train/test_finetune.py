"""`clinx finetune`, `predict` and `score` as a user runs them, on synthetic notes and a tiny encoder."""

import json

import pytest
import torch

from clinx import cli, predict
from clinx.corpora import read_corpus
from clinx.corpora.brat import write_brat
from clinx.documents import Document
from clinx.errors import InputError
from clinx.finetune import last_complete_checkpoint
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor


def finetuned(recipe, folder, *overrides):
    assert cli.main(["finetune", str(recipe), "--output_dir", str(folder), *overrides]) == 0
    return folder


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    return finetuned(recipe, tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_leaves_a_model_repo_figures_and_curves(run):
    files = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py", "pipeline_clinx.py"} <= files
    assert not any(path.suffix in (".bin", ".pt") for path in run.rglob("*"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"] == 6 and metrics["validation"]["support"] > 0
    assert [row["step"] for row in metrics["log"] if "eval_strict_f1" in row] == [2, 4, 6]
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_of_the_best_checkpoint_is_kept(run):
    metrics = json.loads((run / "metrics.json").read_text())
    best = max(row["eval_strict_f1"] for row in metrics["log"] if "eval_strict_f1" in row)
    assert metrics["validation"]["f1"] == pytest.approx(best)


def test_a_finished_run_is_left_alone_and_another_recipe_refused(run, recipe, capsys):
    before = (run / "metrics.json").stat().st_mtime_ns
    finetuned(recipe, run)
    assert (run / "metrics.json").stat().st_mtime_ns == before
    assert cli.main(["finetune", str(recipe), "--output_dir", str(run), "--seed", "4"]) == 2
    assert "holds a run with seed 3, not 4" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(run, recipe, tmp_path, monkeypatch):
    from clinx.trainer import ClinXTrainer

    whole = ClinXTrainer.training_step
    steps = []

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(ClinXTrainer, "training_step", interrupted)
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "cut")]) == 130
    monkeypatch.setattr(ClinXTrainer, "training_step", whole)
    assert last_complete_checkpoint(tmp_path / "cut").name == "checkpoint-4"
    finetuned(recipe, tmp_path / "cut")
    once, twice = (
        ClinXForTokenClassification.from_pretrained(folder / "model").state_dict() for folder in (run, tmp_path / "cut")
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    for step, state in ((2, "{}"), (4, '{"global_step": 4'), (10, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for part in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (tmp_path / f"checkpoint-{step}" / part).touch()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_complete_checkpoint(tmp_path).name == "checkpoint-2"


@pytest.mark.parametrize(
    "overrides, expected",
    [
        (("--entity_types", "DATE"), "found the label"),
        (("--label_smoothing_factor", "0.1"), "would bypass the CRF"),
        (("--per_device_train_batch_size", "8"), "set batch_subwords"),
        (("--train", "/nowhere"), "/nowhere"),
        (("--encoder", "/no/encoder"), "cannot start from the encoder /no/encoder"),
    ],
)
def test_what_cannot_be_trained_is_told(recipe, tmp_path, capsys, overrides, expected):
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "run"), *overrides]) == 2
    assert expected in capsys.readouterr().err


def test_a_fault_in_the_recipe_does_not_claim_the_run_folder(recipe, tmp_path):
    folder = ["--output_dir", str(tmp_path / "run")]
    assert cli.main(["finetune", str(recipe), *folder, "--train", "/nowhere"]) == 2
    assert cli.main(["finetune", str(recipe), *folder, "--max_steps", "2"]) == 0


def test_a_model_that_is_not_there_is_told(notes, tmp_path, capsys):
    arguments = ["--input", str(notes / "validation"), "--output", str(tmp_path / "out")]
    assert cli.main(["predict", "--model", "/no/model", *arguments]) == 2
    assert "cannot load the model /no/model" in capsys.readouterr().err


def test_a_corpus_without_entities_is_refused(recipe, tmp_path, capsys):
    write_brat(Document("a", "Sin hallazgos."), tmp_path / "empty")
    arguments = ["--output_dir", str(tmp_path / "run"), "--train", str(tmp_path / "empty")]
    assert cli.main(["finetune", str(recipe), *arguments]) == 2
    assert "found no entities in 1 documents" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_predictions_are_those_of_the_predictor(run, notes, tmp_path, format):
    predict.main(
        [
            "--model",
            str(run / "model"),
            "--input",
            str(notes / "validation"),
            "--output",
            str(tmp_path),
            "--format",
            format,
        ]
    )
    written = list(read_corpus(tmp_path if format == "brat" else tmp_path / "predictions.jsonl"))
    model = ClinXForTokenClassification.from_pretrained(run / "model")
    from transformers import AutoTokenizer

    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(run / "model"))
    for document, found in zip(written, predictor(d.text for d in written), strict=True):
        assert [(e.start, e.end, e.label) for e in document.entities] == list(
            zip(found.starts.tolist(), found.ends.tolist(), found.labels, strict=True)
        )


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_prediction_goes_on_where_it_was_cut_off(run, notes, tmp_path, monkeypatch, format):
    arguments = (str(run / "model"), str(notes / "validation"), str(tmp_path / "out"), format)
    assert predict.predict(*arguments[:2], str(tmp_path / "whole"), format) == 4
    write = predict.write_brat if format == "brat" else predict.json_line
    calls = []

    def cut(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(*args)

    monkeypatch.setattr(predict, write.__name__, cut)
    with pytest.raises(KeyboardInterrupt):
        predict.predict(*arguments)
    if format == "jsonl":
        with open(tmp_path / "out" / "predictions.jsonl.partial", "ab") as file:
            file.write(b'{"id": "half a li')
    monkeypatch.setattr(predict, write.__name__, write)
    assert predict.predict(*arguments) == 2
    assert predict.predict(*arguments) == 0
    name = "predictions.jsonl" if format == "jsonl" else "."
    assert list(read_corpus(tmp_path / "out" / name)) == list(read_corpus(tmp_path / "whole" / name))
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix in (".partial", ".tmp")]


def test_predictions_of_another_model_are_not_mixed(run, notes, tmp_path):
    predict.predict(str(run / "model"), str(notes / "validation"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="holds predictions of"):
        predict.predict(str(run / "model"), str(notes / "train"), str(tmp_path / "out"))


def test_the_first_screen_lists_the_verbs_and_each_has_help(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in cli.VERBS)
    for verb in cli.VERBS:
        with pytest.raises(SystemExit) as stop:
            cli.main([verb, "--help"])
        assert stop.value.code == 0
        assert f"clinx {verb}" in capsys.readouterr().out
    assert cli.main(["translate"]) == 2


def test_corpus_stats_tell_the_ceiling(notes, tiny_encoder_dir, capsys):
    assert cli.main(["corpus", "stats", str(notes / "train"), "--tokenizer", str(tiny_encoder_dir), "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["documents"] == 12 and stats["entities"] == sum(stats["labels"].values())
    assert 0.5 < stats["ceiling"] <= 1


def test_early_stopping_ends_a_run_that_gets_no_better(recipe, tmp_path):
    folder = finetuned(recipe, tmp_path / "run", "--learning_rate", "0", "--early_stopping_patience", "1")
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 4
