"""Find the entities of many notes in flat memory, going on after an interruption."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor

from ..corpora import read_corpus
from ..corpora.documents import Document
from ..errors import InputError
from ..scoring.evaluation import predict_documents
from .disagreement import DisagreementRanking
from .writers import WRITERS, Writer


def predict(
    model: str,
    source: str,
    output: str,
    format: str = "brat",
    *,
    source_format: str | None = None,
    exclude: Sequence[str] = (),
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
        exclude: patterns of files that are left out, see `Reading`.
        batch_size: windows that the encoder reads at a time.
        disagreement: also write `disagreement.tsv`, see `DisagreementRanking`.
        max_members_in_memory: of an ensemble; the others are read from disk whenever they are needed.

    Raises InputError for documents or a model that cannot be read, an output folder with predictions of another model
    or source, and disagreement asked of a single model.
    """
    folder = Path(output)
    documents = read_corpus(source, source_format, annotated=False, exclude=exclude)
    documents = chain([next(documents)], documents)  # a fault in the path or format shows before anything is written
    claim = {"model": str(model), "input": str(source), "format": format}
    claim |= {"disagreement": True} if disagreement else {}
    claim_file = folder / ".clinx-predict.json"
    if claim_file.exists() and (before := json.loads(claim_file.read_text())) != claim:
        raise InputError(f"{folder} holds predictions of {before}: choose another --output, or remove that folder")
    predictor = load_predictor(model, batch_size, device, max_members_in_memory)
    if disagreement and predictor.model.config.vote is None:
        raise InputError(f"{model} is a single model, which agrees with itself: disagreement needs an ensemble")
    folder.mkdir(parents=True, exist_ok=True)
    claim_file.write_text(json.dumps(claim))
    if (folder / "predictions.jsonl").exists():
        return 0
    ranking = DisagreementRanking(folder) if disagreement else None
    return write_predictions(documents, predictor, WRITERS[format](folder), ranking)


def load_predictor(
    model: str, batch_size: int = 16, device: str | None = None, max_members_in_memory: int | None = None
) -> DocumentPredictor:
    """The predictor of a model repo, on the device; raises InputError for what is no model of CLIN-X."""
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
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the model {model}: {error}") from error
    if not isinstance(network, (ClinXForTokenClassification, ClinXEnsembleForTokenClassification)):
        raise InputError(f"{model} is a {type(network).__name__}, expected a model or an ensemble of CLIN-X")
    return DocumentPredictor(network, tokenizer, batch_size)


def write_predictions(
    documents: Iterable[Document],
    predictor: DocumentPredictor,
    writer: Writer,
    ranking: DisagreementRanking | None = None,
) -> int:
    """Reads and writes the documents that are not done yet; returns how many."""
    count, complete = 0, False
    todo = (document for number, document in enumerate(documents) if not writer.is_done(number, document))
    try:
        for document, prediction in predict_documents(todo, predictor):
            if ranking:  # before the document, so that none is left out after an interruption
                ranking.add(document, prediction)
            writer.write(document)
            count += 1
        complete = True
    finally:
        writer.close(complete)
        if ranking:
            ranking.close(complete)
    return count
