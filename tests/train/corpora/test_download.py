"""`clinx corpus fetch` against a loopback server: checked, resumed, refused; and told where it cannot download."""

import hashlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clinx.corpora import read_splits
from clinx.corpora.download import download
from clinx.corpora.tasks import TASKS, Task
from clinx.errors import InputError
from tests.train.corpora.formats.archives import zipped


ARCHIVE = zipped({"meddocan/train/brat/a.txt": "Ana " * 50_000, "meddocan/train/brat/a.ann": "T1\tPAIS 0 3\tAna\n"})


class Zenodo(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        if self.path == "/api/records/7":
            body, status = json.dumps(server.record).encode(), 200
        elif self.path == "/api/records/7/files/corpus.zip/content":
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            server.asked.append(start)
            body, status = server.content[start:], 206 if asked else 200
        else:
            body, status = b"no", 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def zenodo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Zenodo)
    server.content, server.asked = ARCHIVE, []
    file = {"key": "corpus.zip", "size": len(ARCHIVE), "checksum": f"md5:{hashlib.md5(ARCHIVE).hexdigest()}"}
    server.record = {"id": 7, "files": [file]}
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def task(tmp_path, monkeypatch) -> Task:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    return replace(TASKS["meddocan"], zenodo=(7,))


def test_a_corpus_is_downloaded_checked_and_read(zenodo, task, tmp_path, capsys):
    home = download(task, zenodo.url)
    out = capsys.readouterr().out
    assert home == tmp_path / "home/clinx/corpora/meddocan"
    assert (home / "corpus.zip").read_bytes() == ARCHIVE
    assert "license: CC BY 4.0" in out and "please cite: Marimon" in out and "--task meddocan" in out
    (document,) = read_splits(home, task=task)["train"]
    assert document.id == "brat/a" and len(document.entities) == 1
    download(task, zenodo.url)
    assert "is there" in capsys.readouterr().out and zenodo.asked == [0]


def test_an_interrupted_download_goes_on_where_it_stopped(zenodo, task):
    digest = hashlib.md5(ARCHIVE).hexdigest()
    task.home.mkdir(parents=True)
    (task.home / f".corpus.zip.{digest}.incomplete").write_bytes(ARCHIVE[:100])
    download(task, zenodo.url)
    assert zenodo.asked == [100]
    assert [file.name for file in task.home.iterdir()] == ["corpus.zip"]


def test_another_content_than_the_record_says_is_refused_and_removed(zenodo, task):
    zenodo.content = ARCHIVE[:-1] + b"!"
    with pytest.raises(InputError, match="found the MD5 .*, expected"):
        download(task, zenodo.url)
    assert not list(task.home.iterdir())


def test_a_longer_or_shorter_content_is_refused(zenodo, task):
    zenodo.content = ARCHIVE[:500]
    with pytest.raises(InputError, match="cannot download it .* goes on where it stopped"):
        download(task, zenodo.url)
    assert not (task.home / "corpus.zip").exists()


@pytest.mark.parametrize("name", ["../corpus.zip", "a/b.zip", ".hidden", "", "x" * 300])
def test_a_file_that_leads_out_of_the_folder_is_refused(zenodo, task, name):
    zenodo.record["files"][0]["key"] = name
    with pytest.raises(InputError, match="leads out of the folder"):
        download(task, zenodo.url)


def test_a_record_or_server_that_is_not_there_is_told(zenodo, task):
    with pytest.raises(InputError, match="/api/records/8: found no record"):
        download(replace(task, zenodo=(8,)), zenodo.url)
    with pytest.raises(InputError, match="check the network, or name a --mirror"):
        download(task, "http://127.0.0.1:9")


def test_where_to_apply_and_where_to_put_the_files_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    home = download(TASKS["i2b2-2010"])
    out = " ".join(capsys.readouterr().out.split())
    assert "home: https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/" in out
    assert "apply for access at its home; then put concept_assertion_relation_training_data.tar.gz" in out
    assert f"into {home}, as they are" in out
