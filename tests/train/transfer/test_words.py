"""The words of a corpus, those in mentions, and their 3-grams."""

from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.documents import Document, Entity
from clinx.transfer.words import count_words
from tests.train.annotated import document


def test_words_are_counted_without_case_and_punctuation():
    words = count_words([document("dolor agudo", text="Dolor, ¡dolor agudo!"), Document("b", "DOLOR")])
    assert words.everywhere == {"dolor": 3, "agudo": 1}
    assert words.in_mentions == {"dolor": 1, "agudo": 1}
    assert words.trigrams == {"dolor dolor agudo": 1}  # none goes on into the next document


@given(st.text("ab -", max_size=20), st.lists(st.tuples(st.integers(0, 18), st.integers(1, 6)), max_size=5))
def test_a_word_is_in_a_mention_if_one_of_its_characters_is(text, spans):
    entities = [Entity(start, start + size, "X") for start, size in spans if start + size <= len(text)]
    annotated = {at for entity in entities for at in range(entity.start, entity.end)}
    expected, at = [], 0
    for word in text.replace("-", " ").split(" "):
        expected += [word] if annotated & {*range(at, at + len(word))} else []
        at += len(word) + 1
    assert sorted(count_words([Document("a", text, entities)]).in_mentions.elements()) == sorted(filter(None, expected))


def test_the_3_grams_are_bounded_and_the_first():
    documents = [Document("a", "a b c d"), Document("b", "e f g h i j"), Document("c", "a b c k k")]
    words = count_words(documents, max_trigrams=4)
    assert set(words.trigrams) == {"a b c", "b c d", "e f g", "f g h"}
    assert words.everywhere["k"] == 2  # words are counted to the end
    assert count_words(iter(documents)).trigrams["a b c"] == 2
