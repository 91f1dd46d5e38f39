"""The Space under load: seconds to its first answer, fifty visitors at once, and memory over a thousand notes.

Every visitor sends a synthetic note of its own, and its answer is compared with what the pipeline finds in that note.
The same notes are then read by the pipeline, one by one, in a process of the same number of threads. `--app` runs the
files of a pushed Space with `--python`, an environment of its own, instead of `clinx space`.
"""

import atexit
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from report import arguments, finish
from transformers import pipeline

from clinx.corpora.synthetic import synthetic_notes


class Server:
    """The app on this machine, until it is stopped; `seconds` from its start to its first answer."""

    def __init__(self, command: list[str], model: str, threads: int, note: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/gradio_api/call/find_concepts"
        environment = {"GRADIO_SERVER_PORT": str(port), "CLINX_MODEL": model, "OMP_NUM_THREADS": str(threads)}
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [part.format(port=port, model=model) for part in command],
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
        )
        atexit.register(self.process.kill)
        while True:
            try:
                self.find(note)
                break
            except urllib.error.URLError:
                if self.process.poll() is not None:
                    raise SystemExit("the app has ended") from None
                time.sleep(0.1)
        self.seconds = time.perf_counter() - start

    def find(self, note: str) -> list[dict]:
        """The answer of the API."""
        body = json.dumps({"data": [note, "", 0]}).encode()
        asked = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        event = json.load(urllib.request.urlopen(asked, timeout=600))["event_id"]
        answer = urllib.request.urlopen(f"{self.url}/{event}", timeout=600).read().decode()
        if "event: complete\n" not in answer:  # after heartbeats, while it waits
            raise SystemExit("a note was refused")
        return json.loads(answer.rpartition("data: ")[2])[0]

    def mebibytes(self) -> int:
        """What it holds in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def timed(find, note: str) -> tuple[float, list[tuple]]:
    """Seconds, and what was found."""
    start = time.perf_counter()
    found = find(note)
    label = "label" if found and "label" in found[0] else "entity_group"
    return time.perf_counter() - start, [(of["start"], of["end"], of[label]) for of in found]


def drop_caches() -> bool:
    """Whether what was read from disk is forgotten, which only root may ask for."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def quantiles(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "95 %": round(statistics.quantiles(seconds, n=20)[-1], 3)}


def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder of an ensemble")
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--notes", type=int, default=1000, help="read after that, while memory is watched")
    parser.add_argument("--app", metavar="FOLDER", help="the files of a pushed Space (default: `clinx space`)")
    parser.add_argument("--python", default=sys.executable, help="that runs --app")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ours = [sys.executable, "-P", "-m", "clinx", "space", "--port", "{port}", "--model", "{model}"]
    command = [args.python, str(Path(args.app, "app.py"))] if args.app else ours
    model = str(Path(args.model).resolve())
    texts = [note.text for note in synthetic_notes(args.visitors + 1, split="validation")]

    starts = {}
    for state in ("cold", "warm") if drop_caches() else ("warm",):
        server = Server(command, model, args.threads, texts[-1])
        starts[state] = round(server.seconds, 1)
        if state == "cold":
            server.stop()
    at_start = server.mebibytes()
    start = time.perf_counter()
    with ThreadPoolExecutor(args.visitors) as visitors:
        served = list(visitors.map(lambda text: timed(server.find, text), texts[:-1]))
    at_once = time.perf_counter() - start
    ner = pipeline("ner", model=model, trust_remote_code=True)
    read = [timed(ner, text) for text in texts[:-1]]
    wrong = sum(answer != expected for (_, answer), (_, expected) in zip(served, read, strict=True))
    mebibytes = {"loaded": at_start, "after visitors": server.mebibytes()}
    for number, note in enumerate(synthetic_notes(args.notes, seed=1), 1):
        server.find(note.text)
        if number % 100 == 0:
            mebibytes[f"{number} notes later"] = server.mebibytes()
    server.stop()

    result = {
        "seconds_to_first_answer": starts,
        "visitors": args.visitors,
        "wrong_answers": wrong,
        "visitor_seconds": quantiles([seconds for seconds, _ in served]),
        "pipeline_seconds": quantiles([seconds for seconds, _ in read]),
        "all_of_pipeline": round(at_once / sum(seconds for seconds, _ in read), 3),
        "mebibytes": mebibytes,
    }
    rows = [
        ("first answer", ", ".join(f"{state} {seconds} s" for state, seconds in starts.items())),
        (f"{args.visitors} visitors", f"{wrong} wrong answers; {result['visitor_seconds']}, in seconds"),
        ("pipeline, one by one", f"{result['pipeline_seconds']}, in seconds"),
        ("all visitors", f"{result['all_of_pipeline']:.2f} of the pipeline's time for the same notes"),
        ("memory", f"{mebibytes}, in MiB"),
    ]
    finish("space", result, rows, args.out)


if __name__ == "__main__":
    main()
