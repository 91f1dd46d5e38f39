"""What runs on a Ray cluster: a task that reads the input in groups, and actors that read the groups with a model."""

from collections.abc import Iterator

import pyarrow
import ray
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from ..corpora.documents import Document
from ..errors import InputError
from .engines import Input
from .groups import AS_BEFORE, CHANGED, NEW, Group, decode, encode, groups, read_group
from .journal import digest_text
from .loading import Computing, load_predictor


COLUMN = "group"  # of the only column of Ray's blocks: a group as JSON


class GroupSource(Datasource):
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


class GroupReader:
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
