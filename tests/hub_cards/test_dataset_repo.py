"""A corpus that is converted and pushed lies on the Hub as one commit, private, with a card, and loads as it was."""

import json

import pytest

from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.jsonl import write_jsonl
from tests.hub.faults import Fault
from tests.hub.server import READER
from tests.hub_cards.sessions import session


NOTES = [Document("a", "Dr. Ñuñez 👩🏽‍⚕️", [Entity(4, 9, "DOCTOR")]), Document("b", "nada")]
PUSH = ("corpus", "convert", "corpus", "--out", "out", "--push", "org/notes")
READ = """
import json, sys
from datasets import load_dataset
rows = load_dataset("org/notes")
names = rows["train"].features["entities"].feature["label"].names
row = rows["train"][0]
print(json.dumps([row["text"], [(row["text"][e["start"]:e["end"]], names[e["label"]]) for e in row["entities"]]]))
"""
STATS = ("corpus", "stats", "--format", "dataset", "--json")
COMMANDS = {
    "first": PUSH,
    "again": ("push", "out", "org/changing", "--no-verify"),
    "smaller": ("corpus", "convert", "smaller", "--out", "second", "--push", "org/changing"),
    "public": ("push", "second", "org/changing", "--public"),
    "refused": ("push", "out", "org/refused"),
    "refused, again": ("push", "out", "org/refused", "--tag", "v1"),
    "all": (*STATS, "org/notes"),
    "part": (*STATS, "org/notes/validation"),
    "absent": (*STATS, "org/absent"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory):
    """The Hub after `COMMANDS`."""
    folder = tmp_path_factory.mktemp("datasets")
    write_jsonl(NOTES, folder / "corpus/train.jsonl")
    write_jsonl(NOTES[1:], folder / "corpus/dev.jsonl")
    write_jsonl(NOTES, folder / "smaller/train.jsonl")
    with session(folder, COMMANDS, [Fault("POST .*/refused/commit/", status=400)]) as pushed:
        yield pushed


def test_a_corpus_is_pushed_and_read_by_another(pushes):
    hub, results = pushes.hub, pushes.results
    first = results["first"]
    assert first.status == 0 and "downloaded again and compared: it gives the same 3 files" in first.out, first
    repo = hub.repos["dataset", "org/notes"]
    assert repo.private
    assert [commit.title for commit in repo.commits.values()] == ["initial commit", "out, made with CLIN-X"]
    names = ["README.md", "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"]
    assert sorted(hub.files("org/notes", "dataset")) == [".gitattributes", *names]
    assert "Ñuñez" not in hub.files("org/notes", "dataset")["README.md"].decode()

    run = pushes.client("-c", READ, token=READER, home="another")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["Dr. Ñuñez 👩🏽‍⚕️", [["Ñuñez", "DOCTOR"]]]
    assert [json.loads(results[name].out)["documents"] for name in ("all", "part")] == [3, 1]
    absent = results["absent"]
    assert absent.status == 2 and "org/absent: found no such file or folder, and no dataset" in absent.err


def test_a_second_push_replaces_what_is_no_longer_there(pushes):
    results = pushes.results
    assert results["again"].status == results["smaller"].status == 0, results
    repo = pushes.hub.repos["dataset", "org/changing"]
    _, before, after = repo.commits.values()
    assert "data/validation-00000-of-00001.parquet" in before.files.keys() - after.files.keys()
    message = "org/changing is private already: leave out --public, or change it in the repo's settings"
    assert repo.private and results["public"].status == 2 and message in results["public"].err


def test_a_fault_in_the_middle_leaves_nothing_visible_and_the_second_try_ends_well(pushes):
    results = pushes.results
    assert results["refused"].status == 2 and results["refused, again"].status == 0, results
    repo = pushes.hub.repos["dataset", "org/refused"]
    assert repo.private and len(repo.commits) == 2 and repo.tags["v1"] == repo.branches["main"]


def test_what_keeps_a_push_back_is_explained_and_what_was_converted_can_be_pushed_later(hub, clinx, tmp_path):
    write_jsonl(NOTES, tmp_path / "corpus/train.jsonl")
    ((status, _, err),) = clinx(PUSH, token=None)
    assert status == 2 and "org/notes: there is no login that may push there: run `hf auth login`" in err
    assert "`clinx push out org/notes` goes on" in err and not hub.repos and (tmp_path / "out/README.md").exists()
