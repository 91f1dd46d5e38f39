"""Find the entities of many notes: BRAT or JSON Lines in and out, in flat memory, going on after an interruption."""

import argparse
import json
import os
from collections import deque
from itertools import chain, islice
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoTokenizer

from modeling_clinx import ClinXForTokenClassification
from modeling_clinx.prediction_clinx import DocumentPredictor

from .corpora import READERS, read_corpus
from .corpora.brat import write_brat
from .corpora.jsonl import json_line
from .documents import Document
from .errors import InputError
from .trainer import entities_of


def predict(
    model: str,
    source: str,
    output: str,
    format: str = "brat",
    source_format: str | None = None,
    batch_size: int = 16,
    device: str | None = None,
) -> int:
    """Writes predictions for the documents at `source`; returns how many were read this time.

    With `brat`: NAME.txt and NAME.ann of each document. With `jsonl`: `predictions.jsonl`, which is called
    `predictions.jsonl.partial` until it is complete. A document is written whole or not at all, and those that an
    interrupted call wrote are passed over. Memory does not grow with the number of documents.

    Raises:
        InputError: documents that cannot be read, or an output folder with predictions of another model or source.
    """
    folder = Path(output)
    documents = read_corpus(source, source_format, annotated=False)
    documents = chain([next(documents)], documents)  # a fault in the path or format shows before anything is written
    claim = {"model": str(model), "input": str(source), "format": format}
    claim_file = folder / ".clinx-predict.json"
    if claim_file.exists() and (before := json.loads(claim_file.read_text())) != claim:
        raise InputError(f"{folder} holds predictions of {before}: choose another --output, or remove that folder")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        network = ClinXForTokenClassification.from_pretrained(model).to(device)
        predictor = DocumentPredictor(network, AutoTokenizer.from_pretrained(model), batch_size)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the model {model}: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    claim_file.write_text(json.dumps(claim))

    if format == "brat":
        todo = (document for document in documents if not (folder / f"{document.id}.ann").exists())
        return _predict(todo, predictor, lambda document: write_brat(document, folder))
    complete, partial = folder / "predictions.jsonl", folder / "predictions.jsonl.partial"
    if complete.exists():
        return 0
    done = _whole_lines(partial)
    with open(partial, "ab") as file:
        count = _predict(islice(documents, done, None), predictor, lambda document: file.write(json_line(document)))
    os.replace(partial, complete)
    return count


def _predict(documents, predictor: DocumentPredictor, write) -> int:
    ahead: deque[Document] = deque()  # read by the predictor, not yet written

    def texts():
        for document in documents:
            ahead.append(document)
            yield document.text

    count = 0
    for found in tqdm(predictor(texts()), "Predicting", unit=" notes", disable=None):
        document = ahead.popleft()
        write(Document(document.id, document.text, entities_of(found)))
        count += 1
    return count


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
    parser.add_argument("--input-format", choices=sorted(READERS), help="guessed unless given")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the predictions")
    parser.add_argument("--format", choices=("brat", "jsonl"), default="brat", help="of the output (default: brat)")
    parser.add_argument("--batch-size", type=int, default=16, help="windows read at a time (default: 16)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: cuda if there is one)")
    args = parser.parse_args(argv)
    count = predict(args.model, args.input, args.output, args.format, args.input_format, args.batch_size, args.device)
    print(f"{count} notes read; predictions in {args.output}")
