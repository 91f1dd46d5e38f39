"""Find the entities of many notes, into BRAT or JSON Lines; given again, it goes on, and reads what has changed."""

import argparse
from pathlib import Path

from ..console import EXCLUDE, help_with_example
from ..corpora import FORMATS


EXAMPLE = "clinx predict --model runs/my-notes/model --input notes/test --output predictions"


def main(argv: list[str]) -> None:
    """Runs `clinx predict`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    from ..prediction.predict import predict  # not above: `--help` answers at once

    counts = predict(
        args.model,
        args.input,
        args.output,
        args.format,
        source_format=args.input_format,
        exclude=args.exclude,
        batch_size=args.batch_size,
        device=args.device,
        disagreement=args.disagreement,
        max_members_in_memory=args.max_members_in_memory,
    )
    print(f"{_summary(counts)}; predictions in {args.output}")
    if args.disagreement:
        print(f"what to annotate next, first to last: {Path(args.output, 'disagreement.tsv')}")


def _summary(counts) -> str:
    """As "4 notes read (3 changed, 1 new), 116 as before, 2 removed since their notes are gone"."""
    kinds = f" ({counts.changed:,} changed, {counts.new:,} new)" if counts.changed else ""
    parts = [f"{counts.read:,} notes read{kinds}"]
    parts += [f"{counts.as_before:,} as before"] if counts.as_before else []
    parts += [f"{counts.removed:,} removed since their notes are gone"] if counts.removed else []
    return ", ".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx predict", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument("--model", required=True, metavar="M", help="folder or Hub name of a CLIN-X model repo")
    parser.add_argument("--input", required=True, metavar="PATH", help="notes: a folder of .txt, or JSON Lines")
    parser.add_argument(
        "--input-format", choices=sorted(FORMATS), help="format of the notes (default: guessed from the files)"
    )
    parser.add_argument("--exclude", **EXCLUDE)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the predictions")
    parser.add_argument(
        "--format", choices=("brat", "jsonl"), default="brat", help="format of the predictions (default: brat)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, help="windows that the encoder reads at a time (default: 16)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: cuda if there is one)")
    parser.add_argument(
        "--disagreement",
        action="store_true",
        help="rank the notes by how much an ensemble's members disagree, in disagreement.tsv: those to annotate next",
    )
    parser.add_argument(
        "--max-members-in-memory",
        type=int,
        metavar="N",
        help="members of an ensemble that are kept in memory; the others are read from disk, which is slower",
    )
    return parser
