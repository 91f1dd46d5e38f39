"""Trainings side by side: each recipe in a process and, where there are GPUs, on one of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import torch


class Training(NamedTuple):
    """A recipe to train: its file, and where the output of its training goes."""

    name: str
    recipe: Path
    log: Path


ENDS_WITH_ITS_PARENT = """
import os, sys, threading
def wait():
    os.read(0, 1)  # ends when the process that began this one has ended, however it did
    os._exit(1)
threading.Thread(target=wait, daemon=True).start()
from clinx.cli import main
sys.exit(main(sys.argv[1:]))
"""


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [named[i] if i < len(named) and named[i] else str(i) for i in range(torch.cuda.device_count())]


def train_side_by_side(trainings: Sequence[Training], at_once: int) -> Iterator[tuple[str, str]]:
    """Trains so many at a time; yields the name of each as it ends, and why it failed, or "".

    Where the caller stops early, or this process ends in whatever way, so do those that are begun.
    """
    free, devices = list(range(at_once)), gpus()
    begun: list[subprocess.Popen] = []
    threads = str(max(1, (os.cpu_count() or 1) // at_once))

    def train(training: Training) -> tuple[str, str]:
        slot = free.pop()
        # -P: the user's own datasets/ or evaluate.py in the working directory is not to be imported.
        command = [sys.executable, "-P", "-c", ENDS_WITH_ITS_PARENT, "finetune", str(training.recipe)]
        environment = {"OMP_NUM_THREADS": threads, **os.environ}
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        with (
            open(training.log, "w") as log,
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log) as process,
        ):
            begun.append(process)
            status = process.wait()
        free.append(slot)
        return training.name, f"{_last_line(training.log)} (exit status {status}, see {training.log})" if status else ""

    pool = ThreadPoolExecutor(at_once)
    try:
        for future in as_completed([pool.submit(train, training) for training in trainings]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in begun:
            process.stdin.close()  # for which it waits
        pool.shutdown()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")
