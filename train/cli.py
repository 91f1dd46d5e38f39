"""The `clinx` command: each verb is a module of `commands/` with a `main(argv)`."""

import errno
import os
import signal
import sys
import threading
from importlib import import_module
from importlib.metadata import version

from .errors import InputError


VERBS = {  # by what people do
    "see": {
        "demo": "the whole story on built-in synthetic notes: offline, on a CPU, in minutes",
        "recipes": "the built-in recipes",
        "space": "a page that shows what a model reads in notes, with an API, on this machine",
    },
    "read": {
        "corpus": "look at an annotated corpus, convert it, or fetch one of the ten tasks",
        "predict": "find the entities of many notes, into BRAT or JSON Lines",
    },
    "train": {
        "pretrain": "adapt a masked language model to clinical texts, as CLIN-X was made",
        "rank-sources": "which model to start from, for annotated notes",
        "finetune": "fine-tune a concept extractor from a recipe: one model, an ensemble or its student",
        "score": "strict micro precision, recall and F1, and whether two systems differ",
        "study": "the paper's tables on your corpus",
    },
    "publish": {
        "push": "push a model, a dataset, a metric or an app to the Hub with its card: private by default",
    },
}
GOES_ON = ("pretrain", "finetune", "predict", "study")  # what an interruption leaves is taken up again
KNOWN = [verb for verbs in VERBS.values() for verb in verbs]


OF_THE_MACHINE = {  # faults of files that a user can mend, and that need no traceback
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}

FULL = os.strerror(errno.ENOSPC)
SPINS = "10000"  # rounds for which a thread that has no work spins before it sleeps: some microseconds


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; faults of the input or of the machine are one line on standard error and exit status 2."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # before torch: its threads would spin where other processes compute
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)  # as of a cluster's queue: half-written files are removed
    try:
        try:
            return _run(verb, rest)
        finally:
            sys.stdout.flush()  # so that a pipe that is closed shows here
    except BrokenPipeError:  # as of `clinx … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _terminate(*_) -> None:
    raise SystemExit(143)


def _run(verb: str, rest: list[str]) -> int:
    if verb in ("-h", "--help", "--version"):
        print(overview() if verb != "--version" else f"clinx {version('clin-x')}")
        return 0
    if verb not in KNOWN:
        print(f"clinx: unknown verb {verb!r}, expected one of {', '.join(KNOWN)}", file=sys.stderr)
        return 2
    try:
        import_module(f".commands.{verb.replace('-', '_')}", __package__).main(rest)
    except InputError as error:
        print(f"clinx {verb}: error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        is_full = FULL in str(error)  # as safetensors says, whose error is of a kind of its own
        if not is_full and not (isinstance(error, OSError) and error.errno in OF_THE_MACHINE):
            raise
        where, fault = getattr(error, "filename", None), getattr(error, "strerror", FULL)
        print(f"clinx {verb}: error: {f'{where}: ' if where else ''}{fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        advice = "; the same command goes on with what is missing" if verb in GOES_ON else ""
        print(f"clinx {verb}: interrupted{advice}", file=sys.stderr)
        return 130
    return 0


def overview() -> str:
    """The verbs, grouped by what people do."""
    lines = ["usage: clinx VERB …", "", "Clinical concept extraction on the Hugging Face stack."]
    for group, verbs in VERBS.items():
        lines += ["", f"{group}:", *(f"  {name:14}{text}" for name, text in verbs.items())]
    return "\n".join(
        [*lines, "", "`clinx VERB --help` explains a verb and shows an example; `clinx --version` names the release."]
    )
