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


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [named[i] if i < len(named) and named[i] else str(i) for i in range(torch.cuda.device_count())]


def train_side_by_side(trainings: Sequence[Training], at_once: int) -> Iterator[tuple[str, str]]:
    """Trains so many at a time; yields the name of each as it ends, and why it failed, or "".

    A caller that stops early, or that the user interrupts, waits for those that are begun and begins no other.
    """
    free, devices = list(range(at_once)), gpus()
    threads = str(max(1, (os.cpu_count() or 1) // at_once))

    def train(training: Training) -> tuple[str, str]:
        slot = free.pop()
        # -P: the user's own datasets/ or evaluate.py in the working directory is not to be imported.
        command = [sys.executable, "-P", "-m", "clinx", "finetune", str(training.recipe)]
        environment = {"OMP_NUM_THREADS": threads, **os.environ}
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        with open(training.log, "w") as log:
            done = subprocess.run(command, env=environment, stdout=log, stderr=log)
        free.append(slot)
        return training.name, f"exit status {done.returncode}, see {training.log}" if done.returncode else ""

    pool = ThreadPoolExecutor(at_once)
    try:
        for future in as_completed([pool.submit(train, training) for training in trainings]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
