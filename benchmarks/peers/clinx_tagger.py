"""CLIN-X itself: a recipe, `clinx finetune`, and `pipeline("ner")` on whole notes."""

from collections import Counter
from pathlib import Path

import yaml
from exchange import HEAD_LEARNING_RATE, LEARNING_RATE, Mention, labels_of, write_notes
from transformers import AutoTokenizer, pipeline

from clinx.cli import main as clinx
from clinx.corpora.alignment import align
from clinx.corpora.documents import Document, Entity


def train(notes, folder, settings):
    write_notes(notes, folder / "train.jsonl")
    recipe = {
        "encoder": settings.encoder,
        "train": str(folder / "train.jsonl"),
        "split_kind": "all",  # nothing is held out: all peers learn from all notes
        "num_train_epochs": settings.epochs,
        "learning_rate": LEARNING_RATE,
        "head_learning_rate": HEAD_LEARNING_RATE,
        "seed": settings.seed,
        "output_dir": str(folder / "run"),
    }
    Path(folder, "recipe.yaml").write_text(yaml.safe_dump(recipe))
    if clinx(["finetune", str(folder / "recipe.yaml")]):
        raise SystemExit("clinx finetune failed")


def load(folder, settings):
    ner = pipeline("ner", model=str(folder / "run" / "model"), trust_remote_code=True)

    def read(texts):
        return [[Mention(row["start"], row["end"], row["entity_group"]) for row in rows] for rows in ner(texts)]

    return read


def lost_mentions(notes, settings):
    tokenizer = AutoTokenizer.from_pretrained(settings.encoder)
    documents = [Document(note.id, note.text, [Entity(*mention) for mention in note.mentions]) for note in notes]
    aligned = align(documents, tokenizer, labels_of(notes))
    return Counter(inexact.reason for document in aligned for inexact in document.inexact)
