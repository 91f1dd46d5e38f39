"""`handler.py` of a pushed model, as Inference Endpoints call it."""

import json
import shutil

import pytest
from transformers import pipeline

import hub_cards.handler
from hub_cards.handler import EndpointHandler
from tests.hub_cards.readers import COMPAT, TEXT, output_of
from tests.hub_cards.runs import make_ensemble_run, make_run


SERVE = """
import importlib.util
answers = []
for path in [folder, *more[1:]]:
    sys.path.insert(0, path)  # as that service does
    spec = importlib.util.spec_from_file_location("handler", os.path.join(path, "handler.py"))
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    answers.append(module.EndpointHandler(path)({"inputs": [more[0], ""], "parameters": {"batch_size": 2}}))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """A model and an ensemble, each with the handler."""
    folder = tmp_path_factory.mktemp("served")
    make_run(folder / "one", tiny_encoder_dir, tokenizer)
    make_ensemble_run(folder / "five", tiny_encoder_dir, tokenizer)
    for name in ("one", "five"):
        shutil.copyfile(hub_cards.handler.__file__, folder / name / "model/handler.py")
    return [folder / "one/model", folder / "five/model"]


@pytest.mark.parametrize("transformers", ["current", "4.57"])
def test_a_process_without_this_project_serves_a_model_and_an_ensemble(folders, client, transformers):
    if transformers == "4.57" and not COMPAT.is_dir():
        pytest.skip(f"{COMPAT} is not there: make test-compat")
    path = {"PYTHONPATH": str(COMPAT)} if transformers == "4.57" else {}
    answers = output_of(client, SERVE, folders[0], TEXT, folders[1], **path)
    for folder, (entities, nothing) in zip(folders, answers, strict=True):
        expected = json.loads(json.dumps(pipeline("ner", model=str(folder), trust_remote_code=True)(TEXT)))
        assert nothing == [] and len(entities) == len(expected) > 0
        for ours, theirs in zip(entities, expected, strict=True):
            assert ours == {**theirs, "score": pytest.approx(theirs["score"], abs=1e-3)}


@pytest.fixture(scope="module")
def endpoint(folders):
    return EndpointHandler(str(folders[0]))


def test_a_note_or_a_list_of_notes_is_read(endpoint):
    assert endpoint({"inputs": TEXT}) == endpoint({"inputs": [TEXT], "parameters": None})[0]
    assert endpoint({"inputs": []}) == []
    everything = {entity["entity_group"] for entity in endpoint({"inputs": TEXT})}
    assert endpoint({"inputs": TEXT, "parameters": {"ignore_labels": sorted(everything)}}) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("Ana Ruiz", "expected a body"),
        ({"text": "Ana Ruiz"}, "expected a body"),
        ({"inputs": "x", "Ana Ruiz": 1}, "the body has 1 key"),
        ({"inputs": {"Ana Ruiz": 1}}, "expected inputs as a string or a list of strings, found dict"),
        ({"inputs": ["Ana Ruiz", 3]}, "found list"),
        ({"inputs": "Ana Ruiz", "parameters": [1]}, "expected parameters as an object, found list"),
        ({"inputs": "Ana Ruiz", "parameters": {"stride": 3}}, "parameters: stride is not used"),
        ({"inputs": "Ana Ruiz", "parameters": {"ignore_labels": ["NO"]}}, "parameters: .*NO"),
    ],
)
def test_another_body_is_refused_with_a_message_that_does_not_repeat_the_text(endpoint, body, fault):
    with pytest.raises(ValueError, match=fault) as error:
        endpoint(body)
    assert "Ana" not in str(error.value)


def test_an_error_while_reading_does_not_repeat_the_text(endpoint, monkeypatch):
    def fail(notes, **_):
        if notes:
            raise RuntimeError(f"cannot read {notes}")

    monkeypatch.setattr(endpoint, "pipeline", fail)
    with pytest.raises(ValueError, match="could not be read: RuntimeError") as error:
        endpoint({"inputs": "Ana Ruiz"})
    assert "Ana" not in str(error.value) and error.value.__cause__ is None
