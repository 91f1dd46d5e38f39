"""The `clinx` command: each verb is a module of `commands/` with a `main(argv)`."""

import os
import sys
from importlib import import_module

from .errors import InputError


VERBS = {  # by what people do
    "see": {
        "demo": "the whole story on built-in synthetic notes: offline, on a CPU, in minutes",
        "recipes": "the built-in recipes",
    },
    "read": {
        "corpus": "look at an annotated corpus, convert it, or fetch one of the ten tasks",
        "predict": "find the entities of many notes, into BRAT or JSON Lines",
    },
    "train": {
        "finetune": "fine-tune a concept extractor from a recipe: one model, an ensemble or its student",
        "score": "strict micro precision, recall and F1, and whether two systems differ",
        "study": "the paper's tables on your corpus",
    },
    "publish": {
        "push": "push a model, a dataset, a metric or an app to the Hub with its card: private by default",
    },
}
KNOWN = [verb for verbs in VERBS.values() for verb in verbs]


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; faults of the input are one line on standard error and exit status 2."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help"):
        print(overview())
        return 0
    if verb not in KNOWN:
        print(f"clinx: unknown verb {verb!r}, expected one of {', '.join(KNOWN)}", file=sys.stderr)
        return 2
    try:
        import_module(f".commands.{verb}", __package__).main(rest)
    except InputError as error:
        print(f"clinx {verb}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as of `clinx … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print(f"clinx {verb}: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def overview() -> str:
    """The verbs, grouped by what people do."""
    lines = ["usage: clinx VERB …", "", "Clinical concept extraction on the Hugging Face stack."]
    for group, verbs in VERBS.items():
        lines += ["", f"{group}:", *(f"  {name:10}{text}" for name, text in verbs.items())]
    return "\n".join([*lines, "", "`clinx VERB --help` explains a verb and shows an example."])
