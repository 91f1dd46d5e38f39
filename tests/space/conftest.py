"""The app of `space/`, whose files lie flat and import each other by name, as they are deployed."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.hub_cards.runs import make_ensemble_run
from tests.modeling_clinx.models import PROJECT


pytest.importorskip("gradio", reason="the Space needs gradio")
sys.path.insert(0, str(PROJECT / "space"))


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """An ensemble that learned nothing, as a model folder."""
    return make_ensemble_run(tmp_path_factory.mktemp("shown"), tiny_encoder_dir, tokenizer) / "model"


class Server:
    """The app, run by a command that ends with the arguments of Python."""

    def __init__(self, folder: Path, *arguments, python: str = sys.executable, **environment):
        self.log, self.temp = folder / "log", folder / "tmp"
        self.temp.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        environment = {"TMPDIR": str(self.temp), "OMP_NUM_THREADS": "1", "GRADIO_SERVER_PORT": port, **environment}
        command = [python, *(argument.format(port=port) for argument in map(str, arguments))]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=folder
            )
        deadline = time.time() + 200
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/gradio_api/info", timeout=60)
                return
            except OSError:
                assert self.process.poll() is None and time.time() < deadline, self.log.read_text()
                time.sleep(0.2)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """A folder with a model's configuration and nothing else."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


@pytest.fixture(scope="session")
def server(ensemble, broken, tmp_path_factory):
    options = ("--port", "{port}", "--model", ensemble, broken)
    server = Server(tmp_path_factory.mktemp("server"), "-P", "-m", "clinx", "space", *options, HF_HUB_OFFLINE="1")
    yield server
    server.stop()
    assert not list(server.temp.iterdir())  # of the uploads' folder too nothing is left
