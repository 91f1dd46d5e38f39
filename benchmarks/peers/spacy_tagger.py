"""spaCy: its transition-based parser of entities on the transformer, trained from the configuration that it proposes.

Whole notes are read, in windows of 128 words that begin every 96 words, as that configuration has it; sentences play no
part. Its updates of three times 2,000 words would be few for some hundred notes: here they have about as many words as
the 16 sentences of other peers. Its own words lose one of eleven mentions of MEDDOCAN at their borders, those of a
regular expression next to none.
"""

from collections import Counter

import spacy
from exchange import LEARNING_RATE, Mention
from sentences import WORD
from spacy.cli.init_config import init_config
from spacy.cli.train import train as train_pipeline
from spacy.tokens import Doc, DocBin
from spacy.training.batchers import minibatch_by_words
from spacy.util import DummyTokenizer, filter_spans, get_words_and_spaces


LANGUAGE = "xx"  # any: of a language's rules only those for words would count here
UPDATE_WORDS = 400
BATCHES = {"size": UPDATE_WORDS, "tolerance": 0.2, "discard_oversize": False}


class WordTokenizer(DummyTokenizer):
    """Cuts a text where `WORD` does."""

    def __init__(self, vocab):
        self.vocab = vocab

    def __call__(self, text):
        words, spaces = get_words_and_spaces(WORD.findall(text), text)
        return Doc(self.vocab, words=words, spaces=spaces)


@spacy.registry.tokenizers("clinx_peers.words.v1")
def word_tokenizer():
    return lambda nlp: WordTokenizer(nlp.vocab)


def train(notes, folder, settings):
    vocab = spacy.blank(LANGUAGE).vocab
    docs = [annotated(vocab, note)[0] for note in notes]
    DocBin(docs=docs).to_disk(folder / "train.spacy")
    DocBin(docs=docs[:1]).to_disk(folder / "looked-at.spacy")  # something must be evaluated; it selects nothing
    updates = settings.epochs * sum(1 for _ in minibatch_by_words(docs, **BATCHES))
    config = init_config(lang=LANGUAGE, pipeline=["ner"], optimize="accuracy", gpu=True)
    config["nlp"]["tokenizer"] = {"@tokenizers": "clinx_peers.words.v1"}
    config["components"]["transformer"]["model"]["name"] = settings.encoder
    config["training"]["batcher"] = {"@batchers": "spacy.batch_by_words.v1", **BATCHES}
    config["training"]["optimizer"]["learn_rate"].update(
        initial_rate=LEARNING_RATE, total_steps=updates, warmup_steps=updates // 10
    )
    config["training"].update(
        accumulate_gradient=1, max_epochs=settings.epochs, max_steps=0, patience=0, eval_frequency=updates + 1
    )
    config["paths"].update(train=str(folder / "train.spacy"), dev=str(folder / "looked-at.spacy"))
    config["system"].update(seed=settings.seed, gpu_allocator=None)
    config.to_disk(folder / "config.cfg")
    train_pipeline(folder / "config.cfg", folder)


def load(folder, settings):
    nlp = spacy.load(folder / "model-last")

    def read(texts):
        return [[Mention(of.start_char, of.end_char, of.label_) for of in doc.ents] for doc in nlp.pipe(texts)]

    return read


def annotated(vocab, note):
    """A note with its mentions as spaCy's entities, and what of these is lost."""
    doc, lost = WordTokenizer(vocab)(note.text), Counter()
    spans = [doc.char_span(mention.start, mention.end, mention.label) for mention in note.mentions]
    on_words = [span for span in spans if span is not None]
    doc.set_ents(filter_spans(on_words))
    lost["begins or ends inside a word"] = len(spans) - len(on_words)
    lost["overlaps a longer mention"] = len(on_words) - len(doc.ents)
    return doc, lost


def lost_mentions(notes, settings):
    vocab = spacy.blank(LANGUAGE).vocab
    return sum((annotated(vocab, note)[1] for note in notes), Counter())
