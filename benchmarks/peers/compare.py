"""CLIN-X beside other libraries, from the same encoder, notes, seed and number of epochs.

    make peers
    .venv/bin/python benchmarks/peers/compare.py --corpora meddocan pharmaconer --max_train_documents 150 \\
        --epochs 10 --out benchmarks/results/peers.json

On each corpus every peer is trained, one after the other; what is trained already with the same settings, notes and
code is not trained again. Then all are loaded, and take turns to read the test notes, which took no part in training.
One table a corpus: strict F1, its difference to CLIN-X with the 95 % interval of a bootstrap over notes, seconds of
training, documents per second and their ratio to CLIN-X in the same round, the most memory that training and reading
held, lines that a user writes (and those for sentences and words, which peers share), and mentions of the test notes
that a peer's sentences, words and windows cannot express. A peer that fails is named, and the others go on.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from code_lines import lines_of  # noqa: E402
from report import arguments, finish  # noqa: E402
from rich.table import Table  # noqa: E402

from clinx.console import console  # noqa: E402
from clinx.corpora import read_corpus  # noqa: E402
from clinx.corpora.documents import Document  # noqa: E402
from clinx.corpora.formats.jsonl import write_jsonl  # noqa: E402
from clinx.errors import InputError  # noqa: E402
from clinx.scoring.scores import score  # noqa: E402
from clinx.scoring.significance import compare  # noqa: E402
from clinx.writing import check_writable, write_json  # noqa: E402


OURS = "clinx"
PEERS = (OURS, *sorted({path.stem.removesuffix("_tagger") for path in HERE.glob("*_tagger.py")} - {OURS}))
ENVIRONMENTS = PROJECT / ".peers"
CORPORA, MODELS = (os.environ.get(f"CLINX_{name}", f"../shared/{name.lower()}") for name in ("CORPORA", "MODELS"))


class PeerFailed(RuntimeError):
    """A peer could not be trained or could not read; the message says which, and where its log is."""


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    try:
        pythons = {name: python_of(name) for name in args.peers}
        corpora = {Path(name).name: notes_of(name, args) for name in args.corpora}
        if args.out:
            check_writable(Path(args.out))
    except InputError as error:
        raise SystemExit(f"{error}") from None
    result = {"encoder": Path(args.encoder).name, "epochs": args.epochs, "seed": args.seed, "rounds": args.repeats}
    result["corpora"] = {}
    for name, (train, test) in corpora.items():
        result["corpora"][name] = row = compare_on(args, args.work / name, pythons, train, test)
        console().print(table(row["peers"], f"{name}: strict F1 on {len(test)} notes that took no part"))
        notes = f"{len(train)} to learn from, {len(test)} with {row['test_mentions']:,} mentions to evaluate on"
        settings = f"encoder {result['encoder']}, {args.epochs} epochs, seed {args.seed}, {args.threads} thread(s)"
        finish("peers", result, [("notes", notes), ("all peers", settings)], args.out)
    failures = [message for row in result["corpora"].values() for message in row["failed"].values()]
    if failures:
        raise SystemExit("\n".join(failures))


def parser():
    parser = arguments(__doc__)
    parser.add_argument(
        "--corpora",
        nargs="+",
        default=["meddocan"],
        metavar="CORPUS",
        help="folders that hold train and dev, or the names of such folders in CLINX_CORPORA",
    )
    parser.add_argument("--encoder", default=f"{MODELS}/clin-x-es-mini", help="folder of the language model")
    parser.add_argument("--max_train_documents", type=int, help="only the first N notes of train, by their ids")
    parser.add_argument("--max_test_documents", type=int, help="only the first N notes of dev, by their ids")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training notes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=" ".join(PEERS))
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="folder of the trained peers")
    parser.set_defaults(repeats=3)
    return parser


def requirements_of(name: str) -> Path:
    return HERE / "requirements" / f"{name}.txt"


def python_of(name: str) -> str:
    """The interpreter of a peer's environment, or this one if it needs none; raises InputError where it is missing."""
    if not requirements_of(name).exists():
        return sys.executable
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        raise InputError(f"{ENVIRONMENTS / name}: found no environment of {name}; run make peers.")
    return str(python)


def notes_of(corpus: str, args) -> tuple[list[Document], list[Document]]:
    """The notes to learn from and those to evaluate on; raises InputError where there are none, or one is in both."""
    folder = Path(corpus) if Path(corpus).is_dir() else Path(CORPORA, corpus)
    parts = []
    for part, n in (("train", args.max_train_documents), ("dev", args.max_test_documents)):
        path = next(iter(sorted(folder.glob(f"{part}*"))), folder / part)  # a folder, or a file such as train.jsonl
        parts.append(sorted(read_corpus(path), key=lambda document: document.id)[:n])
        if not parts[-1]:
            raise InputError(f"{path}: found no notes, expected an annotated corpus.")
    train, test = parts
    texts = {document.text for document in train}
    if shared := [document.id for document in test if document.text in texts]:
        raise InputError(f"{corpus}: found note {shared[0]} in both train and dev; leave it out of one.")
    return train, test


def compare_on(args, work: Path, pythons: dict[str, str], train: list[Document], test: list[Document]) -> dict:
    """Figures of every peer on a corpus ("peers"), and why others have none ("failed")."""
    work.mkdir(parents=True, exist_ok=True)
    write_jsonl(train, work / "train.jsonl")
    write_jsonl(test, work / "test.jsonl")
    trained, failed = {}, {}
    for name, python in pythons.items():
        try:
            trained[name] = trained_peer(args, work, name, python)
        except PeerFailed as error:
            failed[name] = str(error)
    readers = {name: Reader(work, name, pythons[name], args.threads) for name in trained}
    rounds, reports = read_in_turns(readers, args.repeats, failed)
    predicted = {name: list(read_corpus(work / name / "predictions.jsonl")) for name in reports}
    return {
        "train_documents": len(train),
        "test_documents": len(test),
        "test_mentions": sum(len(document.entities) for document in test),
        "peers": {name: figures(name, trained[name] | reports[name], rounds, test, predicted) for name in reports},
        "failed": failed,
    }


def environment(name: str, threads: int) -> dict[str, str]:
    """Environment variables of a peer: its threads, no network, no GPU; other projects' code for CLIN-X alone."""
    inherited = {key: value for key, value in os.environ.items() if name == OURS or key != "PYTHONPATH"}
    fixed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    fixed |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    return inherited | fixed


def trained_peer(args, work: Path, name: str, python: str) -> dict:
    """What `training.json` of a peer holds; it is trained first, if it was not with these settings, notes and code."""
    folder, log = work / name, work / f"{name}.log"
    settings_file, result = folder / "settings.json", folder / "training.json"
    settings = settings_of(args, work, name)
    if result.exists() and json.loads(settings_file.read_text()) == settings:
        print(f"{work.name}: {name} is trained already", file=sys.stderr)
        return json.loads(result.read_text())
    print(f"{work.name}: {name} is being trained", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    write_json(settings_file, settings)
    command = [python, HERE / "peer.py", name, "train", "--notes", work / "train.jsonl", "--folder", folder]
    command += ["--encoder", Path(args.encoder).resolve(), "--epochs", args.epochs, "--seed", args.seed]
    with open(log, "wb") as file:
        done = subprocess.run([*map(str, command)], env=environment(name, args.threads), stdout=file, stderr=file)
    if done.returncode:
        raise failure(f"{work.name}: {name} could not be trained", log)
    return json.loads(result.read_text())


def failure(message: str, log: Path) -> PeerFailed:
    """An error with the last line of a log, shown at once, as the other peers go on."""
    lines = log.read_text(errors="replace").split("\n")
    error = PeerFailed(f"{message}; {log} ends with: {next((line for line in reversed(lines) if line.strip()), '')}")
    print(error, file=sys.stderr)
    return error


def settings_of(args, work: Path, name: str) -> dict:
    """What a trained peer depends on."""
    files = [work / "train.jsonl", *(HERE / f"{part}.py" for part in (f"{name}_tagger", "exchange", "sentences"))]
    files.append(path if (path := requirements_of(name)).exists() else PROJECT / "constraints.txt")
    if name == OURS:
        files += sorted(path for room in ("modeling_clinx", "train") for path in (PROJECT / room).rglob("*.py"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    given = {key: getattr(args, key) for key in ("epochs", "seed", "threads")}
    return {**given, "encoder": str(Path(args.encoder).resolve()), "digest": digest.hexdigest()}


class Reader:
    """A trained peer, loaded in a process of its own, that reads the test notes when it is asked to."""

    def __init__(self, work: Path, name: str, python: str, threads: int):
        self.title, self.log, self.process = f"{work.name}: {name}", work / f"{name}-reading.log", None
        command = [python, HERE / "peer.py", name, "predict", "--notes", work / "test.jsonl", "--folder", work / name]
        self.command, self.environment = [*map(str, command)], environment(name, threads)

    def start(self) -> dict:
        """Starts the process; the seconds in which it loaded the peer."""
        with open(self.log, "wb") as log:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        return self.answer()

    def answer(self) -> dict:
        """The next line of its answers; raises PeerFailed where the process has ended before it."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise failure(f"{self.title} could not read the notes", self.log)
        return json.loads(line)

    def read(self) -> dict[str, float]:
        """Reads all notes, now; seconds that passed, and those of the processor."""
        with suppress(BrokenPipeError):  # it has ended, as its answer will show
            print("read", file=self.process.stdin, flush=True)
        return self.answer()

    def finish(self) -> dict:
        """Lets it write its predictions; the most memory that it held, in MiB, and which mentions it cannot express."""
        self.process.stdin.close()
        report = self.answer()
        self.process.wait()
        return report


def read_in_turns(readers: dict[str, Reader], repeats: int, failed: dict[str, str]) -> tuple[list[dict], dict]:
    """Seconds of every peer in each round, and each one's report; those that fail drop out.

    The round before them warms up, and is the only one where `repeats` is 0.
    """

    def from_each(ask) -> dict[str, dict]:
        answers = {}
        for name in [name for name in readers if name not in failed]:
            try:
                answers[name] = ask(readers[name])
            except PeerFailed as error:
                failed[name] = str(error)
        return answers

    from_each(Reader.start)
    rounds = []
    for turn in range(repeats + 1):
        print(f"reading, round {turn} of {repeats}", file=sys.stderr)
        rounds.append(from_each(Reader.read))
    return rounds[1:] or rounds, from_each(Reader.finish)


def figures(name: str, measured: dict, rounds: list[dict], test: list[Document], predicted: dict) -> dict:
    """All that is known of a peer."""
    scores, lines = score(test, predicted[name]), lines_of(HERE / f"{name}_tagger.py")
    seconds, cpu_seconds = ([row[name][key] for row in rounds] for key in ("seconds", "cpu_seconds"))
    result = {
        **{key: scores[key] for key in ("f1", "precision", "recall")},
        "training_seconds": round(measured["seconds"], 1),
        "training_cpu_seconds": round(measured["cpu_seconds"], 1),
        "documents_per_second": round(len(test) / statistics.median(seconds), 3),
        "cpu_seconds_per_document": round(statistics.median(cpu_seconds) / len(test), 3),
        "training_memory_mib": round(measured["memory_mib"]),
        "reading_memory_mib": round(measured["reading_memory_mib"]),
        "lines": lines.own,
        "shared_lines": lines.shared,
        **{key: measured[key] for key in ("mentions", "lost", "test_lost", "versions")},
    }
    if name != OURS and OURS in predicted:
        comparison = compare(test, predicted[name], predicted[OURS]) if len(test) > 1 else {}
        result |= {key: comparison[key] for key in ("difference", "interval", "p_value") if key in comparison}
        ratios = [row[OURS]["seconds"] / row[name]["seconds"] for row in rounds]
        result["speed_of_clinx"] = round(statistics.median(ratios), 3)
    return result


def table(peers: dict[str, dict], title: str) -> Table:
    table = Table("peer", title=title, title_justify="left")
    columns = ("F1 %", "points beside CLIN-X", "training s", "documents/s", "of CLIN-X", "training MiB", "reading MiB")
    for column in (*columns, "lines", "lost mentions"):
        table.add_column(column, justify="right")
    for name, peer in sorted(peers.items(), key=lambda item: -item[1]["f1"]):
        difference = ""
        if "difference" in peer:
            low, high = (f"{100 * bound:+.2f}" for bound in peer["interval"])
            difference = f"{100 * peer['difference']:+.2f} [{low}, {high}]"
        table.add_row(
            name,
            f"{100 * peer['f1']:.2f}",
            difference,
            f"{peer['training_seconds']:,.0f}",
            f"{peer['documents_per_second']:.2f}",
            f"{peer['speed_of_clinx']:.2f}" if "speed_of_clinx" in peer else "",
            f"{peer['training_memory_mib']:,}",
            f"{peer['reading_memory_mib']:,}",
            f"{peer['lines']} + {peer['shared_lines']}",
            f"{sum(peer['test_lost'].values()):,}",
        )
    return table


if __name__ == "__main__":
    main()
