"""The Trainer: what an update sees, in what documents are judged, what is pushed, and what is never written."""

import logging
import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from clinx import console
from clinx.errors import InputError
from clinx.finetuning.trainer import ClinXTrainer
from clinx.finetuning.windows import TrainingWindows
from clinx.recipe import Recipe
from clinx.training import training_arguments
from modeling_clinx import ClinXForTokenClassification
from tests.train.annotated import TEXT, config, document


@pytest.fixture
def trainer_of(tokenizer, tiny_encoder_dir, tmp_path):
    """Makes a Trainer of twelve short notes, always with the same weights and without dropout."""

    def trainer(n_gpus=0, arguments=None, one_cycle=False, **settings):
        torch.manual_seed(0)
        recipe = Recipe(
            encoder=str(tiny_encoder_dir),
            train="notes",
            output_dir=str(tmp_path),
            seed=1,
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            one_cycle=one_cycle,
            training_arguments={"use_cpu": True, "disable_tqdm": True, "max_grad_norm": 0.0} | (arguments or {}),
            **settings,
        )
        model = ClinXForTokenClassification.from_encoder(
            tiny_encoder_dir, ["A", "B"], window_length=64, context_size=8, dropout=0.0
        )
        model.config.encoder.hidden_dropout_prob = model.config.encoder.attention_probs_dropout_prob = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        notes = [document("54 años", "Dra. García", text=TEXT[: 100 + 40 * i] + TEXT) for i in range(12)]
        args = training_arguments(recipe)
        args._n_gpu = n_gpus  # as if there were so many
        return ClinXTrainer(
            model=model,
            args=args,
            train_dataset=TrainingWindows(notes, tokenizer, config(window_length=64, context_size=8)),
            validation=[],
            processing_class=tokenizer,
            recipe=recipe,
        )

    return trainer


def gradients(trainer, batches):
    """What an update would apply that accumulates these batches of windows."""
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = len(batches)
    for batch in batches:
        trainer.training_step(trainer.model, trainer.data_collator([trainer.train_dataset[i] for i in batch]))
    return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters() if weight.grad is not None])


def test_accumulated_batches_of_any_size_are_as_one_big_batch(trainer_of):
    trainer = trainer_of(batch_subwords=100)
    sizes = trainer.train_dataset.sizes()
    assert len(set(sizes[:6])) > 1
    accumulated = gradients(trainer, [[0], [1, 2, 3], [4, 5]])
    trainer.batch_size = 300
    together = gradients(trainer, [[0, 1, 2, 3, 4, 5]])
    assert torch.allclose(accumulated, together, atol=1e-6 * together.abs().max())


def test_a_batch_of_windows_has_the_mean_of_their_negative_log_likelihoods_as_its_loss(trainer_of):
    trainer = trainer_of(batch_sentences=3)
    features = [trainer.train_dataset[i] for i in range(3)]
    assert len({len(feature["input_ids"]) for feature in features}) > 1
    alone = []
    for feature in features:
        batch = trainer.data_collator([feature])
        alone.append(trainer.model(**batch).loss * (batch["labels"] >= 0).sum())
    together = trainer.compute_loss(trainer.model, trainer.data_collator(features))
    assert torch.allclose(together, torch.stack(alone).mean(), rtol=1e-5)
    assert {len(batch["edge_mask"]) for batch in trainer.get_train_dataloader()} <= {3, 4}


def test_windows_of_very_unequal_length_learn_as_one_batch_and_are_not_padded_to_the_longest(trainer_of, monkeypatch):
    trainer, widths = trainer_of(batch_subwords=100), []
    features = [
        {**f, **{name: f[name][:cut] for name in f if name != "edge_mask"}}
        for f, cut in zip(trainer.train_dataset.features, (9, 50, 12, 30, 7), strict=False)
    ]
    monkeypatch.setattr(trainer, "train_dataset", features)
    alone = gradients(trainer, [[0], [1], [2], [3], [4]]) * 5
    compute_loss = trainer.compute_loss

    def counted(model, inputs, **kwargs):
        widths.append(inputs["input_ids"].shape)
        return compute_loss(model, inputs, **kwargs)

    monkeypatch.setattr(trainer, "compute_loss", counted)
    together = gradients(trainer, [[0, 1, 2, 3, 4]])
    assert widths == [(2, 50), (3, 12)]
    assert torch.allclose(alone, together, atol=1e-6 * together.abs().max())


@pytest.mark.parametrize("pct_start, first", [(0.0, 1.0), (0.5, 0.04), (1 / 41, 1.0)])
def test_without_a_rise_the_one_cycle_schedule_begins_at_its_peak(trainer_of, pct_start, first):
    trainer = trainer_of(one_cycle=True, pct_start=pct_start, learning_rate=1e-3)
    optimizer = trainer.create_optimizer()
    schedule, rates = trainer.create_scheduler(40, optimizer), []
    for _ in range(40):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(first * 1e-3, rel=0.01)
    assert max(rates) == pytest.approx(1e-3, rel=0.01) and rates[-1] < 1e-5


def test_updates_never_accumulate_fewer_batches_at_the_end_of_an_epoch(trainer_of):
    trainer = trainer_of(batch_subwords=100, gradient_accumulation_steps=4)
    assert len(trainer.get_train_dataloader()) % 4 == 0


def test_a_training_shows_one_bar_with_its_loss_and_no_rows_of_figures(trainer_of, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(console, "SHORT", 0)
    trainer = trainer_of(max_steps=3, logging_steps=1, arguments={"disable_tqdm": False})
    trainer.train()
    shown = capsys.readouterr()
    assert "{" not in shown.out + shown.err
    assert shown.err.rstrip().rpartition("\r")[2].startswith("Training: 100%") and ", loss " in shown.err


def test_a_bar_is_shown_also_where_transformers_may_say_errors_alone(recipe, monkeypatch):
    arguments = dict(Recipe.read(recipe).training_arguments)
    assert arguments.pop("disable_tqdm")  # of the tests' recipe
    monkeypatch.setattr("transformers.training_args.logger.getEffectiveLevel", lambda: logging.ERROR)
    assert not training_arguments(Recipe.read(recipe).changed(training_arguments=arguments)).disable_tqdm
    assert training_arguments(Recipe.read(recipe)).disable_tqdm


@pytest.mark.parametrize("saving", [("steps", "--save_steps", "1"), ("no",)])
def test_weights_that_are_not_finite_are_neither_written_nor_taken_for_a_model(recipe, tmp_path, saving):
    from clinx import cli

    command = ["finetune", str(recipe), "--output_dir", str(tmp_path / "run"), "--logging_steps", "100"]
    command += ["--learning_rate", "1e38", "--eval_strategy", "no", "--split_kind", "all"]
    assert cli.main([*command, "--save_strategy", *saving]) == 2
    assert not list(tmp_path.rglob("*.safetensors"))


def test_broken_weights_are_named(trainer_of):
    trainer = trainer_of()
    trainer.model.crf.transitions.data[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"crf.transitions is not finite at step 0: lower the learning rate"):
        trainer.refuse_broken_weights()


def test_a_layer_learns_slower_than_the_next_and_the_head_as_it_is_told(trainer_of):
    rates = {"learning_rate": 1e-3, "head_learning_rate": 5e-3, "layerwise_lr_decay": 0.5}
    trainer = trainer_of(weight_decay=0.1, **rates)
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    groups = trainer.create_optimizer().param_groups
    rates = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert rates.keys() == set(names.values())
    last = max(int(name.split(".layer.")[1].split(".")[0]) for name in rates if ".layer." in name)
    for name, rate in rates.items():
        if name.startswith(("classifier.", "crf.")):
            assert rate == 5e-3
        elif ".layer." in name:
            assert rate == 1e-3 * 0.5 ** (last - int(name.split(".layer.")[1].split(".")[0]))
        else:
            assert rate == 1e-3 * 0.5 ** (last + 1) and "embeddings" in name


def test_scores_of_the_crf_and_biases_are_not_decayed(trainer_of):
    trainer = trainer_of(weight_decay=0.1)
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    decayed, kept = set(), set()
    for group in trainer.create_optimizer().param_groups:
        (decayed if group["weight_decay"] else kept).update(names[id(parameter)] for parameter in group["params"])
    assert {"crf.transitions", "crf.start", "crf.end", "classifier.bias"} <= kept
    assert "classifier.weight" in decayed and decayed | kept == set(names.values())


@pytest.mark.parametrize(
    "told, private", [({}, True), ({"hub_private_repo": None}, True), ({"hub_private_repo": False}, False)]
)
def test_a_repo_that_the_trainer_makes_is_private_unless_told_otherwise(trainer_of, monkeypatch, told, private):
    asked = []

    def create_repo(*args, private=None, **kwargs):
        asked.append(private)
        raise ConnectionAbortedError("as far as a test may go")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    with pytest.raises(ConnectionAbortedError):
        trainer_of(arguments={"push_to_hub": True, **told})
    with pytest.raises(ConnectionAbortedError):
        trainer_of(arguments=told).push_to_hub()
    assert asked == [private, private]


def test_batches_are_not_divided_among_gpus_of_one_process(trainer_of, capsys):
    assert trainer_of(n_gpus=4).args.n_gpu == 1
    assert "4 GPUs are here and one is used: `accelerate launch -m clinx …` trains" in capsys.readouterr().err
    trainer_of()
    assert "GPUs" not in capsys.readouterr().err


def test_documents_are_judged_in_float32_also_where_training_runs_in_bfloat16(trainer_of):
    trainer, dtypes = trainer_of(bf16=True, max_steps=2), []
    dense = trainer.model.encoder.encoder.layer[0].output.dense
    dense.register_forward_hook(lambda module, inputs, output: dtypes.append((module.training, output.dtype)))
    trainer.train()
    trainer.evaluate([document("54 años")])
    assert set(dtypes) == {(True, torch.bfloat16), (False, torch.float32)}


@pytest.mark.parametrize(
    "knows, version, kept, reason",
    [
        (False, 2, "FULL_STATE_DICT", "FSDP is for fine-tuning, not for pretraining or a student"),
        (True, 1, "FULL_STATE_DICT", "FSDP needs fsdp_version: 2"),
        (True, 2, "SHARDED_STATE_DICT", "fsdp_state_dict_type: FULL_STATE_DICT"),
    ],
)
def test_fsdp_that_would_leave_no_whole_model_is_refused(trainer_of, knows, version, kept, reason):
    trainer = trainer_of()
    trainer.knows_fsdp = knows
    with pytest.raises(InputError, match=reason):
        trainer._check_fsdp(SimpleNamespace(fsdp_version=version, state_dict_type=kept))
