"""SpanMarker: every span of up to ten words is classified, with the sentences around as context.

Settings are those of its documentation: 256 subwords, of which what the sentence leaves free is context from the same
note, 128 spans at a time; but mentions have up to 10 words rather than 8, which would lose one of fifty in MEDDOCAN.
For an encoder like XLM-R it asks for words with punctuation cut off, as they are here.
"""

from collections import Counter

import torch
from datasets import Dataset
from exchange import BATCH_SENTENCES, LEARNING_RATE, labels_of
from sentences import Span, bio_tags, mentions_of, sentences_of, spans_by_sentence
from span_marker import SpanMarkerModel, Trainer
from transformers import TrainingArguments, set_seed


LONGEST = 10  # words of a mention
WINDOW = 256  # subwords, beside the markers


def train(notes, folder, settings):
    set_seed(settings.seed)
    tags = ["O", *(f"{prefix}-{label}" for label in labels_of(notes) for prefix in "BI")]
    rows = []
    for number, note in enumerate(notes):
        sentences = sentences_of(note.text)
        spans = spans_by_sentence(note.mentions, sentences)[0]
        for row, of_sentence in zip(rows_of(note.text, number, sentences), spans, strict=True):
            rows.append(row | {"ner_tags": [tags.index(tag) for tag in bio_tags(of_sentence, len(row["tokens"]))]})
    model = SpanMarkerModel.from_pretrained(
        settings.encoder,
        labels=tags,
        model_max_length=WINDOW,
        marker_max_length=128,
        entity_max_length=LONGEST,
    )
    model.config.encoder["dtype"] = "float32"  # else a model that is loaded again is in float16, as the encoder's file
    arguments = TrainingArguments(
        output_dir=folder / "checkpoints",
        num_train_epochs=settings.epochs,
        learning_rate=LEARNING_RATE,
        per_device_train_batch_size=BATCH_SENTENCES,
        warmup_ratio=0.1,
        save_strategy="no",
        report_to="none",
        seed=settings.seed,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows))
    trainer.train()
    trainer.save_model(folder)


def load(folder, settings):
    model = SpanMarkerModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def read(texts):
        notes = [sentences_of(text) for text in texts]
        rows = [
            row
            for number, (text, sentences) in enumerate(zip(texts, notes, strict=True))
            for row in rows_of(text, number, sentences)
        ]
        entities = iter(model.predict(Dataset.from_list(rows), batch_size=BATCH_SENTENCES))
        return [[mention for words in sentences for mention in in_note(next(entities), words)] for sentences in notes]

    return read


def rows_of(text, document, sentences):
    """The sentences of a note, which has this number, as rows in which SpanMarker finds context."""
    return [
        {"tokens": [text[word.start : word.end] for word in words], "document_id": document, "sentence_id": place}
        for place, words in enumerate(sentences)
    ]


def in_note(entities, words):
    """The entities of a sentence as places in the note."""
    return mentions_of([Span(of["word_start_index"], of["word_end_index"], of["label"]) for of in entities], words)


def lost_mentions(notes, settings):
    lost = Counter()
    for note in notes:
        by_sentence, of_note = spans_by_sentence(note.mentions, sentences_of(note.text))
        lost += of_note
        too_long = sum(span.stop - span.first > LONGEST for spans in by_sentence for span in spans)
        lost[f"longer than {LONGEST} words"] += too_long
    return lost
