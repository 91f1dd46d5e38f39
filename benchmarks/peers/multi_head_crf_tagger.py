"""A CRF for every entity type over one encoder, as Almeida et al. (2024) describe it in "Multi-head CRF classifier for
biomedical multi-class named entity recognition on Spanish clinical notes"; their code is no package, so this is new.

Labels are BIO on subwords. A note longer than 512 subwords is read in windows with 32 subwords of context on each side,
whose labels count in neither loss nor prediction; sentences play no part. Each head has one dense layer before its
emissions. Their augmentation, which replaces words at random, is left out, as no other peer has any.
"""

import json
from collections import Counter
from pathlib import Path

import torch
from exchange import LEARNING_RATE, labels_of
from safetensors.torch import load_model, save_model
from sentences import Span, Word, bio_tags, mentions_of, spans_by_sentence, spans_of_bio
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torchcrf import CRF
from transformers import AutoConfig, AutoModel, AutoTokenizer, Trainer, TrainingArguments, set_seed


WINDOW, CONTEXT = 512, 32  # subwords
TAGS = {"O": 0, "B": 1, "I": 2}
WINDOWS_OF_AN_UPDATE = 1  # holds about as many sentences as the batches of the other peers


class MultiHeadCRF(nn.Module):
    """One encoder, and for each of K entity types a dense layer, emissions of O, B and I, and a CRF."""

    def __init__(self, encoder, n_types):
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Dropout(0.1), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 3))
            for _ in range(n_types)
        )
        self.crfs = nn.ModuleList(CRF(3, batch_first=True) for _ in range(n_types))

    def emissions(self, input_ids, attention_mask):
        """K tensors (B, T, 3) of input_ids (B, T)."""
        hidden = self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, D)
        return [dense(hidden) for dense in self.dense]

    def forward(self, input_ids, attention_mask, labels, cores):
        """The loss: minus the mean log-likelihood of the labels (B, C, K) of the cores, ranges of positions (B, 2)."""
        mask = torch.arange(labels.shape[1]) < (cores[:, 1:] - cores[:, :1])  # (B, C)
        total = 0
        for k, scores in enumerate(self.emissions(input_ids, attention_mask)):
            inside = pad_sequence(
                [row[slice(*core)] for row, core in zip(scores, cores.tolist(), strict=True)], batch_first=True
            )
            total = total - self.crfs[k](inside, labels[..., k], mask, reduction="token_mean")
        return {"loss": total}


def train(notes, folder, settings):
    set_seed(settings.seed)
    labels, tokenizer = labels_of(notes), AutoTokenizer.from_pretrained(settings.encoder)
    model = MultiHeadCRF(AutoModel.from_pretrained(settings.encoder, dtype=torch.float32), len(labels))
    features = []
    for note in notes:
        ids, words = subwords(tokenizer, note.text)
        spans = [spans_by_sentence(of_type, [words])[0][0] for of_type in by_type(note.mentions, labels)]
        tags = torch.tensor([[TAGS[tag[0]] for tag in bio_tags(of_type, len(words))] for of_type in spans]).T  # (T, K)
        features += [window | {"labels": tags[window["start"] : window["stop"]]} for window in windows(tokenizer, ids)]
    arguments = TrainingArguments(
        output_dir=folder / "checkpoints",
        num_train_epochs=settings.epochs,
        learning_rate=LEARNING_RATE,  # of the heads too, which at 3e-3 do not learn
        per_device_train_batch_size=WINDOWS_OF_AN_UPDATE,
        warmup_steps=0.1,  # a share of all
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        seed=settings.seed,
    )
    collate = collator(tokenizer)
    Trainer(model, arguments, collate, features).train()
    save_model(model, folder / "model.safetensors")
    model.encoder.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Path(folder, "labels.json").write_text(json.dumps(labels))


def load(folder, settings):
    labels, tokenizer = json.loads(Path(folder, "labels.json").read_text()), AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    model = MultiHeadCRF(AutoModel.from_config(config, dtype=torch.float32), len(labels)).eval()
    load_model(model, folder / "model.safetensors")
    collate = collator(tokenizer)

    @torch.inference_mode()
    def read_note(text):
        ids, words = subwords(tokenizer, text)
        tags = [[] for _ in labels]
        for window in windows(tokenizer, ids):
            batch = collate([window])
            core = slice(*batch["cores"][0].tolist())
            for k, scores in enumerate(model.emissions(batch["input_ids"], batch["attention_mask"])):
                tags[k] += model.crfs[k].decode(scores[:, core])[0]
        names = list(TAGS)
        spans = [
            Span(span.first, span.stop, label)
            for label, of_type in zip(labels, tags, strict=True)
            for span in spans_of_bio([f"{names[tag]}-type" if tag else "O" for tag in of_type])
        ]
        return [mention for mention in mentions_of(sorted(spans), words) if mention.start < mention.end]

    return lambda texts: [read_note(text) for text in texts]


def by_type(mentions, labels):
    """The mentions of each entity type: those of different types may overlap."""
    return [[mention for mention in mentions if mention.label == label] for label in labels]


def subwords(tokenizer, text):
    """Ids and places of a note's subwords; the white space that belongs to a subword of XLM-R is none of its place."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    places = [
        Word(end - len(text[start:end].lstrip()), start + len(text[start:end].rstrip()))
        for start, end in encoded["offset_mapping"]
    ]
    return encoded["input_ids"], [
        place if place.start < place.end else Word(place.start, place.start) for place in places
    ]


def windows(tokenizer, ids):
    """Windows of a note: their subwords, and where their core is, in them ("core") and in the note (start, stop)."""
    longest = WINDOW - 2  # beside the special tokens
    step = longest if len(ids) <= longest else longest - 2 * CONTEXT
    for start in range(0, len(ids), step):
        stop = min(start + step, len(ids))
        first = max(0, start - CONTEXT)
        inside = [tokenizer.cls_token_id, *ids[first : stop + CONTEXT], tokenizer.sep_token_id]
        core = (start - first + 1, stop - first + 1)
        yield {"input_ids": torch.tensor(inside), "core": core, "start": start, "stop": stop}


def collator(tokenizer):
    """What makes a batch of windows."""

    def collate(windows):
        ids = [window["input_ids"] for window in windows]
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "cores": torch.tensor([window["core"] for window in windows]),
        }
        if "labels" in windows[0]:
            batch["labels"] = pad_sequence([window["labels"] for window in windows], batch_first=True)
        return batch

    return collate


def lost_mentions(notes, settings):
    tokenizer = AutoTokenizer.from_pretrained(settings.encoder)
    lost = Counter()
    for note in notes:
        words = subwords(tokenizer, note.text)[1]
        for of_type in by_type(note.mentions, labels_of(notes)):
            lost += spans_by_sentence(of_type, [words])[1]
    return lost
