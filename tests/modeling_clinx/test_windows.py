"""Chain positions and windows, of ordinary and of strange texts."""

import copy
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from transformers import AddedToken, PreTrainedTokenizer

from modeling_clinx.windows_clinx import Tokens, Window, _chain, _pack, special_affixes, tokenize, windows


ANY_TEXT = st.text(st.characters(), max_size=300)  # all code points, lone surrogates too
CLINICAL = st.lists(
    st.sampled_from(
        "Dr. García\nacude ½ 3.5 mg . … 😀 👩🏽‍⚕️ e\u0301 \u202eעברית \x00 \ufeff \ud800 \r\n ﬁebre １２ "
        "<s> </s> [MASK] ? ¿ hepatoesplenomegalia \u200b \u2028 a_b 'x' \t -- İ ß Å".split(" ")
    ),
    max_size=80,
).map(" ".join)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chain_of(tokens: Tokens) -> list[tuple[int, int]]:
    return list(zip(tokens.starts[tokens.chain].tolist(), tokens.ends[tokens.chain].tolist(), strict=True))


def assert_chain_is_sound(text: str, tokens: Tokens):
    chain = chain_of(tokens)
    assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends) == len(tokens.chain)
    for start, end in chain:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
    assert all(before[1] <= after[0] for before, after in zip(chain, chain[1:], strict=False))


@pytest.mark.parametrize("unit", ["subword", "word"])
@PROPERTY
@given(text=ANY_TEXT | CLINICAL)
@example(text="\ufeffPaciente ½ con\x00 \ud83d\ude00 😀 e\u0301 …\n\tDr. x")
def test_chain_positions_are_trimmed_disjoint_ascending_and_not_empty(any_tokenizer, unit, text):
    assert_chain_is_sound(text, tokenize(any_tokenizer, [text], unit)[0])


@PROPERTY
@given(texts=st.lists(ANY_TEXT | CLINICAL, max_size=4))
def test_texts_are_tokenized_together_as_alone(any_tokenizer, texts):
    together = tokenize(any_tokenizer, texts)
    assert len(together) == len(texts)
    for tokens, text in zip(together, texts, strict=True):
        for one, other in zip(tokens, tokenize(any_tokenizer, [text])[0], strict=True):
            assert np.array_equal(one, other)


@PROPERTY
@given(text=st.text(st.characters(categories=["Lu", "Ll", "Nd", "Po", "Zs", "Cs"]), max_size=200))
def test_every_letter_is_at_a_chain_position_of_a_bytewise_tokenizer(byte_tokenizer, text):
    covered = {at for start, end in chain_of(tokenize(byte_tokenizer, [text])[0]) for at in range(start, end)}
    assert covered >= {at for at, character in enumerate(text) if not character.isspace()}


def test_chain_positions_leave_out_white_space(any_tokenizer):
    text = "\n  Paciente \t con\u2003dolor\r\n"
    tokens = tokenize(any_tokenizer, [text])[0]
    assert "".join(text[start:end] for start, end in chain_of(tokens)) == "Pacientecondolor"


@pytest.mark.parametrize("text", ["½", "😀", "…", "ﬁ", "１", "a½", "İ", "e\u0301"])
def test_the_pieces_of_a_character_count_once(any_tokenizer, text):
    chain = chain_of(tokenize(any_tokenizer, [text])[0])
    assert chain and len(chain) <= len(text)
    assert_chain_is_sound(text, tokenize(any_tokenizer, [text])[0])


def test_a_letter_has_its_combining_marks_in_whatever_form(any_tokenizer):
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, "Dolor de José, señor Pelmeró, y más")
        tokens = tokenize(any_tokenizer, [text])[0]
        ends = tokens.ends[tokens.chain]
        assert not any(unicodedata.combining(text[end]) for end in ends if end < len(text))
        assert {text.index(","), len(text)} <= set(ends.tolist())


def test_offsets_hold_behind_characters_that_change_their_length(any_tokenizer):
    text = "\ufeff½ … ﬁ \ud800 😀 e\u0301\x00 dolor"
    chain = chain_of(tokenize(any_tokenizer, [text])[0])
    of_word = [(start, end) for start, end in chain if start >= text.index("dolor")]
    assert "".join(text[start:end] for start, end in of_word) == "dolor"
    assert of_word[0][0] == text.index("dolor") and of_word[-1][1] == len(text)


def test_special_tokens_in_a_text_are_text(any_tokenizer):
    for special in any_tokenizer.all_special_tokens:
        text = f"dolor {special} leve"
        tokens = tokenize(any_tokenizer, [text])[0]
        assert not set(tokens.ids.tolist()) & (set(any_tokenizer.all_special_ids) - {any_tokenizer.unk_token_id})
        covered = {at for start, end in chain_of(tokens) for at in range(start, end)}
        assert len(covered) >= len("dolorleve") + 1


@PROPERTY
@given(text=ANY_TEXT | CLINICAL)
def test_subwords_and_offsets_are_the_tokenizers_own(any_tokenizer, text):
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
    expected = any_tokenizer(text, verbose=False, **options)
    (tokens,) = tokenize(any_tokenizer, [text])
    assert tokens.ids.tolist() == expected["input_ids"]
    outside = ~tokens.chain  # of the others white space is trimmed
    offsets = np.array(expected["offset_mapping"], np.int64).reshape(-1, 2)
    assert (offsets[outside, 0] == tokens.starts[outside]).all() and (offsets[outside, 1] == tokens.ends[outside]).all()


def test_words_that_were_added_to_a_tokenizer_are_found(tokenizer):
    grown = copy.deepcopy(tokenizer)
    tokenize(grown, ["fiebre"])
    grown.add_tokens(["xyzab", AddedToken("xyzcd", single_word=True)])
    (tokens,) = tokenize(grown, ["toma xyzab y xyzcd, no xyzcde </s>"])
    added = grown.convert_tokens_to_ids(["xyzab", "xyzcd"])
    assert [tokens.ids.tolist().count(token) for token in added] == [1, 1]
    assert grown.eos_token_id not in tokens.ids


def test_one_tokenizer_in_several_threads_gives_what_it_gives_in_one(tokenizer):
    """Each has its own way with `</s>`: a text for us, a special token for its owner."""
    shared = copy.deepcopy(tokenizer)
    texts = [f"Dolor </s> nº {number} y fiebre <s> {'sin náuseas ' * (number % 7)}</s>" for number in range(40)]
    expected = [tokenize(shared, [text])[0].ids.tolist() for text in texts]
    of_owner = [shared(text)["input_ids"] for text in texts]
    assert shared.eos_token_id in of_owner[0][1:-1] and shared.eos_token_id not in expected[0]

    def read(worker):
        if worker % 4 == 0:
            return [shared(text)["input_ids"] for text in texts] == of_owner
        return [tokenize(shared, [text])[0].ids.tolist() for text in texts] == expected

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(80)))


def test_a_word_has_one_position_for_the_whole_of_it(any_tokenizer):
    text = "Hepatoesplenomegalia (3,5 cm)."
    tokens = tokenize(any_tokenizer, [text], "word")[0]
    words = [text[start:end] for start, end in chain_of(tokens)]
    assert [word for word in words if word.isalnum()] == ["Hepatoesplenomegalia", "3", "5", "cm"]
    assert set(words) <= {"Hepatoesplenomegalia", "(", "3", ",", "5", "cm", ")", "."}
    assert_chain_is_sound(text, tokens)


def of_offsets(text, offsets, unit):
    return chain_of(_chain(text, np.arange(len(offsets)), np.array(offsets), unit))


def test_a_subword_over_several_words_stands_where_its_word_does():
    text = "54 años, y años,"
    offsets = [(0, 2), (2, 8), (8, 10), (10, 16)]
    assert of_offsets(text, offsets, "subword") == [(0, 2), (3, 8), (9, 10), (11, 16)]
    inside, at_the_end = of_offsets(text, offsets, "word")[1::2]
    assert text[slice(*inside)] == text[slice(*at_the_end)]


def test_a_word_that_the_tokenizer_drops_joins_no_other():
    assert of_offsets("a \x00 b", [(0, 1), (3, 5)], "word") == [(0, 1), (4, 5)]


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ValueError, match="gives no character offsets.*fast tokenizer"):
        tokenize(PreTrainedTokenizer.__new__(PreTrainedTokenizer), ["a"])


def test_special_tokens_around_a_text_are_found(tokenizer, byte_tokenizer, wordpiece_tokenizer):
    assert special_affixes(tokenizer) == ([tokenizer.bos_token_id], [tokenizer.eos_token_id])
    assert special_affixes(byte_tokenizer) == ([], [])
    assert special_affixes(wordpiece_tokenizer) == (
        [wordpiece_tokenizer.cls_token_id],
        [wordpiece_tokenizer.sep_token_id],
    )


def settings_of(window_length=512, context_size=100, segmentation="packed"):
    return SimpleNamespace(window_length=window_length, context_size=context_size, segmentation=segmentation)


SETTINGS = st.builds(settings_of, st.integers(8, 64), st.integers(0, 40), st.sampled_from(["packed", "sentence"]))


@st.composite
def random_mentions(draw, tokens):
    """Disjoint runs of chain positions, as `uncut` wants them: True inside of each but at its first token."""
    position = np.flatnonzero(tokens.chain)
    uncut = np.zeros(len(tokens.ids), bool)
    cuts = sorted(draw(st.sets(st.integers(0, len(position)), max_size=8)))
    runs = [position[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    for run in runs:
        uncut[run[1:]] = True
    return uncut, runs


@pytest.mark.parametrize("unit", ["subword", "word"])
@PROPERTY
@given(text=ANY_TEXT | CLINICAL, config=SETTINGS, data=st.data())
def test_windows_of_any_text_are_sound(any_tokenizer, unit, text, config, data):
    tokens = tokenize(any_tokenizer, [text], unit)[0]
    n_special = sum(map(len, special_affixes(any_tokenizer)))
    uncut, mentions = data.draw(random_mentions(tokens))
    divided = windows(text, tokens, config, n_special, uncut)
    capacity = config.window_length - n_special
    core_of = np.full(len(tokens.ids), -1)
    for index, window in enumerate(divided):
        assert 0 <= window.start <= window.core_start < window.core_stop <= window.stop <= len(tokens.ids)
        assert window.stop - window.start <= capacity
        assert window.core_start - window.start <= config.context_size
        assert window.stop - window.core_stop <= config.context_size
        assert (core_of[window.core_start : window.core_stop] == -1).all()
        core_of[window.core_start : window.core_stop] = index
        room = min(config.context_size, capacity // 4)
        assert window.start == max(0, window.core_start - room)
        assert window.stop == min(len(tokens.ids), window.core_stop + room)
    assert (core_of[tokens.chain] >= 0).all()
    assert (np.diff(core_of[tokens.chain]) >= 0).all()
    longest = capacity - 2 * min(config.context_size, capacity // 4)
    for mention in mentions:
        is_cut = len(mention) and len(set(core_of[mention])) > 1
        assert not is_cut or mention[-1] - mention[0] + 1 > longest


@PROPERTY
@given(text=CLINICAL, config=SETTINGS)
def test_training_and_prediction_see_the_same_windows_where_there_are_no_mentions(tokenizer, text, config):
    tokens = tokenize(tokenizer, [text])[0]
    nothing = np.zeros(len(tokens.ids), bool)
    assert windows(text, tokens, config, 2) == windows(text, tokens, config, 2, nothing)


def test_a_text_that_fits_is_one_window(any_tokenizer):
    text = "La Dra. García pauta 3 mg. Después mejora."
    tokens = tokenize(any_tokenizer, [text])[0]
    n_tokens = len(tokens.ids)
    assert windows(text, tokens, settings_of(n_tokens + 2), 2) == [Window(0, 0, n_tokens, n_tokens)]
    assert len(windows(text, tokens, settings_of(n_tokens + 1), 2)) == 2


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "\ufeff"])
@pytest.mark.parametrize("segmentation", ["packed", "sentence"])
def test_a_text_without_chain_positions_has_no_window(any_tokenizer, text, segmentation):
    tokens = tokenize(any_tokenizer, [text])[0]
    assert windows(text, tokens, settings_of(segmentation=segmentation), 2) == []


def test_sentence_segmentation_gives_each_sentence_a_core(any_tokenizer):
    text = "La Dra. García pauta 3.5 mg. Después mejora.\nAlta: lunes\n\n1. Paciente estable."
    tokens = tokenize(any_tokenizer, [text])[0]
    divided = windows(text, tokens, settings_of(segmentation="sentence"), 2)
    position = [np.flatnonzero(tokens.chain[w.core_start : w.core_stop]) + w.core_start for w in divided]
    cores = [text[tokens.starts[core[0]] : tokens.ends[core[-1]]] for core in position]
    assert cores == ["La Dra. García pauta 3.5 mg.", "Después mejora.", "Alta: lunes", "1. Paciente estable."]


def test_a_long_sentence_is_cut_between_words(any_tokenizer):
    text = "hepatoesplenomegalia 3 esplenomegalia " * 30
    tokens = tokenize(any_tokenizer, [text])[0]
    divided = windows(text, tokens, settings_of(64, 8), 2)
    first = [int(tokens.starts[window.core_start]) for window in divided]
    assert len(divided) > 3
    assert all(start == 0 or text[start - 1] == " " for start in first)


def test_no_white_space_or_sentence_can_break_the_limit(any_tokenizer):
    for text in ("a" * 50_000, " " * 50_000 + "a", "½" * 3000, "dolor de cabeza " * 3000, "1.5 " * 10_000):
        tokens = tokenize(any_tokenizer, [text])[0]
        divided = windows(text, tokens, settings_of(), 2)
        assert all(window.stop - window.start <= 510 for window in divided)
        assert (
            sum(int(tokens.chain[window.core_start : window.core_stop].sum()) for window in divided)
            == tokens.chain.sum()
        )


def lengths_of(cuts, context) -> list[int]:
    pairs = zip(cuts, cuts[1:], strict=False)
    return [min(cuts[-1], stop + context) - max(0, start - context) for start, stop in pairs]


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.integers(1, 8), min_size=1, max_size=11),
    context=st.integers(0, 4),
    room=st.integers(0, 12),
)
def test_packed_windows_are_as_few_and_as_even_as_can_be(parts, context, room):
    cuts = [0, *np.cumsum(parts).tolist()]
    capacity = max(parts) + 2 * context + room
    choices = [
        [0, *inner, cuts[-1]]
        for count in range(len(cuts) - 1)
        for inner in combinations(cuts[1:-1], count)
        if max(lengths_of([0, *inner, cuts[-1]], context)) <= capacity
    ]
    fewest = min(map(len, choices))
    uneven = min(sum(n**2 for n in lengths_of(choice, context)) for choice in choices if len(choice) == fewest)
    packed = _pack(np.array(cuts), capacity, context)
    assert packed in choices and len(packed) == fewest
    assert sum(n**2 for n in lengths_of(packed, context)) == uneven
