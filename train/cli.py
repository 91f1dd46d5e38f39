"""The `clinx` command: each verb is a module of this package with a `main(argv)`."""

import os
import sys
from importlib import import_module

from .errors import InputError


VERBS = {
    "demo": ("the whole story on built-in synthetic notes: CPU, offline, minutes", ".demo"),
    "corpus": ("look at an annotated corpus: counts, and what labels on subwords can represent", ".corpus"),
    "finetune": ("fine-tune a concept extractor from a recipe", ".finetune"),
    "push": ("push a model, a dataset, a metric or an app to the Hub: its card and all, private", ".push"),
    "predict": ("find the entities of many notes, into BRAT or JSON Lines", ".predict"),
    "study": ("the paper's tables on your corpus: ablation", ".study"),
    "score": ("strict micro precision, recall and F1, and whether two systems differ", ".score"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; faults of the input are one line on standard error and exit status 2."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help"):
        print("usage: clinx VERB …\n\nClinical concept extraction. `clinx VERB --help` tells more of each:\n")
        print("\n".join(f"  {name:10}{text}" for name, (text, _) in VERBS.items()))
        return 0
    if verb not in VERBS:
        print(f"clinx: unknown verb {verb!r}, expected one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        import_module(VERBS[verb][1], __package__).main(rest)
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


if __name__ == "__main__":
    sys.exit(main())
