"""The document predictor: what is found depends on the document alone, and always stands where the text has it."""

from itertools import count, islice, product

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ByT5Tokenizer

from modeling_clinx import ClinXForTokenClassification, DocumentPredictor
from modeling_clinx.windows_clinx import tokenize, windows


pytestmark = pytest.mark.compat

TYPES = ["FARMACO", "DOLENCIA"]
SENTENCE = "La Dra. García pauta ½ comprimido de ibuprofeno  600 mg (c/8 h) por ﬁebre; niega náuseas.\n"
SHORT = "Paciente de 54 años."
LONG = SENTENCE * 12
DOCUMENTS = [LONG, "", SHORT, SENTENCE, " \n\t", LONG[100:400], "x"]


def new_model(folder, **config_kwargs):
    """A model on the encoder of `folder` that finds something at random, and `O` about half of the time."""
    torch.manual_seed(1)
    settings = {"window_length": 64, "context_size": 10, **config_kwargs}
    model = ClinXForTokenClassification.from_encoder(folder, TYPES, **settings).eval()
    for parameter in [model.classifier.weight, *model.crf.parameters()]:
        nn.init.normal_(parameter)
    nn.init.constant_(model.classifier.bias[:1], 2.0)
    return model


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


def assert_same(predictions, expected):
    for prediction, reference in zip(predictions, expected, strict=True):
        assert prediction.labels == reference.labels
        np.testing.assert_array_equal(prediction.starts, reference.starts)
        np.testing.assert_array_equal(prediction.ends, reference.ends)
        np.testing.assert_array_equal(prediction.positions, reference.positions)
        np.testing.assert_allclose(prediction.scores, reference.scores, rtol=0, atol=1e-5)


def combinations():
    for unit, scheme, head in product(("subword", "word"), ("BIOSE", "BIO"), ("crf", "linear")):
        yield {"unit": unit, "scheme": scheme, "head": head}
    yield {"segmentation": "sentence"}
    yield {"context_size": 0}
    yield {"segmentation": "sentence", "context_size": 0, "unit": "word", "scheme": "BIO", "head": "linear"}


@pytest.mark.parametrize("setting", combinations(), ids=lambda setting: "-".join(map(str, setting.values())))
def test_offsets_are_those_of_mentions_in_any_setting(setting, tiny_encoder_dir, tokenizer):
    predictor = DocumentPredictor(new_model(tiny_encoder_dir, **setting), tokenizer)
    predictions = list(predictor(DOCUMENTS))
    assert len(predictions) == len(DOCUMENTS) and len(predictions[0].labels) > 5
    for text, prediction in zip(DOCUMENTS, predictions, strict=True):
        assert (prediction.starts < prediction.ends).all() and (prediction.ends <= len(text)).all()
        assert (prediction.starts[1:] >= prediction.ends[:-1]).all(), "entities do not overlap"
        mentions = [text[start:end] for start, end in zip(prediction.starts, prediction.ends, strict=True)]
        assert mentions == [mention.strip() for mention in mentions]
        assert set(prediction.labels) <= set(TYPES)
        assert ((prediction.scores >= 0) & (prediction.scores <= 1)).all()
        tokens = tokenize(tokenizer, [text], setting.get("unit", "subword"))[0]
        assert set(prediction.starts) <= set(tokens.starts[tokens.chain])
        assert set(prediction.ends) <= set(tokens.ends[tokens.chain])


@pytest.mark.parametrize("unit", ["subword", "word"])
def test_every_chain_position_has_a_label_and_its_probability(unit, tiny_encoder_dir, tokenizer):
    model = new_model(tiny_encoder_dir, unit=unit)
    for text, prediction in zip(DOCUMENTS, DocumentPredictor(model, tokenizer)(DOCUMENTS, subwords=True), strict=True):
        tokens = tokenize(tokenizer, [text], unit)[0]
        np.testing.assert_array_equal(prediction.positions, np.flatnonzero(tokens.chain))
        np.testing.assert_array_equal(prediction.starts, tokens.starts[tokens.chain])
        assert set(prediction.labels) <= set(model.config.id2label.values())
        assert ((prediction.scores > 0) & (prediction.scores <= 1)).all()


@pytest.mark.parametrize("subwords", [False, True])
def test_rows_are_the_columns_as_plain_values(model, tokenizer, subwords):
    for prediction in DocumentPredictor(model, tokenizer)(DOCUMENTS, subwords):
        rows = prediction.rows()
        for name, column in {"start": "starts", "end": "ends", "score": "scores", "position": "positions"}.items():
            assert [getattr(row, name) for row in rows] == getattr(prediction, column).tolist()
        assert [row.label for row in rows] == prediction.labels
        assert all(row.agreement is None for row in rows), "there is nobody to agree with"
        assert all(type(row.start) is type(row.end) is int and type(row.score) is float for row in rows)


def test_entities_are_what_the_labels_of_the_subwords_say(model, tokenizer):
    predictor = DocumentPredictor(model, tokenizer)
    entities, labels = next(predictor([LONG])), next(predictor([LONG], subwords=True))
    begins = [(start, label[2:]) for start, label in zip(labels.starts, labels.labels, strict=True) if label[0] == "B"]
    assert begins == list(zip(entities.starts, entities.labels, strict=True))


def test_a_score_is_the_probability_of_all_labellings_with_that_entity(tiny_encoder_dir, tokenizer):
    model = new_model(tiny_encoder_dir, window_length=512)
    prediction = next(DocumentPredictor(model, tokenizer)([SENTENCE]))
    tokens = tokenize(tokenizer, [SENTENCE])[0]
    with torch.no_grad():
        emissions = model.compute_emissions(torch.tensor([[0, *tokens.ids.tolist(), 2]]))[:, 1:-1]
        emissions = emissions[:, torch.from_numpy(tokens.chain)]
    chain = (emissions, torch.tensor([emissions.shape[1]]), torch.ones(1, 2, dtype=torch.bool))
    log_z = model.crf.log_partition(*chain)[0]
    assert prediction.labels
    starts, ends = tokens.starts[tokens.chain].tolist(), tokens.ends[tokens.chain].tolist()
    for start, end, label, score in zip(
        prediction.starts, prediction.ends, prediction.labels, prediction.scores, strict=True
    ):
        first, last, roles = starts.index(start), ends.index(end), model.crf.tags.roles
        allowed = torch.ones_like(emissions, dtype=torch.bool)
        for position in range(first, last + 1):
            role = "S" if first == last else "B" if position == first else "E" if position == last else "I"
            of_role = torch.tensor([tag_role == role for tag_role in roles])
            allowed[0, position] = of_role & (model.crf.tags.types == TYPES.index(label))
        expected = (model.crf.log_partition(*chain, allowed)[0] - log_z).exp().item()
        assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("threads, expected", [(1, 1), (3, 3), (64, 4)])
def test_a_cpu_reads_a_window_for_each_thread_at_a_time(tiny_encoder_dir, tokenizer, monkeypatch, threads, expected):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    model = new_model(tiny_encoder_dir, window_length=64, context_size=8)
    batches = DocumentPredictor(model, tokenizer, batch_size=4).window_batches([LONG], tokenize(tokenizer, [LONG]))
    assert (expected - 1) * 64 < max(batch.input_ids.numel() for batch in batches) <= expected * 64
    assert DocumentPredictor(model.to("meta"), tokenizer, batch_size=4).windows_at_a_time() == 4


@pytest.mark.parametrize("subwords", [False, True])
def test_predictions_do_not_depend_on_the_batch(model, tokenizer, subwords, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)  # as many windows as the batch size says
    expected = list(DocumentPredictor(model, tokenizer)(DOCUMENTS, subwords))
    for batch_size in (1, 3, 64):
        assert_same(DocumentPredictor(model, tokenizer, batch_size)(DOCUMENTS, subwords), expected)
    assert_same([next(DocumentPredictor(model, tokenizer)([text], subwords)) for text in DOCUMENTS], expected)
    assert_same(list(DocumentPredictor(model, tokenizer)(DOCUMENTS[::-1], subwords))[::-1], expected)


def test_no_entity_is_cut_at_a_window_edge(tiny_encoder_dir, tokenizer):
    """An encoder that looks at one subword alone gives the same emissions in any window: so must the output be."""
    by_settings = []
    for window_length, context_size, segmentation in [
        (512, 100, "packed"),
        (512, 0, "sentence"),
        (40, 10, "packed"),
        (40, 0, "packed"),
        (16, 3, "sentence"),
        (8, 0, "packed"),
    ]:
        settings = {"window_length": window_length, "context_size": context_size, "segmentation": segmentation}
        model = new_model(tiny_encoder_dir, **settings)
        with torch.no_grad():
            model.encoder.embeddings.position_embeddings.weight.zero_()
            for layer in model.encoder.encoder.layer:
                layer.attention.output.dense.weight.zero_()
            model.classifier.weight *= 0.2
            tags = model.crf.tags
            model.crf.transitions += 2.0 * (tags.continues & tags.unfinished)  # longer entities
        by_settings.append(list(DocumentPredictor(model, tokenizer)(DOCUMENTS)))
    tokens = tokenize(tokenizer, [LONG])[0]
    edges = tokens.starts[[window.core_start for window in windows(LONG, tokens, model.config, n_special=2)]]
    crossed = (by_settings[0][0].starts < edges[:, None]) & (edges[:, None] < by_settings[0][0].ends)
    assert crossed.any(), "this document shows nothing"
    for other in by_settings[1:]:
        assert_same(other, by_settings[0])


def test_the_context_of_a_window_is_read(tiny_encoder_dir, tokenizer):
    with_context, without = (
        next(DocumentPredictor(new_model(tiny_encoder_dir, context_size=size), tokenizer)([LONG], subwords=True))
        for size in (10, 0)
    )
    assert not np.allclose(with_context.scores, without.scores, atol=1e-4)


def test_an_endless_stream_of_documents_is_read_lazily(model, tokenizer):
    read = []

    def stream():
        for number in count():
            read.append(number)
            yield f"Nota {number}: {SENTENCE}"

    assert len(list(islice(DocumentPredictor(model, tokenizer, batch_size=2)(stream()), 3))) == 3
    assert len(read) < 200


def test_reading_ahead_is_bounded_for_empty_documents_too(model, tokenizer):
    assert len(list(islice(DocumentPredictor(model, tokenizer)("" for _ in count()), 2000))) == 2000


def test_no_documents_give_no_predictions(model, tokenizer):
    assert list(DocumentPredictor(model, tokenizer)([])) == []


@pytest.mark.parametrize("text", [SHORT, 3])
def test_the_model_is_left_in_the_mode_that_it_was_in(model, tokenizer, text):
    model.train()
    try:
        next(DocumentPredictor(model, tokenizer)([text]))
    except TypeError:
        assert text == 3
    assert model.training
    assert not any(parameter.grad is not None or not parameter.requires_grad for parameter in model.parameters())
    model.eval()


def test_dropout_is_off(model, tokenizer):
    model.train()
    assert_same(DocumentPredictor(model, tokenizer)(DOCUMENTS), list(DocumentPredictor(model, tokenizer)(DOCUMENTS)))
    model.eval()


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_no_windows_is_refused(model, tokenizer, batch_size):
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}, expected at least 1"):
        DocumentPredictor(model, tokenizer, batch_size)


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_weights_that_are_not_finite_are_an_error_and_no_entities(tiny_encoder_dir, tokenizer, head):
    broken = new_model(tiny_encoder_dir, head=head)
    broken.classifier.bias.data[3] = float("nan")
    for subwords in (False, True):
        with pytest.raises(ValueError, match="row 0, position 0 of the chain: emissions of nan are not finite"):
            next(DocumentPredictor(broken, tokenizer)([SHORT], subwords))


def test_a_slow_tokenizer_is_refused(model):
    with pytest.raises(ValueError, match="ByT5Tokenizer gives no character offsets.*fast tokenizer"):
        DocumentPredictor(model, ByT5Tokenizer())


def test_prefix_and_suffix_come_from_encoding_not_from_methods_that_transformers_5_lacks(model, tokenizer):
    class Modern:
        is_fast = True

        def __call__(self, *args, **kwargs):
            return tokenizer(*args, **kwargs)

        def __getattr__(self, name):
            lacking = ("build_inputs_with_special_tokens", "prepare_for_model", "create_token_type_ids_from_sequences")
            assert name not in lacking
            return getattr(tokenizer, name)

    predictor = DocumentPredictor(model, Modern())
    assert (predictor.prefix, predictor.suffix) == ([tokenizer.bos_token_id], [tokenizer.eos_token_id])
    assert next(predictor([SENTENCE])).labels
