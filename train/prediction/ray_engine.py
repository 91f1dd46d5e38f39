"""Reads notes on many processes, GPUs or machines by Ray Data, and gives them back in order.

One task reads the input and cuts it into groups, which flow to actors, each with the model on a device of its own, and
back to this process, which alone writes. Ray holds back the reading where actors or writing fall behind. What a killed
actor had in hand another one reads; where this process is killed, the journal knows what is written.
"""

import logging
import os
import secrets
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from transformers import AutoConfig

from ..checks import refuse_no_model
from ..errors import InputError
from .engines import Input, from_root, group_size
from .groups import Group, decode
from .journal import digest_text
from .loading import Computing
from .writers import Writer


class RayEngine:
    """Reads on a Ray cluster.

    Args:
        workers: actors that read, each with a CPU core, or with a GPU where there are any (default: one for each).
        address: of a cluster that is there; by default one is started on this machine, and ends with this process.
    """

    def __init__(self, computing: Computing | None = None, workers: int | None = None, address: str | None = None):
        if find_spec("ray") is None:
            raise InputError("--engine ray needs Ray, which is not installed: pip install 'clin-x[ray]'")
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
        with joined_cluster(self.address) as ray:
            from .ray_tasks import COLUMN, GroupReader, GroupSource

            on_gpu = self._is_on_gpu(ray.cluster_resources())
            n_devices = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = context.print_on_execution_start = False
            context.target_max_block_size = 1  # byte: every group is a block of its own, which flows on at once
            size = group_size(self.computing, self.config)
            source = GroupSource(notes._replace(source=from_root(notes.source)), size, ray.put(known))
            read = ray.data.read_datasource(source, num_cpus=0, override_num_blocks=1).map_batches(
                GroupReader,
                fn_constructor_args=(from_root(self.model), self.computing),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=self.workers or max(1, n_devices)),
                num_cpus=0 if on_gpu else 1,
                num_gpus=1 if on_gpu else 0,
            )
            for row in read.iter_rows():
                yield decode(row[COLUMN])

    def _is_on_gpu(self, resources: dict[str, float]) -> bool:
        device = self.computing.device
        return resources.get("GPU", 0) > 0 if device is None else device.startswith("cuda")


@contextmanager
def joined_cluster(address: str | None) -> Iterator:
    """Joins a cluster, or starts one that ends with the block, and with this process however that ends; gives `ray`."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}  # faults are raised all the same
    arguments = {"address": address}
    if address is None:
        arguments = {"address": "local", "include_dashboard": False}  # never one that a killed process has left
        # It listens on all networks of this machine: nobody else is to know the token, which Ray would keep in a file.
        if "ray" in sys.modules and os.environ.get("RAY_AUTH_MODE") != "token":
            raise InputError(
                "Ray was imported before, without a token that guards its cluster: set RAY_AUTH_MODE=token and "
                "RAY_AUTH_TOKEN before it is imported, or give the address of a cluster"
            )
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # a process reads it once, for all its clusters
    import ray.data  # not above: Ray reads its settings when it is imported

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The minimum number of concurrent actors")  # few notes need fewer of them
    on_termination = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**arguments, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot join the Ray cluster {address or 'of this machine'}: {error}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray's own aborts the process
    try:
        yield ray
    finally:
        ray.shutdown()
