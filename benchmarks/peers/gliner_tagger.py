"""GLiNER: spans of up to twelve words are compared with the names of the entity types, which are read with the text.

The model is built on the encoder anew and learns from the names of all types in every sentence, as it is used: with a
closed set of types there are no others to draw. It reads sentences, as 384 words and the names do not fit into 512
subwords. Its own words keep what a hyphen joins, and so lose one of fifty mentions of PharmaCoNER: it is given others.
Its packing of sentences into one sequence works only with DeBERTa, ModernBERT and T5: releases 0.2.24 to 0.2.29 lose
the input of any other encoder ("You must specify exactly one of input_ids or inputs_embeds"), so that sentences are
padded here.
"""

import json
from collections import Counter

import torch
from exchange import BATCH_SENTENCES, LEARNING_RATE, Mention, labels_of
from gliner import GLiNER, GLiNERConfig
from sentences import WORD, sentences_of, spans_by_sentence
from transformers import set_seed


WIDEST = 12  # words of a mention
OTHERS_LEARNING_RATE = 5 * LEARNING_RATE  # of the layers on top: five times the encoder's, as of its own models


def train(notes, folder, settings):
    set_seed(settings.seed)
    labels = labels_of(notes)
    names = {label: name_of(label) for label in labels}
    examples = []
    for note in notes:
        sentences = sentences_of(note.text)
        for words, spans in zip(sentences, spans_by_sentence(note.mentions, sentences)[0], strict=True):
            present = {names[span.label] for span in spans}
            examples.append(
                {
                    "tokenized_text": [note.text[word.start : word.end] for word in words],
                    "ner": [[span.first, span.stop - 1, names[span.label]] for span in spans],
                    "ner_negatives": [name for name in names.values() if name not in present],
                }
            )
    config = GLiNERConfig(
        model_name=settings.encoder, max_width=WIDEST, max_types=len(labels), words_splitter_type="whitespace"
    )
    model = GLiNER.from_config(config).float()  # transformers 5 loads the encoder in float16, as it lies on the disk
    model.config.encoder_config.dtype = torch.float32
    model.train_model(
        train_dataset=examples,
        eval_dataset=None,
        output_dir=folder / "checkpoints",
        num_train_epochs=settings.epochs,
        max_steps=-1,
        learning_rate=LEARNING_RATE,
        others_lr=OTHERS_LEARNING_RATE,
        per_device_train_batch_size=BATCH_SENTENCES,
        dataloader_num_workers=0,
        save_strategy="no",
        use_cpu=True,
        seed=settings.seed,
    )
    model.save_pretrained(folder)
    (folder / "names.json").write_text(json.dumps({name: label for label, name in names.items()}))


def load(folder, settings):
    labels = json.loads((folder / "names.json").read_text())
    model = GLiNER.from_pretrained(str(folder), local_files_only=True).eval()
    model.data_processor.words_splitter = words_of

    def read(texts):
        sentences = [
            (number, words[0].start, text[words[0].start : words[-1].end])
            for number, text in enumerate(texts)
            for words in sentences_of(text)
        ]
        rows = model.inference([text for _, _, text in sentences], [*labels], batch_size=BATCH_SENTENCES)
        notes = [[] for _ in texts]
        for (number, start, _), entities in zip(sentences, rows, strict=True):
            notes[number] += [
                Mention(start + row["start"], start + row["end"], labels[row["label"]]) for row in entities
            ]
        return notes

    return read


def name_of(label):
    """An entity type in words, as GLiNER reads it."""
    return label.replace("_", " ").replace("-", " ").lower()


def words_of(text):
    """The words of a sentence, as GLiNER wants them cut: each with its place."""
    return [(word[0], *word.span()) for word in WORD.finditer(text)]


def lost_mentions(notes, settings):
    lost = Counter()
    for note in notes:
        by_sentence, of_note = spans_by_sentence(note.mentions, sentences_of(note.text))
        lost += of_note
        lost[f"longer than {WIDEST} words"] += sum(
            span.stop - span.first > WIDEST for spans in by_sentence for span in spans
        )
    return lost
