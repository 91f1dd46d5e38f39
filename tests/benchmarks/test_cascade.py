"""The cascade that `benchmarks/cascade.py` measures: what it reads twice, and what it makes of both readings."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor
from modeling_clinx.prediction_clinx import Prediction
from modeling_clinx.windows_clinx import Tokens, tokenize


TEXTS = ["", " \n", *(f"La señora Pérez ingresa el {day}. " * day for day in range(1, 9))]


@pytest.fixture
def cascade(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import cascade

    yield cascade
    for name in ("cascade", "report"):
        sys.modules.pop(name, None)


@pytest.fixture
def members(tiny_encoder_dir, tokenizer, tmp_path):
    """Folders of three random models whose labels are not sure."""
    for number in range(3):
        torch.manual_seed(number)
        model = ClinXForTokenClassification.from_encoder(tiny_encoder_dir, ["A", "B"], window_length=64, context_size=8)
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
        model.save_pretrained(tmp_path / str(number))
        tokenizer.save_pretrained(tmp_path / str(number))
    return [str(tmp_path / str(number)) for number in range(3)]


def test_a_first_member_that_is_always_sure_reads_alone_and_one_that_never_is_reads_with_all(
    cascade, members, tokenizer
):
    ensemble = ClinXEnsembleForTokenClassification.from_members(members)
    first = DocumentPredictor(ClinXForTokenClassification.from_pretrained(members[0]), tokenizer)

    def rows(predictor):
        return [prediction.rows() for prediction in predictor(TEXTS)]

    alone = [[span._replace(agreement=1.0) for span in spans] for spans in rows(first)]
    assert rows(cascade.CascadePredictor(ensemble, tokenizer, confidence=0.0)) == alone
    assert rows(cascade.CascadePredictor(ensemble, tokenizer, confidence=1.1)) == rows(
        DocumentPredictor(ensemble, tokenizer)
    )
    assert alone != rows(DocumentPredictor(ensemble, tokenizer)) and any(alone)
    for spans in rows(cascade.CascadePredictor(ensemble, tokenizer, confidence=0.5)):
        assert all(before.end <= after.start for before, after in zip(spans[:-1], spans[1:], strict=True))


def test_excerpts_are_runs_of_unsure_sentences_with_context(cascade, tokenizer):
    sentences = [f"La señora Pérez ingresa el día {day} de mayo." for day in range(1, 31)]
    text = " ".join(sentences)
    (tokens,) = tokenize(tokenizer, [text])
    at = np.flatnonzero(tokens.chain)
    probabilities = np.full(len(at), 0.99)
    unsure = [text.index(f"día {day} de") for day in (4, 5, 30)]
    probabilities[np.searchsorted(tokens.starts[at], unsure)] = 0.4
    excerpts = list(cascade.excerpts_of(7, text, tokens, probabilities, 0.5))
    assert list(cascade.excerpts_of(7, text, tokens, probabilities, 0.4)) == []
    for excerpt, expected in zip(excerpts, (" ".join(sentences[3:5]), sentences[29]), strict=True):
        part, of_sentences = excerpt.tokens, at[excerpt.sentences]
        assert excerpt.document == 7 and excerpt.first == of_sentences[0] - cascade.CONTEXT
        assert excerpt.first + len(part.ids) == min(of_sentences[-1] + 1 + cascade.CONTEXT, len(tokens.ids))
        assert part.ids.tolist() == tokens.ids[excerpt.first :][: len(part.ids)].tolist()
        chain = np.flatnonzero(part.chain)
        assert (chain + excerpt.first == at[excerpt.positions]).all()
        assert (part.starts[chain] + excerpt.offset == tokens.starts[at[excerpt.positions]]).all()
        start, end = tokens.starts[of_sentences[0]], tokens.ends[of_sentences[-1]]
        assert excerpt.text[start - excerpt.offset : end - excerpt.offset] == text[start:end] == expected


def test_mentions_of_all_take_the_place_of_those_that_they_touch(cascade):
    def found(*rows):
        starts, ends, labels, positions = map(list, zip(*rows, strict=True))
        columns = (np.array(column) for column in (starts, ends, positions, [1.0] * len(rows)))
        starts, ends, positions, ones = columns
        return Prediction(starts, ends, labels, ones, positions, ones, 0.0)

    letters = np.arange(20)
    tokens = Tokens(letters, letters, letters + 1, np.ones(20, bool))
    alone = found((0, 2, "A", 0), (4, 11, "B", 4), (12, 13, "A", 12), (19, 20, "A", 19))
    excerpt = cascade.Excerpt(0, slice(10, 15), slice(8, 17), 8, 8, "", tokens)
    in_context = ((0, 1, "C", 0), (8, 9, "C", 8))
    both = cascade.merged(tokens, alone, [(excerpt, found(*in_context, (2, 4, "C", 2), (5, 6, "D", 5)))])
    rows = [(row.start, row.end, row.label, row.position) for row in both.rows()]
    assert rows == [(0, 2, "A", 0), (10, 12, "C", 10), (13, 14, "D", 13), (19, 20, "A", 19)]
