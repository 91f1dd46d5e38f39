"""The model: its contract with Trainers and collators, precision, saving and loading."""

import pytest
import torch
from torch import nn
from transformers import DataCollatorForTokenClassification

from modeling_clinx import ClinXForTokenClassification
from tests.modeling_clinx.models import new_model


pytestmark = pytest.mark.compat

TEXTS = ["La paciente toma paracetamol 500 mg cada 8 horas.", "Niega fiebre."]


@pytest.fixture
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


@pytest.fixture
def batch(tokenizer):
    return tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)


@pytest.fixture
def labels(batch):
    """`O` and one mention, -100 off the chain, as a stock collator pads them."""
    labels = torch.where(batch["attention_mask"].bool(), 0, -100)
    labels[:, 0] = labels[0, -1] = labels[1, batch["attention_mask"][1].sum() - 1] = -100
    labels[0, 3:6] = torch.tensor([1, 2, 2])
    return labels


def core_of(batch, tokenizer):
    special = torch.tensor([tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id])
    return ~torch.isin(batch["input_ids"], special)


# The contract of forward


def test_logits_are_log_probabilities_of_the_bio_labels(model, batch):
    out = model(**batch)
    assert out.loss is None
    assert out.logits.shape == (*batch["input_ids"].shape, 5) and out.emissions.shape[-1] == 9
    torch.testing.assert_close(out.logits.exp().sum(-1), torch.ones(batch["input_ids"].shape))
    assert not out.logits.requires_grad


def test_everything_off_the_chain_is_o(model, batch, tokenizer):
    off_chain = ~core_of(batch, tokenizer)
    probabilities = model(**batch).logits.exp()
    assert (probabilities[off_chain][:, 0] == 1).all() and (probabilities[off_chain][:, 1:] < 1e-9).all()
    assert (probabilities[~off_chain][:, 0] < 1).all()


def test_without_masks_the_chain_is_all_that_is_attended_and_no_special_token(model, batch, labels, tokenizer):
    masks = {"core_mask": core_of(batch, tokenizer), "edge_mask": torch.ones(2, 2, dtype=torch.bool)}
    stock, masked = model(**batch, labels=labels), model(**batch, labels=labels, **masks)
    assert stock.loss == masked.loss and torch.equal(stock.logits, masked.logits)


def test_an_unknown_word_is_on_the_chain(model, tokenizer):
    ids = torch.tensor([[tokenizer.bos_token_id, tokenizer.unk_token_id, tokenizer.unk_token_id, 9, 2]])
    out = model(ids, labels=torch.tensor([[-100, 1, 2, 2, -100]]))
    assert out.loss.isfinite() and (out.logits.exp()[0, 1:4, 0] < 1).all()


def test_the_loss_is_that_of_the_crf_per_labelled_subword(model, batch, labels, tokenizer):
    core = core_of(batch, tokenizer)
    emissions = model.compute_emissions(**batch)
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(2):
        chain, gold = emissions[row, core[row]][None], labels[row, core[row]][None]
        lengths, edges = torch.tensor([chain.shape[1]]), torch.ones(1, 2, dtype=torch.bool)
        log_z, _ = model.crf.log_partition(chain, lengths, edges)
        expected += (log_z - model.crf.log_score(chain, lengths, edges, gold)).sum()
    out = model(**batch, labels=labels)
    torch.testing.assert_close(out.loss, (expected / core.sum()).float())
    assert out.loss.dtype == torch.float32


def test_context_is_read_but_neither_learned_from_nor_predicted(model, batch, labels, tokenizer):
    core = core_of(batch, tokenizer)
    core[:, :3] = False
    out = model(**batch, core_mask=core, labels=labels)
    other = labels.clone()
    other[:, :3] = 1
    assert model(**batch, core_mask=core, labels=other).loss == out.loss
    assert (out.logits[:, :3, 0] == 0).all()
    changed = batch["input_ids"].clone()
    changed[0, 1] += 1
    assert model(changed, batch["attention_mask"], core_mask=core, labels=labels).loss != out.loss


def test_edge_scores_count_at_the_edges_of_documents_only(model, batch):
    nn.init.normal_(model.crf.start)
    nn.init.normal_(model.crf.end)
    inner = torch.tensor([[True, False], [False, True]])
    at_edges, inside = model(**batch).logits.exp(), model(**batch, edge_mask=inner).logits.exp()
    assert at_edges[0, 1, [2, 4]].max() < 1e-9 < inside[1, 1, [2, 4]].max(), "a document begins with no I-"
    assert not torch.allclose(at_edges[0], inside[0])


def test_an_unknown_label_on_the_chain_is_summed_over(model, batch, labels):
    partial = labels.clone()
    partial[0, 4] = -100
    known, unknown = model(**batch, labels=labels), model(**batch, labels=partial)
    n_known = (labels != -100).sum()
    assert unknown.loss * (n_known - 1) < known.loss * n_known  # more labellings, more probability


def test_a_labelling_that_the_constraints_forbid_names_its_row(model, batch, labels):
    labels[1, 2] = 4
    with pytest.raises(ValueError, match=r"labels\[1, 2\] = 4 \(row 1 of the batch\)"):
        model(**batch, labels=labels)


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_every_parameter_has_a_gradient(tiny_encoder_dir, batch, labels, head):
    model = new_model(tiny_encoder_dir, head=head)
    model(**batch, labels=labels).loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_a_single_model_is_its_own_only_member(model):
    assert model.members == [model] and model.config.vote is None
    assert not [name for name in model.state_dict() if name.startswith("members.")]


# Trainers


@pytest.fixture
def trainer(tmp_path, tokenizer, monkeypatch):
    """Makes a stock Trainer on rows with labels; keyword arguments are `TrainingArguments`."""
    try:
        import datasets  # noqa: F401
    except ImportError:  # it wants a newer huggingface_hub than the older transformers does
        monkeypatch.setattr("transformers.utils.import_utils._datasets_available", False)
    from transformers import Trainer, TrainingArguments

    def make(model, rows, **settings):
        quiet = {"report_to": "none", "use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
        args = TrainingArguments(tmp_path, **{**quiet, "logging_steps": 1, "max_steps": 1, **settings})
        return Trainer(model, args, train_dataset=rows, data_collator=DataCollatorForTokenClassification(tokenizer))

    return make


@pytest.fixture
def rows(tokenizer):
    rows = [tokenizer(TEXTS[0], return_token_type_ids=False) for _ in range(8)]
    n_chain = len(rows[0]["input_ids"]) - 2
    return [{**row, "labels": [-100, 1, *[2] * k, *[0] * (n_chain - 1 - k), -100]} for k, row in enumerate(rows)]


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout_prob"):  # of attention, in transformers 4
            module.dropout_prob = 0.0
    return model


def losses(trainer):
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_the_stock_trainer_and_collator_teach_it(model, trainer, rows):
    by_step = losses(trainer(model, rows, max_steps=8, learning_rate=1e-2))
    assert by_step[-1] < 0.7 * by_step[0]


def test_the_loss_is_not_multiplied_by_the_accumulation_steps(model, trainer, rows):
    without_dropout(model)
    sizes = ({"per_device_train_batch_size": 8}, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4})
    whole, accumulated = (losses(trainer(model, rows, learning_rate=0.0, **size)) for size in sizes)
    assert whole == pytest.approx(accumulated, rel=1e-3)


def test_the_trainer_evaluates_without_emissions(model, trainer, rows):
    predicted = trainer(model, rows).predict(rows)
    assert predicted.predictions.shape == (8, len(rows[0]["labels"]), 5)


def test_label_smoothing_fails_rather_than_bypass_the_crf(model, trainer, rows):
    with pytest.raises(RuntimeError, match="does not require grad"):
        trainer(model, rows, label_smoothing_factor=0.1).train()


def test_gradient_checkpointing_changes_no_gradient(model, batch, labels):
    without_dropout(model).train()
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.encoder.is_gradient_checkpointing
        model.zero_grad()
        model(**batch, labels=labels).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    torch.testing.assert_close(*gradients)


def test_the_encoder_compiles(model, batch, labels):
    expected = model(**batch, labels=labels).loss
    model.encoder.compile(backend="aot_eager")
    loss = model(**batch, labels=labels).loss
    loss.backward()
    torch.testing.assert_close(loss, expected)


def test_the_whole_model_compiles_but_for_its_crf(model, batch):
    expected = model(**batch).logits
    torch.testing.assert_close(torch.compile(model, backend="eager")(**batch).logits, expected)


# Precision


def test_under_autocast_the_emissions_and_the_loss_stay_in_float32(model, batch, labels):
    expected = model(**batch, labels=labels)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(**batch, labels=labels)
        out.loss.backward()
    assert out.emissions.dtype == out.logits.dtype == out.loss.dtype == torch.float32
    assert not torch.equal(out.emissions, expected.emissions), "the encoder did not run in bfloat16"
    assert not torch.equal(out.emissions, out.emissions.bfloat16().float()), "the classifier did"
    torch.testing.assert_close(out.loss, expected.loss, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_leaves_classifier_and_crf_in_float32(model, batch, labels, tmp_path, dtype):
    model.save_pretrained(tmp_path / "model")
    half = ClinXForTokenClassification.from_pretrained(tmp_path / "model", dtype=dtype)
    dtypes = {name: parameter.dtype for name, parameter in half.named_parameters()}
    assert {dtypes.pop(name) for name in list(dtypes) if not name.startswith("encoder.")} == {torch.float32}
    assert set(dtypes.values()) == {dtype}
    out = half.eval()(**batch, labels=labels)
    assert out.emissions.dtype == out.logits.dtype == out.loss.dtype == torch.float32
    torch.testing.assert_close(out.loss, model(**batch, labels=labels).loss, rtol=0.05, atol=0.05)
    half.save_pretrained(tmp_path / "half")
    again = ClinXForTokenClassification.from_pretrained(tmp_path / "half", dtype="auto")
    assert {name: parameter.dtype for name, parameter in again.named_parameters()} == {
        name: parameter.dtype for name, parameter in half.named_parameters()
    }


def test_emissions_are_float32_even_where_all_parameters_were_cast(model, batch, labels):
    out = model.to(torch.bfloat16)(**batch, labels=labels)
    assert out.emissions.dtype == out.logits.dtype == out.loss.dtype == torch.float32
    out.loss.backward()
