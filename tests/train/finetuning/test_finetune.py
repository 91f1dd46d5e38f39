"""`clinx finetune`, `predict` and `score` as a user runs them, on synthetic notes and a tiny encoder."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, TrainerState

from clinx import cli
from clinx.corpora.documents import Document
from clinx.corpora.formats.brat import write_brat
from clinx.finetuning.callbacks import EarlyStopping
from clinx.finetuning.finetune import documents_of, new_model, trainer_for, windows_of
from clinx.recipe import Recipe
from clinx.run_folder import RunFolder
from clinx.training import training_arguments
from clinx.writing import LOCK, exclusive
from modeling_clinx import ClinXForTokenClassification
from tests.train.processes import in_two_processes


def finetuned(recipe, folder, *overrides):
    assert cli.main(["finetune", str(recipe), "--output_dir", str(folder), *overrides]) == 0
    return folder


def test_a_run_leaves_a_model_repo_figures_and_curves(run):
    files = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py", "pipeline_clinx.py"} <= files
    assert not any(path.suffix in (".bin", ".pt") for path in run.rglob("*"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"] == 6 and metrics["validation"]["support"] > 0
    assert [row["step"] for row in metrics["log"] if "eval_strict_f1" in row] == [2, 4, 6]
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_whoever_may_read_the_configuration_may_read_the_weights(run):
    assert len({path.stat().st_mode for path in (run / "model").iterdir()}) == 1


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


@pytest.mark.parametrize("more", [(), ("--context_dropout", "0.5", "--word_dropout", "0.1")])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(run, recipe, tmp_path, monkeypatch, more):
    from clinx.finetuning.trainer import ClinXTrainer

    if more:
        run = tmp_path / "run"
        assert cli.main(["finetune", str(recipe), "--output_dir", str(run), *more]) == 0
    whole = ClinXTrainer.training_step
    steps = []

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(ClinXTrainer, "training_step", interrupted)
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "cut"), *more]) == 130
    monkeypatch.setattr(ClinXTrainer, "training_step", whole)
    assert RunFolder(tmp_path / "cut").last_checkpoint().name == "checkpoint-4"
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "cut"), *more]) == 0
    once, twice = (
        ClinXForTokenClassification.from_pretrained(folder / "model").state_dict() for folder in (run, tmp_path / "cut")
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_run_that_was_trained_and_then_moved_keeps_its_best_weights(run, recipe, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("clinx.finetuning.finetune.save_model_repo", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "before")]) == 130
    (tmp_path / "before").rename(tmp_path / "moved")
    lost = shutil.copytree(tmp_path / "moved", tmp_path / "lost")
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "moved")]) == 0
    once, twice = (
        ClinXForTokenClassification.from_pretrained(folder / "model").state_dict()
        for folder in (run, tmp_path / "moved")
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)
    state = RunFolder(lost).last_checkpoint() / "trainer_state.json"
    state.write_text(state.read_text().replace("before/checkpoint-", "before/checkpoint-9"))
    assert cli.main(["finetune", str(recipe), "--output_dir", str(lost)]) == 2
    assert "found no such checkpoint, the best of this run" in capsys.readouterr().err and not (lost / "model").exists()


def test_settings_of_a_recipe_reach_its_training(recipe, tmp_path):
    of_dropout = {"word_dropout": 0.2, "locked_dropout": 0.3, "dropout": 0.4}
    given = of_dropout | {"context_dropout": 0.5, "output_dir": tmp_path}
    recipe = Recipe.read(recipe, [f"--{name}={value}" for name, value in given.items()])
    data, args = documents_of(recipe), training_arguments(recipe)
    model, tokenizer = new_model(recipe, [], data.entity_types)
    windows = windows_of(recipe, data, tokenizer, model.config, seed=0)
    trainer = trainer_for(recipe, args, data, windows, model, tokenizer)
    assert trainer.recipe == recipe
    word, locked, plain = model.dropout
    assert (word.probability, locked.probability, plain.p) == (0.2, 0.3, 0.4)
    assert windows.context_dropout == 0.5


@pytest.mark.parametrize("batch_subwords, is_said", [(20, True), (256, False)])
def test_windows_larger_than_a_batch_that_was_asked_for_are_said(recipe, capsys, batch_subwords, is_said):
    """The default is said to be at least one window, and long notes have larger ones."""
    whole = [f"--{name}={value}" for name, value in {"window_length": 512, "batch_subwords": batch_subwords}.items()]
    recipe = Recipe.read(recipe, whole)
    data = documents_of(recipe)
    model, tokenizer = new_model(recipe, [], data.entity_types)
    sizes = windows_of(recipe, data, tokenizer, model.config, seed=0).sizes()
    assert sizes.max() > 20
    assert ("a batch with one of them is larger than asked for" in capsys.readouterr().err) == is_said


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


def test_a_corpus_without_entities_is_refused(recipe, tmp_path, capsys):
    write_brat(Document("a", "Sin hallazgos."), tmp_path / "empty")
    arguments = ["--output_dir", str(tmp_path / "run"), "--train", str(tmp_path / "empty")]
    assert cli.main(["finetune", str(recipe), *arguments]) == 2
    assert "found no entities in 1 documents" in capsys.readouterr().err


def test_early_stopping_goes_on_counting_where_a_run_goes_on(recipe, tmp_path):
    before = EarlyStopping(3)
    before.early_stopping_patience_counter = 2
    TrainerState(stateful_callbacks=[before]).save_to_json(tmp_path / "trainer_state.json")
    args, again = training_arguments(Recipe.read(recipe)), EarlyStopping(3)
    for state, count in ((TrainerState.load_from_json(tmp_path / "trainer_state.json"), 2), (TrainerState(), 0)):
        again.on_train_begin(args, state, None)
        assert again.early_stopping_patience_counter == count


def test_early_stopping_ends_a_run_that_gets_no_better(recipe, tmp_path):
    folder = finetuned(recipe, tmp_path / "run", "--learning_rate", "1e-30", "--early_stopping_patience", "1")
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 4


@pytest.mark.parametrize("options", [(), ("--splits", "2", "--test_fraction", "0.2")])
def test_one_command_at_a_time_trains_in_a_folder(recipe, tmp_path, capsys, options):
    with exclusive(tmp_path / "run"):
        assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "run"), *options]) == 2
    assert "is writing here; wait until it has ended" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]


def test_two_processes_train_as_one(recipe, tiny_encoder_dir, tmp_path):
    """Batches of each with windows of very unequal length, in several groups of which a process has as it happens.

    So do two among which FSDP divides the weights, and their model is whole.
    """
    encoder = AutoModel.from_pretrained(tiny_encoder_dir)
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = 0.0
    encoder.save_pretrained(tmp_path / "encoder")
    for file in tiny_encoder_dir.glob("token*"):
        shutil.copy(file, tmp_path / "encoder")
    settings = {"encoder": tmp_path / "encoder", "dropout": 0, "context_dropout": 0.5, "optim": "sgd", "max_steps": 4}
    settings |= {"max_grad_norm": 0, "calibrate": "false"}
    overrides = [str(text) for key, value in settings.items() for text in (f"--{key}", value)]
    once = finetuned(recipe, tmp_path / "once", *overrides, "--batch_subwords", "512")
    accumulated = finetuned(
        recipe, tmp_path / "accumulated", *overrides, "--batch_subwords", "256", "--gradient_accumulation_steps", "2"
    )
    of_two = (*overrides, "--batch_subwords", "256")
    in_two_processes("finetune", recipe, "--output_dir", tmp_path / "twice", *of_two)
    in_two_processes("finetune", recipe, "--output_dir", tmp_path / "fsdp", *of_two, module="tests.train.fsdp_on_cpu")
    folders = (once, accumulated, tmp_path / "twice", tmp_path / "fsdp")
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    assert [figures["settings"]["world_size"] for figures in metrics] == [1, 1, 2, 2]
    weights = [load_file(folder / "model/model.safetensors") for folder in folders]
    start = {f"encoder.{name}": weight for name, weight in encoder.state_dict().items()}
    moved = max((weights[0][name] - start[name]).abs().max() for name in start if name in weights[0])
    for other in weights[1:]:
        apart = max((weights[0][name] - other[name]).abs().max() for name in other)
        assert apart < 1e-4 * moved
