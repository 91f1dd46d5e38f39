"""`clinx predict --cascade`: the first member reads everything, the others what it is not sure of."""

import json

import numpy as np
import pytest

from clinx.prediction.cascade import CONTEXT, Excerpt, excerpts_of, merged
from clinx.prediction.loading import Computing, load_predictor
from modeling_clinx.prediction_clinx import Prediction
from modeling_clinx.windows_clinx import Tokens, tokenize
from tests.train.prediction.conftest import predictions


def read(model, texts, **computing):
    return [prediction.rows() for prediction in load_predictor(str(model), Computing(**computing))(texts)]


@pytest.fixture
def texts(notes):
    return ["", " \n", *(path.read_text(encoding="utf-8") for path in sorted((notes / "train").glob("*.txt")))]


def test_a_first_member_that_is_always_sure_reads_alone_and_one_that_never_is_reads_with_all(ensemble_run, texts):
    alone = read(ensemble_run / "member-1" / "model", texts)
    as_one = [[span._replace(agreement=1.0) for span in spans] for spans in alone]
    assert read(ensemble_run / "model", texts, cascade=0.0) == as_one
    of_all = read(ensemble_run / "model", texts)
    assert read(ensemble_run / "model", texts, cascade=1.0) == of_all != as_one


def test_what_is_sure_is_the_first_members_and_the_rest_is_voted_on(ensemble_run, texts):
    predictor = load_predictor(str(ensemble_run / "model"), Computing())
    first = load_predictor(str(ensemble_run / "member-1" / "model"), Computing())
    labels = list(first(texts, subwords=True))
    scores = sorted(of.scores.min() for of in labels if len(of.scores))
    confidence = scores[len(scores) // 2]  # below which half of the notes have a label
    alone, of_all, both = (read(ensemble_run / "model", texts, cascade=share) for share in (0.0, 1.0, confidence))
    sure = [not len(of.scores) or of.scores.min() >= confidence for of in labels]
    assert 0 < sum(sure) < len(texts) and list(predictor([])) == []
    assert all(mixed == one for mixed, one, is_sure in zip(both, alone, sure, strict=True) if is_sure)
    assert both not in (alone, of_all)
    for text, spans in zip(texts, both, strict=True):
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
        assert all(before.end <= after.start for before, after in zip(spans[:-1], spans[1:], strict=True))


def test_excerpts_are_runs_of_unsure_sentences_with_context(tokenizer):
    sentences = [f"La señora Pérez ingresa el día {day} de mayo." for day in range(1, 31)]
    text = " ".join(sentences)
    (tokens,) = tokenize(tokenizer, [text])
    at = np.flatnonzero(tokens.chain)
    probabilities = np.full(len(at), 0.99)
    unsure = [text.index(f"día {day} de") for day in (4, 5, 30)]
    probabilities[np.searchsorted(tokens.starts[at], unsure)] = 0.4
    excerpts = list(excerpts_of(7, text, tokens, probabilities, 0.5))
    assert list(excerpts_of(7, text, tokens, probabilities, 0.4)) == []
    for excerpt, expected in zip(excerpts, (" ".join(sentences[3:5]), sentences[29]), strict=True):
        part, of_sentences = excerpt.tokens, at[excerpt.sentences]
        assert excerpt.document == 7 and excerpt.first == of_sentences[0] - CONTEXT
        assert excerpt.first + len(part.ids) == min(of_sentences[-1] + 1 + CONTEXT, len(tokens.ids))
        assert part.ids.tolist() == tokens.ids[excerpt.first :][: len(part.ids)].tolist()
        chain = np.flatnonzero(part.chain)
        assert (chain + excerpt.first == at[excerpt.positions]).all()
        assert (part.starts[chain] + excerpt.offset == tokens.starts[at[excerpt.positions]]).all()
        start, end = tokens.starts[of_sentences[0]], tokens.ends[of_sentences[-1]]
        assert excerpt.text[start - excerpt.offset : end - excerpt.offset] == text[start:end] == expected


def test_mentions_of_all_take_the_place_of_those_that_they_touch():
    def found(*rows):
        starts, ends, labels, positions = map(list, zip(*rows, strict=True))
        columns = (np.array(column) for column in (starts, ends, positions, [1.0] * len(rows)))
        starts, ends, positions, ones = columns
        return Prediction(starts, ends, labels, ones, positions, ones, 0.0)

    letters = np.arange(20)
    tokens = Tokens(letters, letters, letters + 1, np.ones(20, bool))
    alone = found((0, 2, "A", 0), (4, 11, "B", 4), (12, 13, "A", 12), (19, 20, "A", 19))
    excerpt = Excerpt(0, slice(10, 15), slice(8, 17), 8, 8, "", tokens)
    in_context = ((0, 1, "C", 0), (8, 9, "C", 8))
    both = merged(tokens, alone, [(excerpt, found(*in_context, (2, 4, "C", 2), (5, 6, "D", 5)))])
    rows = [(row.start, row.end, row.label, row.position) for row in both.rows()]
    assert rows == [(0, 2, "A", 0), (10, 12, "C", 10), (13, 14, "D", 13), (19, 20, "A", 19)]


def test_a_cascade_needs_members_and_a_probability(ensemble_run, notes, tmp_path, clinx):
    command = ("predict", "--input", notes / "validation", "--output", tmp_path / "out", "--cascade")
    status, _, error = clinx(*command, 0.8, "--model", ensemble_run / "member-1" / "model")
    assert status == 2 and "a cascade is about an ensemble" in error
    status, _, error = clinx(*command, 80, "--model", ensemble_run / "model")
    assert status == 2 and "found 80.0 for cascade, expected a probability from 0 to 1" in error
    status, _, error = clinx(*command, 0.8, "--model", ensemble_run / "model", "--disagreement")
    assert status == 2 and "leave cascade or disagreement out" in error and not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="labels no single subwords"):
        list(load_predictor(str(ensemble_run / "model"), Computing(cascade=0.8))(["a"], subwords=True))


def test_notes_are_read_again_with_another_cascade(ensemble_run, notes, tmp_path, clinx):
    command = ("predict", "--model", ensemble_run / "model", "--input", notes / "train", "--output", tmp_path / "out")
    command += ("--format", "jsonl")
    n_notes = len(list((notes / "train").glob("*.txt")))
    assert f"{n_notes} notes read" in clinx(*command, "--cascade", 0)[1]
    sure = predictions(tmp_path / "out")
    assert f"{n_notes} as before" in clinx(*command, "--cascade", 0)[1]
    assert f"{n_notes} notes read" in clinx(*command, "--cascade", 1)[1]
    assert predictions(tmp_path / "out") != sure
    rows = [json.loads(line) for line in open(tmp_path / "out" / "predictions.jsonl", encoding="utf-8")]
    assert len(rows) == n_notes
