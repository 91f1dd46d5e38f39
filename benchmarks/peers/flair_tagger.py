"""flair: a SequenceTagger with a CRF on fine-tuned transformer embeddings that see the sentences around (FLERT).

As its documentation has it for fine-tuning: no RNN, no reprojection, `use_context=True` (64 words on each side, never
across a note's ends, left out at random in half of the sentences that it learns from).
"""

from collections import Counter

import flair
from exchange import BATCH_SENTENCES, HEAD_LEARNING_RATE, LEARNING_RATE
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.trainers import ModelTrainer
from sentences import Span, mentions_of, sentences_of, spans_by_sentence


def train(notes, folder, settings):
    flair.set_seed(settings.seed)
    sentences = [sentence for note in notes for sentence in annotated(note)]
    corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False)
    embeddings = TransformerWordEmbeddings(
        settings.encoder,
        layers="-1",
        subtoken_pooling="first",
        fine_tune=True,
        use_context=True,
    )
    tagger = SequenceTagger(
        embeddings=embeddings,
        tag_dictionary=corpus.make_label_dictionary(label_type="ner", add_unk=False),
        tag_type="ner",
        use_crf=True,
        use_rnn=False,
        reproject_embeddings=False,
    )
    ModelTrainer(tagger, corpus).fine_tune(
        folder,
        learning_rate=LEARNING_RATE,
        decoder_learning_rate=HEAD_LEARNING_RATE,
        mini_batch_size=BATCH_SENTENCES,
        max_epochs=settings.epochs,
    )


def load(folder, settings):
    tagger = SequenceTagger.load(folder / "final-model.pt")

    def read(texts):
        notes = [sentences_of(text) for text in texts]
        sentences = [sentence for text, words in zip(texts, notes, strict=True) for sentence in linked(text, words)]
        tagger.predict(sentences, mini_batch_size=BATCH_SENTENCES)
        in_turn = iter(sentences)
        return [[mention for words in note for mention in in_note(next(in_turn), words)] for note in notes]

    return read


def linked(text, words_by_sentence):
    """The sentences of a note, which know their neighbours."""
    sentences = [Sentence([text[word.start : word.end] for word in words]) for words in words_by_sentence]
    Sentence.set_context_for_sentences(sentences)
    return sentences


def annotated(note):
    """The sentences of a note with its mentions."""
    words_by_sentence = sentences_of(note.text)
    sentences = linked(note.text, words_by_sentence)
    for sentence, spans in zip(sentences, spans_by_sentence(note.mentions, words_by_sentence)[0], strict=True):
        for span in spans:
            sentence[span.first : span.stop].add_label("ner", span.label)
    return sentences


def in_note(sentence, words):
    """The entities of a sentence as places in the note."""
    return mentions_of(
        [
            Span(entity.tokens[0].idx - 1, entity.tokens[-1].idx, entity.get_label("ner").value)
            for entity in sentence.get_spans("ner")
        ],
        words,
    )


def lost_mentions(notes, settings):
    return sum((spans_by_sentence(note.mentions, sentences_of(note.text))[1] for note in notes), Counter())
