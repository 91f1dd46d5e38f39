"""transformers alone: a linear layer on the first subword of every word, as its run_ner example, and its own pipeline.

Notes are cut into sentences of words first, as the corpora of run_ner come, and what exceeds 512 subwords is truncated
in training. The pipeline is given words too: of running text it takes white space for the only border of words, so that
with an encoder like XLM-R no mention could end before a full stop.
"""

from bisect import bisect_left, bisect_right
from collections import Counter

import torch
from exchange import BATCH_SENTENCES, LEARNING_RATE, Mention, labels_of
from sentences import bio_tags, sentences_of, spans_by_sentence
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)


STRIDE = 128  # subwords that windows of the pipeline share


def train(notes, folder, settings):
    set_seed(settings.seed)
    tags = ["O", *(f"{prefix}-{label}" for label in labels_of(notes) for prefix in "BI")]
    ids = {tag: i for i, tag in enumerate(tags)}
    tokenizer = AutoTokenizer.from_pretrained(settings.encoder)
    model = AutoModelForTokenClassification.from_pretrained(
        settings.encoder, dtype=torch.float32, id2label=dict(enumerate(tags)), label2id=ids
    )
    examples = []
    for note in notes:
        sentences = sentences_of(note.text)
        for words, spans in zip(sentences, spans_by_sentence(note.mentions, sentences)[0], strict=True):
            inputs = encode(tokenizer, note.text, words)
            labels = [ids[tag] for tag in bio_tags(spans, len(words))]
            inputs["labels"] = on_first_subwords(labels, inputs.word_ids())
            examples.append(inputs)
    arguments = TrainingArguments(
        output_dir=folder / "checkpoints",
        num_train_epochs=settings.epochs,
        learning_rate=LEARNING_RATE,
        per_device_train_batch_size=BATCH_SENTENCES,
        warmup_steps=0.1,  # a share of all
        save_strategy="no",
        report_to="none",
        seed=settings.seed,
    )
    collator = DataCollatorForTokenClassification(tokenizer)
    Trainer(model, arguments, collator, examples, processing_class=tokenizer).train()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(folder, settings):
    ner = pipeline(
        "token-classification",
        model=str(folder),
        dtype=torch.float32,
        aggregation_strategy="first",
        stride=STRIDE,
        batch_size=BATCH_SENTENCES,
    )

    def read(texts):
        notes = [sentences_of(text) for text in texts]
        sentences = [
            [text[word.start : word.end] for word in words]
            for text, note in zip(texts, notes, strict=True)
            for words in note
        ]
        rows = iter(ner(sentences, is_split_into_words=True))
        return [[mention for words in note for mention in in_note(next(rows), words)] for note in notes]

    return read


def encode(tokenizer, text, words):
    """A sentence as the model reads it."""
    return tokenizer([text[word.start : word.end] for word in words], is_split_into_words=True, truncation=True)


def on_first_subwords(labels, word_ids):
    """A label for each subword: that of its word for the first one, and -100, of which nothing is learned, else."""
    before = [None, *word_ids[:-1]]
    return [-100 if word in (None, last) else labels[word] for word, last in zip(word_ids, before, strict=True)]


def in_note(rows, words):
    """The pipeline's entities, whose places are those in the words joined by blanks, as places in the note.

    An entity may begin or end inside of a word: the pipeline takes an unknown subword for a word of its own.
    """
    begins = [0]  # of the words, joined
    for word in words:
        begins.append(begins[-1] + word.end - word.start + 1)

    def in_text(place, number):
        return words[number].start + place - begins[number]

    return [
        Mention(
            in_text(row["start"], bisect_right(begins, row["start"]) - 1),
            in_text(row["end"], bisect_left(begins, row["end"]) - 1),
            row["entity_group"],
        )
        for row in rows
    ]


def lost_mentions(notes, settings):
    tokenizer, lost = AutoTokenizer.from_pretrained(settings.encoder), Counter()
    for note in notes:
        sentences = sentences_of(note.text)
        by_sentence, of_note = spans_by_sentence(note.mentions, sentences)
        lost += of_note
        for words, spans in zip(sentences, by_sentence, strict=True):
            kept = {*encode(tokenizer, note.text, words).word_ids()}
            lost["truncated in training"] += sum(span.stop - 1 not in kept for span in spans)
    return lost
