"""`clinx corpus pubmed`: what is written and counted, which of several citations counts, and that nothing is half."""

import gzip
import json
import os

import pytest

from clinx.cli import main
from clinx.corpora import read_corpus
from tests.train.corpora.pubmed.dump import article, dump


@pytest.fixture
def clinx(tmp_path, capsys):
    """Runs `clinx corpus pubmed` on a folder; gives exit status, standard output, and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        status = main(["corpus", "pubmed", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def baseline(tmp_path):
    """Two files, and an update that brings a newer citation, takes one back, and deletes two."""
    files = {
        "baseline/pubmed24n0001.xml.gz": dump(
            article(1, "One.", [("AIM", "old trial"), ("END", "ß.")]),
            article(2, "Two.", "trial, once"),
            article(2, "Two.", "trial, twice"),
            article(3, "Three.", "trial"),
            article(4, "Four.", "trial"),
        ),
        "baseline/pubmed24n0002.xml.gz": dump(
            article(5, "No abstract of a trial.", ""), article(6, "Six.", "other"), article(7, "Seven.", "trial")
        ),
        "updates/pubmed24n0003.xml": dump(
            article(1, "One.", "new trial"),
            article(4, "Four.", "no more"),
            article(9, "N.", "trial"),
            deleted=[3, 9, 99],
        ),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return tmp_path / "baseline", tmp_path / "updates"


def test_the_last_citation_counts_and_what_is_left_out_is_counted(baseline, tmp_path, clinx):
    status, out, _ = clinx(*baseline, "--query", "trial[tiab]", "--out", tmp_path / "out.jsonl")
    assert status == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["id"]: row["abstract"] for row in rows} == {"1": "new trial", "7": "trial", "2": "trial, twice"}
    assert rows[0] == {"id": "1", "title": "One.", "abstract": "new trial", "text": "One.\nnew trial"}
    assert "3 files, 11 citations, 10 of them with an abstract" in out
    assert "left out: 3 that stand again in a later place, 2 that were deleted" in out
    size = sum(len(row["text"].encode()) for row in rows)
    assert f"out.jsonl: 3 abstracts, {size} bytes of text" in out
    assert 'query: "trial"[Title/Abstract]' in out


def test_what_a_file_before_says_anew_after_its_deletion_is_there(baseline, tmp_path, clinx):
    clinx(*baseline[::-1], "--query", "trial[tiab]", "--out", tmp_path / "out.jsonl")
    texts = {json.loads(line)["id"]: json.loads(line)["text"] for line in open(tmp_path / "out.jsonl")}
    assert texts.keys() == {"1", "2", "3", "4", "7"} and "old trial" in texts["1"]


def test_what_is_written_is_a_corpus_that_is_read(baseline, tmp_path, clinx):
    for name in ("out.jsonl", "out.jsonl.gz"):
        assert clinx(baseline[0], "--filter", "therapy-broad", "--out", tmp_path / name)[0] == 0
        clinx(baseline[0], "--query", "ss[tiab]", "--out", tmp_path / f"ss-{name}")
        (document,) = read_corpus(tmp_path / f"ss-{name}", annotated=False)
        assert (document.id, document.text) == ("1", "One.\nAIM: old trial\nEND: ß.")


def test_a_file_that_is_there_is_not_replaced(baseline, tmp_path, clinx):
    (tmp_path / "out.jsonl").write_text("mine")
    status, _, err = clinx(*baseline, "--filter", "therapy-narrow", "--out", tmp_path / "out.jsonl")
    assert status == 2 and "out.jsonl: this file is there already" in err
    assert (tmp_path / "out.jsonl").read_text() == "mine"


@pytest.mark.parametrize("fault", ["damaged", "interrupted"])
def test_nothing_is_left_of_a_run_that_does_not_end(baseline, tmp_path, clinx, monkeypatch, fault):
    if fault == "damaged":
        (baseline[0] / "pubmed24n0001.xml.gz").write_bytes(gzip.compress(dump(article(1)))[:-20])
    else:
        monkeypatch.setattr("clinx.corpora.pubmed.selection._newest_abstracts", interrupt)
    status, _, err = clinx(*baseline, "--query", "trial[tiab]", "--out", tmp_path / "new/out.jsonl.gz")
    assert status == (2 if fault == "damaged" else 130)
    assert fault == "interrupted" or "pubmed24n0001.xml.gz: found no readable file" in err
    assert os.listdir(tmp_path / "new") == []


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_folder_without_files_and_a_path_that_is_not_there_are_told(tmp_path, clinx):
    for path, message in ((tmp_path, "found no .xml or .xml.gz file"), (tmp_path / "no", "found no such file")):
        status, _, err = clinx(path, "--filter", "therapy-narrow", "--out", tmp_path / "out.jsonl")
        assert status == 2 and message in err


def test_headings_are_looked_up_in_meshs_file(baseline, tmp_path, clinx):
    (tmp_path / "desc2026.xml").write_text(
        "<DescriptorRecordSet><DescriptorRecord><DescriptorName><String>Asthma</String></DescriptorName>"
        "<TreeNumberList><TreeNumber>C1</TreeNumber></TreeNumberList></DescriptorRecord></DescriptorRecordSet>"
    )
    query = ["--query", "asthma[mh]", "--out", tmp_path / "out.jsonl"]
    status, _, err = clinx(*baseline, *query)
    assert status == 2 and "--mesh desc2026.gz" in err and not (tmp_path / "out.jsonl").exists()
    status, out, _ = clinx(*baseline, *query, "--mesh", tmp_path / "desc2026.xml")
    assert status == 0 and "0 abstracts" in out
