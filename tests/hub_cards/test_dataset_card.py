"""A corpus that is converted and pushed lies on the Hub as one commit, private, with a card, and loads as it was."""

import json

import pytest
from huggingface_hub import DatasetCard, DatasetCardData

from clinx.corpora.jsonl import write_jsonl
from clinx.documents import Document, Entity
from hub_cards.dataset_card import save_dataset_card
from tests.conftest import client_of, clinx_of
from tests.hub.faults import Fault
from tests.hub.server import READER, Hub


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
def pushed(tmp_path_factory):
    """The loopback Hub after `COMMANDS`, what each of them printed, and a client of it."""
    folder, hub = tmp_path_factory.mktemp("datasets"), Hub()
    write_jsonl(NOTES, folder / "corpus/train.jsonl")
    write_jsonl(NOTES[1:], folder / "corpus/dev.jsonl")
    write_jsonl(NOTES, folder / "smaller/train.jsonl")
    hub.faults.append(Fault("POST .*/refused/commit/", status=400))
    client = client_of(hub, folder)
    yield hub, dict(zip(COMMANDS, clinx_of(client)(*COMMANDS.values()), strict=True)), client
    hub.close()


def test_a_corpus_is_pushed_and_read_by_another(pushed):
    hub, told, client = pushed
    status, out, err = told["first"]
    assert status == 0 and "downloaded again and compared: it gives the same 3 files" in out, err
    repo = hub.repos["dataset", "org/notes"]
    assert repo.private
    assert [commit.title for commit in repo.commits.values()] == ["initial commit", "out, made with CLIN-X"]
    names = ["README.md", "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"]
    assert sorted(hub.files("org/notes", "dataset")) == [".gitattributes", *names]
    assert "Ñuñez" not in hub.files("org/notes", "dataset")["README.md"].decode()

    run = client("-c", READ, token=READER, home="another")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["Dr. Ñuñez 👩🏽‍⚕️", [["Ñuñez", "DOCTOR"]]]
    assert [json.loads(told[name][1])["documents"] for name in ("all", "part")] == [3, 1]
    assert told["absent"][0] == 2 and "org/absent: found no dataset or split that loads" in told["absent"][2]


def test_a_second_push_replaces_what_is_no_longer_there(pushed):
    hub, told, _ = pushed
    assert told["again"][0] == told["smaller"][0] == 0, told
    repo = hub.repos["dataset", "org/changing"]
    _, before, after = repo.commits.values()
    assert "data/validation-00000-of-00001.parquet" in before.files.keys() - after.files.keys()
    assert repo.private and told["public"][0] == 2
    assert (
        "org/changing is private already: leave out --public, or change it in the repo's settings" in told["public"][2]
    )


def test_a_fault_in_the_middle_leaves_nothing_visible_and_the_second_try_ends_well(pushed):
    hub, told, _ = pushed
    assert told["refused"][0] == 2 and told["refused, again"][0] == 0, told
    repo = hub.repos["dataset", "org/refused"]
    assert repo.private and len(repo.commits) == 2 and repo.tags["v1"] == repo.branches["main"]


def test_what_keeps_a_push_back_is_told_and_what_was_converted_can_be_pushed_later(hub, clinx, tmp_path):
    write_jsonl(NOTES, tmp_path / "corpus/train.jsonl")
    ((status, _, err),) = clinx(PUSH, token=None)
    assert status == 2 and "org/notes: there is no login that may push there: run `hf auth login`" in err
    assert "`clinx push out org/notes` goes on" in err and not hub.repos and (tmp_path / "out/README.md").exists()


def test_the_metadata_survive_a_round_trip(tmp_path):
    save_dataset_card(
        tmp_path,
        name="Notes: “ñ” & others",
        splits={"train": {"documents": 2, "characters": 9, "entities": 1}},
        labels={"A|B": 1},
        problems={"overlapping": 2},
        example={"id": "x", "text": "y", "entities": []},
        language="es",
        license="CC BY 4.0",
    )
    card = DatasetCard.load(tmp_path / "README.md")
    assert (card.data.pretty_name, card.data.license, card.data.language) == ("Notes: “ñ” & others", "cc-by-4.0", "es")
    assert DatasetCardData(**card.data.to_dict()).to_dict() == card.data.to_dict()
    assert "- 2: overlapping" in card.text and "| A\\|B | 1 |" in card.text
