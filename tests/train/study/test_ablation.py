"""`clinx study` as a user runs it."""

import json
import shutil
from functools import partial

import pytest

from clinx import cli
from clinx.corpora.documents import Document
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError
from clinx.finetuning.data import inputs_of, read_annotated
from clinx.finetuning.ensemble import run_recipe
from clinx.recipe import Recipe
from clinx.run_folder import RunFolder
from clinx.scoring.p_values import LEGEND, holm
from clinx.study import cost
from clinx.study.ablation import ROWS, ablation
from tests.train.scoring.systems import noisy


def clinx(*arguments):
    return cli.main([str(argument) for argument in arguments])


def pretended(recipe):
    """What a training leaves that a table needs: predictions by luck, in place of a model."""
    gold = read_annotated(recipe).test
    of_recipe = RunFolder(recipe.folder)
    of_recipe.claim(recipe, inputs_of(recipe, {"test": gold}))
    members = [recipe.folder / f"member-{n}" for n in (1, 2)] if recipe.is_ensemble else []
    for number, folder in enumerate([*members, recipe.folder]):
        folder.mkdir(exist_ok=True)
        quality = 0.6 if recipe.head == "linear" else 0.8
        write_jsonl(noisy(gold, quality, seed=number + (recipe.seed or 0)), folder / "test.jsonl")
        RunFolder(folder).write_metrics({"seconds": 1.0, "steps": 2})


def test_the_ablation_has_a_row_for_every_setting_and_goes_on_where_it_stopped(few, tmp_path):
    folder, trained = tmp_path / "ablation", []
    recipe = Recipe.read(few, ["--splits", "2", "--output_dir", str(folder)])

    def train(run, last="no-crf"):
        if str(run.folder).endswith(last):
            raise KeyboardInterrupt
        if not RunFolder(run.folder).is_done:
            trained.append(str(run.folder.relative_to(folder)))
            pretended(run)

    with pytest.raises(KeyboardInterrupt):
        ablation(recipe, train)
    assert list(json.loads((folder / "ablation.json").read_text())["rows"]) == ["all", "standard", "random", "no-biose"]
    ablation(recipe, partial(train, last="nowhere"))
    assert trained == ["all/seed-5", "all/seed-6", "all/seed-7", *(row.name for row in ROWS[1:])]
    table = (folder / "ablation.md").read_text()
    assert all(title in table for _, title, _ in ROWS)
    assert (folder / "ablation.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads((folder / "ablation.json").read_text())["rows"]
    assert [len(row["members"]) for row in rows.values()] == [3, 2, 2, 2, 2, 2, 2, 2]
    assert "ensemble" not in rows["all"] and "against_random" not in rows["random"]
    low, high = rows["no-crf"]["against_random"]["ensemble"]["interval"]
    assert low <= rows["no-crf"]["ensemble"] - rows["random"]["ensemble"] <= high < 0
    against = [row.get(f"against_{other}", {}) for row in rows.values() for other in ("random", "sentences")]
    cells = [cell for of_row in against for cell in of_row.values()]
    assert len(cells) == 15 and [cell["holm_p_value"] for cell in cells] == list(holm([c["p_value"] for c in cells]))
    assert all(f"p {cell['p_value']:.4f}, Holm {cell['holm_p_value']:.4f}" in table for cell in cells)
    assert LEGEND in table and "holm_code" in rows["no-crf"]["ensemble_above_median"]
    assert "| -0.26 / -1.02 |" in table and "Context alone" in table
    settings = {row.name: Recipe.read(folder / row.name / "recipe.yaml").recorded() for row in ROWS[1:]}
    assert settings["sentences"]["segmentation"] == "sentence" and settings["sentences"]["context_size"] == 16
    assert settings["no-biose"]["scheme"] == "BIO" and settings["no-crf"]["head"] == "linear"
    assert settings["no-context"]["context_size"] == 0 and settings["no-subwords"]["unit"] == "word"


def test_the_row_of_single_models_has_no_soup(few, tmp_path):
    recipe, soups = Recipe.read(few, ["--splits", "2", "--soup", "--output_dir", str(tmp_path)]), {}
    ablation(recipe, lambda run: (soups.update({run.folder.relative_to(tmp_path).parts[0]: run.soup}), pretended(run)))
    assert soups == {row.name: row.name != "all" for row in ROWS}


def test_a_study_at_equal_time_trains_what_its_costs_say(few, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "_update_seconds", lambda recipe: 2.0 if recipe.head == "linear" else 1.0)
    recipe, steps = Recipe.read(few, ["--splits", "2", "--output_dir", str(tmp_path)]), {}
    ablation(recipe, lambda run: (steps.update({run.folder.name: run.max_steps}), pretended(run)), equal_time=True)
    assert steps["no-crf"] == 2 and set(steps.values()) == {4, 2} and json.loads((tmp_path / "costs.json").read_text())


def test_a_row_is_shown_when_all_its_models_are_there_and_one_that_changes_nothing_is_none(few, tmp_path):
    options = ["--splits", "2", "--segmentation", "sentence", "--output_dir", str(tmp_path)]

    def train(run):
        if run.folder.name == "seed-6":
            raise InputError("the disk is full")
        pretended(run)

    with pytest.raises(InputError, match="all/seed-6: the disk is full\nthe others are complete"):
        ablation(Recipe.read(few, options), train)
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert "all" not in rows and "sentences" not in rows and {"standard", "random", "no-context"} <= rows.keys()


def test_of_two_rows_that_are_the_same_one_is_trained_and_a_note_says_so(few, tmp_path, capsys):
    options = ["--splits", "2", "--context_size", "0", "--output_dir", str(tmp_path)]
    ablation(Recipe.read(few, options), pretended)
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert list(rows) == [row.name for row in ROWS if row.name != "no-context"]
    note = "the row − packing and context is left out: with this recipe it is − packing: sentence windows, with context"
    assert note in capsys.readouterr().err


@pytest.mark.parametrize("strategy", [("best",), ("no", "--no_load_best_model_at_end")])
def test_checkpoints_that_the_row_of_all_could_not_choose_among_are_refused_at_once(few, tmp_path, capsys, strategy):
    folder = tmp_path / "ablation"
    assert clinx("study", "ablation", few, "--output_dir", folder, "--save_strategy", *strategy) == 2
    assert f"save_strategy is {strategy[0]}, and the row All chooses among" in capsys.readouterr().err
    assert not folder.exists()


def test_where_every_row_fails_none_is_called_complete(few, tmp_path):
    def train(run):
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="no-subwords: the disk is full\nno other is complete: mend the cause"):
        ablation(Recipe.read(few, ["--splits", "2", "--output_dir", str(tmp_path)]), train)


def test_a_row_of_the_command_is_trained_and_shown(few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("clinx.study.ablation.ROWS", [row for row in ROWS if row.name in ("random", "no-crf")])
    command = ("study", "ablation", few, "--splits", 2, "--max_steps", 2, "--output_dir", tmp_path)
    assert clinx(*command) == 0
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert list(rows) == ["random", "no-crf"] and "− CRF" in capsys.readouterr().out
    low, high = rows["no-crf"]["against_random"]["ensemble"]["interval"]
    assert low <= rows["no-crf"]["ensemble"] - rows["random"]["ensemble"] <= high


def test_at_equal_time_what_is_slower_has_fewer_updates_and_costs_are_measured_once(few, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "UPDATES", 1)
    options = ["--splits", "2", "--max_steps", "100", "--eval_steps", "50", "--save_steps", "100"]
    recipe, file = Recipe.read(few, options), tmp_path / "costs.json"
    recipes = {"random": recipe, "sentences": recipe.changed(segmentation="sentence")}
    first = cost.steps_of_equal_time(recipes, "random", file)
    assert first["random"] == {"max_steps": 100, "eval_steps": 50, "save_steps": 100}
    monkeypatch.setattr(cost, "_update_seconds", None)
    assert cost.steps_of_equal_time(recipes, "random", file) == first
    known = json.loads(file.read_text())
    known["sentences"]["cost"] = 4.0
    file.write_text(json.dumps(known))
    slower = cost.steps_of_equal_time(recipes, "random", file)["sentences"]
    assert slower == {"max_steps": 24, "eval_steps": 12, "save_steps": 24}
    seconds = iter([1.0, 3.0, 2.0, 2.0])
    monkeypatch.setattr(cost, "_update_seconds", lambda _: next(seconds))
    later = cost.steps_of_equal_time({**recipes, "words": recipe}, "random", file)
    assert later["words"]["max_steps"] == 50 and later["sentences"] == slower
    measured = []
    monkeypatch.setattr(cost, "_update_seconds", lambda recipe: measured.append(recipe.head) or 1.0)
    changed = {"random": recipe, "sentences": recipes["sentences"].changed(head="linear")}
    assert cost.steps_of_equal_time(changed, "random", file)["sentences"]["max_steps"] == 100
    assert measured == ["crf", "linear"] * cost.ROUNDS
    assert cost.steps_of_equal_time(changed, "random", file) and len(measured) == 2 * cost.ROUNDS
    other = {"random": recipe.changed(dropout=0.3), "sentences": changed["sentences"]}
    assert cost.steps_of_equal_time(other, "random", file) and len(measured) == 4 * cost.ROUNDS
    with pytest.raises(InputError, match="set max_steps in place of epochs"):
        cost.steps_of_equal_time({"random": recipe.changed(max_steps=None)}, "random", file)


def test_equal_time_with_early_stopping_and_a_row_that_cannot_be_trained(few, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "UPDATES", 1)
    recipe = Recipe.read(few, ["--splits", "2", "--max_steps", "4", "--early_stopping_patience", "2"])
    recipes = {"random": recipe, "standard": recipe.changed(split_kind="standard", validation=None)}
    steps = cost.steps_of_equal_time(recipes, "random", tmp_path / "costs.json")
    assert steps["random"]["max_steps"] == 4 and steps["standard"] == {}


def test_a_study_needs_documents_that_judge(recipe, tmp_path, capsys):
    assert clinx("study", "ablation", recipe, "--output_dir", tmp_path) == 2
    assert "needs test documents" in capsys.readouterr().err


def test_a_row_is_trained_from_its_written_recipe_as_it_is_from_the_row_itself(few, tmp_path):
    """Members side by side read the recipe that their row wrote: a split file is not for the standard row."""
    recipe = Recipe.read(few, ["--splits", "2"]).changed(split_kind="random")
    read_annotated(recipe).splits.write(tmp_path / "splits.json")
    recipe = recipe.changed(split_file=str(tmp_path / "splits.json"), soup=True)
    for row in ROWS:
        of_row = recipe.changed(**row.settings)
        of_row.write(tmp_path / "recipe.yaml")
        assert Recipe.read(tmp_path / "recipe.yaml") == of_row
        assert read_annotated(of_row).splits.kind == of_row.split_kind
        assert of_row.soup == of_row.is_ensemble
    with pytest.raises(InputError, match="holds random splits, but split_kind is standard"):
        read_annotated(recipe.changed(split_kind="standard"))
    with pytest.raises(InputError, match="holds 2 members, but splits is 3: leave one out"):
        read_annotated(recipe.changed(splits=3))


def test_a_row_of_other_notes_is_not_compared(few, notes, tmp_path, monkeypatch):
    folder, corpus = tmp_path / "ablation", tmp_path / "notes"
    shutil.copytree(notes, corpus)
    monkeypatch.setattr("clinx.study.ablation.ROWS", [row for row in ROWS if row.name in ("all", "random")])
    options = ["--splits", "2", "--max_steps", "2", "--output_dir", str(folder), "--train", str(corpus / "train")]
    recipe = Recipe.read(few, [*options, "--validation", str(corpus / "validation")])

    def interrupted(row):
        if row.output_dir.endswith("random"):
            raise KeyboardInterrupt
        run_recipe(row)

    with pytest.raises(KeyboardInterrupt):
        ablation(recipe, interrupted)
    write_brat(Document("added", "Sin fiebre."), corpus / "train")
    with pytest.raises(InputError, match="all/seed-5: .*holds a run with other"):
        ablation(recipe)
    assert list(json.loads((folder / "ablation.json").read_text())["rows"]) == ["random"]
