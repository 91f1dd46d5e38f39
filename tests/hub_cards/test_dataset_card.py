"""A corpus that is converted and pushed lies on the Hub as one commit, private, with a card, and loads as it was."""

import json

import pytest
from huggingface_hub import DatasetCard, DatasetCardData

from hub_cards.dataset import save_dataset_card
from tests.hub.server import READER, STRANGER, Fault
from train.corpora.jsonl import write_jsonl
from train.documents import Document, Entity


NOTES = [Document("a", "Dr. Ñuñez 👩🏽‍⚕️", [Entity(4, 9, "DOCTOR")]), Document("b", "nada")]
PUSH = ("-m", "train.cli", "corpus", "convert", "corpus", "--out", "out", "--push", "org/notes")
READ = """
import json, sys
from datasets import load_dataset
rows = load_dataset("org/notes")
names = rows["train"].features["entities"].feature["label"].names
row = rows["train"][0]
print(json.dumps([row["text"], [(row["text"][e["start"]:e["end"]], names[e["label"]]) for e in row["entities"]]]))
"""


@pytest.fixture
def corpus(tmp_path):
    write_jsonl(NOTES, tmp_path / "corpus/train.jsonl")
    write_jsonl(NOTES[1:], tmp_path / "corpus/dev.jsonl")


def test_a_corpus_is_pushed_and_read_by_another(hub, client, corpus, tmp_path):
    run = client(*PUSH)
    assert run.returncode == 0, run.stderr
    repo = hub.repos["dataset", "org/notes"]
    assert repo.private
    assert [commit.title for commit in repo.commits.values()] == ["initial commit", "Corpus converted by clinx"]
    names = ["README.md", "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"]
    assert sorted(hub.files("org/notes", "dataset")) == [".gitattributes", *names]
    assert "Ñuñez" not in hub.files("org/notes", "dataset")["README.md"].decode()
    assert (tmp_path / "out/README.md").exists()

    run = client("-c", READ, token=READER, home="another")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["Dr. Ñuñez 👩🏽‍⚕️", [["Ñuñez", "DOCTOR"]]]
    run = client("-m", "train.cli", "corpus", "stats", "org/notes", "--format", "dataset", "--json", home="another")
    assert json.loads(run.stdout)["documents"] == 3
    run = client("-m", "train.cli", "corpus", "stats", "org/notes/validation", "--format", "dataset", "--json")
    assert json.loads(run.stdout)["documents"] == 1
    run = client("-m", "train.cli", "corpus", "stats", "org/notes", "--format", "dataset", token=STRANGER, home="third")
    assert run.returncode == 2 and "org/notes: found no dataset or split that loads" in run.stderr


def test_a_second_push_replaces_what_is_no_longer_there(hub, client, corpus, tmp_path):
    assert client(*PUSH).returncode == 0
    before = hub.repos["dataset", "org/notes"].branches["main"]
    (tmp_path / "corpus/dev.jsonl").unlink()
    run = client(*["second" if argument == "out" else argument for argument in PUSH], "--public")
    assert run.returncode == 0, run.stderr
    assert "data/validation-00000-of-00001.parquet" not in hub.files("org/notes", "dataset")
    assert "data/validation-00000-of-00001.parquet" in hub.files("org/notes", "dataset", before)
    assert hub.repos["dataset", "org/notes"].private  # it was there already


@pytest.mark.parametrize(("token", "reason"), [(None, "401|token|login"), (READER, "403"), (STRANGER, "403")])
def test_who_may_not_push_is_told_and_nothing_is_written(hub, client, corpus, tmp_path, token, reason):
    run = client(*PUSH, token=token)
    assert run.returncode == 2
    assert "org/notes: cannot push there" in run.stderr and "hf auth login" in run.stderr
    assert not hub.repos and not (tmp_path / "out").exists()


def test_a_fault_in_the_middle_leaves_nothing_visible_and_the_second_try_ends_well(hub, client, corpus, tmp_path):
    hub.faults.append(Fault("POST .*/commit/", times=99, status=500))
    run = client(*PUSH)
    assert run.returncode == 2 and "cannot push there" in run.stderr
    assert list(hub.files("org/notes", "dataset")) == [".gitattributes"]
    assert not (tmp_path / "out").exists()
    hub.faults.clear()
    assert client(*PUSH).returncode == 0


def test_the_metadata_survive_a_round_trip(tmp_path):
    save_dataset_card(
        tmp_path,
        name="Notes: “ñ” & others",
        splits={"train": {"documents": 2, "characters": 9, "entities": 1}},
        labels={"A|B": 1},
        problems={"overlapping": 2},
        example={"id": "x", "text": "y", "entities": []},
        language="es",
        licence="CC BY 4.0",
    )
    card = DatasetCard.load(tmp_path / "README.md")
    assert (card.data.pretty_name, card.data.license, card.data.language) == ("Notes: “ñ” & others", "cc-by-4.0", "es")
    assert DatasetCardData(**card.data.to_dict()).to_dict() == card.data.to_dict()
    assert "- 2: overlapping" in card.text
