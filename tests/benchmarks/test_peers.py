"""What the comparison with peers does without them: mentions as spans of words and back, lines of code, errors."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest


PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
TEXT = "Ana Ruiz, 54 años. Vive en Vigo."


@pytest.fixture(autouse=True)
def of_peers(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    yield
    for name in ("exchange", "sentences", "peer", "compare", "code_lines", "report", "stock_tagger"):
        sys.modules.pop(name, None)


def cut(text):
    """Words of a text in sentences that end at a full stop."""
    import re

    from sentences import Word

    sentences = [[]]
    for match in re.finditer(r"\w+|[^\w\s]", text):
        sentences[-1].append(Word(*match.span()))
        if match[0] == ".":
            sentences.append([])
    return [words for words in sentences if words]


def mentions(*spans):
    from exchange import Mention

    return [Mention(*span) for span in spans]


def test_mentions_come_back_from_tags_exactly():
    from sentences import bio_tags, mentions_of, spans_by_sentence, spans_of_bio

    given = mentions((0, 8, "NAME"), (10, 17, "AGE"), (27, 31, "PLACE"))
    sentences = cut(TEXT)
    spans, lost = spans_by_sentence(given, sentences)
    back = [
        mention
        for words, of in zip(sentences, spans, strict=True)
        for mention in mentions_of(spans_of_bio(bio_tags(of, len(words))), words)
    ]
    assert back == given and not lost


def test_neighbours_of_one_type_stay_two_mentions():
    from sentences import Span, bio_tags, spans_of_bio

    spans = [Span(0, 1, "X"), Span(1, 3, "X")]
    assert bio_tags(spans, 3) == ["B-X", "B-X", "I-X"]
    assert spans_of_bio(["B-X", "B-X", "I-X"]) == spans


def test_a_tag_that_continues_nothing_begins_a_mention():
    from sentences import Span, spans_of_bio

    assert spans_of_bio(["O", "I-X", "I-Y", "B-Y"]) == [Span(1, 2, "X"), Span(2, 3, "Y"), Span(3, 4, "Y")]


@pytest.mark.parametrize(
    "span, reason",
    [
        ((13, 23, "X"), "crosses a sentence border"),
        ((13, 16, "X"), "begins or ends inside a word"),
        ((1, 8, "X"), "begins or ends inside a word"),
        ((8, 9, "X"), None),
        ((9, 10, "X"), "begins or ends inside a word"),  # white space alone
    ],
)
def test_what_words_and_sentences_cannot_express_is_counted(span, reason):
    from sentences import spans_by_sentence

    spans, lost = spans_by_sentence(mentions(span), cut(TEXT))
    assert lost == (Counter({reason: 1}) if reason else Counter())
    assert sum(map(len, spans)) == (reason is None)


def test_the_longest_of_overlapping_mentions_stays():
    from sentences import Span, spans_by_sentence

    spans, lost = spans_by_sentence(mentions((0, 3, "X"), (0, 8, "Y")), cut(TEXT))
    assert spans[0] == [Span(0, 2, "Y")] and lost == {"overlaps a longer mention": 1}


def test_places_of_the_stock_pipeline_become_places_in_the_note():
    from sentences import Word
    from stock_tagger import in_note

    words = [Word(4, 7), Word(9, 10), Word(10, 15)]  # "abc", ",", "defgh": joined "abc , defgh"
    rows = [(0, 3), (4, 5), (6, 11), (0, 11), (1, 8)]
    found = in_note([{"start": start, "end": end, "entity_group": "X"} for start, end in rows], words)
    assert [of[:2] for of in found] == [(4, 7), (9, 10), (10, 15), (4, 15), (5, 12)]


def test_a_mention_outside_of_its_text_is_not_written(tmp_path):
    from exchange import Note, write_notes

    with pytest.raises(ValueError, match="note-1"):
        write_notes([Note("note-1", "abc", mentions((1, 4, "X")))], tmp_path / "notes.jsonl")


def test_notes_come_back_from_json_lines(tmp_path):
    from exchange import Note, read_notes, write_notes

    notes = [Note("1", "línea\u2028dos \ufeff½", mentions((0, 5, "X"))), Note("2", "", [])]
    write_notes(notes, tmp_path / "notes.jsonl")
    assert read_notes(tmp_path / "notes.jsonl") == notes


MODULE = '''"""A docstring
of two lines."""

import json
from sentences import (
    split,
)


LIMIT = 8  # words


@cached
def train(notes):
    """What it does."""
    # why
    text = """one
two"""

    return split(text)


def lost_mentions(notes):
    return json.dumps(notes)
'''
SHARED = '''"""What is shared."""


def split(text):
    """Cuts."""
    return cut(text)


def cut(text):
    return text


def not_needed(text):
    return text
'''


def test_lines_of_code_are_those_that_a_user_writes(tmp_path):
    from code_lines import lines_of

    (tmp_path / "some_tagger.py").write_text(MODULE)
    (tmp_path / "sentences.py").write_text(SHARED)
    assert lines_of(tmp_path / "some_tagger.py") == (6, 4)


@pytest.mark.parametrize("module", sorted(PEERS.glob("*_tagger.py")), ids=lambda path: path.stem)
def test_every_peer_keeps_to_the_contract_and_has_an_environment(module):
    import ast

    from code_lines import lines_of

    functions = {
        node.name: [of.arg for of in node.args.args]
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert functions["train"] == ["notes", "folder", "settings"]
    assert functions["load"] == ["folder", "settings"]
    assert functions["lost_mentions"] == ["notes", "settings"]
    assert lines_of(module).own > 10
    name = module.stem.removesuffix("_tagger")
    assert name == "clinx" or "torch==2.13.0\n" in (PEERS / "requirements" / f"{name}.txt").read_text()


def corpus(path, *texts):
    rows = [{"id": str(i), "text": text, "entities": []} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_missing_environment_is_named_before_anything_is_read(monkeypatch, tmp_path):
    import compare

    monkeypatch.setattr(compare, "ENVIRONMENTS", tmp_path)
    with pytest.raises(SystemExit, match="no environment of flair; run make peers"):
        compare.main(["--peers", "clinx", "flair", "--train", "/nowhere"])


def test_an_unknown_peer_is_refused(capsys):
    import compare

    with pytest.raises(SystemExit):
        compare.main(["--peers", "nobody"])
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


def test_a_note_that_judges_must_not_be_learned_from(tmp_path):
    import compare

    train, test = corpus(tmp_path / "a.jsonl", "uno", "dos"), corpus(tmp_path / "b.jsonl", "tres", "dos")
    with pytest.raises(SystemExit, match="^1: found this note among those to learn from too"):
        compare.main(["--peers", "clinx", "--train", train, "--test", test, "--work", str(tmp_path / "work")])


def test_a_peer_is_trained_again_only_when_something_that_it_depends_on_has_changed(tmp_path):
    import compare

    args = compare.parser().parse_args(["--work", str(tmp_path)])
    corpus(tmp_path / "train.jsonl", "uno")
    before = compare.settings_of(args, "stock")
    assert compare.settings_of(args, "stock") == before
    args.epochs += 1
    assert compare.settings_of(args, "stock") != before
    args.epochs -= 1
    corpus(tmp_path / "train.jsonl", "dos")
    assert compare.settings_of(args, "stock") != before
