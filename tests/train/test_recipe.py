"""Recipes: YAML and overrides into typed settings, and every fault by file and line."""

import pytest

from clinx.arguments import ARGUMENTS
from clinx.errors import InputError
from clinx.recipe import parse_recipe


@pytest.fixture
def parse(tmp_path):
    def parse(text: str, *overrides: str):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text, encoding="utf-8")
        return parse_recipe(ARGUMENTS, [str(recipe), *overrides], "clinx finetune", "…")[0]

    return parse


NEEDED = "encoder: some/encoder\ntrain: notes\n"


def test_the_defaults_are_the_papers_settings(parse):
    data, model, optimization, splitting, args = parse(NEEDED)
    assert splitting.splits is None and splitting.vote == "majority"
    assert (args.learning_rate, args.num_train_epochs, args.weight_decay) == (2e-5, 20, 0.0)
    assert args.optim.value.startswith("adamw") and optimization.one_cycle
    assert (model.head, model.scheme, model.unit, model.context_size) == ("crf", "BIOSE", "subword", 100)


def test_numbers_and_words_that_yaml_1_1_mistakes_are_read_as_meant(parse):
    *_, args = parse(
        NEEDED + "learning_rate: 2e-5\neval_strategy: no\nsave_strategy: no\nload_best_model_at_end: false\n"
    )
    assert args.learning_rate == 2e-5
    assert args.eval_strategy.value == "no"


def test_an_override_wins_over_the_recipe(parse):
    data, *_, args = parse(NEEDED + "seed: 1\n", "--seed", "7", "--train", "other")
    assert (args.seed, data.train) == (7, "other")


def test_lists_and_null_are_read(parse):
    data, model, *_ = parse(NEEDED + "entity_types: [A, B]\nrevision: null\n")
    assert data.entity_types == ["A", "B"] and model.revision is None


def test_environment_variables_are_filled_in(parse, monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/somewhere")
    data, *_ = parse("encoder: e\ntrain: ${SOME_FOLDER}/notes\n")
    assert data.train == "/somewhere/notes"


@pytest.mark.parametrize(
    "text, overrides, expected",
    [
        (NEEDED + "lerning_rate: 1\n", (), r"recipe.yaml:3: unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        (NEEDED, ("--lerning_rate", "1"), r"unknown option '--lerning_rate'; did you mean --learning_rate"),
        (NEEDED + "seed: many\n", (), r"recipe.yaml:3: .*--seed.*many"),
        (NEEDED + "head: softmax\n", (), r"recipe.yaml:3: .*--head.*softmax"),
        (NEEDED + "train: again\n", (), r"recipe.yaml:3: 'train' stands here a second time, after line 2"),
        ("train: notes\n", (), r"recipe.yaml: .*--encoder"),
        (NEEDED + "validation: $NOT_SET_ANYWHERE/x\n", (), r"recipe.yaml:3: .*NOT_SET_ANYWHERE is not set"),
        ("- a\n- b\n", (), "expected a recipe of `key: value` lines"),
        ("a: [\n", (), "is no YAML"),
    ],
)
def test_a_fault_in_a_recipe_is_told_with_its_place(parse, text, overrides, expected):
    with pytest.raises(InputError, match=expected):
        parse(text, *overrides)


def test_a_recipe_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot read the recipe"):
        parse_recipe(ARGUMENTS, [str(tmp_path / "none.yaml")], "clinx finetune", "…")
