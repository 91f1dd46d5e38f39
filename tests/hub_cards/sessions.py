"""Several `clinx` commands against a loopback Hub, given in one process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import client_of, clinx_of
from tests.hub.faults import Fault
from tests.hub.server import Hub


class Result(NamedTuple):
    """Exit status and output of one command."""

    status: int
    out: str
    err: str


class Session(NamedTuple):
    """The Hub after the commands, the result of each by its name, what runs other clients of the Hub, and a folder."""

    hub: Hub
    results: dict[str, Result]
    client: Callable
    folder: Path


@contextmanager
def session(folder: Path, commands: Mapping[str, Sequence], faults: Sequence[Fault] = ()) -> Iterator[Session]:
    """Runs the commands in the folder."""
    hub = Hub()
    hub.faults += faults
    try:
        client = client_of(hub, folder)
        results = [Result(*result) for result in clinx_of(client)(*commands.values())]
        yield Session(hub, dict(zip(commands, results, strict=True)), client, folder)
    finally:
        hub.close()
