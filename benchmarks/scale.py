"""Reading many notes by Ray's workers: notes a second beside this process alone and beside one worker, and memory.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --model runs/demo/run/member-1/model --notes 20000

The outputs of all are compared, byte by byte. Memory is that of the writing process, in quarters of its time. What the
start of the processes takes is measured with the first note alone.
"""

import argparse
import filecmp
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from report import finish

from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes


SIDES = {
    "this process": [],
    "one worker": ["--engine", "ray", "--workers", "1"],
    "two workers": ["--engine", "ray", "--workers", "2"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a model")
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--work", default="runs/scale", type=Path)
    parser.add_argument("--out", metavar="FILE", help="keep the JSON there")
    args = parser.parse_args()

    notes, first = args.work / f"notes-{args.notes}.jsonl", args.work / "note.jsonl"
    write_jsonl(synthetic_notes(args.notes), notes)
    write_jsonl(synthetic_notes(1), first)
    results, outputs = {}, []
    for number, (name, options) in enumerate(SIDES.items()):
        output = args.work / f"{args.notes}-{time.time_ns()}-{number}"
        start = run(["--model", args.model, "--input", first, "--output", f"{output}-start", *options])["seconds"]
        results[name] = run(["--model", args.model, "--input", notes, "--output", output, *options])
        results[name]["start_seconds"] = start
        outputs.append(output / "predictions.jsonl")
    is_same = all(filecmp.cmp(outputs[0], other, shallow=False) for other in outputs[1:])
    rows = [
        (name, f"{of['seconds']:.1f} s, start {of['start_seconds']:.1f} s; MiB by quarter: {of['mebibytes']}")
        for name, of in results.items()
    ]
    one, two = results["one worker"], results["two workers"]
    ratio = one["seconds"] / two["seconds"]
    after = (one["seconds"] - one["start_seconds"]) / (two["seconds"] - two["start_seconds"])
    rows += [("two workers beside one", f"{ratio:.2f} times as fast, {after:.2f} after the start")]
    rows += [("the same bytes", str(is_same))]
    result = {"notes": args.notes, "ratio": ratio, "ratio_after_start": after, "is_same": is_same, "sides": results}
    finish("scale", result, rows, args.out)


def run(options: list) -> dict:
    """Seconds of a command, the start of its processes included, and its memory."""
    command = [sys.executable, "-m", "clinx", "predict", "--format", "jsonl", *map(str, options)]
    start, memory = time.perf_counter(), []
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            memory.append(resident_mebibytes(process.pid))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}")
    quarter = max(1, len(memory) // 4)
    by_quarter = [round(median(memory[i : i + quarter])) for i in range(0, quarter * 4, quarter)]
    return {"seconds": time.perf_counter() - start, "mebibytes": by_quarter}


def resident_mebibytes(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
