"""Interruptions of the writing of predictions, and a model that is trained again."""

import shutil
from contextlib import contextmanager

import pytest
from safetensors.torch import load_file, save_file

from clinx import cli
from clinx.corpora import read_corpus
from clinx.prediction.writers import WRITERS


@pytest.fixture
def interrupted(monkeypatch):
    """A context in which writing is interrupted, as by Ctrl-C, after so many documents."""

    @contextmanager
    def interrupted(format: str, after: int):
        written = []

        class InterruptedWriter(WRITERS[format]):
            def write(self, document, *rest):
                if len(written) == after:
                    raise KeyboardInterrupt
                written.append(document)
                return super().write(document, *rest)

        with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
            context.setitem(WRITERS, format, InterruptedWriter)
            yield

    return interrupted


@pytest.fixture
def clinx(capsys):
    """Runs the command; gives exit status, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def model(run, tmp_path):
    """A copy of the trained model, to be trained again."""
    return shutil.copytree(run / "model", tmp_path / "model")


def train_again(model, seed: int = 1) -> None:
    """Other weights in the same place, which find other mentions."""
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if "classifier" in name and name.endswith("bias"))
    weights[name] = weights[name].roll(seed) + seed * weights[name].new_tensor(range(len(weights[name])))
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def predictions(folder) -> dict:
    """Text and mentions by id, in order."""
    file = folder / "predictions.jsonl"
    return {d.id: (d.text, d.entities) for d in read_corpus(file if file.exists() else folder)}
