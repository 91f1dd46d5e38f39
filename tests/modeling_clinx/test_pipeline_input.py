"""Odd texts, wrong types and very long lines through the pipeline: no crash, no shifted offset, a clear error."""

import json
import resource
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from modeling_clinx import ClinXForTokenClassification, ClinXPipeline


NOTE = "Carcinoma ductal infiltrante, dolor torácico y fiebre; paracetamol 500 mg cada 8 horas, sin náuseas "
ODD = {
    "NUL": "\x00",
    "controls": "\x01\x07\x1b\x7f\x85",
    "a lone high surrogate": "\ud83d",
    "a lone low surrogate": "\ude00",
    "surrogates in the wrong order": "\ude00\ud83d",
    "byte-order mark": "\ufeff",
    "replacement character": "\ufffd",
    "private use": "\ue000\U0010fffd",
    "no character": "\uffff",
    "emoji": "👩🏽‍⚕️🏳️‍🌈🇪🇸",
    "combining marks": "e\u0301n\u0303" + "a" + "\u0300\u0316\u0489" * 20,
    "only combining marks": "\u0301\u0302\u0303",
    "right to left": "حمى شديدة עברית",
    "overrides of direction": "\u202eabc\u202c\u2067x\u2069",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\u00ad",
    "ligatures and fractions": "½ﬁ…㎎①Ⅳ（ｍｇ）",
    "expansion to 18 characters": "\ufdfa",
    "Chinese and Japanese": "患者は発熱がある。",
    "mathematical letters": "𝐟𝐢𝐞𝐛𝐫𝐞",
    "odd spaces": "\u00a0\u2003\u3000\u2028\u2029\x0b\x0c",
    "Windows line ends": "\r\n\r\n\t\r",
    "names of special tokens": "<s></s><pad><unk><mask>▁",
    "leader dots": "." * 1_000 + "!?" * 500,
    "a word without an end": "a" * 1_000,
}


@pytest.fixture(scope="module", params=["subword", "word"])
def ner(request, tiny_encoder_dir, tokenizer):
    torch.manual_seed(1)
    settings = {"window_length": 64, "context_size": 10, "unit": request.param}
    model = ClinXForTokenClassification.from_encoder(tiny_encoder_dir, ["FARMACO", "DOLENCIA"], **settings)
    nn.init.normal_(model.classifier.weight)
    return ClinXPipeline(model=model, tokenizer=tokenizer)


def check_offsets(ner, text):
    """Entities stand where they say, subwords too; returns the character ranges of the latter."""
    ranges = []
    for pieces in (ner(text), ner(text, aggregation_strategy="none", ignore_labels=[])):
        ranges = [(piece["start"], piece["end"]) for piece in pieces]
        assert all(0 <= start < end <= len(text) for start, end in ranges)
        assert all(end <= start for (_, end), (start, _) in zip(ranges[:-1], ranges[1:], strict=True))
        assert all(piece["word"] == text[piece["start"] : piece["end"]] == piece["word"].strip() for piece in pieces)
        assert all(0.0 <= piece["score"] <= 1.0 for piece in pieces)
        json.dumps(pieces)
    return ranges


@pytest.mark.compat
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_follows_odd_characters_stands_where_it_does(ner, odd):
    text = f"{odd} fiebre {odd}\n{odd}\tfiebre. {odd}"
    ranges = check_offsets(ner, text)
    for begin in (text.index("fiebre"), text.rindex("fiebre")):
        assert begin in {start for start, _ in ranges} and begin + 6 in {end for _, end in ranges}


@pytest.mark.compat
@pytest.mark.parametrize("text", ["", " ", "\n", " " * 10_000, "\t\r\n" * 1_000, "\u00a0\u3000\u2028", "\ufeff"])
def test_nothing_is_found_where_nothing_stands(ner, text):
    assert ner(text) == ner(text, aggregation_strategy="none", ignore_labels=[]) == []
    around = ner([text, "fiebre", text])
    assert around[0] == around[2] == [] and around[1] == ner("fiebre")


@pytest.mark.compat
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=[]), max_size=60))
def test_any_text_gives_offsets_that_hold(ner, text):
    check_offsets(ner, text)


@pytest.mark.compat
@pytest.mark.parametrize(
    "wrong",
    [None, 3, 2.5, b"fiebre", True, ..., {"texto": "fiebre"}, {"text": None}, {}, [None], ["fiebre", 3], [["a"]]],
    ids=repr,
)
def test_a_wrong_type_is_refused_with_what_was_expected(ner, wrong):
    with pytest.raises(ValueError, match="expected a string.*found"):
        ner(wrong)


@pytest.mark.compat
def test_a_wrong_type_in_a_stream_is_refused(ner):
    with pytest.raises(ValueError, match="expected a string or a row with a string under 'text', found int"):
        list(ner(item for item in ["fiebre", 3]))


@pytest.mark.compat
def test_a_wrong_row_does_not_break_the_next_call(ner):
    expected = ner("Niega fiebre.")
    with pytest.raises(ValueError):
        ner(["Niega fiebre.", None])
    assert ner("Niega fiebre.") == expected


@pytest.fixture(scope="module")
def narrow_ner(tmp_path_factory):
    """One layer, 16 wide, and a subword a word: what remains is what all but the encoder costs."""
    backend = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.train_from_iterator([NOTE], trainers.WordLevelTrainer(special_tokens=["<pad>", "<unk>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    folder = tmp_path_factory.mktemp("narrow")
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    model = ClinXForTokenClassification.from_encoder(folder, ["FARMACO", "DOLENCIA"])
    nn.init.normal_(model.classifier.weight)
    return ClinXPipeline(model=model, tokenizer=tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1, pytest.param(5, marks=pytest.mark.fuzz)])
def test_megabytes_on_one_line_are_read(narrow_ner, megabytes):
    text = NOTE * (megabytes * 1_000_000 // len(NOTE.encode()))
    narrow_ner(NOTE * 100)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    entities = narrow_ner(text)
    seconds = time.process_time() - start
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{megabytes} MB: {seconds:.1f} s of CPU, peak memory grew by {growth} MiB, {len(entities)} entities")
    assert entities[-1]["end"] > len(text) - len(NOTE)
    assert all(entity["word"] == text[entity["start"] : entity["end"]] for entity in entities)
    assert growth < 400 * megabytes
