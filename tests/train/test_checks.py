"""Settings of a recipe that are out of range, do nothing, do harm, or do not go together: refused, with their place."""

from typing import get_args, get_type_hints

import pytest

from clinx.errors import InputError
from clinx.recipe import Recipe
from clinx.settings import SETTINGS
from clinx.training import resolved, training_arguments
from tests.train.test_recipe import NEEDED


def test_settings_that_would_bypass_the_model_are_refused(parse):
    with pytest.raises(InputError, match="recipe.yaml:3: .*set batch_subwords instead"):
        parse(NEEDED + "per_device_train_batch_size: 8\n")
    with pytest.raises(InputError, match="would bypass the CRF"):
        parse(NEEDED, "--label_smoothing_factor=0.1")


def test_checkpoints_from_which_no_run_could_go_on_are_refused(parse):
    with pytest.raises(InputError, match="recipe.yaml:3: save_only_model: an interrupted run could not go on"):
        parse(NEEDED + "save_only_model: true\n")


def test_as_many_processes_as_a_recipe_records_must_be_started(parse):
    recipe = parse(NEEDED + "world_size: 8\n")
    with pytest.raises(InputError, match="world_size is 8, but 1 process"):
        resolved(recipe, training_arguments(recipe))


OUT_OF_RANGE = {
    "at least 1": "max_train_documents max_train_sentences max_validation_documents max_unlabelled_documents "
    "max_test_documents batch_subwords batch_sentences gradient_accumulation_steps max_steps "
    "early_stopping_patience splits member members_at_once "
    "save_total_limit per_device_eval_batch_size world_size",
    "more than 0": "learning_rate head_learning_rate num_train_epochs eval_steps save_steps logging_steps",
    "at least 0": "max_misaligned context_size weight_decay warmup_steps max_grad_norm",
    "more than 0 and less than 1": "test_fraction",
    "more than 0 and at most 1": "layerwise_lr_decay",
    "at least 0 and less than 1": "dropout context_dropout locked_dropout word_dropout pct_start adam_beta1 adam_beta2",
    "at least 8": "window_length",
    "at least 0 and less than 4294967296": "seed data_seed split_seed",
}


@pytest.mark.parametrize("name, expected", [(n, text) for text, names in OUT_OF_RANGE.items() for n in names.split()])
def test_a_number_out_of_range_is_told_with_its_place(parse, name, expected):
    value = "0" if expected.startswith("more than 0") or expected == "at least 1" else "-1"
    with pytest.raises(InputError, match=rf"recipe.yaml:3: {name} is {value}(\.0)?, expected {expected}$"):
        parse(f"{NEEDED}{name}: {value}\n")


def test_every_number_of_a_recipe_has_a_range():
    types = get_type_hints(Recipe)
    numbers = {name for name in SETTINGS if {int, float} & {types[name], *get_args(types[name])}}
    assert {name for name in numbers if SETTINGS[name].metadata["numbers"] is None} == set()


@pytest.mark.parametrize("name, value", [("learning_rate", "nan"), ("learning_rate", "inf"), ("dropout", "1")])
def test_numbers_at_which_nothing_can_be_learned_are_refused(parse, name, value):
    with pytest.raises(InputError, match=f"recipe.yaml:3: {name} is {value}"):
        parse(f"{NEEDED}{name}: {value}\n")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("validation: ./notes/\n", "3: validation is ./notes/, which is train too"),
        ("test: notes\n", "3: test is notes, which is train too"),
        ("validation: v\ntest: v\n", "4: test is v, which is validation too"),
        ("test: t\ntest_fraction: 0.1\n", "4: test_fraction and test both name what judges: leave one of them out"),
        ("unlabelled: more\n", "3: unlabelled notes need an ensemble that reads them: name it with distill"),
        ("max_unlabelled_documents: 3\n", "3: max_unlabelled_documents is of unlabelled, which is not set"),
        ("metric_for_best_model: strict_f2\n", "3: .*strict_f2.*strict_f1.*precision.*recall"),
        ("eval_strategy: never\n", "3: .*never"),
        ("eval_strategy: no\n", "3: eval_strategy is no.*load_best_model_at_end"),
        (
            "eval_strategy: no\nload_best_model_at_end: no\nearly_stopping_patience: 2\n",
            "5: early_stopping_patience.*eval_strategy",
        ),
        ("load_best_model_at_end: no\nearly_stopping_patience: 2\n", "4: early_stopping_patience.*load_best_model"),
        ("eval_steps: 50\n", "3: eval_steps does nothing while eval_strategy is epoch: .*set eval_strategy: steps"),
        ("save_strategy: no\nsave_steps: 50\n", "4: save_steps does nothing while save_strategy is no: leave it out"),
        ("split_seed: 2\n", "3: split_seed is of random splits and test_fraction: .*leave it out"),
        ("splits: 3\nsplit_kind: standard\nsplit_seed: 2\n", "5: split_seed is of random splits"),
        ("split_file: splits.json\nsplit_seed: 2\n", "4: split_seed is of random splits"),
        ("splits: 1\n", "3: splits is 1.*set splits to 2"),
        ("lr_scheduler_type: cosine\n", "3: lr_scheduler_type does nothing while one_cycle is on.*one_cycle: false"),
        ("warmup_steps: 10\n", "3: warmup_steps does nothing while one_cycle is on"),
        ("one_cycle: no\npct_start: 0\n", "4: pct_start is of the one-cycle schedule"),
        ("batch_subwords: 512\nbatch_sentences: 16\n", "4: batch_sentences and batch_subwords both"),
        ("batch_sentences: 16\n", "3: batch_sentences needs windows of one sentence"),
        ("distill: teacher\ncontext_dropout: 0.5\n", "4: context_dropout makes other windows in every epoch"),
        ("lr_scheduler_kwargs: {num_cycles: 2}\n", "3: lr_scheduler_kwargs does nothing while one_cycle is on"),
        ("context_size: 200\n", "3: context_size is 200, but a window of 512 .* at most 127"),
        ("context_size: 99\nwindow_length: 128\n", "3: context_size is 99, but a window of 128 .* at most 31"),
        ("entity_types: [A, O]\n", "3: entity_types.*'O'"),
        ("entity_types: [B-PER, I-PER]\n", "3: entity_types.*'B-PER'.*tag.*PER"),
        ("entity_types: [A, '']\n", "3: entity_types.*empty"),
        ("entity_types: [A, B, A]\n", "3: entity_types.*'A'.*twice"),
        ("head: [crf, linear]\n", "3: head is a list, expected one value"),
        ("window_length: [512]\n", "3: window_length is a list, expected one value"),
        ("head: {crf: 1}\n", "3: head is a mapping, expected one value"),
        ("optim: [a, b]\n", "3: optim is a list, expected one value"),
        ("run_name: [a, b]\n", "3: run_name is a list, expected one value"),
        ("entity_types: {A: B}\n", "3: entity_types is a mapping, expected a list"),
        ("entity_types: [A, [B]]\n", "3: entity_types.*list in a list"),
        ("validation: ''\n", "3: validation is empty"),
        ("validation: $SET_BUT_EMPTY\n", "3: validation is empty"),
        ("report_to: wandb\n", "3: report_to.*wandb.*is not installed"),
        ("report_to: nothing_known\n", "3: report_to names nothing_known, expected .*wandb"),
        (
            "report_to: [tensorboard, nothing_known]\n",
            "3: report_to names (tensorboard, which is not installed|nothing_known)",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_told_with_their_place(parse, monkeypatch, text, expected):
    monkeypatch.setenv("SET_BUT_EMPTY", "")
    with pytest.raises(InputError, match=rf"recipe\.yaml:{expected}"):
        parse(NEEDED + text)


def test_a_revision_belongs_to_an_encoder_on_the_hub(parse, tmp_path):
    assert parse(NEEDED + "revision: main\n").revision == "main"
    with pytest.raises(InputError, match="recipe.yaml:3: revision is main, but the encoder .* is a folder"):
        parse(f"train: notes\nencoder: {tmp_path}\nrevision: main\n")


@pytest.mark.parametrize(
    "setting", ["push_to_hub: true", "hub_model_id: me/notes", "hub_token: x", "hub_private_repo: true"]
)
def test_what_the_trainer_would_push_is_refused_and_clinx_push_named(parse, setting):
    with pytest.raises(InputError, match=f"recipe.yaml:3: {setting.split(':')[0]}: .*clinx push"):
        parse(f"{NEEDED}{setting}\n")


@pytest.mark.parametrize(
    "name, advice",
    [
        ("resume_from_checkpoint", "same command"),
        ("greater_is_better", "leave it out"),
        ("do_train", "leave it out"),
        ("bf16_full_eval", "float32"),
        ("dataloader_drop_last", "whole windows"),
        ("prediction_loss_only", "leave it out"),
        ("remove_unused_columns", "leave it out"),
    ],
)
def test_arguments_of_the_trainer_that_would_do_nothing_are_refused(parse, name, advice):
    with pytest.raises(InputError, match=f"{name}: .*{advice}"):
        parse(NEEDED, f"--{name}", "true")
