"""The app as clients and assistants use it."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import files
import models
import pytest
from examples import EXAMPLES
from transformers import pipeline

from clinx import cli
from clinx.corpora.synthetic import synthetic_notes
from tests.hub.server import READER
from tests.hub_cards.sessions import session
from tests.modeling_clinx.models import PROJECT
from tests.space.conftest import Server


Client = pytest.importorskip("gradio_client").Client

TEXT = "Paciente: Ana Ruiz, 54 años. Se pauta paracetamol 500 mg por dolor torácico."
JSON = {"Content-Type": "application/json"}
MARK = "Zaratustra9017"  # what must be nowhere afterwards


@pytest.fixture(scope="module")
def client(server):
    return Client(server.url, verbose=False)


def concepts(client, text=None):
    return client.predict(text or TEXT, api_name="/find_concepts")


def test_a_client_gets_the_very_entities_of_the_pipeline(client, ensemble, broken):
    expected = pipeline("ner", model=str(ensemble), trust_remote_code=True)(TEXT)
    concepts = client.predict(TEXT, api_name="/find_concepts")
    assert [(c["mention"], c["start"], c["end"], c["label"]) for c in concepts] == [
        (e["word"], e["start"], e["end"], e["entity_group"]) for e in expected
    ]
    assert [c["score"] for c in concepts] == pytest.approx([e["score"] for e in expected], abs=1e-3)
    assert client.predict(TEXT, str(ensemble), 1.1, api_name="/find_concepts") == []
    assert json.loads(client.predict(TEXT, api_name="/find_concepts_json")) == concepts
    assert client.predict(api_name="/list_models") == [str(ensemble), str(broken)]


def test_visitors_at_once_get_their_own(server, client):
    texts = [f"{TEXT} Paciente {number}: {'tos, ' * number}fiebre." for number in range(8)]
    with ThreadPoolExecutor(len(texts)) as visitors:
        own = list(visitors.map(lambda text: concepts(Client(server.url, verbose=False), text), texts))
    assert own == [concepts(client, text) for text in texts]


def test_the_model_that_was_not_used_for_longest_makes_room(monkeypatch):
    loaded = []
    monkeypatch.setattr(models, "Model", lambda name: loaded.append(name) or name)
    kept = models.Models(["a", "b", "c"], in_memory=2)
    for name in "ababcab":
        assert kept.get(name) == name
    assert loaded == ["a", "b", "c", "a", "b"] and [kept.is_loaded(name) for name in "abc"] == [True, True, False]


def call(server, path, body=None):
    request = urllib.request.Request(f"{server.url}/gradio_api/call/find_concepts{path}", body, JSON)
    return urllib.request.urlopen(request, timeout=60).read().decode()


def test_plain_http_gets_the_same(server, client):
    event = json.loads(call(server, "", json.dumps({"data": [TEXT, "", 0]}).encode()))["event_id"]
    answer = call(server, f"/{event}")
    assert json.loads(answer.partition("data: ")[2])[0] == concepts(client)


def test_half_a_character_is_read_as_a_replacement_for_one(server):
    """It may be in a mention, which no answer could hold."""
    text = TEXT.replace(" ", " \ud800")
    event = json.loads(call(server, "", json.dumps({"data": [text, "", 0]}).encode()))["event_id"]
    found = json.loads(call(server, f"/{event}").partition("data: ")[2])[0]
    whole = text.replace("\ud800", "\ufffd")
    assert found and all(concept["mention"] == whole[concept["start"] : concept["end"]] for concept in found)


def test_only_the_api_is_public(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/find_concepts", "/find_concepts_json", "/list_models"}


def test_what_is_refused_is_told_without_the_note(client, broken):
    for arguments, fault in (
        ((MARK * 5000,), "at most 50,000 are read"),
        ((" ",), "There is no note yet"),
        (([MARK],), "The note is no text"),
        ((f"{MARK}.", "", "half"), "could not be read .ValueError"),
        ((f"{MARK}.", str(broken)), f"{broken} cannot be loaded"),
        ((f"{MARK}.", MARK), "There is no such model"),
    ):
        with pytest.raises(Exception, match=fault) as error:
            client.predict(*arguments, api_name="/find_concepts")
        assert MARK not in str(error.value)


def test_nothing_of_a_note_stays_on_the_server(server, client):
    client.predict(f"{MARK} toma paracetamol.", api_name="/find_concepts")
    assert MARK not in server.log.read_text()
    kept = [path for path in server.temp.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert not kept


def test_an_assistant_lists_the_tools_and_gets_the_same(server, client):
    pytest.importorskip("mcp")
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask():
        async with (
            streamablehttp_client(f"{server.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            result = await session.call_tool("find_concepts", {"text": TEXT})
            return {tool.name: tool.description for tool in tools}, result.content[0].text

    tools, answer = asyncio.run(ask())
    assert set(tools) == {"find_concepts", "list_models"} and "JSON list" in tools["find_concepts"]
    assert json.loads(answer) == client.predict(TEXT, api_name="/find_concepts")


def test_a_pushed_space_reads_with_the_model_of_its_card(tmp_path, ensemble, client):
    commands = {
        "model": ("push", ensemble, "org/notes-ner", "--no-verify"),
        "space": ("push", "space", "org/notes", "--model", "org/notes-ner"),
    }
    with session(tmp_path, commands) as pushed:
        assert [result.status for result in pushed.results.values()] == [0, 0], pushed.results
        for name, content in pushed.hub.files("org/notes", "space").items():
            (tmp_path / "space" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "space" / name).write_bytes(content)
        hub = {"HF_ENDPOINT": pushed.hub.url, "HF_HOME": str(tmp_path / "fresh"), "HF_TOKEN": READER, "PYTHONPATH": ""}
        hub |= {"CLINX_MODEL": "", "CLINX_MODELS": ""}  # the card's
        python = os.environ.get("CLINX_SPACE_PYTHON", sys.executable)  # of an environment of requirements.txt and torch
        server = Server(tmp_path, tmp_path / "space" / "app.py", python=python, **hub)
        try:
            deployed = Client(server.url, verbose=False)
            assert deployed.predict(api_name="/list_models") == ["org/notes-ner"]
            assert concepts(deployed) == concepts(client)
        finally:
            server.stop()


def test_examples_are_notes_of_the_grammar():
    for name, language, number in ("Spanish", "es", 8), ("English", "en", 61):
        note = synthetic_notes(number + 1, language=language, split="validation")[-1]
        assert EXAMPLES[name] == f"{note.text.rstrip()}\n"


def test_what_a_killed_server_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    killed = "import os, files; open(files.uploads_folder() / 'note.txt', 'w').close(); os.kill(os.getpid(), 9)"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(PROJECT / "space")}
    subprocess.run([sys.executable, "-c", killed], env=environment)
    (left,) = tmp_path.iterdir()
    assert (left / "note.txt").exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    both = {files.uploads_folder(), files.uploads_folder()}  # of two servers that run
    assert set(tmp_path.iterdir()) == both


def test_an_upload_that_was_cut_off_is_deleted(tmp_path, monkeypatch):
    """Whose visitor left, so that nothing reads it; those that are being read are younger."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "LEFT_SECONDS", 5)
    folder = files.uploads_folder()
    (folder / "digest").mkdir()
    left, new = folder / "tmp-part", folder / "digest" / "note.txt"
    for path, age in (left, 60), (new, -600):
        path.write_text(MARK)
        os.utime(path, (time.time() - age,) * 2)
    deadline = time.time() + 60
    while left.exists() and time.time() < deadline:
        time.sleep(0.1)
    assert not left.exists() and new.exists() and (folder / "lock").exists()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--model", "/no/such"), "/no/such: found no such folder"),
        (("--model", "org/model", "--port", "0"), "--port is 0, expected at least 1 and less than 65536"),
        (("--model", "org/model", "--models_in_memory", "0"), "--models_in_memory is 0, expected at least 1"),
        (("--model", "org/a,org/b"), "found a comma, which divides models"),
    ],
)
def test_what_cannot_be_served_is_one_line(capsys, options, fault):
    assert cli.main(["space", *options]) == 2
    assert fault in capsys.readouterr().err
