"""The pipeline: what goes in, what comes out, and in which form."""

import json
import logging
from itertools import count, islice

import pytest
import torch
from torch import nn
from transformers import pipeline

from modeling_clinx import ClinXForTokenClassification, ClinXPipeline


pytestmark = pytest.mark.compat

SENTENCE = "La Dra. García pauta ½ comprimido de ibuprofeno  600 mg (c/8 h) por ﬁebre; niega náuseas. "
DOCUMENTS = ["Paciente de 54 años.", "", SENTENCE * 8]


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    torch.manual_seed(1)
    settings = {"window_length": 64, "context_size": 10}
    model = ClinXForTokenClassification.from_encoder(tiny_encoder_dir, ["FARMACO", "DOLENCIA"], **settings)
    nn.init.normal_(model.classifier.weight)
    return model


@pytest.fixture(scope="module")
def ner(model, tokenizer):
    return ClinXPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def expected(ner):
    return [ner(text) for text in DOCUMENTS]


def assert_same(results, expected):
    for entities, reference in zip(results, expected, strict=True):
        assert [{**entity, "score": None} for entity in entities] == [{**entity, "score": None} for entity in reference]
        assert [entity["score"] for entity in entities] == pytest.approx(
            [entity["score"] for entity in reference], abs=1e-5
        )


# What goes in


def test_a_document_gives_its_entities(ner):
    text = SENTENCE * 8
    entities = ner(text)
    assert entities
    for entity in entities:
        assert list(entity) == ["entity_group", "score", "word", "start", "end"]
        assert entity["entity_group"] in ("FARMACO", "DOLENCIA")
        assert entity["word"] == text[entity["start"] : entity["end"]] == entity["word"].strip() != ""
        assert type(entity["score"]) is float and 0.0 <= entity["score"] <= 1.0
    assert json.loads(json.dumps(entities)) == entities


@pytest.mark.parametrize("form", [list, tuple])
def test_a_list_gives_a_list_in_its_order(ner, expected, form):
    results = ner(form(DOCUMENTS))
    assert isinstance(results, list)
    assert_same(results, expected)
    assert ner(form([])) == []


def test_a_row_is_read_by_its_text(ner, expected):
    assert_same([ner({"id": "a", "text": DOCUMENTS[0]})], expected[:1])
    assert_same(ner([{"text": text} for text in DOCUMENTS]), expected)


def test_a_generator_is_read_lazily(ner):
    read = []

    def stream():
        for number in count():
            read.append(number)
            yield f"Nota {number}: {SENTENCE}"

    results = list(islice(ner(stream(), batch_size=2), 3))
    assert len(results) == 3 and len(read) < 200
    assert all(entity["word"] in f"Nota 2: {SENTENCE}" for entity in results[2])


def test_datasets_and_their_columns_are_read(ner, expected):
    datasets = pytest.importorskip("datasets", reason="not with this huggingface_hub", exc_type=ImportError)
    from transformers.pipelines.pt_utils import KeyDataset

    rows = datasets.Dataset.from_dict({"id": list("abc"), "text": DOCUMENTS})
    for inputs in (rows, rows["text"], KeyDataset(rows, "text"), rows.to_iterable_dataset()):
        results = ner(inputs)
        assert not isinstance(results, list)
        assert_same(results, expected)


def test_anything_that_can_be_indexed_is_read(ner, expected):
    class Notes:
        def __getitem__(self, index):
            return DOCUMENTS[index]

    assert_same(ner(Notes()), expected)


def test_a_dataset_that_only_its_length_ends_is_read(ner, expected):
    class Notes(torch.utils.data.Dataset):
        def __init__(self):
            self.texts = dict(enumerate(DOCUMENTS))

        def __len__(self):
            return len(self.texts)

        def __getitem__(self, index):
            return self.texts[index]

    assert_same(ner(Notes()), expected)


def test_another_default_dtype_changes_nothing(ner, expected):
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(ner(DOCUMENTS), expected)
    finally:
        torch.set_default_dtype(torch.float32)


# What comes out


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_every_strategy_but_none_means_entities(ner, expected, strategy):
    assert_same(ner(DOCUMENTS, aggregation_strategy=strategy), expected)


def test_without_aggregation_every_subword_has_its_label(ner, expected):
    text = DOCUMENTS[2]
    subwords = ner(text, aggregation_strategy="none")
    assert list(subwords[0]) == ["entity", "score", "index", "word", "start", "end"]
    assert {subword["entity"][:2] for subword in subwords} == {"B-", "I-"}
    assert all(subword["word"] == text[subword["start"] : subword["end"]] for subword in subwords)
    assert [subword["index"] for subword in subwords] == sorted({subword["index"] for subword in subwords})
    begins = [(subword["entity"][2:], subword["start"]) for subword in subwords if subword["entity"][0] == "B"]
    assert begins == [(entity["entity_group"], entity["start"]) for entity in expected[2]]
    assert json.loads(json.dumps(subwords)) == subwords


def test_labels_can_be_ignored(ner, expected):
    drugs = [entity for entity in expected[2] if entity["entity_group"] == "FARMACO"]
    assert 0 < len(drugs) < len(expected[2])
    assert_same([ner(DOCUMENTS[2], ignore_labels=["DOLENCIA"])], [drugs])
    labels = {
        subword["entity"] for subword in ner(DOCUMENTS[2], aggregation_strategy="none", ignore_labels=["B-FARMACO"])
    }
    assert "B-DOLENCIA" in labels and "B-FARMACO" not in labels
    every = ner(DOCUMENTS[2], aggregation_strategy="none", ignore_labels=[])
    assert "".join(subword["word"] for subword in every) == "".join(DOCUMENTS[2].split())


def test_a_string_is_one_label_to_ignore(ner, expected):
    assert ner(DOCUMENTS[2], ignore_labels="DOLENCIA") == ner(DOCUMENTS[2], ignore_labels=["DOLENCIA"])
    assert_same([ner(DOCUMENTS[2], ignore_labels="O")], expected[2:])


def test_an_entity_type_can_be_ignored_for_subwords_too(ner):
    labels = {row["entity"] for row in ner(DOCUMENTS[2], aggregation_strategy="none", ignore_labels=["O", "FARMACO"])}
    assert {"B-DOLENCIA"} <= labels <= {"B-DOLENCIA", "I-DOLENCIA"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ignore_labels": "DOLEN"}, r"ignore_labels has \['DOLEN'\], expected some of O, FARMACO, DOLENCIA$"),
        ({"ignore_labels": ["O", "AGE"]}, r"ignore_labels has \['AGE'\], expected some of"),
        (
            {"ignore_labels": ["B-FARMACO"]},
            r"ignore_labels has \['B-FARMACO'\], expected some of O, FARMACO, DOLENCIA$",
        ),
        ({"ignore_labels": ["B-X"], "aggregation_strategy": "none"}, "'B-X'.*expected some of O, .*, B-FARMACO"),
        ({"stride": 128}, "stride is not used: a document of any length is read in windows with context"),
        ({"is_split_into_words": True}, "is_split_into_words is not used: give each document as one string"),
        ({"delimiter": " "}, "delimiter is not used: give each document as one string"),
        ({"offset_mapping": [(0, 3)]}, "offset_mapping is not used: the offsets are those of the text"),
        ({"grouped_entities": True}, "grouped_entities is not used: .*aggregation_strategy"),
        ({"ignore_subwords": True}, "ignore_subwords is not used: .*aggregation_strategy"),
        ({"strid": 1}, "strid is not used: expected aggregation_strategy, ignore_labels or batch_size"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"batch_size": -3}, "batch_size is -3, expected at least 1"),
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_here_says_what_to_use(model, tokenizer, ner, arguments, message):
    with pytest.raises(ValueError, match=message):
        ner(SENTENCE, **arguments)
    with pytest.raises(ValueError, match=message):
        ClinXPipeline(model=model, tokenizer=tokenizer, **arguments)(SENTENCE)


def test_arguments_of_other_pipelines_may_say_no(ner, expected):
    nothing = {"stride": None, "is_split_into_words": False, "offset_mapping": None}
    assert_same(ner(DOCUMENTS, **nothing), expected)


def test_parameters_of_the_pipeline_are_defaults_of_its_calls(model, tokenizer, ner, expected):
    tagger = ClinXPipeline(model=model, tokenizer=tokenizer, aggregation_strategy="none", batch_size=2)
    assert_same([tagger(SENTENCE)], [ner(SENTENCE, aggregation_strategy="none")])
    assert_same([tagger(DOCUMENTS[0], aggregation_strategy="simple")], expected[:1])


def test_an_unknown_strategy_is_refused(model, tokenizer, ner):
    with pytest.raises(ValueError, match="aggregation_strategy is .best., expected simple, .* max or none"):
        ner(SENTENCE, aggregation_strategy="best")
    with pytest.raises(ValueError, match="aggregation_strategy is 'best'"):
        ClinXPipeline(model=model, tokenizer=tokenizer, aggregation_strategy="best")


# Made of a model object


def test_a_model_object_has_this_pipeline_by_its_class(model, tokenizer, expected):
    ner = pipeline("ner", model=model, tokenizer=tokenizer, pipeline_class=ClinXPipeline)
    assert type(ner) is ClinXPipeline
    assert_same(ner(DOCUMENTS), expected)


def test_the_stock_pipeline_of_a_model_object_says_that_it_is_another(model, tokenizer, caplog):
    logging.getLogger().warning_once.cache_clear()
    stock = pipeline("ner", model=model, tokenizer=tokenizer)
    with caplog.at_level("WARNING"):
        stock(SENTENCE)
        stock(SENTENCE)
    (warning,) = [record.getMessage() for record in caplog.records if "core_mask" in record.getMessage()]
    assert "ClinXPipeline(model=model, tokenizer=tokenizer)" in warning and "trust_remote_code=True" in warning


def test_no_warning_where_a_model_trains_or_the_document_predictor_reads(model, tokenizer, ner, caplog):
    logging.getLogger().warning_once.cache_clear()
    batch = tokenizer([SENTENCE], return_tensors="pt", return_token_type_ids=False)
    with caplog.at_level("WARNING"):
        ner(DOCUMENTS)
        model(**batch, labels=torch.zeros_like(batch["input_ids"]))
        model.eval()(**batch, core_mask=torch.ones_like(batch["input_ids"]))
        model.train()(**batch)
    model.eval()
    assert not caplog.records


# What must not matter


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_results_do_not_depend_on_batch_size_or_order(ner, expected, batch_size, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)  # as many windows as the batch size says
    assert_same(ner(DOCUMENTS, batch_size=batch_size), expected)
    assert_same(ner(DOCUMENTS[::-1], batch_size=batch_size)[::-1], expected)


@pytest.mark.parametrize("device", [None, -1, "cpu", torch.device("cpu")])
def test_the_device_can_be_given(model, tokenizer, expected, device):
    ner = ClinXPipeline(model=model, tokenizer=tokenizer, device=device)
    assert ner.model.device.type == "cpu"
    assert_same(ner(DOCUMENTS), expected)


def test_a_line_of_50_000_characters_is_one_document(ner):
    text = "Carcinoma ductal infiltrante de 3 cm, " * 1316
    entities = ner(text)
    assert len(text) > 50_000 and entities[-1]["end"] > 49_900
    assert all(entity["word"] == text[entity["start"] : entity["end"]] for entity in entities)
