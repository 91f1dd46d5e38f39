"""What the comparison with peers does without them: mentions as spans of words and back, lines of code, errors."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest


PROJECT = Path(__file__).parents[2]
PEERS = PROJECT / "benchmarks" / "peers"
TEXT = "Ana Ruiz, 54 años. Vive en Vigo."


@pytest.fixture(autouse=True)
def of_peers(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    yield
    for name in ("exchange", "sentences", "peer", "compare", "code_lines", "report", "stock_tagger"):
        sys.modules.pop(name, None)


def mentions(*spans):
    from exchange import Mention

    return [Mention(*span) for span in spans]


def test_mentions_come_back_from_tags_exactly():
    from sentences import bio_tags, mentions_of, sentences_of, spans_by_sentence, spans_of_bio

    given = mentions((0, 8, "NAME"), (10, 17, "AGE"), (27, 31, "PLACE"))
    sentences = sentences_of(TEXT)
    by_sentence, lost = spans_by_sentence(given, sentences)
    back = [
        mention
        for words, spans in zip(sentences, by_sentence, strict=True)
        for mention in mentions_of(spans_of_bio(bio_tags(spans, len(words))), words)
    ]
    assert back == given and not lost


def test_sentences_end_with_lines_and_full_stops_but_not_after_abbreviations_and_numbers():
    from sentences import sentences_of

    text = "\ufeffLa Dra. Ruiz vive en Avda. Sur, 1.5 km de C. Real. Fuma (10-15).\n\n \n¿Bebe? No.\u2028Niega todo"
    words = [[text[word.start : word.end] for word in sentence] for sentence in sentences_of(text)]
    assert [" ".join(sentence) for sentence in words] == [
        "\ufeff La Dra . Ruiz vive en Avda . Sur , 1 . 5 km de C . Real .",
        "Fuma ( 10 - 15 ) .",
        "¿ Bebe ?",
        "No . Niega todo",
    ]


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
    from sentences import sentences_of, spans_by_sentence

    spans, lost = spans_by_sentence(mentions(span), sentences_of(TEXT))
    assert lost == (Counter({reason: 1}) if reason else Counter())
    assert sum(map(len, spans)) == (reason is None)


def test_the_longest_of_overlapping_mentions_stays():
    from sentences import Span, sentences_of, spans_by_sentence

    spans, lost = spans_by_sentence(mentions((0, 3, "X"), (0, 8, "Y")), sentences_of(TEXT))
    assert spans[0] == [Span(0, 2, "Y")] and lost == {"overlaps a longer mention": 1}


def test_a_word_is_read_by_its_first_subword():
    from stock_tagger import first_subwords

    assert first_subwords([None, 0, 0, 1, 2, 2, None, None]) == [(1, 0), (3, 1), (4, 2)]


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


BORDER = "."  # of sentences


def split(text):
    """Cuts."""
    return cut(text, BORDER)


def cut(text, border):
    return text


def not_needed(text):
    return text
'''


def test_lines_of_code_are_those_that_a_user_writes(tmp_path):
    from code_lines import lines_of

    (tmp_path / "some_tagger.py").write_text(MODULE)
    (tmp_path / "sentences.py").write_text(SHARED)
    assert lines_of(tmp_path / "some_tagger.py") == (6, 5)


@pytest.mark.parametrize("module", sorted(PEERS.glob("*_tagger.py")), ids=lambda path: path.stem)
def test_every_peer_keeps_to_the_contract(module):
    import ast

    from code_lines import lines_of

    functions = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert functions["train"] == ["notes", "folder", "settings"]
    assert functions["load"] == ["folder", "settings"]
    assert functions["lost_mentions"] == ["notes", "settings"]
    assert lines_of(module).own > 10


def test_every_environment_is_that_of_a_peer_and_has_the_torch_of_all():
    torch = next(line for line in (PROJECT / "constraints.txt").read_text().split("\n") if line.startswith("torch=="))
    for requirements in (PEERS / "requirements").iterdir():
        assert (PEERS / f"{requirements.stem}_tagger.py").exists()
        assert torch in requirements.read_text().split("\n")


def corpus(folder, train, dev):
    """A corpus of the given texts, whose first three characters are a mention."""
    folder.mkdir()
    for part, texts in (("train", train), ("dev", dev)):
        entities = [{"start": 0, "end": 3, "label": "X"}]
        rows = [{"id": f"{part}-{i}", "text": text, "entities": entities} for i, text in enumerate(texts)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def test_a_missing_environment_is_named_before_anything_is_read(monkeypatch, tmp_path):
    import compare

    monkeypatch.setattr(compare, "ENVIRONMENTS", tmp_path)
    with pytest.raises(SystemExit, match="no environment of flair; run make peers"):
        compare.main(["--peers", "clinx", "flair", "--corpora", "/nowhere"])


def test_an_unknown_peer_is_refused(capsys):
    import compare

    with pytest.raises(SystemExit):
        compare.main(["--peers", "nobody"])
    assert "invalid choice: 'nobody'" in capsys.readouterr().err


def test_a_note_to_evaluate_on_must_not_be_learned_from(tmp_path):
    import compare

    notes = corpus(tmp_path / "notes", ["uno.", "dos."], ["tres.", "dos."])
    with pytest.raises(SystemExit, match="found note dev-1 in both train and dev"):
        compare.main(["--peers", "clinx", "--corpora", notes, "--work", str(tmp_path / "work")])


PEER = """
from exchange import Mention


def train(notes, folder, settings):
    {train}


def load(folder, settings):
    def read(texts):
        {read}
        return [[Mention(0, {end}, "X")] for text in texts]

    return read


def lost_mentions(notes, settings):
    return {{"too long": 1}}
"""


@pytest.fixture
def peers(monkeypatch, tmp_path):
    """The comparison, with peers that know where all mentions are, do not, and fail at one thing or the other."""
    import compare

    folder = tmp_path / "peers"
    folder.mkdir()
    for part in ("peer", "exchange", "sentences"):
        shutil.copy(PEERS / f"{part}.py", folder)
    fails = "raise RuntimeError('out of memory')"
    made = {
        "clinx": {"train": "pass", "read": "pass", "end": 3},
        "wrong": {"train": "print('noise')", "read": "print('noise')", "end": 2},
        "no_training": {"train": fails, "read": "pass", "end": 3},
        "no_reading": {"train": "pass", "read": fails, "end": 3},
    }
    for name, parts in made.items():
        (folder / f"{name}_tagger.py").write_text(PEER.format(**parts))
    monkeypatch.setattr(compare, "HERE", folder)
    monkeypatch.setattr(compare, "PEERS", tuple(made))
    notes = corpus(tmp_path / "notes", ["uno."], ["dos.", "tres."])
    options = ["--corpora", notes, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "new" / "peers.json")]
    return lambda *more: compare.main([*options, "--peers", *made, "--repeats", "1", *more])


def test_peers_that_fail_are_named_and_the_others_compared(peers, tmp_path):
    with pytest.raises(SystemExit) as stop:
        peers()
    messages = str(stop.value).split("\n")
    assert [message.split(";")[0] for message in messages] == [
        "notes: no_training could not be trained",
        "notes: no_reading could not read the notes",
    ]
    assert all(message.endswith("RuntimeError: out of memory") for message in messages)
    result = json.loads((tmp_path / "new" / "peers.json").read_text())["corpora"]["notes"]
    assert result["failed"].keys() == {"no_training", "no_reading"}
    ours, wrong = result["peers"]["clinx"], result["peers"]["wrong"]
    assert (ours["f1"], wrong["f1"], wrong["difference"], wrong["interval"]) == (1, 0, -1, [-1, -1])
    assert wrong["speed_of_clinx"] > 0 and wrong["test_lost"] == {"too long": 1} and "difference" not in ours


def test_a_peer_is_trained_again_only_when_something_that_it_depends_on_has_changed(peers, tmp_path, capsys):
    def trained():
        peers("--peers", "clinx", "wrong")
        lines = capsys.readouterr().err.split("\n")
        return {line.split()[1] for line in lines if "is being trained" in line}

    assert trained() == {"clinx", "wrong"}
    assert trained() == set()
    with open(tmp_path / "peers" / "wrong_tagger.py", "a") as file:
        file.write("EPOCHS = 2\n")
    assert trained() == {"wrong"}
    (tmp_path / "work" / "notes" / "clinx" / "training.json").unlink()  # as when its training was interrupted
    assert trained() == {"clinx"}
    corpus(tmp_path / "other", ["cuatro."], ["dos.", "tres."])
    shutil.copy(tmp_path / "other" / "train.jsonl", tmp_path / "notes")
    assert trained() == {"clinx", "wrong"}
