"""`clinx finetune --splits`, `--split all`, `--soup` and `--distill` as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification

from clinx import cli
from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.jsonl import json_line, write_jsonl
from clinx.errors import InputError
from clinx.finetuning import ensemble as ensembles
from clinx.finetuning.ensemble import finetune_ensemble, uniform_soup
from clinx.finetuning.finetune import finetune
from clinx.recipe import Recipe
from clinx.run_folder import RunFolder
from clinx.scoring.scores import score
from clinx.writing import exclusive
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification


PROJECT = Path(__file__).parents[3]


def clinx(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_members_and_their_ensemble_and_soup_are_complete_model_repos(ensemble_run, notes):
    metrics = json.loads((ensemble_run / "metrics.json").read_text())
    assert len(metrics["members"]) == 3 and all("test" in member for member in metrics["members"])
    test = list(read_corpus(ensemble_run / "test.jsonl"))
    gold = {document.id: document for part in ("train", "validation") for document in read_corpus(notes / part)}
    assert metrics["ensemble"]["test"] == json.loads(json.dumps(score([gold[d.id] for d in test], test)))
    loaded = AutoModelForTokenClassification.from_pretrained(ensemble_run / "model")
    assert type(loaded) is ClinXEnsembleForTokenClassification and len(loaded.members) == 3
    for part in ("model", "soup", *(f"member-{n}/model" for n in (1, 2, 3))):
        files = {path.name for path in (ensemble_run / part).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not list(ensemble_run.rglob("checkpoint-*"))


def test_what_judges_is_neither_learned_from_nor_selected_on(ensemble_run, notes):
    splits = json.loads((ensemble_run / "splits.json").read_text())
    test = {document.id for document in read_corpus(ensemble_run / "test.jsonl")}
    everything = {path.stem for part in ("train", "validation") for path in (notes / part).glob("*.txt")}
    for member in splits["members"]:
        assert not test & {*member["train"], *member["validation"]}
        assert {*member["train"], *member["validation"]} == everything - test
    assert splits["kind"] == "random"


def test_a_soup_has_the_mean_of_what_its_members_have_learned_and_their_mean_temperature(ensemble_run):
    soup = ClinXForTokenClassification.from_pretrained(ensemble_run / "soup").state_dict()
    metrics = [json.loads((ensemble_run / f"member-{n}" / "metrics.json").read_text()) for n in (1, 2, 3)]
    of_run = [member["temperature"] for member in metrics]

    def mixed(temperatures):
        return uniform_soup(ClinXEnsembleForTokenClassification.from_pretrained(ensemble_run / "model"), temperatures)

    assert all(torch.allclose(soup[name], weight, atol=1e-6) for name, weight in mixed(of_run).state_dict().items())
    ensemble = ClinXEnsembleForTokenClassification.from_pretrained(ensemble_run / "model")
    states = [member.state_dict() for member in ensemble.members]
    for name, weight in mixed([1.0, 2.0, 4.0]).state_dict().items():
        first, second, third = (state[name] for state in states)
        is_of_head = name.startswith(("classifier.", "crf."))
        mean = (first + 2 * second + 4 * third) / 7 if is_of_head else (first + second + third) / 3
        assert torch.allclose(weight, mean, atol=1e-6)


def test_a_finished_run_shows_its_table_and_other_settings_are_refused(ensemble_run, few, capsys):
    before = (ensemble_run / "metrics.json").stat().st_mtime_ns
    assert clinx("finetune", few, "--splits", 3, "--output_dir", ensemble_run) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("finished run", "median", "best", "ensemble", "soup", "member 3"))
    assert (ensemble_run / "metrics.json").stat().st_mtime_ns == before
    assert clinx("finetune", few, "--splits", 3, "--output_dir", ensemble_run, "--split_seed", 2) == 2
    assert "holds a run with split_seed 1, not 2" in capsys.readouterr().err


def test_another_vote_of_a_finished_run_changes_all_that_speaks_of_it(ensemble_run, few, tmp_path, monkeypatch):
    run = shutil.copytree(ensemble_run, tmp_path / "run")
    command = ("finetune", few, "--splits", 3, "--output_dir", run)

    def votes():
        metrics = json.loads((run / "metrics.json").read_text())
        config = json.loads((run / "model/config.json").read_text())
        return metrics["vote"], config["vote"], Recipe.read(run / "recipe.yaml").vote, "soup" in metrics

    assert clinx(*command, "--vote", "average") == 0
    assert votes() == ("average", "average", "average", True)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ensembles, "evaluate_documents", killed)
    assert clinx(*command) == 130  # between the model and its figures
    monkeypatch.undo()
    assert clinx(*command, "--vote", "average") == 0
    assert votes() == ("average", "average", "average", True)


def test_a_run_is_not_one_of_another_split_file(ensemble_run, few, tmp_path, capsys):
    file = tmp_path / "splits.json"
    shutil.copy(ensemble_run / "splits.json", file)
    command = ("finetune", few, "--split_file", file, "--max_steps", 2, "--output_dir", tmp_path / "run")
    assert clinx(*command) == 0
    splits, before = json.loads(file.read_text()), (tmp_path / "run/splits.json").read_text()
    splits["members"].reverse()
    file.write_text(json.dumps(splits))
    for _ in ("finished", "begun"):
        assert clinx(*command) == 2
        assert "run holds a run with other splits: choose another --output_dir" in capsys.readouterr().err
        assert (tmp_path / "run/splits.json").read_text() == before
        (tmp_path / "run/metrics.json").unlink(missing_ok=True)


def test_the_folder_of_a_member_that_is_being_trained_is_left_alone(few, tmp_path, capsys):
    command = ("finetune", few, "--splits", 2, "--max_steps", 2, "--output_dir", tmp_path / "run")
    folder = tmp_path / "run/member-2"
    with exclusive(folder):
        assert clinx(*command, "--learning_rate", 1) == 2
    assert "member-2: process" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == [".clinx-lock"]


def test_a_member_that_fails_leaves_the_others_and_the_same_command_goes_on(few, tmp_path):
    def failing(recipe):
        if recipe.member == 2:
            raise RuntimeError("CUDA out of memory\nTried to allocate")
        return finetune(recipe)

    recipe = Recipe.read(few, ["--splits", "3", "--max_steps", "2", "--output_dir", str(tmp_path / "run")])
    with pytest.raises(
        InputError, match="1 of 3 members failed.*\n.*member 2: RuntimeError: CUDA out of memory\n"
    ) as error:
        finetune_ensemble(recipe, failing)
    assert "1 of 3 members failed" in str(error.value) and "give the same command again" in str(error.value)
    times = {n: (tmp_path / f"run/member-{n}/metrics.json").stat().st_mtime_ns for n in (1, 3)}
    assert not (tmp_path / "run" / "model").exists()
    finetune_ensemble(recipe)
    assert times == {n: (tmp_path / f"run/member-{n}/metrics.json").stat().st_mtime_ns for n in (1, 3)}
    assert (tmp_path / "run" / "model" / "config.json").exists()


def test_members_train_side_by_side_in_processes_of_their_own(few, tmp_path, capsys):
    command = ("finetune", few, "--splits", 2, "--max_steps", 2, "--output_dir", tmp_path / "run")
    assert clinx(*command, "--members_at_once", 2) == 0
    shown = capsys.readouterr().out
    assert "member 1 is done" in shown and "member 2 is done" in shown
    assert (tmp_path / "run" / "model" / "config.json").exists() and (tmp_path / "run" / "member-2.log").exists()


def test_the_recipe_in_a_members_folder_trains_exactly_that_member(ensemble_run, tmp_path):
    assert clinx("finetune", ensemble_run / "member-2" / "recipe.yaml", "--output_dir", tmp_path / "run") == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["member-2"]
    once, again = (
        load_file(run / "member-2" / "model" / "model.safetensors") for run in (ensemble_run, tmp_path / "run")
    )
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_splits_written_before_are_used_again(ensemble_run, few, tmp_path):
    command = ("finetune", few, "--split_file", ensemble_run / "splits.json", "--member", 2, "--max_steps", 2)
    assert clinx(*command, "--output_dir", tmp_path / "run") == 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["member-2"]
    metrics = json.loads((tmp_path / "run/member-2/metrics.json").read_text())
    assert metrics["documents"]["train"] == len(
        json.loads((ensemble_run / "splits.json").read_text())["members"][1]["train"]
    )


def test_a_corpus_without_documents_is_divided_in_blocks_of_sentences_and_says_so(recipe, notes, tmp_path, capsys):
    whole, entities = "", []
    for note in read_corpus(notes / "train"):
        entities += [Entity(e.start + len(whole), e.end + len(whole), e.label) for e in note.entities]
        whole += note.text + "\n"
    write_jsonl([Document("all", whole, entities)], tmp_path / "one.jsonl")
    text = recipe.read_text().replace(f"train: {notes}/train", f"train: {tmp_path}/one.jsonl")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("validation:"))
    (tmp_path / "recipe.yaml").write_text(text)
    command = ("finetune", tmp_path / "recipe.yaml", "--splits", 2, "--max_steps", 2)
    assert clinx(*command, "--output_dir", tmp_path / "run") == 0
    told = capsys.readouterr()
    assert "blocks of 20 sentences stand for them" in told.err
    assert "name `test` documents" in told.out
    assert json.loads((tmp_path / "run/splits.json").read_text())["members"][0]["train"][0].startswith("all.")


def test_documents_of_both_parts_may_have_the_same_ids(recipe, notes, tmp_path):
    for part in ("train", "validation"):  # rows without ids are numbered in each file
        rows = [json.loads(json_line(document)) for document in read_corpus(notes / part)]
        lines = [json.dumps({key: row[key] for key in ("text", "entities")}) for row in rows]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines))
    command = ("finetune", recipe, "--train", tmp_path / "train.jsonl", "--validation", tmp_path / "validation.jsonl")
    assert clinx(*command, "--max_steps", 2, "--splits", 2, "--output_dir", tmp_path / "run") == 0
    members = json.loads((tmp_path / "run" / "splits.json").read_text())["members"]
    assert sorted(id for member in members for id in member["validation"])[-1] == "validation/line-4"


@pytest.mark.parametrize(
    "overrides, expected",
    [
        (("--splits", "99"), "cannot be divided in 99 parts"),
        (("--splits", "2", "--split_kind", "all"), "leave splits out"),
        (("--splits", "2", "--member", "3"), "member is 3, expected 1 to 2"),
        (("--unlabelled", "x"), "name it with distill"),
        (("--soup",), "set splits too"),
        (("--vote", "average"), "vote is about an ensemble's members: set splits too"),
        (("--members_at_once", "2"), "members_at_once is about an ensemble's members: set splits too"),
        (("--distill", "/no/where"), "cannot load the ensemble /no/where"),
        (("--splits", "1"), "set splits to 2"),
        (("--max_train_documents", "-1"), "max_train_documents is -1"),
        (("--split_kind", "all", "--save_strategy", "best"), "set steps or epoch"),
        (("--split_kind", "all", "--early_stopping_patience", "1"), "early stopping looks at validation documents"),
        (("--test", "x", "--splits", "2"), "x"),
    ],
)
def test_what_cannot_be_divided_is_told(few, tmp_path, capsys, overrides, expected):
    assert clinx("finetune", few, "--output_dir", tmp_path / "run", *overrides) == 2
    assert expected in capsys.readouterr().err


def test_all_is_selected_by_training_loss(few, tmp_path):
    folder = tmp_path / "all"
    assert clinx("finetune", few, "--split_kind", "all", "--max_steps", 6, "--output_dir", folder) == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    losses = {row["step"]: row["checkpoint_loss"] for row in metrics["log"] if "checkpoint_loss" in row}
    assert sorted(losses) == [2, 4, 6] and "validation" not in metrics
    assert metrics["best_checkpoint"].endswith(f"checkpoint-{min(losses, key=losses.get)}")
    assert metrics["documents"]["validation"] == 0 and metrics["test"]["support"] > 0


def test_all_keeps_the_weights_of_an_earlier_checkpoint_with_a_lower_loss(few, tmp_path):
    """A learning rate that ruins the model after the first steps; logged and saved at other steps, and by epoch."""
    settings = (
        "--split_kind",
        "all",
        "--learning_rate",
        0.3,
        "--one_cycle",
        "false",
        "--lr_scheduler_type",
        "constant",
    )
    for name, extra in (
        ("steps", ("--logging_steps", 1)),
        ("epoch", ("--save_strategy", "epoch", "--eval_strategy", "epoch", "--max_steps", -1)),
    ):
        folder = tmp_path / name
        epochs = ("--num_train_epochs", 3, "--logging_steps", 3)
        assert clinx("finetune", few, *settings, *epochs, *extra, "--output_dir", folder) == 0
        metrics = json.loads((folder / "metrics.json").read_text())
        losses = {row["step"]: row["checkpoint_loss"] for row in metrics["log"] if "checkpoint_loss" in row}
        assert len(losses) > 1
        assert metrics["best_checkpoint"].endswith(f"checkpoint-{min(losses, key=losses.get)}")


def test_few_shot_members_learn_from_a_few_sentences_in_all(few, tmp_path):
    command = ("finetune", few, "--splits", 2, "--max_train_sentences", 80, "--max_steps", 2)
    assert clinx(*command, "--output_dir", tmp_path / "run") == 0
    (first, second) = json.loads((tmp_path / "run" / "splits.json").read_text())["members"]
    assert sorted(first["train"]) == sorted(second["validation"])
    assert len(first["train"] + first["validation"]) < 12 and any("." in id for id in first["train"] + second["train"])


def test_what_judges_cannot_be_learned_from(recipe, notes, tmp_path, capsys):
    copy = shutil.copytree(notes / "validation", tmp_path / "copy")
    command = ("finetune", recipe, "--splits", 2, "--output_dir", tmp_path / "run", "--test", copy)
    assert clinx(*command) == 2
    assert "4 notes both judge and are learned from" in capsys.readouterr().err


@contextmanager
def a_file_in_the_way(path):
    """So that the model cannot be written, and a run ends after its last checkpoint."""
    path.parent.mkdir(parents=True)
    path.touch()
    yield
    path.unlink()


@pytest.mark.parametrize("split", ["standard", "all"])
def test_a_run_killed_after_its_last_checkpoint_takes_no_step_more(few, tmp_path, split):
    command = ("finetune", few, "--split_kind", split, "--max_steps", 5)
    assert clinx(*command, "--output_dir", tmp_path / "whole") == 0
    with a_file_in_the_way(tmp_path / "cut" / "model"):
        assert clinx(*command, "--output_dir", tmp_path / "cut") == 2
    assert clinx(*command, "--output_dir", tmp_path / "cut") == 0
    whole, again = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "cut"))
    assert whole["steps"] == again["steps"] == 5 and whole["test"] == again["test"]
    once, twice = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
    once, twice = ((tmp_path / name / "model" / "config.json").read_text() for name in ("whole", "cut"))
    assert once == twice


def test_a_checkpoint_that_is_half_deleted_is_passed_over(few, tmp_path):
    command = ("finetune", few, "--max_steps", 4, "--save_total_limit", 3, "--output_dir", tmp_path / "run")
    with a_file_in_the_way(tmp_path / "run" / "model"):
        assert clinx(*command) == 2
    assert RunFolder(tmp_path / "run").last_checkpoint().name == "checkpoint-4"
    (tmp_path / "run" / "checkpoint-4" / "optimizer.pt").unlink()
    assert RunFolder(tmp_path / "run").last_checkpoint().name == "checkpoint-2"
    assert clinx(*command) == 0


def test_a_run_killed_in_its_third_member_ends_with_the_same_bits(few, tmp_path):
    """As a user meets it: kill -9, the same command again; with one thread nothing differs."""
    overrides = ["--splits", "3", "--soup", "--max_steps", "8"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}

    def start(folder):
        command = [sys.executable, "-P", "-m", "clinx", "finetune", str(few), *overrides, "--output_dir", str(folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    killed = start(tmp_path / "killed")
    deadline = time.time() + 300
    while not list((tmp_path / "killed" / "member-3").glob("checkpoint-*/trainer_state.json")):
        assert time.time() < deadline and killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "member-3" / "metrics.json").exists()
    assert start(tmp_path / "killed").wait(300) == 0
    assert start(tmp_path / "whole").wait(300) == 0
    for part in ("model", "soup"):
        once, twice = (load_file(tmp_path / name / part / "model.safetensors") for name in ("whole", "killed"))
        assert once.keys() == twice.keys() and all(torch.equal(once[name], twice[name]) for name in once)
    for name in ("test.jsonl", "splits.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
