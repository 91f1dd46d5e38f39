"""The app as clients and assistants use it."""

import json

import pytest
from transformers import pipeline

from clinx import cli


TEXT = "Paciente: Ana Ruiz, 54 años. Se pauta paracetamol 500 mg por dolor torácico."
MARK = "Zaratustra9017"  # what must be nowhere afterwards


@pytest.fixture(scope="module")
def client(server):
    return pytest.importorskip("gradio_client").Client(server.url, verbose=False)


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


def test_only_the_api_is_public(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/find_concepts", "/find_concepts_json", "/list_models"}


def test_what_is_refused_is_told_without_the_note(client, broken):
    for arguments, fault in (
        ((MARK * 5000,), "at most 50,000 are read"),
        ((" ",), "There is no note yet"),
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


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--model", "/no/such"), "/no/such: found no such folder"),
        (("--model", "org/model", "--port", "0"), "--port is 0, expected at least 1 and less than 65536"),
    ],
)
def test_what_cannot_be_served_is_one_line(capsys, options, fault):
    assert cli.main(["space", *options]) == 2
    assert fault in capsys.readouterr().err
