"""How a benchmark reports: interleaved timings, a table for people, one JSON object as the last line, `--out FILE`."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from clinx.writing import atomic_file


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", metavar="FILE", help="keep the JSON there")
    parser.add_argument("--repeats", type=int, default=11, help="interleaved runs of each side, after one warm-up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser


def interleaved(sides: dict[str, Callable[[], object]], repeats: int, device: str = "cpu") -> dict[str, float]:
    """Median seconds of each side; the sides take turns, so that a slow moment of the machine hits all of them."""
    times = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def finish(name: str, result: dict, rows: list[tuple[str, str]], out: str | None, device: str = "cpu") -> None:
    """Prints rows of what and how much, then the JSON line."""
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print(f"{label:{width}}  {value}")
    machine = torch.cuda.get_device_name() if device.startswith("cuda") else f"{platform.machine()} CPU"
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    line = json.dumps({"benchmark": name, "machine": machine, "threads": torch.get_num_threads(), **versions, **result})
    if out:
        with atomic_file(Path(out)) as file:
            file.write(f"{line}\n".encode())
    print(line)
