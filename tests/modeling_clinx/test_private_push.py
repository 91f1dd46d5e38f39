"""What transformers pushes of a model goes to a private repo unless the push says otherwise."""

import huggingface_hub
import pytest

from modeling_clinx import ClinXModel, ClinXPipeline


pytestmark = pytest.mark.compat


@pytest.fixture
def created(monkeypatch):
    """The `private` of each repo that a push wants to create; nothing is sent."""
    asked = []

    def create_repo(*args, private=None, **kwargs):
        asked.append(private)
        raise ConnectionAbortedError("as far as a test may go")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr("transformers.utils.hub.create_repo", create_repo, raising=False)  # transformers 4 asks it
    return asked


@pytest.mark.parametrize("kind", ["model", "encoder", "configuration", "pipeline"])
def test_a_push_is_private_unless_it_says_otherwise(kind, model, tokenizer, repo, created, tmp_path):
    pushed = {
        "model": lambda: model,
        "encoder": lambda: ClinXModel.from_pretrained(repo),
        "configuration": lambda: model.config,
        "pipeline": lambda: ClinXPipeline(model=model, tokenizer=tokenizer),
    }[kind]()
    for private in ({}, {"private": None}, {"private": True}, {"private": False}):
        with pytest.raises(ConnectionAbortedError):
            pushed.push_to_hub("somebody/notes", **private)
        with pytest.raises(ConnectionAbortedError):
            pushed.save_pretrained(str(tmp_path / "notes"), push_to_hub=True, **private)
    assert created == 6 * [True] + 2 * [False]
