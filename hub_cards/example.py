"""The example on a model's card: what the model predicts in a synthetic note."""

import re
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx import DocumentPredictor


N_MASKED_WORDS = 4
N_CANDIDATES = 3


class Candidate(NamedTuple):
    """A word that a masked language model expects, with its probability."""

    token: str
    probability: float


class MaskedWord(NamedTuple):
    """A line of a note with a word masked, that word, and the likeliest candidates for it, best first."""

    text: str
    word: str
    candidates: list[Candidate]


def find_entities(model: str | Path, note: str) -> list[dict]:
    """The entities that the model in a folder finds, as `pipeline("ner")` gives them."""
    predictor = DocumentPredictor(
        AutoModelForTokenClassification.from_pretrained(model),
        AutoTokenizer.from_pretrained(model),
    )
    (prediction,) = predictor([note])
    return [
        {"entity_group": span.label, "score": span.score, "word": note[span.start : span.end], "start": span.start}
        for span in prediction.rows()
    ]


def fill_masks(model: str | Path, note: str) -> list[MaskedWord]:
    """What the masked language model in a folder expects in place of some words, spread evenly over the note."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    language_model = AutoModelForMaskedLM.from_pretrained(model, dtype=torch.float32)
    words = list(re.finditer(r"[^\W\d_]{4,}", note)) if tokenizer.mask_token else []
    step = max(1, len(words) // N_MASKED_WORDS)
    masked_words = []
    for word in words[step - 1 :: step][:N_MASKED_WORDS]:
        masked = note[: word.start()] + tokenizer.mask_token + note[word.end() :]
        inputs = tokenizer(masked, return_tensors="pt", truncation=True)
        with torch.inference_mode():
            logits = language_model(**inputs).logits  # (1, T, vocabulary)
        best = logits[inputs["input_ids"] == tokenizer.mask_token_id][0].softmax(-1).topk(N_CANDIDATES)
        tokens = tokenizer.batch_decode(best.indices[:, None])
        candidates = [Candidate(t.strip(), p) for t, p in zip(tokens, best.values.tolist(), strict=True)]
        line = masked[masked.rfind("\n", 0, word.start()) + 1 :].partition("\n")[0]
        masked_words.append(MaskedWord(line, word[0], candidates))
    return masked_words
