"""flair: a SequenceTagger with a CRF on fine-tuned transformer embeddings that see the sentences around (FLERT).

As its documentation has it for fine-tuning: no RNN, no reprojection, `use_context=True` (64 words on each side, never
across a note's ends, left out at random in half of the sentences that it learns from), sentences and words by segtok.
"""

from collections import Counter

import flair
from exchange import BATCH_SENTENCES, HEAD_LEARNING_RATE, LEARNING_RATE, Mention
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.splitter import SegtokSentenceSplitter
from flair.trainers import ModelTrainer
from sentences import Word, spans_by_sentence


def train(notes, folder, settings):
    flair.set_seed(settings.seed)
    sentences = [sentence for note in notes for sentence in annotated(note)[0]]
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
        notes = [split(text) for text in texts]
        tagger.predict([sentence for sentences in notes for sentence in sentences], mini_batch_size=BATCH_SENTENCES)
        return [
            [
                Mention(sentence.start_position + span.start_position, sentence.start_position + span.end_position, tag)
                for sentence in sentences
                for span in sentence.get_spans("ner")
                for tag in [span.get_label("ner").value]
            ]
            for sentences in notes
        ]

    return read


def split(text):
    """Sentences that know their neighbours; those without any word, on which the CRF fails, are left out before."""
    sentences = [sentence for sentence in SegtokSentenceSplitter().split(text, link_sentences=False) if len(sentence)]
    Sentence.set_context_for_sentences(sentences)
    return sentences


def annotated(note):
    """The sentences of a note with its mentions, and what of these is lost."""
    sentences = split(note.text)
    places = [
        [
            Word(sentence.start_position + token.start_position, sentence.start_position + token.end_position)
            for token in sentence
        ]
        for sentence in sentences
    ]
    by_sentence, lost = spans_by_sentence(note.mentions, places)
    for sentence, spans in zip(sentences, by_sentence, strict=True):
        for span in spans:
            sentence[span.first : span.stop].add_label("ner", span.label)
    return sentences, lost


def lost_mentions(notes, settings):
    return sum((annotated(note)[1] for note in notes), Counter())
