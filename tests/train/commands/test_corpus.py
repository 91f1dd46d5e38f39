"""`clinx corpus`: what it counts, lists and writes, as a user sees it."""

import json
import weakref
from pathlib import Path

import pytest

from clinx.cli import main
from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from clinx.corpora.statistics import corpus_stats
from clinx.corpora.tasks import TASKS
from tests.train.corpora.formats.archives import zipped


@pytest.fixture
def clinx(capsys):
    """Runs the command; gives exit status, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def faulty(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("left lung  cancer, node and spleen")
    lines = ["A 0 9\tleft lung", "B 5 17\tlung cancer", "A 9 11\t ", "A 19 23;28 34\tnode spleen", "A 3 99\tx"]
    (folder / "a.ann").write_text("".join(f"T{i}\t{line}\n" for i, line in enumerate(lines, 1)))
    return folder


def test_what_cannot_be_represented_is_counted_by_kind_and_shown_by_document(faulty, clinx):
    status, out, _ = clinx("corpus", "stats", faulty, "--json")
    assert status == 0
    expected = {"overlapping": 1, "white space only": 1, "discontinuous": 1, "outside the text": 1}
    stats = json.loads(out)
    assert (stats["entities"], stats["problems"]) == (4, expected)
    _, out, _ = clinx("corpus", "stats", faulty, "--discontinuous", "drop", "--verbose")
    for shown in (
        "overlapping: a: A 0–9 'left lung'",
        "white space only: a: A 9–11 '  '",
        f"discontinuous: {faulty}/a.ann:4: A in 'node and spleen'",
        f"outside the text: {faulty}/a.ann:5: found a mention from 3 to 99",
    ):
        assert shown in out
    assert "entities" in out and "│ 3" in " ".join(out.split())


def test_what_was_not_read_exactly_is_told_by_kind_in_the_same_words_by_whatever_reads(faulty, tmp_path, clinx):
    (faulty / "a.ann").write_text("T1\tA 0 4\tright\nT2\tA 19 23;28 34\tnode spleen\nT3\tB 5 17\tcancer\n")
    expected = "".join(
        f"{faulty}: {times} mention(s) not read exactly: {kind}\n"
        for kind, times in (("text differs", 2), ("discontinuous", 1))
    )
    for arguments in (
        ("corpus", "stats", faulty),
        ("corpus", "stats", faulty, "--json"),
        ("corpus", "stats", faulty, "--task", "meddocan"),
        ("corpus", "convert", faulty, "--out", tmp_path / "out", "--to", "jsonl"),
        ("score", "--gold", faulty, "--pred", faulty),
    ):
        status, _, err = clinx(*arguments)
        err = err.replace(f"{faulty}, split train", str(faulty))
        assert status == 0 and sorted(set(err.splitlines(True))) == sorted(expected.splitlines(True))


def test_a_tokenizer_adds_the_ceiling_and_what_its_subwords_cannot_hold(faulty, tiny_encoder_dir, clinx):
    _, out, _ = clinx("corpus", "stats", faulty, "--tokenizer", tiny_encoder_dir, "--json")
    stats = json.loads(out)
    assert stats["problems"]["overlapping"] == 1 and stats["problems"]["white space only"] == 1
    assert stats["ceiling"] == pytest.approx(2 * 2 / (2 + 4))
    status, _, err = clinx("corpus", "stats", faulty, "--tokenizer", "/absent")
    assert status == 2 and "cannot load the tokenizer /absent" in err


def test_markdown_has_a_row_a_path(faulty, clinx):
    _, out, _ = clinx("corpus", "stats", faulty, faulty / "a.txt", "--markdown")
    rows = out.splitlines()
    assert len(rows) == 4 and rows[0].startswith("| corpus | documents |")
    assert f"| {faulty} | 1 | 1 | 4 | 2 | " in rows[2]


def test_a_task_is_checked_against_what_is_known_of_it(tmp_path, clinx):
    archive = tmp_path / "pharmaconer.zip"
    files = {
        "train-set_1.1/train/subtrack1/a.txt": "aspirina y x",
        "train-set_1.1/train/subtrack1/a.ann": "T1\tNORMALIZABLES 0 8\taspirina\nT2\tNOVEL 11 12\tx\n",
        "train-set_1.1/train/subtrack2/a.txt": "of another task",
        "test-set_1.1/test/subtrack1/b.txt": "nada",
        "test-set_1.1/test/subtrack1/b.ann": "",
        "README.txt": "about",
    }
    archive.write_bytes(zipped({f"pharmaconer/{name}": content for name, content in files.items()}))
    status, out, err = clinx("corpus", "stats", archive, "--task", "pharmaconer", "--json")
    found = json.loads(out)
    assert (found["train"]["documents"], found["test"]["documents"]) == (1, 1)
    assert found["findings"][:2] == ["the validation split is missing", "the label NOVEL is none of the task's"]
    assert "the label PROTEINAS does not occur" in found["findings"]
    assert "1 files of no split" in err
    _, out, _ = clinx("corpus", "stats", archive, "--task", "pharmaconer")
    assert "8,582" in out and "the validation split is missing" in out
    status, _, err = clinx("corpus", "stats", "--task", "i2b2-2010")
    assert status == 2 and "clinx corpus fetch i2b2-2010" in err
    assert clinx("corpus", "stats")[0] == 2


def test_the_ten_tasks_are_listed(clinx):
    _, out, _ = clinx("corpus", "tasks")
    assert len(TASKS) == 10 and all(f"│ {name} " in out for name in TASKS)


def test_the_real_corpora_fit_their_tasks(corpora, clinx):
    for task, folder in (("pharmaconer", "pharmaconer"), ("cantemist", "cantemist"), ("meddocan", "meddocan")):
        findings = json.loads(clinx("corpus", "stats", corpora / folder, "--task", task, "--json")[1])["findings"]
        assert findings == ["the test split is missing"]
    found = json.loads(
        clinx("corpus", "stats", corpora / "meddoprof", "--task", "meddoprof-n", "--format", "conll", "--json")[1]
    )
    assert found["findings"] == ["the test split is missing"]


def test_the_table_of_the_documentation_is_what_the_command_prints(corpora, mini_encoder, clinx, monkeypatch):
    monkeypatch.chdir(corpora)
    _, out, _ = clinx("corpus", "stats", "--markdown", "--tokenizer", mini_encoder, "pharmaconer", "ncbi-disease")
    table = (Path(__file__).parents[3] / "docs/corpora.md").read_text(encoding="utf-8")
    assert all(row in table for row in out.splitlines())


def test_a_corpus_is_converted_and_what_is_lost_is_told(faulty, tmp_path, clinx):
    status, out, err = clinx("corpus", "convert", faulty, "--to", "conll", "--out", tmp_path / "out")
    assert status == 2 and "a.ann:5: found a mention from 3 to 99" in err
    (faulty / "a.ann").write_text("".join((faulty / "a.ann").read_text().splitlines(keepends=True)[:4]))
    status, out, err = clinx("corpus", "convert", faulty, "--to", "conll", "--out", tmp_path / "out", "--verbose")
    assert status == 0
    assert f"{tmp_path}/out: 1 mention(s) not written exactly: overlapping\n" in err
    assert "overlapping: a: A 0–9 'left lung'" in out
    assert f"{tmp_path}/out: 1 documents in train" in out
    (document,) = read_corpus(tmp_path / "out")
    assert [document.text[e.start : e.end] for e in document.entities] == ["lung  cancer", "node and spleen"]


def test_pushing_needs_the_form_that_the_hub_reads(faulty, tmp_path, clinx):
    status, _, err = clinx("corpus", "convert", faulty, "--to", "brat", "--out", tmp_path / "out", "--push", "org/name")
    assert status == 2 and "expected --to dataset" in err


def test_options_that_would_do_nothing_are_refused(faulty, tmp_path, clinx):
    status, _, err = clinx("corpus", "convert", faulty, "--out", tmp_path / "out", "--public")
    assert status == 2 and "found --public without --push" in err and not (tmp_path / "out").exists()
    status, _, err = clinx("corpus", "stats", faulty, "--unit", "word")
    assert status == 2 and "found --unit without --tokenizer" in err
    for option, name in (("--token-column", "token_column"), ("--label-column", "label_column")):
        for command in (("stats", faulty), ("convert", faulty, "--out", tmp_path / "out")):
            status, _, err = clinx("corpus", *command, option, 3)
            assert status == 2 and f"found {name}=3 ({option}), expected none: this is read as brat" in err
    assert not (tmp_path / "out").exists()


def test_labels_and_ids_that_no_utf8_holds_are_shown_and_converted(tmp_path, clinx):
    row = {"id": "\ud800", "text": "left lung", "entities": [{"start": 0, "end": 4, "label": "X\ud800"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    for options in (("--verbose",), ("--json",), ("--markdown",)):
        assert clinx("corpus", "stats", tmp_path / "a.jsonl", *options)[0] == 0
    for to in ("dataset", "conll", "jsonl"):
        assert clinx("corpus", "convert", tmp_path / "a.jsonl", "--out", tmp_path / to, "--to", to)[0] == 0


def test_texts_alone_are_counted_when_asked_for(tmp_path, clinx):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    status, _, err = clinx("corpus", "stats", tmp_path / "a.jsonl")
    assert status == 2 and "--unannotated" in err
    assert json.loads(clinx("corpus", "stats", tmp_path / "a.jsonl", "--unannotated", "--json")[1])["documents"] == 1


def test_what_is_no_note_is_left_out_when_asked_for(faulty, tmp_path, clinx):
    (faulty / "README.txt").write_text("About this corpus.")
    status, _, err = clinx("corpus", "stats", faulty)
    assert status == 2 and "--exclude" in err
    leaving_out = ("--exclude", "README*", "--exclude", "*.md")
    status, out, _ = clinx("corpus", "stats", faulty, "--json", *leaving_out)
    assert status == 0 and json.loads(out)["documents"] == 1
    command = ("corpus", "convert", faulty, "--out", tmp_path / "out", "--to", "jsonl", "--outside", "drop")
    assert clinx(*command, *leaving_out)[0] == 0
    assert [document.id for document in read_corpus(tmp_path / "out")] == ["a"]


@pytest.mark.parametrize("arguments", [("stats", ""), ("convert", "", "--out", "x"), ("convert", "a", "--out", "")])
def test_an_empty_path_is_refused(tmp_path, clinx, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    status, out, err = clinx("corpus", *arguments)
    assert status == 2 and out == "" and "found an empty path" in err


def test_a_tokenizer_that_is_not_there_is_called_so(faulty, clinx):
    for name, message in (("./absent", "there is no such folder"), ("", "found an empty path")):
        status, _, err = clinx("corpus", "stats", faulty, "--tokenizer", name)
        assert status == 2 and message in err and "Repo id" not in err


def test_two_hundred_labels_with_odd_characters_are_shown_as_they_are(tmp_path, clinx):
    labels = [
        f"{odd}{n}" for n in range(25) for odd in ("[b]", ":pill:", "a|b", "\x1b[31m", "ñ ", "\t", "<b>", "\u202e")
    ]
    text = "x" * len(labels)
    entities = [{"start": n, "end": n + 1, "label": label} for n, label in enumerate(labels)]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text, "entities": entities}) + "\n")
    status, out, _ = clinx("corpus", "stats", tmp_path / "a.jsonl")
    assert status == 0 and "[b]7" in out and ":pill:7" in out and "<b>7" in out and "\x1b" not in out
    _, out, _ = clinx("corpus", "stats", tmp_path / "a.jsonl", "--markdown")
    assert "| 200 |" in out
    _, out, _ = clinx("corpus", "stats", tmp_path / "a.jsonl", "--json")
    assert set(json.loads(out)["labels"]) == set(labels)


def test_statistics_keep_no_document_in_memory(tmp_path):
    alive = weakref.WeakSet()

    def documents():
        for n in range(50):
            text = Text("word " * 100)
            alive.add(text)
            assert len(alive) < 4
            yield Document(str(n), text, [Entity(0, 4, "A")])

    assert corpus_stats(documents())[0]["characters"] == 25_000


class Text(str):
    """A string of which one can know whether it is still there."""


@pytest.mark.parametrize("to", ["dataset", "jsonl", "brat", "conll"])
def test_an_interrupted_conversion_leaves_nothing(tmp_path, clinx, monkeypatch, to):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "entities": [{"start": 0, "end": 1, "label": "A"}]}\n')

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    status, _, err = clinx("corpus", "convert", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--to", to)
    assert status == 130 and "interrupted" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_hostile_annotations_take_no_more_than_they_are_worth(tmp_path, clinx):
    (tmp_path / "a.txt").write_text("word " * 40_000)
    (tmp_path / "a.ann").write_text("".join(f"T{i}\tA{i} 0 199999\tx\n" for i in range(2_000)))
    (document,) = read_corpus(tmp_path)
    assert sum(len(problem.detail) for problem in document.problems) < 1_000_000


def test_corpus_stats_tell_the_ceiling(notes, tiny_encoder_dir, capsys):
    assert main(["corpus", "stats", str(notes / "train"), "--tokenizer", str(tiny_encoder_dir), "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats["documents"] == 12 and stats["entities"] == sum(stats["labels"].values())
    assert 0.5 < stats["ceiling"] <= 1
