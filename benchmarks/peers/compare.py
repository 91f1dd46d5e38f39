"""CLIN-X beside other libraries, from the same encoder, notes, seed and number of epochs.

    make peers
    .venv/bin/python benchmarks/peers/compare.py --max_train_documents 150 --epochs 10 \\
        --out benchmarks/results/peers.json

Trains every peer in an environment of its own, one after the other; what is trained already with the same settings,
notes and code is not trained again. Then all of them are loaded, and take turns to read the test notes, which took no
part in training. One table: strict F1, its difference to CLIN-X with the 95 % interval of a bootstrap over notes,
seconds of training, documents per second and their ratio to CLIN-X in the same round, the most memory that training and
reading held, lines that a user writes (and those for sentences and words, which peers share), and mentions of the test
notes that a peer's sentences, words and windows cannot express.
"""

import ast
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent
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


OURS = "clinx"
PEERS = (OURS, *sorted({path.stem.removesuffix("_tagger") for path in HERE.glob("*_tagger.py")} - {OURS}))
ENVIRONMENTS = HERE.parents[1] / ".peers"


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    try:
        pythons = {name: python_of(name) for name in args.peers}
        train, test = (
            documents_of(path, n)
            for path, n in ((args.train, args.max_train_documents), (args.test, args.max_test_documents))
        )
        refuse_shared(train, test)
    except InputError as error:
        raise SystemExit(f"{error}") from None
    args.work.mkdir(parents=True, exist_ok=True)
    write_jsonl(train, args.work / "train.jsonl")
    write_jsonl(test, args.work / "test.jsonl")
    trained = {name: trained_peer(args, name, python) for name, python in pythons.items()}
    rounds, last_words = read_in_turns(args, pythons)
    predicted = {name: list(read_corpus(args.work / name / "predictions.jsonl")) for name in pythons}
    peers = {name: figures(name, trained[name] | last_words[name], rounds, test, predicted) for name in pythons}
    console().print(table(peers, test))
    mentions = sum(len(document.entities) for document in test)
    result = {
        "train_documents": len(train),
        "test_documents": len(test),
        "test_mentions": mentions,
        "encoder": Path(args.encoder).name,
        "epochs": args.epochs,
        "seed": args.seed,
        "rounds": args.repeats,
        "peers": peers,
    }
    rows = [
        ("notes", f"{len(train)} to learn from, {len(test)} with {mentions:,} mentions to judge on"),
        ("all peers", f"encoder {result['encoder']}, {args.epochs} epochs, seed {args.seed}, {args.threads} thread(s)"),
    ]
    finish("peers", result, rows, args.out)


def parser():
    parser = arguments(__doc__)
    corpora, models = (os.environ.get(f"CLINX_{name}", f"../shared/{name.lower()}") for name in ("CORPORA", "MODELS"))
    parser.add_argument("--train", default=f"{corpora}/meddocan/train", help="annotated notes to learn from")
    parser.add_argument("--test", default=f"{corpora}/meddocan/dev", help="annotated notes to judge on")
    parser.add_argument("--encoder", default=f"{models}/clin-x-es-mini", help="folder of the language model")
    parser.add_argument("--max_train_documents", type=int, help="only the first N notes, by their ids")
    parser.add_argument("--max_test_documents", type=int, help="only the first N notes, by their ids")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training notes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--language", default="es", help="language of the notes, as an ISO 639-1 code")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=" ".join(PEERS))
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="folder of the trained peers")
    parser.set_defaults(repeats=3)
    return parser


def python_of(name: str) -> str:
    """The interpreter of a peer's environment; raises InputError where it is missing."""
    if name == OURS:
        return sys.executable
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        raise InputError(f"{ENVIRONMENTS / name}: found no environment of {name}; run make peers.")
    return str(python)


def documents_of(path: str, n: int | None) -> list[Document]:
    documents = sorted(read_corpus(path), key=lambda document: document.id)[:n]
    if not documents:
        raise InputError(f"{path}: found no notes, expected an annotated corpus.")
    return documents


def refuse_shared(train: list[Document], test: list[Document]) -> None:
    """Raises InputError where a note both teaches and judges."""
    texts = {document.text for document in train}
    if shared := [document.id for document in test if document.text in texts]:
        raise InputError(f"{shared[0]}: found this note among those to learn from too; leave it out of one.")


def environment(name: str, threads: int) -> dict[str, str]:
    """Environment variables of a peer: its threads, no network, no GPU; other projects' code for CLIN-X alone."""
    inherited = {key: value for key, value in os.environ.items() if name == OURS or key != "PYTHONPATH"}
    fixed = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    fixed |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    return inherited | fixed


def trained_peer(args, name: str, python: str) -> dict:
    """What `training.json` of a peer says; it is trained first, if it was not with these settings, notes and code."""
    folder = args.work / name
    known, result = folder / "settings.json", folder / "training.json"
    settings = settings_of(args, name)
    if result.exists() and known.exists() and json.loads(known.read_text()) == settings:
        print(f"{name}: trained already", file=sys.stderr)
        return json.loads(result.read_text())
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: training", file=sys.stderr)
    options = {
        "notes": args.work / "train.jsonl",
        "encoder": Path(args.encoder).resolve(),
        "folder": folder,
        "epochs": args.epochs,
        "seed": args.seed,
        "language": args.language,
    }
    command = [python, HERE / "peer.py", name, "train", *(of for key in options for of in (f"--{key}", options[key]))]
    log = args.work / f"{name}.log"
    with open(log, "wb") as file:
        done = subprocess.run([*map(str, command)], env=environment(name, args.threads), stdout=file, stderr=file)
    if done.returncode:
        raise SystemExit(f"{name} could not be trained; its last words are in {log}")
    known.write_text(json.dumps(settings))
    return json.loads(result.read_text())


def settings_of(args, name: str) -> dict:
    """What a trained peer depends on."""
    code = [ast.dump(ast.parse((HERE / f"{part}.py").read_text())) for part in (f"{name}_tagger", "exchange")]
    files = [(args.work / "train.jsonl").read_bytes()]
    files += [requirements.read_bytes() for requirements in [HERE / "requirements" / f"{name}.txt"] if name != OURS]
    digests = [hashlib.sha256(of).hexdigest()[:16] for of in (*map(str.encode, code), *files)]
    given = {key: getattr(args, key) for key in ("epochs", "seed", "language", "threads")}
    return {**given, "encoder": str(Path(args.encoder).resolve()), "digests": digests}


class Reader:
    """A trained peer, loaded in a process of its own, that reads the test notes when it is asked to."""

    def __init__(self, args, name: str, python: str):
        self.name, self.log = name, args.work / f"{name}-reading.log"
        command = [python, HERE / "peer.py", name, "predict"]
        command += ["--notes", args.work / "test.jsonl", "--folder", args.work / name]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*map(str, command)],
                env=environment(name, args.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} could not read the notes; its last words are in {self.log}")
        return json.loads(line)

    def seconds(self) -> float:
        """Seconds in which it reads all notes, now."""
        print("go", file=self.process.stdin, flush=True)
        return self.answer()["seconds"]

    def finish(self) -> dict:
        """Lets it write its predictions; the most memory that it held, in MiB, and which mentions it cannot express."""
        self.process.stdin.close()
        last_words = self.answer()
        self.process.wait()
        return last_words


def read_in_turns(args, pythons: dict[str, str]) -> tuple[list[dict[str, float]], dict[str, dict]]:
    """Seconds of every peer in each round after one of warming up, and what each says at its end."""
    readers = [Reader(args, name, python) for name, python in pythons.items()]
    rounds = []
    for turn in range(args.repeats + 1):
        print(f"reading, round {turn} of {args.repeats}", file=sys.stderr)
        seconds = {reader.name: reader.seconds() for reader in readers}
        if turn:
            rounds.append(seconds)
    return rounds, {reader.name: reader.finish() for reader in readers}


def figures(name: str, said: dict, rounds: list, test: list[Document], predicted: dict) -> dict:
    """All that is known of a peer."""
    scores = score(test, predicted[name])
    lines = lines_of(HERE / f"{name}_tagger.py")
    result = {
        **{key: scores[key] for key in ("f1", "precision", "recall")},
        "training_seconds": round(said["seconds"], 1),
        "training_cpu_seconds": round(said["cpu_seconds"], 1),
        "documents_per_second": round(len(test) / statistics.median(of[name] for of in rounds), 3),
        "training_memory_mib": round(said["memory_mib"]),
        "reading_memory_mib": round(said["reading_memory_mib"]),
        "lines": lines.own,
        "shared_lines": lines.shared,
        **{key: said[key] for key in ("mentions", "lost", "test_lost", "versions")},
    }
    if name != OURS and OURS in predicted:
        comparison = compare(test, predicted[name], predicted[OURS]) if len(test) > 1 else {}
        result |= {key: comparison[key] for key in ("difference", "interval", "p_value") if key in comparison}
        result["speed_of_clinx"] = round(statistics.median(of[OURS] / of[name] for of in rounds), 3)
    return result


def table(peers: dict[str, dict], test: list[Document]) -> Table:
    table = Table("peer", title=f"strict F1 on {len(test)} notes that took no part", title_justify="left")
    columns = ("F1 %", "points beside CLIN-X", "training s", "documents/s", "of CLIN-X", "training MiB", "reading MiB")
    for column in (*columns, "lines", "lost mentions"):
        table.add_column(column, justify="right")
    for name, peer in sorted(peers.items(), key=lambda item: -item[1]["f1"]):
        difference = ""
        if "difference" in peer:
            low, high = (f"{100 * bound:+.2f}" for bound in peer["interval"])
            difference = f"{100 * peer['difference']:+.2f} [{low}, {high}]"
        lost = ", ".join(f"{times} {reason}" for reason, times in peer["test_lost"].items() if times)
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
            lost or "none",
        )
    return table


if __name__ == "__main__":
    main()
