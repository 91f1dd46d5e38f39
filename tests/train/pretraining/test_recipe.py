"""Recipes of pretraining: the built-in ones can be read, and the large ones have the paper's settings."""

import pytest

from clinx.commands import recipes
from clinx.errors import InputError
from clinx.pretraining.recipe import PretrainingRecipe


@pytest.fixture
def read(monkeypatch):
    for name in ("CLINX_BERT", "CLINX_CORPORA", "CLINX_TEXTS"):
        monkeypatch.setenv(name, f"/{name.lower()}")
    return PretrainingRecipe.read


@pytest.mark.parametrize("name", ["clin-x-es", "clin-x-en"])
def test_the_large_recipes_have_the_papers_settings(read, name):
    recipe = read(name)
    assert recipe.model == "FacebookAI/xlm-roberta-large" and recipe.fp16 and recipe.cross_documents
    assert (recipe.block_length, recipe.num_train_epochs, recipe.mlm_probability) == (512, 3, 0.15)
    assert (recipe.per_device_train_batch_size, recipe.update_blocks) == (4, 32)  # on eight GPUs
    assert (recipe.learning_rate, recipe.lr_scheduler_type, recipe.warmup_steps) == (5e-5, "linear", 0)


def test_steps_without_their_strategy_are_refused(read):
    by_epoch = ["--eval_strategy", "epoch", "--save_strategy", "epoch"]
    assert read("clin-x-es-mini", by_epoch).eval_steps == 0.05  # the default, which its own 0.1 gave way to
    with pytest.raises(InputError, match="eval_steps does nothing while eval_strategy is epoch"):
        read("clin-x-es-mini", [*by_epoch, "--eval_steps", "0.2"])


@pytest.mark.parametrize("name", ["clin-x-es-mini", "clin-x-en-mini"])
def test_the_small_recipes_start_from_the_model_that_a_variable_names(read, name):
    assert read(name).model == "/clinx_bert"


def test_the_list_of_recipes_says_which_command_takes_each(capsys):
    recipes.main([])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    verbs = {line[2]: line[1] for line in lines if line[:1] == ["clinx"]}
    assert ["clinx", "study", "transfer", "transfer-mini"] in [line[:4] for line in lines]
    assert (verbs["clin-x-es"], verbs["clin-x-en-mini"]) == ("pretrain", "pretrain")
    assert ["clinx", "study", "ablation", "ablation-mini"] in [line[:4] for line in lines]
    assert verbs["meddocan-mini"] == "finetune" and not {"demo", "demo-encoder"} & {*verbs}  # of `clinx demo` alone
