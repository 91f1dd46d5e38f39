"""Recipes: YAML and overrides into typed settings, and every fault by file and line."""

import pytest

from clinx.errors import InputError
from clinx.finetuning.trainer import resolved, training_arguments
from clinx.recipe import Recipe


@pytest.fixture
def parse(tmp_path):
    def parse(text: str, *overrides: str):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text, encoding="utf-8")
        return Recipe.read(recipe, overrides)

    return parse


NEEDED = "encoder: some/encoder\ntrain: notes\n"


def test_the_defaults_are_the_papers_settings(parse):
    recipe = parse(NEEDED)
    assert recipe.splits is None and recipe.vote == "majority"
    assert (recipe.learning_rate, recipe.num_train_epochs, recipe.weight_decay) == (2e-5, 20, 0.0)
    assert resolved(recipe, training_arguments(recipe)).optim.startswith("adamw") and recipe.one_cycle
    assert (recipe.head, recipe.scheme, recipe.unit, recipe.context_size) == ("crf", "BIOSE", "subword", 100)


def test_numbers_and_words_that_yaml_1_1_mistakes_are_read_as_meant(parse):
    recipe = parse(
        NEEDED + "learning_rate: 2e-5\neval_strategy: no\nsave_strategy: no\nload_best_model_at_end: false\n"
    )
    assert recipe.learning_rate == 2e-5 and recipe.eval_strategy == "no"
    args = training_arguments(recipe)
    assert args.learning_rate == 2e-5 and args.eval_strategy.value == "no" and not args.load_best_model_at_end


def test_an_override_wins_over_the_recipe(parse):
    recipe = parse(NEEDED + "seed: 1\n", "--seed", "7", "--train", "other")
    assert (recipe.seed, recipe.train) == (7, "other")


def test_lists_and_null_are_read(parse):
    recipe = parse(NEEDED + "entity_types: [A, B]\nrevision: null\n")
    assert recipe.entity_types == ["A", "B"] and recipe.revision is None


def test_environment_variables_are_filled_in(parse, monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/somewhere")
    assert parse("encoder: e\ntrain: ${SOME_FOLDER}/notes\n").train == "/somewhere/notes"


@pytest.mark.parametrize(
    "text, overrides, expected",
    [
        (NEEDED + "lerning_rate: 1\n", (), r"recipe.yaml:3: unknown key 'lerning_rate'; did you mean learning_rate"),
        (NEEDED, ("--lerning_rate", "1"), r"unknown option '--lerning_rate'; did you mean --learning_rate"),
        (NEEDED + "seed: many\n", (), r"recipe.yaml:3: .*--seed.*many"),
        (NEEDED + "head: softmax\n", (), r"recipe.yaml:3: .*--head.*softmax"),
        (NEEDED + "train: again\n", (), r"recipe.yaml:3: 'train' stands here a second time, after line 2"),
        ("train: notes\n", (), r"recipe.yaml: .*--encoder"),
        (NEEDED + "validation: $NOT_SET_ANYWHERE/x\n", (), r"recipe.yaml:3: .*NOT_SET_ANYWHERE is not set"),
        ("- a\n- b\n", (), "expected a recipe of `key: value` lines"),
        ("a: [\n", (), "is not YAML"),
    ],
)
def test_a_fault_in_a_recipe_is_told_with_its_place(parse, text, overrides, expected):
    with pytest.raises(InputError, match=expected):
        parse(text, *overrides)


def test_a_recipe_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot read the recipe"):
        Recipe.read(tmp_path / "none.yaml")


def test_a_recipe_is_written_and_read_back_the_same(parse, tmp_path):
    text = NEEDED + "entity_types: [A, 'no', '1']\nlearning_rate: 3e-5\neval_strategy: no\nsoup: true\nuse_cpu: yes\n"
    recipe = parse(text, "--seed", "7", "--no_one_cycle", "--adam_epsilon", "1e-7")
    recipe.write(tmp_path / "written.yaml")
    assert Recipe.read(tmp_path / "written.yaml") == recipe
    assert recipe.training_arguments == {"use_cpu": True, "adam_epsilon": 1e-7} and not recipe.one_cycle


def test_the_run_folder_of_a_member_lies_in_that_of_its_ensemble(parse):
    recipe = parse(NEEDED + "splits: 3\noutput_dir: runs/a\n")
    assert str(recipe.folder) == "runs/a" and str(recipe.changed(member=2).folder) == "runs/a/member-2"
    assert parse(NEEDED).output_dir == "runs/recipe"


def test_keys_of_older_recipes_still_work_and_a_note_says_how_they_are_called_now(parse, capsys):
    assert parse(NEEDED + "split: all\n").split_kind == "all"
    assert "split is now called split_kind" in capsys.readouterr().err
    assert parse(NEEDED, "--split", "standard").split_kind == "standard"


def test_a_built_in_recipe_is_named_without_a_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.read("demo", ["--encoder", "e", "--train", "t"])
    assert recipe.splits == 5 and recipe.output_dir == "runs/demo"


def test_settings_that_would_bypass_the_model_are_refused(parse):
    with pytest.raises(InputError, match="recipe.yaml:3: .*set batch_subwords instead"):
        parse(NEEDED + "per_device_train_batch_size: 8\n")
    with pytest.raises(InputError, match="would bypass the CRF"):
        parse(NEEDED, "--label_smoothing_factor=0.1")


def test_as_many_processes_as_a_recipe_records_must_be_started(parse):
    recipe = parse(NEEDED + "world_size: 8\n")
    with pytest.raises(InputError, match="world_size is 8, but 1 process"):
        resolved(recipe, training_arguments(recipe))
