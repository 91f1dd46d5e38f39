"""From text to windows: tokens of the whole document, its sentences, and what the encoder sees of them."""

import re
import unicodedata
from itertools import groupby
from typing import NamedTuple

import numpy as np


_ABBREVIATIONS = frozenset(  # titles, addresses and terms after which a sentence goes on
    "dr dra drs dres sr sra sres srta d dª dña prof profa lic ldo lda dn sto sta mr mrs ms st jr pte ptes pac hnos "
    "avda avd av c c/ cra crta ctra carr pso pza pl col edf urb izq izqda dcha hosp univ dept gral "
    "aprox approx máx mín ej p.ej e.g i.e cf vs ca resp al et.al tto dx tx hx rx ac ee".split()
)
_BEFORE_NUMBER = frozenset(
    "no nº n núm num nums fig figs pág págs pag p pp vol art cap tel tfno tlf tfn ext km esc apto".split()
)
_STOP = re.compile(r"(?<![.!?…])([.!?…]+[\"'»”’)\]]*)(?=\s)[^\S\n]*|\n\s*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokens(NamedTuple):
    """The subwords of one document, without special tokens.

    The character ranges of chain positions are ascending, disjoint, not empty, and begin and end with no white space.
    """

    ids: np.ndarray  # (T,) int64
    starts: np.ndarray  # (T,) int64 first character; of a chain position, first that no earlier position covers
    ends: np.ndarray  # (T,) int64 character after the last
    chain: np.ndarray  # (T,) bool, whether a label stands here


class Window(NamedTuple):
    """Token ranges of one window: the core is labelled, the rest is context."""

    start: int
    core_start: int
    core_stop: int
    stop: int


def special_affixes(tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    if all(special):
        return ids, []
    return ids[: special.index(0)], ids[len(ids) - special[::-1].index(0) :]


def tokenize(tokenizer, texts: list[str], unit: str = "subword") -> list[Tokens]:
    """Tokenizes whole documents, with character offsets.

    Args:
        tokenizer: a fast tokenizer.
        texts: documents of any length; a lone surrogate counts as U+FFFD, so that offsets hold.
        unit: `subword`, or `word`: the first subword of each word (`\\w+`, or one other character) is in the chain
            and stands for the whole of it; a word that begins inside of another one's subword has none.

    Raises ValueError where the tokenizer is not a fast one, so that it knows no offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        kind = type(tokenizer).__name__
        raise ValueError(f"{kind} gives no character offsets: CLIN-X needs a fast tokenizer (with a tokenizer.json)")
    texts_without_surrogates = [_SURROGATE.sub("\ufffd", text) for text in texts]
    twin = _splitting_twin(tokenizer.backend_tokenizer)
    encoded = twin.encode_batch(texts_without_surrogates, add_special_tokens=False)
    return [
        _chain(text, np.array(of_text.ids, np.int64), np.array(of_text.offsets, np.int64).reshape(-1, 2), unit)
        for text, of_text in zip(texts, encoded, strict=True)
    ]


def _splitting_twin(backend):
    """A tokenizer of the same parts, which are shared, that takes the names of special tokens in a text for text.

    Whether it does is a switch of the whole tokenizer, so that other threads and its owner would see it turned.
    """
    twin, added = type(backend)(backend.model), backend.get_added_tokens_decoder()
    for part in ("normalizer", "pre_tokenizer", "post_processor"):
        setattr(twin, part, getattr(backend, part))
    for is_special, tokens in groupby((added[id] for id in sorted(added)), lambda token: token.special):
        (twin.add_special_tokens if is_special else twin.add_tokens)(list(tokens))
    if twin.get_added_tokens_decoder().keys() != added.keys():
        raise ValueError("the ids of the tokenizer's added tokens have gaps: save the tokenizer and load it again")
    twin.encode_special_tokens = True
    return twin


def _chain(text: str, ids: np.ndarray, offsets: np.ndarray, unit: str) -> Tokens:
    """Which of (T,) subwords are chain positions, and the characters of each, given (T, 2) offsets.

    A chain position covers at least one character that is neither white space nor covered by an earlier one. To a
    letter belong its combining marks, which a normalizer leaves out of the offsets where it composes both.
    """
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<U1")
    visible = ~np.char.isspace(characters) & (characters != "\ufeff")
    before = np.append(0, np.cumsum(visible))  # visible characters before each offset
    at = np.flatnonzero(visible)
    bases = np.flatnonzero([*(not unicodedata.combining(character) for character in text), True])
    first, stop = before[offsets[:, 0]], before[bases[np.searchsorted(bases, offsets[:, 1])]]
    first = np.maximum(first, np.append(0, np.maximum.accumulate(stop))[:-1])  # without what is covered already
    chain = stop > first
    starts, ends = offsets.T.copy()
    starts[chain], ends[chain] = at[first[chain]], at[stop[chain] - 1] + 1
    if unit == "word":
        in_word = np.char.isalnum(characters) | (characters == "_")  # \w of regular expressions
        goes_on = in_word[:-1] & in_word[1:]
        begins, stops = visible & ~np.append(False, goes_on), visible & ~np.append(goes_on, False)
        word = np.cumsum(begins)[starts[chain]] - 1
        leads = np.diff(word, prepend=-1) > 0
        chain[chain] = leads
        starts[chain], ends[chain] = np.flatnonzero(begins)[word[leads]], np.flatnonzero(stops)[word[leads]] + 1
    return Tokens(ids, starts, ends, chain)


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin: 0 and every boundary, ascending.

    A line ends a sentence unless it was wrapped in the middle of one (no final punctuation, and the very next line goes
    on in lower case). A full stop ends one before a capital, digit or opening mark, but not after an abbreviation, an
    initial, or the number of a list item.
    """
    starts = [0]
    for match in _STOP.finditer(text, len(text) - len(text.lstrip())):
        following = match.end()
        if following == len(text):
            break
        goes_on = text[following].islower()
        if match[1]:
            is_dot = match[1] == "."
            goes_on |= text[following] == "\n" or (is_dot and _is_no_sentence_end(text, match.start(), following))
        else:
            line = text[max(starts[-1], match.start() - 80) : match.start()].rstrip()
            goes_on &= match[0].count("\n") == 1 and line[-1:] not in ".!?…:;"
        if not goes_on:
            starts.append(following)
    return starts


def _is_no_sentence_end(text: str, dot: int, following: int) -> bool:
    """Whether the full stop at `dot` belongs to an abbreviation, an initial or a number of a list.

    `following` is the index of the first character after it and the white space of its line.
    """
    words = text[max(0, dot - 40) : dot].rpartition("\n")[2].split()
    if not words:
        return False
    word = words.pop().lstrip("([«\"'¿¡")
    if word.lower() in _ABBREVIATIONS or (word.lower() in _BEFORE_NUMBER and text[following].isdigit()):
        return True
    if all(len(part) == 1 and part.isalpha() for part in word.split(".")):  # initials; "p.m." is none
        return len(word) == 1 or word.isupper()
    return word.replace(".", "").isdigit() and not "".join(words).strip("-•*")


def windows(text: str, tokens: Tokens, config, n_special: int, uncut: np.ndarray | None = None) -> list[Window]:
    """Divides a document into windows: every chain position is in the core of exactly one.

    Args:
        config: gives `window_length`, `context_size` and `segmentation` (see `ClinXConfig`). With `packed`, as few
            windows as can be, their lengths balanced.
        n_special: special tokens that each window needs besides.
        uncut: (T,) bool, True at tokens before which no core may end (inside of a gold mention). A stretch of them
            longer than a core is cut all the same.
    """
    n_tokens, capacity = len(tokens.ids), config.window_length - n_special
    context = min(config.context_size, capacity // 4)
    uncut = np.zeros(n_tokens, bool) if uncut is None else uncut
    cuts = _cuts(text, tokens, capacity - 2 * context, uncut)
    if config.segmentation == "packed":
        cuts = _pack(np.array(cuts), capacity, context)
    return [
        Window(max(0, start - context), start, stop, min(n_tokens, stop + context))
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True)
        if tokens.chain[start:stop].any()
    ]


def _cuts(text: str, tokens: Tokens, longest: int, uncut: np.ndarray) -> list[int]:
    """Token indices, 0 and T among them, at most `longest` apart: sentence boundaries, and cuts in long sentences."""
    n_tokens = len(tokens.ids)
    begins, reach = (np.maximum.accumulate(np.where(tokens.chain, at, 0)) for at in (tokens.starts, tokens.ends))
    legal = tokens.chain & ~uncut
    wanted = np.unique(np.searchsorted(begins, sentence_starts(text)))
    wanted = wanted[(wanted > 0) & (wanted < n_tokens)]
    word_start = np.append(True, tokens.starts[1:] > reach[:-1])
    cuts = [0]
    for goal in [*wanted[legal[wanted]].tolist(), n_tokens]:
        while goal - cuts[-1] > longest:
            first = cuts[-1] + 1
            aim = cuts[-1] + -(-(goal - cuts[-1]) // -(-(goal - cuts[-1]) // longest))  # equal parts
            for good in (legal & word_start, legal):
                near = np.flatnonzero(good[first : cuts[-1] + longest + 1]) + first
                if len(near):
                    cuts.append(int(near[np.abs(near - aim).argmin()]))
                    break
            else:
                cuts.append(cuts[-1] + longest)
        cuts.append(goal)
    return cuts


def _pack(cuts: np.ndarray, capacity: int, context: int) -> list[int]:
    """Chooses among `cuts` the fewest windows that fit, and of those the most even, by dynamic programming."""
    n_tokens = cuts[-1]
    per_window = float(capacity) ** 2 * len(cuts)  # more than all squared lengths together
    best, origin = np.zeros(len(cuts)), np.zeros(len(cuts), np.int64)
    for j in range(1, len(cuts)):
        stop = min(n_tokens, cuts[j] + context)
        i = np.searchsorted(cuts, stop - capacity + context) if stop > capacity else 0
        lengths = stop - np.maximum(cuts[i:j] - context, 0)
        costs = best[i:j] + lengths.astype(float) ** 2 + per_window
        origin[j] = i + costs.argmin()
        best[j] = costs[origin[j] - i]
    chosen = [len(cuts) - 1]
    while chosen[-1]:
        chosen.append(int(origin[chosen[-1]]))
    return cuts[chosen[::-1]].tolist()
