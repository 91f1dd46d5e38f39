"""What a training loses beside other busy processes: one thread, or two that spin or sleep as they wait.

Each side is a fresh `clinx finetune`; beside it runs nothing, or one endless loop for each core.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from report import finish

from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes


SIDES = {  # threads, and how they wait
    "2 threads, torch's own way": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "300000"},
    "2 threads that sleep at once": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "0"},
    "2 threads, as clinx sets them": {"OMP_NUM_THREADS": "2"},
    "1 thread": {"OMP_NUM_THREADS": "1"},
}
BUSY = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", metavar="FILE", help="keep the JSON there")
    parser.add_argument("--repeats", default=3, type=int)
    parser.add_argument("--steps", default=60, type=int, help="updates of each training")
    parser.add_argument("--work", default="runs/threads", type=Path)
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    write_jsonl(synthetic_notes(100, language="es"), args.work / "notes.jsonl")
    seconds = {name: {"quiet": [], "busy": []} for name in SIDES}
    for _ in range(args.repeats):
        for condition, loops in (("quiet", 0), ("busy", os.cpu_count())):
            for name, environment in SIDES.items():
                others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(loops)]
                try:
                    seconds[name][condition].append(train(args.work, args.steps, environment))
                finally:
                    for other in others:
                        other.kill()
    medians = {name: {c: statistics.median(values) for c, values in of.items()} for name, of in seconds.items()}
    rows = [
        (name, f"quiet {of['quiet']:.1f} s, busy {of['busy']:.1f} s: {of['busy'] / of['quiet']:.2f} times as slow")
        for name, of in medians.items()
    ]
    finish("threads", {"seconds": seconds, "medians": medians, "steps": args.steps}, rows, args.out)


def train(work: Path, steps: int, environment: dict[str, str]) -> float:
    """Seconds of a training, without the start of its process."""
    run = work / "run"
    shutil.rmtree(run, ignore_errors=True)
    settings = {
        "encoder": os.environ["CLINX_MODELS"] + "/clin-x-es-mini",
        "train": str(work / "notes.jsonl"),
        "split_kind": "all",
        "max_steps": steps,
        "eval_strategy": "steps",
        "eval_steps": steps,
        "save_strategy": "steps",
        "save_steps": steps,
        "output_dir": str(run),
    }
    recipe = work / "recipe.yaml"
    recipe.write_text(json.dumps(settings))
    waiting = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    kept = {name: value for name, value in os.environ.items() if name not in waiting}
    subprocess.run([sys.executable, "-m", "clinx", "finetune", str(recipe)], env=kept | environment, check=True)
    return json.loads((run / "metrics.json").read_text())["seconds"]


if __name__ == "__main__":
    main()
