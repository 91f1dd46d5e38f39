"""Recipes: YAML and overrides into typed settings, and every fault by file and line."""

import pytest

from clinx.checks import check_entity_types
from clinx.errors import InputError
from clinx.recipe import Recipe
from clinx.training import resolved, training_arguments


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


def test_null_that_would_leave_a_default_is_refused(parse):
    with pytest.raises(InputError, match=r":3: learning_rate is null, but unset it is 2e-05"):
        parse(NEEDED + "learning_rate: null\n")


def test_lists_and_null_are_read(parse):
    recipe = parse(NEEDED + "entity_types: [A, B]\nrevision: null\n")
    assert recipe.entity_types == ["A", "B"] and recipe.revision is None


def test_environment_variables_are_filled_in(parse, monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/somewhere")
    assert parse("encoder: e\ntrain: ${SOME_FOLDER}/notes\n").train == "/somewhere/notes"


def test_items_of_a_list_may_begin_with_a_dash(parse, tmp_path):
    recipe = parse(NEEDED + "exclude:\n  - -draft*\n  - ' -x'\nentity_types: [A, -B, --train]\n")
    assert recipe.exclude == ["-draft*", " -x"] and recipe.entity_types == ["A", "-B", "--train"]
    recipe.write(tmp_path / "written.yaml")
    assert Recipe.read(tmp_path / "written.yaml") == recipe


@pytest.mark.parametrize(
    "text, overrides, expected",
    [
        (NEEDED + "lerning_rate: 1\n", (), r"recipe.yaml:3: unknown key 'lerning_rate'; did you mean learning_rate"),
        (NEEDED, ("--label_column", "1"), r"unknown option '--label_column'(?!.*label_names)"),
        (NEEDED, ("--lerning_rate", "1"), r"unknown option '--lerning_rate'; did you mean --learning_rate"),
        (NEEDED + "seed: many\n", (), r"recipe.yaml:3: .*--seed.*many"),
        (NEEDED + "head: softmax\n", (), r"recipe.yaml:3: .*--head.*softmax"),
        (NEEDED + "train: again\n", (), r"recipe.yaml:3: 'train' stands here a second time, after line 2"),
        ("train: notes\n", (), r"recipe.yaml: .*--encoder"),
        (NEEDED + "validation: $NOT_SET_ANYWHERE/x\n", (), r"recipe.yaml:3: .*NOT_SET_ANYWHERE is not set"),
        ("- a\n- b\n", (), "expected a recipe of `key: value` lines"),
        ("a: [\n", (), "is not YAML"),
        (NEEDED + "exclude: &a\n  - *a\n", (), "recipe.yaml:3: an alias .* inside of its own anchor"),
        ("&a\nencoder: *a\n", (), "recipe.yaml:[12]: an alias .* inside of its own anchor"),
        ("{{x}}: c\n", (), "recipe.yaml:1: expected the name of a setting before a colon"),
    ],
)
def test_a_fault_in_a_recipe_is_told_with_its_place(parse, text, overrides, expected):
    with pytest.raises(InputError, match=expected):
        parse(text, *overrides)


def test_a_recipe_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot read the recipe"):
        Recipe.read(tmp_path / "none.yaml")


def test_a_recipe_is_written_and_read_back_the_same(parse, tmp_path):
    text = NEEDED + "entity_types: [A, 'no', '1']\nlearning_rate: 3e-5\noptim: adamw_torch\nsoup: true\nuse_cpu: yes\n"
    recipe = parse(text, "--seed", "7", "--no_one_cycle", "--adam_epsilon", "1e-7")
    recipe.write(tmp_path / "written.yaml")
    assert Recipe.read(tmp_path / "written.yaml") == recipe
    assert recipe.training_arguments == {"use_cpu": True, "adam_epsilon": 1e-7} and not recipe.one_cycle


@pytest.mark.parametrize(
    "path", ["/data/$ales", "cost$1", "/$HOME/x", "$$", "a: b # c", "ni\udcf1o", "x\x1b[2J\x85y: z"]
)
def test_odd_paths_are_written_and_read_back_the_same(parse, tmp_path, path):
    recipe = parse(NEEDED, f"--train={path}", "--exclude", path)
    (tmp_path / path.replace("/", "")).mkdir()
    file = tmp_path / path.replace("/", "") / "recipe.yaml"
    recipe.write(file)
    again = Recipe.read(file)
    assert (again.train, again.exclude) == (path, [path]) and again.changed(output_dir=recipe.output_dir) == recipe


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


def test_a_fault_of_the_command_line_does_not_name_the_file(parse):
    for overrides in (("--batch_subwords", "0"), ("--seed", "many")):
        with pytest.raises(InputError) as fault:
            parse(NEEDED + "batch_subwords: 512\nseed: 1\n", *overrides)
        assert "recipe.yaml" not in str(fault.value) and overrides[0][2:] in str(fault.value)


def test_a_fault_is_told_with_the_line_of_its_own_setting(parse):
    with pytest.raises(InputError, match="recipe.yaml:4: .*--test_fraction"):
        parse(NEEDED + "test: judged\ntest_fraction: many\n")


def test_the_default_context_is_what_a_small_window_holds_and_a_note_says_so(parse, capsys):
    assert parse(NEEDED + "window_length: 128\n").context_size == 31
    assert "context_size is 31 rather than 100" in capsys.readouterr().err
    assert parse(NEEDED + "window_length: 128\ncontext_size: 31\n").context_size == 31
    assert not capsys.readouterr().err


def test_the_trainers_own_schedule_is_used_once_the_one_cycle_is_off(parse):
    recipe = parse(NEEDED + "one_cycle: false\nlr_scheduler_type: cosine\nwarmup_steps: 10\n")
    assert training_arguments(recipe).lr_scheduler_type == "cosine" and recipe.warmup_steps == 10


def test_a_schedule_that_is_not_used_is_not_recorded_and_one_of_an_older_run_is_no_fault(parse, tmp_path, capsys):
    recipe = parse(NEEDED)
    recorded = resolved(recipe, training_arguments(recipe))
    assert recorded.lr_scheduler_type is None and recorded.warmup_steps is None
    assert parse(NEEDED + "lr_scheduler_type: linear\nwarmup_steps: 0\n") == recipe
    assert "lr_scheduler_type does nothing while one_cycle is on" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["splits: 3\n", "split_kind: random\n", "test_fraction: 0.1\n"])
def test_a_seed_of_splits_is_taken_where_chance_divides_documents(parse, more):
    assert parse(f"{NEEDED}{more}split_seed: 2\n").recorded()["split_seed"] == 2


def test_steps_of_a_file_give_way_where_the_command_line_sets_another_strategy(parse):
    steps = NEEDED + "eval_strategy: steps\neval_steps: 50\nsave_strategy: steps\nsave_steps: 100\n"
    recipe = parse(steps, "--eval_strategy", "epoch", "--save_strategy=epoch")
    assert (recipe.eval_steps, recipe.save_steps) == (None, None)
    recipe = parse(steps, "--eval_strategy", "steps", "--save_strategy=steps")
    assert (recipe.eval_steps, recipe.save_steps) == (50, 100)
    with pytest.raises(InputError, match="eval_steps does nothing while eval_strategy is epoch"):
        parse(steps, "--eval_strategy", "epoch", "--eval_steps", "10")


def test_steps_that_an_older_release_recorded_and_did_not_use_are_no_fault(parse):
    recipe = parse(NEEDED + "save_strategy: epoch\nsave_steps: 500\n")
    recorded = resolved(recipe, training_arguments(recipe))
    assert recorded.save_steps is None and "save_steps" not in recorded.recorded()


@pytest.mark.parametrize("more", ["", "segmentation: sentence\nbatch_sentences: 16\n", "one_cycle: no\n"])
def test_a_recipe_as_a_run_records_it_can_be_read_and_trained_again(parse, tmp_path, more):
    recipe = parse(NEEDED + "window_length: 64\n" + more)
    recorded = resolved(recipe, training_arguments(recipe))
    recorded.write(tmp_path / "recorded.yaml")
    again = Recipe.read(tmp_path / "recorded.yaml")
    assert again == recorded == resolved(again, training_arguments(again))


def test_a_home_folder_is_filled_in_and_relative_paths_stay(parse, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    names = ("encoder", "train", "validation", "test", "unlabelled", "distill", "split_file", "output_dir")
    recipe = parse("".join(f"{name}: ~/{name}\n" for name in names))
    assert [getattr(recipe, name) for name in names] == [f"/home/somebody/{name}" for name in names]
    assert parse(NEEDED, "--test=~/judged").test == "/home/somebody/judged"
    assert parse(NEEDED + "test: ../judged\n").test == "../judged"


def test_types_that_differ_only_by_case_are_noted(parse, capsys):
    assert parse(NEEDED + "entity_types: [AGE, Age, DATE]\n").entity_types == ["AGE", "Age", "DATE"]
    assert "AGE, Age differ only by case" in capsys.readouterr().err


def test_names_that_only_look_like_tags_are_types():
    check_entity_types(["E-MAIL", "S-phase", "B12", "BI"], "notes")
