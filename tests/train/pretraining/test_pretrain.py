"""`clinx pretrain` as a user runs it, on a tiny masked language model."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from clinx import cli
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.synthetic import synthetic_notes
from clinx.pretraining.masking import MaskingCollator
from clinx.pretraining.recipe import PretrainingRecipe
from clinx.pretraining.trainer import MaskedLanguageModelTrainer, MaskedOnly, masked_loss
from clinx.run_folder import RunFolder
from clinx.training import training_arguments
from tests.hub_cards.readers import COMPAT, output_of
from tests.modeling_clinx.models import PROJECT, tiny_config
from tests.train.pretraining.conftest import blocks_of
from tests.train.processes import in_two_processes


def pretrained(recipe, folder, *overrides):
    assert cli.main(["pretrain", str(recipe), "--output_dir", str(folder), *overrides]) == 0
    return folder


@pytest.fixture
def run(pretraining_recipe, tmp_path):
    return pretrained(pretraining_recipe, tmp_path / "run")


def test_a_run_leaves_a_plain_model_repo_figures_and_curves(run, language_model_dir):
    files = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not any(name.endswith((".py", ".bin", ".pt")) for name in files)
    assert not any(str(language_model_dir) in path.read_text() for path in (run / "model").glob("*.json"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"] == 6 and metrics["settings"]["update_blocks"] == 8
    assert [row["step"] for row in metrics["log"] if "eval_loss" in row] == [0, 2, 4, 6]
    assert metrics["subwords"] > 6 * 8 * 8 and metrics["subwords_per_second"] > 0 and metrics["seconds"] > 0
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(run.glob("checkpoint-*"))


def test_the_model_with_the_lowest_perplexity_is_kept(run):
    metrics = json.loads((run / "metrics.json").read_text())
    losses = [row["eval_loss"] for row in metrics["log"] if "eval_loss" in row]
    assert metrics["before"]["loss"] == losses[0] > metrics["validation"]["loss"]
    assert metrics["validation"]["loss"] == pytest.approx(min(losses[1:]))
    assert metrics["validation"]["perplexity"] == pytest.approx(math.exp(metrics["validation"]["loss"]))


READ = """
import transformers
from transformers import AutoModelForMaskedLM
model, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
lost = [*report["missing_keys"], *report["unexpected_keys"]]
kinds = [type(AutoModel.from_pretrained(folder)).__name__, type(model).__name__]
(best, *_) = pipeline("fill-mask", model=folder)("dolor <mask>.")
print(json.dumps([transformers.__version__[:2], *kinds, lost, round(best["score"], 4)]))
"""


def test_transformers_of_two_ages_read_the_model_alike(run, client):
    folder, kinds = run / "model", ["XLMRobertaModel", "XLMRobertaForMaskedLM", []]
    *now, score = output_of(client, READ, folder)
    assert now == ["5.", *kinds]
    if not COMPAT.is_dir():
        pytest.skip("transformers 4.57 is not there: make test-compat")
    assert output_of(client, READ, folder, PYTHONPATH=str(COMPAT)) == ["4.", *kinds, score]


def test_a_run_is_pushed_with_a_card_of_its_figures(run, hub, clinx):
    ((status, out, err),) = clinx(("push", run, "org/tiny", "--language", "es"))
    assert status == 0, err
    files = hub.files("org/tiny")
    card = " ".join(files["README.md"].decode().split())
    metrics = json.loads((run / "metrics.json").read_text())
    before, after = metrics["before"]["perplexity"], metrics["validation"]["perplexity"]
    facts = ("| train documents | 19 |", "| validation documents | 5 |", "6 updates of 8 blocks")
    for fact in (*facts, f"| perplexity | {before:.4g} | {after:.4g} |"):
        assert fact in card
    assert "`block_length: 60`" in card and not any(b"secret" in content for content in files.values())


def test_a_finished_run_is_left_alone_and_another_recipe_refused(run, pretraining_recipe, capsys):
    before = (run / "metrics.json").stat().st_mtime_ns
    pretrained(pretraining_recipe, run)
    assert (run / "metrics.json").stat().st_mtime_ns == before
    assert cli.main(["pretrain", str(pretraining_recipe), "--output_dir", str(run), "--seed", "4"]) == 2
    assert "holds a run with seed 3, not 4" in capsys.readouterr().err


def test_other_texts_are_refused_and_leave_the_blocks_of_the_run(pretraining_recipe, texts_file, tmp_path, capsys):
    file = tmp_path / "texts.jsonl"
    shutil.copy(texts_file, file)
    run = pretrained(pretraining_recipe, tmp_path / "run", "--train", str(file))
    blocks = {path.name: path.read_bytes() for path in (run / "blocks").iterdir()}
    file.write_text(file.read_text() + '\n{"text": "Otra nota, que no se ha leído antes."}')
    assert cli.main(["pretrain", str(pretraining_recipe), "--output_dir", str(run), "--train", str(file)]) == 2
    assert "holds a run with another texts" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (run / "blocks").iterdir()} == blocks


@pytest.mark.parametrize("interrupted_at, checkpoint", [(11, 4), (7, 2)])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    run, pretraining_recipe, tmp_path, monkeypatch, interrupted_at, checkpoint
):
    whole, steps = MaskedLanguageModelTrainer.training_step, []

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == interrupted_at:  # two batches make an update
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(MaskedLanguageModelTrainer, "training_step", interrupted)
    assert cli.main(["pretrain", str(pretraining_recipe), "--output_dir", str(tmp_path / "cut")]) == 130
    monkeypatch.setattr(MaskedLanguageModelTrainer, "training_step", whole)
    assert RunFolder(tmp_path / "cut").last_checkpoint().name == f"checkpoint-{checkpoint}"
    pretrained(pretraining_recipe, tmp_path / "cut")
    once, twice = (load_file(folder / "model/model.safetensors") for folder in (run, tmp_path / "cut"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
    once, twice = (json.loads((folder / "metrics.json").read_text()) for folder in (run, tmp_path / "cut"))
    assert all(once[name] == twice[name] for name in ("before", "validation", "subwords", "steps"))
    assert "seconds" in once and "seconds" not in twice


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(run, pretraining_recipe, tmp_path):
    """Killed with SIGKILL after a checkpoint, at three moments; one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "clinx", "pretrain", pretraining_recipe, "--output_dir", tmp_path / "cut"]
    for checkpoint in ("checkpoint-2", "checkpoint-4", "checkpoint-6"):
        started = subprocess.Popen([*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True)
        while not (tmp_path / "cut" / checkpoint).exists() and started.poll() is None:
            time.sleep(0.002)
        started.send_signal(signal.SIGKILL)
        started.communicate()
    pretrained(pretraining_recipe, tmp_path / "cut")
    once, twice = (folder / "model/model.safetensors" for folder in (run, tmp_path / "cut"))
    assert once.read_bytes() == twice.read_bytes()


def test_revisions_are_kept_and_pushed_as_branches(pretraining_recipe, tmp_path, hub, clinx):
    run = pretrained(pretraining_recipe, tmp_path / "run", "--revision_steps", "0.34")
    assert [path.name for path in (run / "revisions").iterdir()] == ["step-3"]
    last, kept = (load_file(folder / "model.safetensors") for folder in (run / "model", run / "revisions/step-3"))
    assert last.keys() == kept.keys() and any(not torch.equal(last[name], kept[name]) for name in last)
    ((status, out, err),) = clinx(("push", run, "org/tiny", "--language", "es", "--revisions"))
    assert status == 0, err
    assert out.count("it gives the same") == 2
    assert 'revision="step-3"' in hub.files("org/tiny", revision="step-3")["README.md"].decode()
    assert hub.files("org/tiny")["model.safetensors"] == (run / "model/model.safetensors").read_bytes()


FINETUNE = """
encoder: org/tiny
train: notes/train
validation: notes/validation
max_steps: 2
use_cpu: true
disable_tqdm: true
"""


def test_a_pushed_language_model_is_fine_tuned_by_its_name(run, tmp_path, clinx):
    for split in ("train", "validation"):
        for note in synthetic_notes(4, split=split):
            write_brat(note, tmp_path / "notes" / split)
    (tmp_path / "ner.yaml").write_text(FINETUNE)
    results = clinx(("push", run, "org/tiny", "--language", "es"), ("finetune", "ner.yaml", "--output_dir", "ner"))
    assert [status for status, *_ in results] == [0, 0], results
    assert json.loads((tmp_path / "ner/metrics.json").read_text())["base_model"] == "org/tiny"


@pytest.fixture
def trainer_of(language_model_dir, tokenizer, tmp_path):
    """Makes a Trainer, always with the same weights and without dropout."""

    def trainer(per_device: int, accumulation: int):
        recipe = PretrainingRecipe(
            model=str(language_model_dir),
            train=["texts"],
            output_dir=str(tmp_path),
            per_device_train_batch_size=per_device,
            max_steps=1,
            max_grad_norm=0.0,
            training_arguments={"use_cpu": True, "disable_tqdm": True},
        )
        args = training_arguments(recipe)
        args.gradient_accumulation_steps = accumulation
        model = AutoModelForMaskedLM.from_pretrained(language_model_dir)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return MaskedLanguageModelTrainer(
            model=model,
            args=args,
            train_blocks=blocks_of(tokenizer, 18),
            validation_blocks=blocks_of(tokenizer, 5),
            update_blocks=per_device * accumulation,
            data_collator=MaskingCollator(tokenizer),
            processing_class=tokenizer,
        )

    return trainer


def gradients(trainer) -> torch.Tensor:
    """What the first update applies."""
    gathered = []
    trainer.create_optimizer()
    trainer.optimizer.register_step_pre_hook(
        lambda *_: gathered.extend(p.grad.flatten().clone() for p in trainer.model.parameters() if p.grad is not None)
    )
    trainer.train()
    return torch.cat(gathered)


def test_accumulated_batches_are_as_one_big_batch(trainer_of):
    together = gradients(trainer_of(8, 1))
    for per_device, accumulation in ((4, 2), (1, 8)):
        accumulated = gradients(trainer_of(per_device, accumulation))
        assert together.abs().max() > 0
        assert torch.allclose(accumulated, together, atol=1e-5 * together.abs().max())


@pytest.mark.slow
def test_two_processes_train_as_one(pretraining_recipe, language_model_dir, tmp_path):
    model = AutoModelForMaskedLM.from_pretrained(language_model_dir)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    model.save_pretrained(tmp_path / "model")
    for file in language_model_dir.glob("token*"):
        shutil.copy(file, tmp_path / "model")
    settings = ["--model", str(tmp_path / "model"), "--per_device_train_batch_size", "2", "--optim", "sgd"]
    once = pretrained(pretraining_recipe, tmp_path / "once", *settings)
    in_two_processes("pretrain", pretraining_recipe, "--output_dir", tmp_path / "twice", *settings)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (once, tmp_path / "twice")]
    assert [figures["settings"]["world_size"] for figures in metrics] == [1, 2]
    assert metrics[0]["subwords"] == metrics[1]["subwords"]
    names = ("loss", "eval_loss")
    curves = [[row[name] for row in figures["log"] for name in names if name in row] for figures in metrics]
    assert len(curves[0]) == 7 and curves[0] == pytest.approx(curves[1], rel=1e-5)
    weights = [load_file(folder / "model/model.safetensors") for folder in (once, tmp_path / "twice")]
    start = load_file(language_model_dir / "model.safetensors")
    moved = max((weights[0][name] - start[name]).abs().max() for name in start)
    apart = max((weights[0][name] - weights[1][name]).abs().max() for name in start)
    assert apart < 1e-4 * moved


def architectures(vocab_size: int) -> list:
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    size |= {"vocab_size": vocab_size, "pad_token_id": 1}
    configs = (BertConfig, RobertaConfig, XLMRobertaConfig, DebertaV2Config, ElectraConfig, ModernBertConfig)
    distil = DistilBertConfig(vocab_size=vocab_size, pad_token_id=1, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    return [distil, *(config(**size) for config in configs)]


def test_the_head_reads_masked_subwords_alone_and_learns_alike(tokenizer):
    batch = MaskingCollator(tokenizer)([{**blocks_of(tokenizer, 3)[i], "mask_seed": (i,)} for i in range(3)])
    labels = batch.pop("labels")
    for config in architectures(len(tokenizer)):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config).eval()
        everything = masked_loss(model(**batch), labels, 1)
        everything.backward()
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        model.zero_grad()
        with MaskedOnly(model).of(labels):
            outputs = model(**batch)
        assert outputs.logits.shape[:2] == (1, (labels != -100).sum()), type(config)
        masked = masked_loss(outputs, labels, 1)
        masked.backward()
        assert masked.item() == pytest.approx(everything.item(), rel=1e-5)
        for name, weight in model.named_parameters():
            if name in gradients:
                assert torch.allclose(weight.grad, gradients[name], atol=1e-5, rtol=1e-4), name
        assert model(**batch).logits.shape[:2] == labels.shape


def test_a_head_that_mixes_positions_reads_everything(language_model_dir):
    model = AutoModelForMaskedLM.from_pretrained(language_model_dir)
    model.lm_head.register_forward_pre_hook(lambda head, args: (args[0].cumsum(1),))
    masked_only, ids = MaskedOnly(model), torch.arange(20).reshape(2, 10)
    with masked_only.of(ids):
        assert model(input_ids=ids).logits.shape[:2] == (2, 10)


def test_held_out_blocks_are_measured_alike_whatever_the_batch_and_seed(trainer_of):
    trainer = trainer_of(4, 1)
    once = trainer.evaluate()
    trainer.args.per_device_eval_batch_size, trainer.args.seed = 2, 7
    torch.manual_seed(5)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(once["eval_loss"], rel=1e-6)


def test_an_encoder_without_a_head_gets_a_new_one_and_is_told(pretraining_recipe, tokenizer, tmp_path, capsys):
    XLMRobertaModel(tiny_config(tokenizer)).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    run = pretrained(pretraining_recipe, tmp_path / "run", "--model", str(tmp_path / "encoder"))
    assert "the perplexity before training means nothing" in capsys.readouterr().err
    assert json.loads((run / "metrics.json").read_text())["new_head"] is True


def test_a_new_head_learns_alone_at_first(pretraining_recipe, tokenizer, tmp_path):
    XLMRobertaModel(tiny_config(tokenizer), add_pooling_layer=False).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    start = load_file(tmp_path / "encoder/model.safetensors")
    settings = ["--model", str(tmp_path / "encoder"), "--revision_steps", "2"]
    run = pretrained(pretraining_recipe, tmp_path / "run", *settings, "--new_head_steps", "2")
    kept, last = (load_file(folder / "model.safetensors") for folder in (run / "revisions/step-2", run / "model"))
    moved = [{name for name in start if not torch.equal(start[name], w[f"roberta.{name}"])} for w in (kept, last)]
    assert not moved[0] and len(moved[1]) > len(start) / 2
    heads = [name for name in kept if name.startswith("lm_head.dense")]
    assert heads and not any(torch.equal(kept[name], last[name]) for name in heads)
