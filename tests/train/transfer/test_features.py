"""What models make of sampled characters: features and label probabilities, whichever tokenizer and kind they have."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    XLMRobertaForMaskedLM,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
)

from clinx.corpora.documents import Document, Entity
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.transfer.features import covered_by_all, last_layers, read_features
from clinx.transfer.sample import Sample, sample_characters
from clinx.transfer.similarity import h_score, leep, log_me, procrustes_distance
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor
from modeling_clinx.windows_clinx import tokenize
from tests.modeling_clinx.models import new_model, tiny_config


SETTINGS = {"window_length": 64, "context_size": 8}
SHORT = Document("short", "Se pauta paracetamol 500 mg cada 8 horas.", [Entity(9, 20, "FARMACO")])
NOTES = [SHORT, *synthetic_notes(3, split="train"), Document("empty", "")]


@pytest.fixture(scope="module")
def sample():
    return sample_characters(NOTES)


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir, **SETTINGS)


def covering_subwords(tokens, characters):
    """Index of the subword in the chain that covers each character, found by looking at all."""
    ranges = list(zip(tokens.starts, tokens.ends, tokens.chain, strict=True))
    found = [[i for i, (start, end, chain) in enumerate(ranges) if chain and start <= c < end] for c in characters]
    return [index for (index,) in found]


def encoder_of(tokenizer, kind=XLMRobertaModel, **settings):
    torch.manual_seed(3)
    config = tiny_config(tokenizer)
    config.update(settings)
    return kind(config).eval()


def hidden_states(encoder, tokenizer, text):
    """Outputs of each layer for all subwords of a text that is one window, and the tokens."""
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        states = encoder(input_ids=encoded["input_ids"], output_hidden_states=True).hidden_states
    return torch.stack(states).numpy()[:, 0], tokenize(tokenizer, [text])[0]


@pytest.mark.parametrize("name", ["tokenizer", "wordpiece_tokenizer", "byte_tokenizer"])
def test_a_feature_is_that_of_the_subword_which_covers_the_character(name, request):
    tokenizer = request.getfixturevalue(name)
    encoder, sample = encoder_of(tokenizer, pad_token_id=0), sample_characters([SHORT])
    features = read_features(encoder, tokenizer, sample)
    states, tokens = hidden_states(encoder, tokenizer, SHORT.text)
    before = (states.shape[1] - len(tokens.ids)) // 2  # special tokens
    assert features.covered.all() and features.marginals is None and features.labels is None
    at = [before + index for index in covering_subwords(tokens, sample.characters)]
    np.testing.assert_allclose(features.last, states[-1, at], atol=1e-5)
    np.testing.assert_allclose(features.mean, states[1:, at].mean(0), atol=1e-5)
    assert features.last.dtype == features.mean.dtype == np.float32


def test_models_with_different_tokenizers_are_joined_on_characters(sample, model, tokenizer, wordpiece_tokenizer):
    other = encoder_of(wordpiece_tokenizer, XLMRobertaForTokenClassification, num_labels=4, hidden_size=64)
    of_all = [read_features(model, tokenizer, sample), read_features(other, wordpiece_tokenizer, sample)]
    covered = covered_by_all(of_all)
    assert covered.all() and len(covered) == len(sample.labels)
    for features in of_all:
        assert np.isfinite(leep(features.marginals[covered], sample.labels[covered]))
        assert np.isfinite(h_score(features.mean[covered], sample.labels[covered]))
        assert np.isfinite(log_me(features.last[covered], sample.labels[covered]))
    with pytest.raises(InputError, match="different encoders.* hidden size: 32 and 64"):
        last_layers(*of_all)


@pytest.mark.parametrize("settings", [{}, {"scheme": "BIO"}, {"head": "linear"}])
def test_marginals_are_the_model_s_own_where_a_document_is_one_window(settings, tiny_encoder_dir, tokenizer):
    model, sample = new_model(tiny_encoder_dir, **settings), sample_characters([SHORT])
    features = read_features(model, tokenizer, sample)
    tokens = tokenize(tokenizer, [SHORT.text])[0]
    core_mask = torch.from_numpy(np.pad(tokens.chain, 1))[None]
    with torch.no_grad():
        input_ids = tokenizer(SHORT.text, return_tensors="pt")["input_ids"]
        logits = model(input_ids, core_mask=core_mask).logits[0].exp().numpy()
    rows = [1 + index for index in covering_subwords(tokens, sample.characters)]
    np.testing.assert_allclose(features.marginals, logits[rows], atol=1e-5)
    assert features.labels == ["O", "B-FARMACO", "I-FARMACO", "B-DOLENCIA", "I-DOLENCIA"]


@pytest.mark.parametrize(
    "settings", [{}, {"segmentation": "sentence"}, {"unit": "word"}, {"context_size": 0, "head": "linear"}]
)
def test_marginals_of_long_documents_are_those_of_prediction(settings, sample, tiny_encoder_dir, tokenizer):
    model = new_model(tiny_encoder_dir, **{**SETTINGS, **settings})
    features = read_features(model, tokenizer, sample)
    np.testing.assert_allclose(features.marginals[features.covered].sum(1), 1, atol=1e-6)
    predicted = DocumentPredictor(model, tokenizer)([note.text for note in sample.documents], subwords=True)
    for number, prediction in enumerate(predicted):
        rows = np.flatnonzero((sample.numbers == number) & features.covered)
        for row, character in zip(rows, sample.characters[rows], strict=True):
            (at,) = np.flatnonzero((prediction.starts <= character) & (character < prediction.ends))
            label = features.labels.index(prediction.labels[at])
            assert features.marginals[row, label] == pytest.approx(prediction.scores[at], abs=1e-5)
    assert features.covered.mean() > 0.95


def test_a_token_classifier_of_others_gives_the_softmax_of_its_logits_by_its_own_labels(tokenizer):
    names = {0: "O", 1: "S-X", 2: "B-X", 3: "E-X"}
    model, sample = encoder_of(tokenizer, XLMRobertaForTokenClassification, id2label=names), sample_characters([SHORT])
    features = read_features(model, tokenizer, sample)
    with torch.no_grad():
        logits = model(tokenizer(SHORT.text, return_tensors="pt")["input_ids"]).logits[0].softmax(-1).numpy()
    tokens = tokenize(tokenizer, [SHORT.text])[0]
    rows = [1 + index for index in covering_subwords(tokens, sample.characters)]
    np.testing.assert_allclose(features.marginals, logits[rows], atol=1e-5)
    assert features.labels == list(names.values())


def test_an_encoder_of_others_reads_documents_that_are_longer_than_it(tokenizer):
    encoder = encoder_of(tokenizer, max_position_embeddings=34)
    features = read_features(encoder, tokenizer, sample_characters(NOTES))
    assert features.covered.all() and np.isfinite(features.last).all()


def test_a_model_alone_and_its_encoder_alone_and_a_member_have_the_same_features(
    sample, tiny_encoder_dir, tokenizer, tmp_path
):
    for seed in range(2):
        save_model_repo(new_model(tiny_encoder_dir, seed=seed, **SETTINGS), tokenizer, tmp_path / str(seed))
    second = ClinXForTokenClassification.from_pretrained(tmp_path / "1")
    with torch.no_grad():
        second.encoder.embeddings.word_embeddings.weight.mul_(1.1)
    save_model_repo(second, tokenizer, tmp_path / "1")
    ensemble = ClinXEnsembleForTokenClassification.from_members([tmp_path / "0", tmp_path / "1"])
    expected = read_features(second.eval(), tokenizer, sample)
    member = read_features(ensemble, tokenizer, sample, member=1)
    alone = read_features(AutoModel.from_pretrained(tmp_path / "1"), tokenizer, sample)
    for features in (member, alone):
        assert np.array_equal(features.last, expected.last) and np.array_equal(features.mean, expected.mean)
    assert np.array_equal(member.marginals, expected.marginals) and alone.marginals is None
    first = read_features(ensemble, tokenizer, sample)
    assert not np.allclose(first.last, expected.last, atol=1e-3)
    with pytest.raises(ValueError, match="member is 2, expected 0 to 1"):
        read_features(ensemble, tokenizer, sample, member=2)


def test_a_feature_depends_on_its_document_alone_to_the_last_bit(sample, model, tokenizer):
    whole = read_features(model, tokenizer, sample)
    for number, note in enumerate(sample.documents):
        rows = np.flatnonzero(sample.numbers == number)[::3]
        part = Sample([note], np.zeros(len(rows), int), sample.characters[rows], sample.labels[rows], [])
        for whole_column, column in zip(whole[:4], read_features(model, tokenizer, part)[:4], strict=True):
            assert np.array_equal(whole_column[rows], column)


def test_the_context_of_a_window_is_read(tiny_encoder_dir, tokenizer):
    note = Document("a", "Niega fiebre. " * 60 + SHORT.text, [Entity(849, 860, "X")])
    with_context, without = (
        read_features(
            new_model(tiny_encoder_dir, window_length=64, context_size=size, segmentation="sentence"),
            tokenizer,
            sample_characters([note]),
        )
        for size in (8, 0)
    )
    assert not np.allclose(with_context.last, without.last, atol=1e-3)


def test_what_a_model_does_not_cover_is_missing(model, tokenizer):
    spaces = Sample([SHORT], np.zeros(2, int), np.array([2, 3]), np.array([0, 1]), ["X"])  # " p"
    features = read_features(model, tokenizer, spaces)
    assert features.covered.tolist() == [False, True]
    for rows in (features.last, features.mean, features.marginals):
        assert np.isnan(rows[0]).all() and np.isfinite(rows[1]).all()
    with pytest.raises(InputError, match="covers none of 1 words"):
        read_features(model, tokenizer, spaces._replace(numbers=np.zeros(1, int), characters=np.array([2])))


def test_a_model_and_itself_have_no_distance_and_another_head_changes_nothing(sample, tiny_encoder_dir, tokenizer):
    one, other = (
        read_features(new_model(tiny_encoder_dir, types, seed, **SETTINGS), tokenizer, sample)
        for types, seed in ((["A"], 1), (["B", "C"], 2))
    )
    assert procrustes_distance(*last_layers(one, other)) < 1e-6


def test_the_model_is_left_in_the_mode_that_it_was_in_and_read_without_dropout(sample, model, tokenizer):
    expected = read_features(model, tokenizer, sample)
    model.train()
    try:
        assert np.array_equal(read_features(model, tokenizer, sample).last, expected.last)
        assert model.training
    finally:
        model.eval()


def test_what_is_neither_an_encoder_nor_a_token_classifier_is_refused(sample, tokenizer):
    with pytest.raises(ValueError, match="XLMRobertaForMaskedLM is neither an encoder nor a token classifier"):
        read_features(encoder_of(tokenizer, XLMRobertaForMaskedLM), tokenizer, sample)
