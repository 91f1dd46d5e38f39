"""Text that two documents share, whatever else stands in them: runs of words, by their hashes."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np


RUN = 50  # words that no text shares with a note by chance (Lee et al. 2022 take 50 subwords)
PIECE = 2**16  # words of a text that are looked at together, so that a long one takes no more memory
ODD = 0x9E3779B97F4A7C15  # base of the polynomial hash: an odd number has an inverse among 64-bit ones
_WORD = re.compile(r"\w+")


class ExcludedNotes:
    """Notes that must not be learned from, as hashes of their runs of words (without case, signs and white space).

    A text shares text with a note if a run of 50 words stands in both, if it contains all words of a shorter note, or
    if it is itself shorter and stands in a note (which is known by its first and its last 1, 2, 4, … or 32 words, the
    longest that fit).
    """

    def __init__(self, notes: Iterable[str]):
        self.n_notes, wholes = 0, {RUN: []}
        parts = {length: [] for length in (1, 2, 4, 8, 16, 32)}
        for note in notes:
            self.n_notes += 1
            hashes = word_hashes(_WORD.findall(note.casefold()))
            length = min(len(hashes), RUN)
            wholes.setdefault(length, []).append(run_hashes(hashes, max(1, length)))
            for length, of_length in parts.items():
                of_length.append(run_hashes(hashes, length))
        self._wholes = {length: _sorted(hashes) for length, hashes in wholes.items() if length}
        self._parts = {length: _sorted(hashes) for length, hashes in parts.items()}

    def shares_text(self, text: str) -> bool:
        """Whether the text shares text with one of the notes."""
        n_words = 0
        for words in word_pieces(text, RUN - 1):
            hashes = word_hashes(words)
            n_words = max(n_words, len(hashes))
            if any(_is_in(wholes, run_hashes(hashes, length)).any() for length, wholes in self._wholes.items()):
                return True
        if not 0 < n_words < RUN:
            return False
        length = 1 << n_words.bit_length() - 1  # at least half of the text, so that two parts cover it
        return bool(_is_in(self._parts[length], run_hashes(hashes, length)[[0, -1]]).all())


def word_pieces(text: str, overlap: int) -> Iterator[list[str]]:
    """The words of a text without case, at most 65,536 at a time, after the last `overlap` ones before them."""
    matches, words = _WORD.finditer(text.casefold()), []
    while more := [*map(re.Match.group, islice(matches, PIECE))]:
        words = words[len(words) - overlap :] + more if words else more
        yield words


def word_hashes(words: list[str]) -> np.ndarray:
    """(W,) uint64, which mean something in this process only."""
    return np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)


def run_hashes(hashes: np.ndarray, length: int) -> np.ndarray:
    """(W - length + 1,) uint64 of all runs of `length` words, given (W,) of the words; none if they are fewer.

    A polynomial modulo 2^64: of its sums up to each word two are subtracted, and the difference is moved to power 0.
    """
    if len(hashes) < length:
        return np.empty(0, np.uint64)
    base = np.uint64(ODD)
    powers = np.concatenate([[np.uint64(1)], np.cumprod(np.full(len(hashes), base))])  # (W + 1,)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(hashes * powers[:-1])])
    inverse = np.uint64(pow(ODD, -1, 2**64))
    n_runs = len(hashes) - length + 1
    inverses = np.concatenate([[np.uint64(1)], np.cumprod(np.full(n_runs - 1, inverse))])  # (W - length + 1,)
    return (sums[length:] - sums[:n_runs]) * inverses


def _sorted(hashes: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)


def _is_in(ascending: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Which of the hashes are among the ascending ones."""
    if not len(ascending):
        return np.zeros(len(hashes), bool)
    return ascending[np.searchsorted(ascending, hashes).clip(max=len(ascending) - 1)] == hashes
