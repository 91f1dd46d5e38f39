"""From texts to blocks of subwords, on the disk: what a pretraining run learns from, in any order and flat memory."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b, sha256
from heapq import heappush, heappushpop
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value

from modeling_clinx.windows_clinx import special_affixes, tokenize

from ..console import Progress
from ..errors import InputError
from ..writing import atomic_file, refuse_overlap, write_json
from .filters import TextFilter
from .recipe import PretrainingRecipe, TextSettings
from .seen import SeenTexts
from .texts import Text, read_texts, state_of


FORMAT = 2  # of what lies in the folder: to be raised when the same inputs give other blocks
FEATURES = Features({"input_ids": List(Value("int32")), "word_starts": List(Value("bool"))})
SPLITS = ("train", "validation")
LONGEST = 2**16  # characters of a text that are tokenized together: a subword takes some 100 bytes meanwhile
BATCH = 2**20  # characters that are tokenized at a time
ROWS = 4000  # blocks that are written at a time: of each such part, 64 KiB are in memory as soon as a file is opened


class Blocks(NamedTuple):
    """What a run learns from.

    Attributes:
        train, validation: rows `input_ids` (L,) int32, with the tokenizer's special tokens at both ends, and
            `word_starts` (L,) bool, True at the first subword of each word (letters and digits one after another, or
            any other character that is no white space); all else, special tokens too, is False.
        report: counts of documents, subwords (without special tokens) and blocks, how full blocks are on average
            (`mean_fill`, of `block_length`), and `examples` of what was left out.
        digest: tells these blocks from any others.
    """

    train: Dataset
    validation: Dataset
    report: dict
    digest: str


def prepare_blocks(
    recipe: PretrainingRecipe, tokenizer, folder: Path, check: Callable[[str], object] | None = None
) -> Blocks:
    """Reads, filters and tokenizes the recipe's texts, and writes them into `folder` as memory-mapped Arrow files.

    Blocks that lie there already are used again if they were made from the same: settings, tokenizer, files (by path,
    size and time of their last change) and commits of datasets on the Hub. One process should call this at a time.

    A document is cut into consecutive blocks of `block_length` subwords, of which the last is shorter. With
    `cross_documents`, the documents of a split follow one another without anything between, and only the last block of
    all is shorter. Special tokens stand at the ends of blocks and nowhere else: their names in a text are text. What
    is longer than 65,536 characters is tokenized in parts, which begin at white space where there is some.

    Memory does not grow with the texts. Filters take 0.9 KB a document of `folder`'s disk meanwhile.

    Where `validation` names no texts, the held-out documents are those with the lowest digests of seed, id and text,
    wherever they stand in the corpus. Texts of `validation` are read first, so that copies of them are left out of the
    training; where they are too many, those with the lowest digests are used.

    What `check` raises for the digest of new blocks leaves those that are there as they were.

    Raises InputError where texts cannot be read, where fewer than two documents are left, for a folder in the way, and
    where the disk is too full for what filters keep there.
    """
    for path in (*recipe.train, *(recipe.validation or ()), *(recipe.exclude or ())):
        refuse_overlap(path, folder)
    inputs = _digest_of_inputs(recipe, tokenizer)
    if blocks := _read(folder, inputs):
        print(f"using the blocks in {folder} again: texts, settings and tokenizer are the same", file=sys.stderr)
        return blocks
    capacity = recipe.block_length - sum(map(len, special_affixes(tokenizer)))
    if capacity < 1:
        raise InputError(f"block_length is {recipe.block_length}, which special tokens fill: make it larger")
    with ExitStack() as files:
        texts = TextFilter(recipe, files.enter_context(SeenTexts.opened(folder / ".seen.sqlite")))
        packers = {}
        for split in SPLITS:
            file = files.enter_context(atomic_file(folder / f"{split}.arrow"))
            packers[split] = _Packer(file, tokenizer, recipe, capacity)
        with ExitStack() as blocks:
            counts = _pack(recipe, texts, {split: blocks.enter_context(packers[split]) for split in SPLITS})
        digest = sha256("".join(packers[split].digest for split in SPLITS).encode()).hexdigest()
        if check:
            check(digest)
        (folder / "blocks.json").unlink(missing_ok=True)
    report = texts.report.as_dict() | counts
    for split, packer in packers.items():
        report |= {f"{split}_{name}": count for name, count in packer.counts().items()}
    written = {
        "inputs": inputs,
        "digest": digest,
        "sizes": _sizes(folder),
        "report": report,
    }
    write_json(folder / "blocks.json", written)
    print(*texts.report.lines(), sep="\n", file=sys.stderr)
    return _read(folder, inputs)


def _read(folder: Path, inputs: str) -> Blocks | None:
    """The blocks in a folder, if they are whole and were made from these inputs."""
    try:
        written = json.loads((folder / "blocks.json").read_text(encoding="utf-8"))
        if (written["inputs"], written["sizes"]) != (inputs, _sizes(folder)):
            return None
    except (OSError, ValueError, KeyError):
        return None
    train, validation = (Dataset.from_file(str(folder / f"{split}.arrow")) for split in SPLITS)
    return Blocks(train, validation, written["report"], written["digest"])


def _sizes(folder: Path) -> dict[str, int]:
    return {split: (folder / f"{split}.arrow").stat().st_size for split in SPLITS}


def _digest_of_inputs(recipe: PretrainingRecipe, tokenizer) -> str:
    """SHA-256 of all on which blocks depend: files by path, size and time, since reading them takes as long."""
    names = (*TextSettings.__dataclass_fields__, "block_length", "cross_documents", "seed")
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= dict.fromkeys(("truncation", "padding"))  # of whoever used it last
    paths = (*recipe.train, *(recipe.validation or ()), *(recipe.exclude or ()))
    content = {
        "format": FORMAT,
        "settings": {name: getattr(recipe, name) for name in names},
        "tokenizer": [backend, special_affixes(tokenizer)],
        "sources": [state_of(path) for path in paths],
    }
    return sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def _pack(recipe: PretrainingRecipe, filter: TextFilter, packers: dict[str, "_Packer"]) -> dict[str, int]:
    """Gives every document to the packer of its split; the numbers of documents."""
    key = order(recipe.seed)
    progress = Progress("Preparing blocks", "documents")
    counts = {}
    held_out = Lowest(recipe.max_validation_documents, key)
    if recipe.validation:
        for text in filter.through(progress.through(read_texts(recipe.validation, recipe.text_column))):
            held_out.push(text)
        counts["validation_documents"] = packers["validation"].add_all(held_out.texts())
    train = filter.through(progress.through(read_texts(recipe.train, recipe.text_column)))
    train = islice(train, recipe.max_train_documents)
    if recipe.validation:
        counts["train_documents"] = packers["train"].add_all(train)
    else:
        counts["train_documents"] = packers["train"].add_all(held_out.others(train))
        n_held_out = max(1, round(recipe.validation_fraction * (counts["train_documents"] + len(held_out))))
        texts = held_out.texts()
        counts["validation_documents"] = packers["validation"].add_all(texts[:n_held_out])
        counts["train_documents"] += packers["train"].add_all(texts[n_held_out:])
    if not all(counts.values()):
        lines = "\n".join(filter.report.lines())
        raise InputError(f"the texts leave nothing to learn from, or nothing to hold out; give more texts:\n{lines}")
    return counts


def order(seed: object) -> Callable[[Text], int]:
    """What orders texts by chance, but each always alike."""

    def key(text: Text) -> int:
        return int.from_bytes(blake2b("\0".join(text).encode(), digest_size=16, key=str(seed).encode()).digest())

    return key


class Lowest:
    """Those `n` of many texts whose keys are the lowest."""

    def __init__(self, n: int, key: Callable[[Text], int]):
        self._n, self._key = n, key
        self._heap: list[tuple[int, Text]] = []  # by negative keys, so that the highest key is on top

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, text: Text) -> Text | None:
        """Adds a text, and returns the one that is no longer among them."""
        item = (-self._key(text), text)
        if len(self._heap) < self._n:
            heappush(self._heap, item)
            return None
        return heappushpop(self._heap, item)[1]

    def others(self, texts: Iterable[Text]) -> Iterator[Text]:
        """Adds the texts, and yields all that are not among them."""
        for text in texts:
            if (other := self.push(text)) is not None:
                yield other

    def texts(self) -> list[Text]:
        """In ascending order of their keys."""
        return [text for _, text in sorted(self._heap, reverse=True)]


class _Packer:
    """Writes the blocks of documents to a file, in the stream format of Arrow."""

    def __init__(self, file, tokenizer, recipe: PretrainingRecipe, capacity: int):
        self._tokenizer, self._capacity, self._crosses = tokenizer, capacity, recipe.cross_documents
        self._block_length = recipe.block_length
        self._prefix, self._suffix = (np.array(ids, np.int32) for ids in special_affixes(tokenizer))
        self._writer = pa.ipc.new_stream(file, FEATURES.arrow_schema)
        self._ids, self._starts = np.empty(0, np.int32), np.empty(0, bool)  # not yet in a block
        self._rows: list[tuple[np.ndarray, np.ndarray]] = []
        self._digest, self._subwords, self._blocks, self._length = sha256(), 0, 0, 0

    def __enter__(self) -> "_Packer":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            self._fill(is_end=True)
            self._flush()
        self._writer.close()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def counts(self) -> dict[str, int | float]:
        fill = self._length / (self._blocks * self._block_length) if self._blocks else 0.0
        return {"subwords": self._subwords, "blocks": self._blocks, "mean_fill": round(fill, 4)}

    def add_all(self, texts: Iterable[Text]) -> int:
        """Adds documents, and returns how many they are."""
        pieces, size, n_texts = [], 0, 0
        for text in texts:
            n_texts += 1
            for piece, is_last in text_pieces(text.text):
                pieces.append((piece, is_last))
                size += len(piece)
                if size >= BATCH:
                    self._add(pieces)
                    pieces, size = [], 0
        self._add(pieces)
        return n_texts

    def _add(self, pieces: list[tuple[str, bool]]) -> None:
        tokens = tokenize(self._tokenizer, [piece for piece, _ in pieces], unit="word")
        for (_, is_last), piece in zip(pieces, tokens, strict=True):
            self._subwords += len(piece.ids)
            self._ids = np.concatenate([self._ids, piece.ids.astype(np.int32)])
            self._starts = np.concatenate([self._starts, piece.chain])
            self._fill(is_end=is_last and not self._crosses)

    def _fill(self, is_end: bool) -> None:
        """Makes blocks of what is there, the last of which may be shorter only at an end."""
        n_ids = len(self._ids)
        stop = n_ids if is_end else n_ids - n_ids % self._capacity
        before, after = (np.zeros(len(affix), bool) for affix in (self._prefix, self._suffix))
        for start in range(0, stop, self._capacity):
            part = slice(start, min(start + self._capacity, stop))
            ids = np.concatenate([self._prefix, self._ids[part], self._suffix])  # (L,)
            self._rows.append((ids, np.concatenate([before, self._starts[part], after])))
        self._ids, self._starts = self._ids[stop:], self._starts[stop:]
        if len(self._rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        offsets = np.cumsum([0, *(len(ids) for ids, _ in self._rows)], dtype=np.int32)
        columns = [np.concatenate(column) for column in zip(*self._rows, strict=True)]
        for column in (offsets, *columns):
            self._digest.update(column)
        arrays = [pa.ListArray.from_arrays(pa.array(offsets), pa.array(column)) for column in columns]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=FEATURES.arrow_schema))
        self._blocks, self._length, self._rows = self._blocks + len(self._rows), self._length + int(offsets[-1]), []


def text_pieces(text: str) -> Iterator[tuple[str, bool]]:
    """A text in parts of at most 65,536 characters, each with whether it is the last; they begin before a space or line
    end where there is one."""
    start = 0
    while len(text) - start > LONGEST:
        stop = start + LONGEST
        cut = max(text.rfind(space, start + 1, stop) for space in " \n")
        cut = cut if cut > start else stop
        yield text[start:cut], False
        start = cut
    yield text[start:], True
