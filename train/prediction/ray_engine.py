"""Reads notes on many processes, GPUs or machines by Ray Data, and gives them back in order.

One task reads the input and cuts it into groups, which flow to actors, each with the model on a device of its own, and
back to this process, which alone writes. Ray holds back the reading where actors or writing fall behind. What a killed
actor had in hand another one reads; where this process is killed, the journal knows what is written.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import pyarrow
import ray.data
from ray.data import DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata
from transformers import AutoConfig

from ..checks import refuse_no_model
from ..corpora.documents import Document, Entity
from ..errors import InputError
from .engines import Input, group_size
from .groups import AS_BEFORE, CHANGED, NEW, Group, Note, groups, read_group
from .journal import digest_text
from .loading import Computing, load_predictor
from .writers import Writer


COLUMN = "group"  # of the only column of Ray's blocks: a group as JSON


class RayEngine:
    """Reads on a Ray cluster.

    Args:
        workers: actors that read, each with a CPU core, or with a GPU where there are any (default: one for each).
        address: of a cluster that is there; by default one is started on this machine, and ends with this process.
    """

    def __init__(self, computing: Computing | None = None, workers: int | None = None, address: str | None = None):
        if workers is not None and workers < 1:
            raise InputError(f"found {workers} for workers, expected 1 or more")
        self.computing, self.workers, self.address = computing or Computing(), workers, address

    def start(self, model: str):
        refuse_no_model(model)
        self.model = model
        try:
            self.config = AutoConfig.from_pretrained(model)
            return self.config
        except (OSError, ValueError) as error:
            raise InputError(f"cannot load the model {model}: {error}") from error

    def read(self, notes: Input, writer: Writer) -> Iterator[Group]:
        known = {digest_text(entry.id): entry.text for entry in writer.journal if writer.holds(entry)}
        with _cluster(self.address):
            on_gpu = self._is_on_gpu()
            n_devices = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
            context = DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = context.print_on_execution_start = False
            context.target_max_block_size = 1  # byte: every group is a block of its own, which flows on at once
            size = group_size(self.computing, self.config)
            source = _Groups(notes._replace(source=_from_root(notes.source)), size, ray.put(known))
            read = ray.data.read_datasource(source, num_cpus=0, override_num_blocks=1).map_batches(
                _Reader,
                fn_constructor_args=(_from_root(self.model), self.computing),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=self.workers or max(1, n_devices)),
                num_cpus=0 if on_gpu else 1,
                num_gpus=1 if on_gpu else 0,
            )
            for row in read.iter_rows():
                yield decode(row[COLUMN])

    def _is_on_gpu(self) -> bool:
        device = self.computing.device
        return ray.cluster_resources().get("GPU", 0) > 0 if device is None else device.startswith("cuda")


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Joins a cluster, or starts one that ends with the block, and with this process however that ends."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}  # faults are raised all the same
    own = {"address": address}
    if address is None:
        own = {"address": "local", "include_dashboard": False}  # "local": not one that a killed process has left
        os.environ["RAY_AUTH_MODE"] = "disabled"  # otherwise a token is written into the user's home
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(**own, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot join the Ray cluster {address or 'of this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


class _Groups(Datasource):
    """The groups of an input, which one task reads and yields one by one, each as JSON in a block of its own."""

    def __init__(self, notes: Input, n_subwords: int, known: ray.ObjectRef):
        super().__init__()
        self.notes, self.n_subwords, self.known = notes, n_subwords, known

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, per_task_row_limit: int | None = None, data_context=None):
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(self._blocks, metadata)]

    def _blocks(self) -> Iterator[pyarrow.Table]:
        known = ray.get(self.known)  # digests of ids, and those of the texts whose predictions are there
        passed_over: list[str] = []

        def state_of(document: Document) -> str:
            text = known.get(digest_text(document.id))
            return NEW if text is None else AS_BEFORE if text == digest_text(document.text) else CHANGED

        try:
            for group in groups(self.notes.documents(passed_over), self.n_subwords, state_of, passed_over):
                yield _block(group)
        except InputError as error:
            yield _block(Group(0, [], fault=str(error)))


class _Reader:
    """An actor that reads groups with a model, which it loads once."""

    def __init__(self, model: str, computing: Computing):
        self.fault, self.predictor = "", None
        try:
            self.predictor = load_predictor(model, computing)
        except InputError as error:  # raised here, it would end as a fault of Ray's
            self.fault = str(error)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        (row,) = batch[COLUMN].to_pylist()
        group = decode(row)
        if self.fault:
            return _block(Group(0, [], fault=self.fault))
        return _block(read_group(group, self.predictor))


def _block(group: Group) -> pyarrow.Table:
    return pyarrow.table({COLUMN: [encode(group)]})


def encode(group: Group) -> str:
    """A group as JSON in ASCII, lone surrogates included; of a note that is as before only its id."""
    notes = [
        note._replace(document=asdict(note.document) if i in group.unread else {"id": note.document.id, "text": ""})
        for i, note in enumerate(group.notes)
    ]
    return json.dumps(group._replace(notes=notes))


def decode(text: str) -> Group:
    """The group that `encode` gave, to the last digit of its scores."""
    first, notes, unreadable, fault = json.loads(text)
    return Group(first, [Note(_document(document), *rest) for document, *rest in notes], unreadable, fault)


def _document(fields: Mapping) -> Document:
    entities = [Entity(**entity) for entity in fields.get("entities", ())]
    return Document(fields["id"], fields["text"], entities)


def _from_root(path: str) -> str:
    """A path that means the same in another folder; a name on the Hub stays."""
    return os.path.abspath(path) if os.path.exists(path) else path
