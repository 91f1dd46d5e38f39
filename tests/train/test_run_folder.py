"""A run's folder: who it belongs to, also where an older release began it, and its last complete checkpoint."""

import json

import pytest

from clinx.errors import InputError
from clinx.recipe import Recipe
from clinx.run_folder import RunFolder


INPUTS = {"encoder": "1a2b", "training": {"a": "01", "b": "02"}}
CHECKPOINT_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")


@pytest.fixture
def recipe(tmp_path):
    return Recipe(encoder="some/encoder", train="notes", split_kind="all", seed=1, output_dir=str(tmp_path / "run"))


def write_checkpoint(folder, step, state):
    (folder / f"checkpoint-{step}").mkdir(parents=True)
    for part in CHECKPOINT_FILES:
        (folder / f"checkpoint-{step}" / part).touch()
    if state:
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(state)


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    for step, state in ((2, "{}"), (4, '{"global_step": 4'), (10, None)):
        write_checkpoint(tmp_path, step, state)
    assert RunFolder(tmp_path).last_checkpoint().name == "checkpoint-2"


def test_a_claim_holds_once_there_is_something_to_lose(recipe):
    run = RunFolder(recipe.folder)
    assert not run.claim(recipe, INPUTS) and not run.claim(recipe.changed(seed=2), INPUTS)
    write_checkpoint(run.path, 2, "{}")
    with pytest.raises(InputError, match="holds a run with seed 2, not 1"):
        run.claim(recipe, INPUTS)
    assert not run.claim(recipe.changed(seed=2, soup=True, members_at_once=2), INPUTS)  # no result depends on these
    run.write_metrics({})
    assert run.claim(recipe.changed(seed=2), INPUTS)


def test_the_run_of_an_older_release_goes_on_or_is_refused(recipe):
    run = RunFolder(recipe.folder)
    write_checkpoint(run.path, 2, "{}")
    settings = {"encoder": "some/encoder", "train": "notes", "split": "all", "seed": 1, "member": 1, "dropout": 0.1}
    (run.path / "recipe.json").write_text(json.dumps(settings))
    assert not run.claim(recipe, INPUTS) and run.last_checkpoint().name == "checkpoint-2"
    with pytest.raises(InputError, match="holds a run with split_kind 'all', not 'standard'"):
        run.claim(recipe.changed(split_kind="standard"), INPUTS)


def test_the_claim_of_a_member_binds_its_ensemble(recipe):
    recipe = recipe.changed(split_kind=None, splits=2)
    member = RunFolder(recipe.changed(member=2).folder)
    assert not RunFolder(recipe.folder).claim(recipe, INPUTS)
    assert not member.claim(recipe.changed(member=2), INPUTS)
    member.write_metrics({})
    with pytest.raises(InputError, match="holds a run with splits 2, not 3"):
        RunFolder(recipe.folder).claim(recipe.changed(splits=3), INPUTS)


@pytest.mark.parametrize(
    "inputs, difference",
    [
        (
            {**INPUTS, "training": {"a": "01", "b": "03", "c": "04"}},
            r"other training documents, 1 changed \(as b\), 1 new",
        ),
        ({**INPUTS, "training": {"a": "01"}}, r"other training documents, 1 gone \(as b\)"),
        ({**INPUTS, "encoder": "3c4d"}, "another encoder"),
        ({**INPUTS, "test": {"z": "05"}}, r"other test documents, 1 new \(as z\)"),
    ],
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_a_run_belongs_to_its_documents_and_its_encoder(recipe, inputs, difference, is_finished):
    run = RunFolder(recipe.folder)
    run.claim(recipe, INPUTS)
    run.write_metrics({}) if is_finished else write_checkpoint(run.path, 2, "{}")
    assert run.claim(recipe, INPUTS) == is_finished
    with pytest.raises(InputError, match=f"holds a run with {difference}"):
        run.claim(recipe, inputs)


@pytest.mark.parametrize("name", ["adam_epsilon", "gradient_checkpointing", "optim_args", "lr_scheduler_kwargs"])
def test_whatever_decides_a_result_is_recorded(recipe, name):
    run = RunFolder(recipe.folder)
    run.claim(recipe, INPUTS)
    run.write_metrics({})
    with pytest.raises(InputError, match=f"holds a run with {name} None, not 'x'"):
        run.claim(recipe.changed(training_arguments={name: "x"}), INPUTS)
    with pytest.raises(InputError, match="holds a run with metric_for_best_model"):
        run.claim(recipe.changed(metric_for_best_model="recall"), INPUTS)
    with pytest.raises(InputError, match="holds a run with load_best_model_at_end True, not False"):
        run.claim(recipe.changed(load_best_model_at_end=False), INPUTS)


def test_a_run_that_goes_on_records_what_may_differ(recipe):
    """As members side by side read it, which then judge in smaller batches on a GPU that was too small."""
    run = RunFolder(recipe.folder)
    run.claim(recipe, INPUTS)
    write_checkpoint(run.path, 2, "{}")
    run.claim(recipe.changed(per_device_eval_batch_size=2), INPUTS)
    assert Recipe.read(run.path / "recipe.yaml").per_device_eval_batch_size == 2
    run.write_metrics({})
    run.claim(recipe.changed(per_device_eval_batch_size=4), INPUTS)
    assert Recipe.read(run.path / "recipe.yaml").per_device_eval_batch_size == 2
