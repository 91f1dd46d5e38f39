"""One peer, in an environment of its own: trains on notes, or reads notes in rounds that the comparison asks for.

    .peers/flair/bin/python benchmarks/peers/peer.py flair train --notes train.jsonl --folder work/flair \\
        --encoder ENCODER --epochs 10 --seed 1
    .peers/flair/bin/python benchmarks/peers/peer.py flair predict --notes test.jsonl --folder work/flair

Imports nothing of clinx. `train` writes the model and, last, `training.json`. `predict` loads the model, says so in a
line of JSON, reads all notes for every line on standard input and answers with the seconds; when the input ends, it
writes `predictions.jsonl` into the folder and says how much memory it took at most, and how many mentions its way of
reading cannot express. What libraries print goes to standard error.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

from exchange import Settings, read_notes, write_notes


PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "flair",
    "span-marker",
    "gliner",
    "spacy",
    "spacy-transformers",
    "pytorch-crf",
    "clin-x",
)


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    peer = import_module(f"{args.name}_tagger")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is no answer
    if args.verb == "train":
        train(peer, args)
    else:
        predict(peer, args, answers)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the peer: that of its module without _tagger")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, help in (("train", "train on annotated notes"), ("predict", "read notes in rounds")):
        options = verbs.add_parser(verb, help=help)
        options.add_argument("--notes", required=True, type=Path, help="JSON Lines file of the notes")
        options.add_argument("--folder", required=True, type=Path, help="folder of the trained model")
        if verb == "train":
            options.add_argument("--encoder", required=True, help="folder of the language model")
            options.add_argument("--epochs", required=True, type=int, help="passes over the notes")
            options.add_argument("--seed", required=True, type=int)
    return parser


def train(peer, args) -> None:
    """Trains, measures, and counts the mentions that the peer's way of reading cannot express."""
    notes, settings = read_notes(args.notes), Settings(args.encoder, args.epochs, args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    result = {
        **seconds_of(lambda: peer.train(notes, args.folder, settings)),
        "memory_mib": peak_memory_mib(),
        "mentions": sum(len(note.mentions) for note in notes),
        "lost": dict(peer.lost_mentions(notes, settings)),
        "versions": {name: version for name in PACKAGES if (version := installed_version(name))},
        "settings": settings._asdict(),
    }
    unfinished = args.folder / "training.json.unfinished"
    unfinished.write_text(json.dumps(result, indent=2) + "\n")
    unfinished.replace(args.folder / "training.json")


def predict(peer, args, answers) -> None:
    """Answers every line of standard input with the seconds that reading all notes took."""

    def answer(**values) -> None:
        print(json.dumps(values), file=answers, flush=True)

    notes = read_notes(args.notes)
    texts = [note.text for note in notes]
    settings = Settings(**json.loads((args.folder / "training.json").read_text())["settings"])
    read, predicted = peer.load(args.folder, settings), []
    answer(loaded=True)

    def read_all() -> None:
        predicted[:] = read(texts)

    for _ in sys.stdin:
        answer(**seconds_of(read_all))
    memory = peak_memory_mib()
    as_predicted = [note._replace(mentions=mentions) for note, mentions in zip(notes, predicted, strict=True)]
    write_notes(as_predicted, args.folder / "predictions.jsonl")
    answer(reading_memory_mib=memory, test_lost=dict(peer.lost_mentions(notes, settings)))


def seconds_of(work: Callable[[], None]) -> dict[str, float]:
    """Seconds that passed, and those of the processor, in this process and those that it started."""
    start, cpu_start = time.perf_counter(), sum(os.times()[:4])
    work()
    return {"seconds": time.perf_counter() - start, "cpu_seconds": sum(os.times()[:4]) - cpu_start}


def peak_memory_mib() -> float:
    """The most memory that this process has held; not `ru_maxrss`, which begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
