"""transformers alone, as its run_ner example trains and predicts: a linear layer on the first subword of every word.

Notes are cut into sentences of words first, as the corpora of run_ner come, and what exceeds 512 subwords is truncated.
Its pipeline is not used: of running text it takes white space for the only border of words, so that with an encoder
like XLM-R no mention could end before a full stop; and given words, it takes the first two subwords of one, a blank and
`12`, for two words, of which the second was never learned.
"""

from collections import Counter

import torch
from exchange import BATCH_SENTENCES, LEARNING_RATE, labels_of
from sentences import bio_tags, mentions_of, sentences_of, spans_by_sentence, spans_of_bio
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)


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
            labels = bio_tags(spans, len(words))
            inputs["labels"] = [-100] * len(inputs.input_ids)  # of these nothing is learned
            for place, word in first_subwords(inputs.word_ids()):
                inputs["labels"][place] = ids[labels[word]]
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
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    collator = DataCollatorForTokenClassification(tokenizer)

    @torch.inference_mode()
    def read_note(text):
        sentences, mentions = sentences_of(text), []
        for first in range(0, len(sentences), BATCH_SENTENCES):
            batch = sentences[first : first + BATCH_SENTENCES]
            inputs = [encode(tokenizer, text, words) for words in batch]
            best = model(**collator(inputs)).logits.argmax(-1).tolist()  # (B, T)
            for words, row, ids in zip(batch, inputs, best, strict=True):
                tags = ["O"] * len(words)
                for place, word in first_subwords(row.word_ids()):
                    tags[word] = model.config.id2label[ids[place]]
                mentions += mentions_of(spans_of_bio(tags), words)
        return mentions

    return lambda texts: [read_note(text) for text in texts]


def encode(tokenizer, text, words):
    """A sentence as the model reads it."""
    return tokenizer([text[word.start : word.end] for word in words], is_split_into_words=True, truncation=True)


def first_subwords(word_ids):
    """The place of every word's first subword, and the word's number."""
    before = [None, *word_ids[:-1]]
    places = enumerate(zip(word_ids, before, strict=True))
    return [(place, word) for place, (word, last) in places if word not in (None, last)]


def lost_mentions(notes, settings):
    tokenizer, lost = AutoTokenizer.from_pretrained(settings.encoder), Counter()
    for note in notes:
        sentences = sentences_of(note.text)
        by_sentence, of_note = spans_by_sentence(note.mentions, sentences)
        lost += of_note
        for words, spans in zip(sentences, by_sentence, strict=True):
            kept = {*encode(tokenizer, note.text, words).word_ids()}
            lost["truncated"] += sum(span.stop - 1 not in kept for span in spans)
    return lost
