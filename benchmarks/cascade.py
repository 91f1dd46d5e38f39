"""A cascade, one member and other single models beside the whole ensemble: strict F1, agreement, and time.

    python benchmarks/cascade.py --model RUN/model --singles RUN/member-1/model RUN/soup --gold NOTES

On annotated notes that no member has seen. In the cascade the first member reads everything, and the others only the
sentences of which it is not sure, with a little context. Agreement is the F1 of the mentions beside those of the
ensemble. Time is that of one member, the first of `--singles`; the sides take turns.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from report import arguments, finish, interleaved

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.prediction.loading import Computing, load_predictor
from clinx.scoring.evaluation import entities_of
from clinx.scoring.scores import score
from clinx.scoring.significance import compare
from modeling_clinx import DocumentPredictor
from modeling_clinx.decoding_clinx import MemberDecodings
from modeling_clinx.prediction_clinx import MAX_POSITIONS_TO_DECODE, Prediction, padded_batches
from modeling_clinx.windows_clinx import Tokens, sentence_starts, tokenize


CONTEXT = 25  # subwords that the others read on each side of the sentences
ARRAYS = ("starts", "ends", "scores", "positions", "agreement")  # of a `Prediction`


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--model", required=True, metavar="DIR", help="an ensemble")
    parser.add_argument("--singles", required=True, nargs="+", metavar="DIR", help="single models, its member 1 first")
    parser.add_argument("--gold", required=True, metavar="PATH", help="annotated notes that no member has seen")
    parser.add_argument("--notes", type=int, default=100, help="the first N of them")
    parser.add_argument("--cascade", type=float, nargs="+", default=[0.5, 0.7, 0.8, 0.9], metavar="P")
    args = parser.parse_args()

    gold = list(islice(read_corpus(args.gold), args.notes))
    texts = [document.text for document in gold]
    predictors = {name_of(Path(path)): load_predictor(path, Computing()) for path in args.singles}
    one = next(iter(predictors))
    ensemble = load_predictor(args.model, Computing())
    parts = (ensemble.model, ensemble.tokenizer, ensemble.batch_size)
    predictors |= {f"cascade {p:g}": CascadePredictor(*parts, p) for p in args.cascade} | {"ensemble": ensemble}
    found: dict[str, list[Document]] = {}

    def read(name: str) -> None:
        found[name] = [
            Document(document.id, document.text, entities_of(prediction))
            for document, prediction in zip(gold, predictors[name](texts), strict=True)
        ]

    seconds = interleaved({name: lambda name=name: read(name) for name in predictors}, args.repeats)
    result, rows = {}, []
    for name, documents in found.items():
        result[name] = {
            "f1": score(gold, documents)["f1"],
            "agreement": score(found["ensemble"], documents)["f1"],
            "times_one_model": seconds[name] / seconds[one],
        }
        cells = "F1 {f1:.2%}, agreement {agreement:.2%}, {times_one_model:.2f} times one model".format(**result[name])
        if name != "ensemble":
            result[name] |= compare(gold, documents, found["ensemble"])
            low, high = (100 * bound for bound in result[name]["interval"])
            cells += f", {100 * result[name]['difference']:+.2f} [{low:+.2f}, {high:+.2f}] beside the ensemble"
        rows.append((name, cells))
    finish("cascade", {"notes": len(gold), "sides": result}, rows, args.out)


def name_of(model: Path) -> str:
    """`member-1` of RUN/member-1/model, `soup` of RUN/soup."""
    return model.parent.name if model.name == "model" else model.name


class Excerpt(NamedTuple):
    """Neighbouring sentences of a document, with context on both sides."""

    document: int
    sentences: slice  # of the document's chain positions
    positions: slice  # with those of the context
    offset: int  # of the first character
    first: int  # of the subwords
    text: str
    tokens: Tokens


class CascadePredictor(DocumentPredictor):
    """Reads documents as a `DocumentPredictor`, faster than all members of an ensemble, and not as well.

    The first member reads every document. Sentences in which one of its labels has a posterior probability below
    `confidence` are read by the others too, with a little context, and all members vote on them. Of what the first
    member alone has read, scores are its own and agreement is 1; disagreement is not known, and always 0.

    Args besides those of `DocumentPredictor`:
        confidence: 0 to 1; the higher it is, the more is read by all.
    """

    def __init__(self, model, tokenizer, batch_size: int = 16, confidence: float = 0.8):
        super().__init__(model, tokenizer, batch_size)
        self.confidence = confidence
        self.first, self.others = (DocumentPredictor(model, tokenizer, batch_size) for _ in range(2))
        self.first.members, self.others.members = self.members[:1], self.members[1:]

    def _predict(self, texts: list[str], subwords: bool) -> list[Prediction]:
        self.model.eval()
        with torch.inference_mode():
            documents = tokenize(self.tokenizer, texts, self.model.config.unit)
            emissions = self.first.compute_emissions(texts, documents)
            alone, probabilities = self._read_by_first(documents, emissions)
            excerpts = [
                excerpt
                for i, of_document in enumerate(zip(texts, documents, probabilities, strict=True))
                for excerpt in excerpts_of(i, *of_document, self.confidence)
            ]
            by_all = self._read_by_all(excerpts, emissions[0])
        of_document = [[] for _ in documents]
        for excerpt, prediction in zip(excerpts, by_all, strict=True):
            of_document[excerpt.document].append((excerpt, prediction))
        return [merged(*columns) for columns in zip(documents, alone, of_document, strict=True)]

    def _read_by_first(self, documents: list[Tokens], emissions) -> tuple[list[Prediction], list[np.ndarray]]:
        """What the first member finds, and the posterior probability of its label at every chain position."""
        alone, probabilities = [self._no_spans() for _ in documents], [np.zeros(0) for _ in documents]
        for group, decodings in self._decodings(documents, emissions, self.first.members):
            path = decodings.joint_path(None)
            positions = decodings.labelled_positions(path).by_document(len(group))
            found = self._decode(decodings, [documents[i] for i in group], subwords=False)
            for i, prediction, of_document in zip(group, found, positions, strict=True):
                alone[i], probabilities[i] = prediction, of_document.scores
        return alone, probabilities

    def _read_by_all(self, excerpts: list[Excerpt], of_first: list[torch.Tensor]) -> list[Prediction]:
        """What all members find in excerpts, given the first one's emissions of each document."""
        tokens = [excerpt.tokens for excerpt in excerpts]
        by_others = self.others.compute_emissions([excerpt.text for excerpt in excerpts], tokens) if excerpts else []
        by_first = [of_first[excerpt.document][excerpt.positions] for excerpt in excerpts]
        found = [self._no_spans() for _ in excerpts]
        for group, decodings in self._decodings(tokens, [by_first, *by_others], self.members):
            of_group = self._decode(decodings, [tokens[i] for i in group], subwords=False)
            for i, prediction in zip(group, of_group, strict=True):
                found[i] = prediction
        return found

    def _decodings(self, documents: list[Tokens], emissions, members) -> Iterator[tuple[np.ndarray, MemberDecodings]]:
        """Yields which documents, and what members make of them, given their emissions by member and document."""
        lengths = np.array([int(tokens.chain.sum()) for tokens in documents], dtype=np.int64)
        for group in padded_batches(lengths, MAX_POSITIONS_TO_DECODE):
            padded = [
                torch.nn.utils.rnn.pad_sequence([by_document[i] for i in group], True) for by_document in emissions
            ]
            yield group, MemberDecodings([member.crf for member in members], padded, lengths[group])


def excerpts_of(
    document: int, text: str, tokens: Tokens, probabilities: np.ndarray, confidence: float
) -> Iterator[Excerpt]:
    """The sentences with a label of less than `confidence`, neighbours as one.

    Args:
        document: number of the document.
        tokens: its subwords, with n chain positions.
        probabilities: (n,) of the label at each chain position.
    """
    at = np.flatnonzero(tokens.chain)  # (n,) subwords
    borders = np.searchsorted(tokens.starts[at], sentence_starts(text))
    borders = np.unique(np.append(borders, [0, len(at)]))
    starts, stops = borders[:-1], borders[1:]
    unsure = [probabilities[start:stop].min() < confidence for start, stop in zip(starts, stops, strict=True)]
    changes = np.flatnonzero(np.diff(unsure, prepend=False, append=False))  # where runs of unsure sentences begin, end
    for begin, end in changes.reshape(-1, 2):
        start, stop = int(starts[begin]), int(stops[end - 1])
        first, last = max(0, at[start] - CONTEXT), min(len(tokens.ids), at[stop - 1] + 1 + CONTEXT)
        positions = slice(*np.searchsorted(at, (first, last)).tolist())
        ids, begins, ends, chain = (column[first:last] for column in tokens)
        offset = int(begins.min())
        part = Tokens(ids, begins - offset, ends - offset, chain)
        excerpt = text[offset : int(ends.max())]
        yield Excerpt(document, slice(start, stop), positions, offset, int(first), excerpt, part)


def merged(tokens: Tokens, alone: Prediction, by_all: list[tuple[Excerpt, Prediction]]) -> Prediction:
    """A document's entities: those of all members in the excerpts, and those of the first member that touch none."""
    if not by_all:
        return alone
    at = np.flatnonzero(tokens.chain)
    begins_there, is_taken = (np.zeros(int(tokens.ends.max()) + 1, bool) for _ in range(2))  # by character
    parts = []
    for excerpt, part in by_all:
        first, last = at[excerpt.sentences][[0, -1]]
        start, stop = tokens.starts[first], tokens.ends[last]
        begins_there[start:stop] = True
        places = {"starts": part.starts + excerpt.offset, "ends": part.ends + excerpt.offset}
        part = part._replace(**places, positions=part.positions + excerpt.first)
        part = _rows(part, np.flatnonzero((part.starts >= start) & (part.starts < stop)))
        for start, end in zip(part.starts, part.ends, strict=True):
            is_taken[start:end] = True
        parts.append(part)
    overlaps = [is_taken[start:end].any() for start, end in zip(alone.starts, alone.ends, strict=True)]
    parts.append(_rows(alone, np.flatnonzero(~(begins_there[alone.starts] | np.array(overlaps, bool)))))
    labels = [label for part in parts for label in part.labels]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    both = Prediction(**columns, labels=labels, disagreement=0.0)
    return _rows(both, np.argsort(both.starts, kind="stable"))


def _rows(prediction: Prediction, rows: np.ndarray) -> Prediction:
    """Some rows of a prediction, in this order."""
    arrays = {name: getattr(prediction, name)[rows] for name in ARRAYS}
    return prediction._replace(**arrays, labels=[prediction.labels[row] for row in rows])


if __name__ == "__main__":
    main()
