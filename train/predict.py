"""Find the entities of many notes: BRAT or JSON Lines in and out, in flat memory, going on after an interruption."""

import argparse
import json
import os
from collections import deque
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification
from modeling_clinx.prediction_clinx import DocumentPredictor

from .corpora import FORMATS, read_corpus
from .corpora.brat import write_brat
from .corpora.jsonl import json_line
from .documents import Document, atomic_file, without_surrogates
from .errors import InputError
from .trainer import entities_of


RANKING = ("disagreement", "mentions", "disputed mentions", "document")


def predict(
    model: str,
    source: str,
    output: str,
    format: str = "brat",
    source_format: str | None = None,
    batch_size: int = 16,
    device: str | None = None,
    disagreement: bool = False,
    max_members_in_memory: int | None = None,
) -> int:
    """Writes predictions for the documents at `source`; returns how many were read this time.

    With `brat`: NAME.txt and NAME.ann of each document. With `jsonl`: `predictions.jsonl`, which is called
    `predictions.jsonl.partial` until it is complete. A document is written whole or not at all, and those that an
    interrupted call wrote are passed over. Memory does not grow with the number of documents, but for their ranking.

    Args:
        disagreement: also write `disagreement.tsv`: the documents by how much an ensemble's members disagree on them,
            as the entropy of their votes, mean over subwords (Settles & Craven 2008, section 3.2), the highest first.
        max_members_in_memory: of an ensemble; the others are read from disk whenever they are needed.

    Raises:
        InputError: documents or a model that cannot be read, an output folder with predictions of another model or
            source, or disagreement asked of a single model.
    """
    folder = Path(output)
    documents = read_corpus(source, source_format, annotated=False)
    documents = chain([next(documents)], documents)  # a fault in the path or format shows before anything is written
    claim = {"model": str(model), "input": str(source), "format": format}
    claim |= {"disagreement": True} if disagreement else {}
    claim_file = folder / ".clinx-predict.json"
    if claim_file.exists() and (before := json.loads(claim_file.read_text())) != claim:
        raise InputError(f"{folder} holds predictions of {before}: choose another --output, or remove that folder")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if max_members_in_memory is None:
            network = AutoModelForTokenClassification.from_pretrained(model).to(device)
        elif hasattr(AutoConfig.from_pretrained(model), "members"):
            placed = {"max_members_in_memory": max_members_in_memory, "device_map": device}
            network = AutoModelForTokenClassification.from_pretrained(model, **placed)
        else:
            raise InputError(f"{model} is a single model: max-members-in-memory is about an ensemble")
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the model {model}: {error}") from error
    if not isinstance(network, (ClinXForTokenClassification, ClinXEnsembleForTokenClassification)):
        raise InputError(f"{model} is a {type(network).__name__}, expected a model or an ensemble of CLIN-X")
    if disagreement and network.config.vote is None:
        raise InputError(f"{model} is a single model, which agrees with itself: disagreement needs an ensemble")
    predictor = DocumentPredictor(network, tokenizer, batch_size)
    folder.mkdir(parents=True, exist_ok=True)
    claim_file.write_text(json.dumps(claim))

    complete, partial = folder / "predictions.jsonl", folder / "predictions.jsonl.partial"
    if complete.exists():
        return 0
    count, ranks = 0, folder / "disagreement.tsv.partial"
    with ExitStack() as files:
        if format == "brat":
            documents = (document for document in documents if not (folder / f"{document.id}.ann").exists())
        else:
            documents = islice(documents, _whole_lines(partial), None)
            lines = files.enter_context(open(partial, "ab"))
        if disagreement:
            _whole_lines(ranks)  # removes one that was cut off
        ranking = files.enter_context(open(ranks, "a", encoding="utf-8", buffering=1)) if disagreement else None
        for document, found in _predict(documents, predictor):
            if ranking:  # before the document, so that none is left out after an interruption
                print(*_rank(document, found), sep="\t", file=ranking)
            if format == "brat":
                write_brat(document, folder)
            else:
                lines.write(json_line(document))
            count += 1
    if disagreement:
        _sort(ranks, folder / "disagreement.tsv")
    if format == "jsonl":
        os.replace(partial, complete)
    return count


def _predict(documents, predictor: DocumentPredictor):
    ahead: deque[Document] = deque()  # read by the predictor, not yet written

    def texts():
        for document in documents:
            ahead.append(document)
            yield document.text

    for found in tqdm(predictor(texts()), "Predicting", unit=" notes", disable=None):
        document = ahead.popleft()
        yield Document(document.id, document.text, entities_of(found)), found


def _rank(document: Document, found) -> tuple:
    """A row of `disagreement.tsv`, whose columns are RANKING."""
    disputed = int((found.agreement < 1).sum())
    name = json.dumps(without_surrogates(document.id), ensure_ascii=False)[1:-1]  # no tab, no line end
    return f"{found.disagreement:.6f}", len(document.entities), disputed, name


def _sort(partial: Path, ranking: Path) -> None:
    """Puts the rows in order and in their place, and adds those to it that it holds already."""
    known = ranking.read_text(encoding="utf-8").split("\n")[1:] if ranking.exists() else []
    rows = [line.split("\t") for line in [*known, *partial.read_text(encoding="utf-8").split("\n")]]
    rows = {row[-1]: row for row in rows if len(row) == len(RANKING)}.values()
    with atomic_file(ranking) as file:
        for row in (RANKING, *sorted(rows, key=lambda row: (-float(row[0]), row[-1]))):
            file.write("\t".join(row).encode() + b"\n")
    partial.unlink()


def _whole_lines(path: Path) -> int:
    """The number of complete lines of a file; a line that was cut off is removed from it."""
    if not path.exists():
        return 0
    count = size = 0
    with open(path, "rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, size = count + 1, size + len(line)
        file.truncate(size)
    return count


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx predict", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="M", help="folder or Hub name of a CLIN-X model repo")
    parser.add_argument("--input", required=True, metavar="PATH", help="notes: a folder of .txt, or JSON Lines")
    parser.add_argument("--input-format", choices=sorted(FORMATS), help="guessed unless given")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the predictions")
    parser.add_argument("--format", choices=("brat", "jsonl"), default="brat", help="of the output (default: brat)")
    parser.add_argument("--batch-size", type=int, default=16, help="windows read at a time (default: 16)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: cuda if there is one)")
    parser.add_argument(
        "--disagreement",
        action="store_true",
        help="rank the notes by how much an ensemble's members disagree, in disagreement.tsv: those to annotate next",
    )
    parser.add_argument(
        "--max-members-in-memory", type=int, metavar="N", help="of an ensemble; the others stay on disk, and are slower"
    )
    args = parser.parse_args(argv)
    count = predict(
        args.model,
        args.input,
        args.output,
        args.format,
        args.input_format,
        args.batch_size,
        args.device,
        args.disagreement,
        args.max_members_in_memory,
    )
    print(f"{count} notes read; predictions in {args.output}")
    if args.disagreement:
        print(f"what to annotate next, first to last: {Path(args.output, 'disagreement.tsv')}")
