"""Find the entities of many notes, into BRAT or JSON Lines; given again, it goes on, and reads what has changed."""

import argparse
import sys
from pathlib import Path

from ..checks import refuse_no_model
from ..console import EXCLUDE, console, help_with_example, printable, quiet_loading
from ..corpora import FORMATS
from ..errors import InputError


EXAMPLE = "clinx predict --model runs/my-notes/model --input notes/test --output predictions"


def main(argv: list[str]) -> None:
    """Runs `clinx predict`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    from ..prediction.predict import UNREADABLE, predict  # not above: `--help` answers at once

    quiet_loading()
    keep = _kept(args)
    counts = predict(
        args.model,
        args.input,
        args.output,
        args.format,
        source_format=args.input_format,
        exclude=args.exclude,
        keep_going=args.keep_going,
        disagreement=args.disagreement,
        keep=keep,
        engine=_engine(args),
    )
    print(f"{_summary(counts)}; predictions in {args.output}")
    if counts.unreadable:
        print(f"notes that could not be read, and why: {Path(args.output, UNREADABLE)}", file=sys.stderr)
    if args.disagreement:
        print(f"what to annotate next, first to last: {Path(args.output, 'disagreement.tsv')}")


def _engine(args: argparse.Namespace):
    """What reads the notes: this process, or Ray's."""
    from ..prediction.engines import LocalEngine
    from ..prediction.loading import Computing
    from ..prediction.ray_engine import RayEngine

    computing = Computing(args.batch_size, args.device, args.max_members_in_memory, args.dtype)
    if args.engine == "local":
        if args.workers is not None or args.ray_address is not None:
            raise InputError("workers and ray-address are about Ray: add --engine ray, or leave them out")
        return LocalEngine(computing)
    return RayEngine(computing, args.workers, args.ray_address)


def _kept(args: argparse.Namespace):
    """The scores that mentions need; says which they are where a target asks for them by label."""
    from ..prediction.min_scores import MinScores, min_scores, target_thresholds

    targets = {"precision": args.target_precision, "recall": args.target_recall}
    for name in ("min_score", "target_precision", "target_recall"):
        share = getattr(args, name)
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"found {share} for {name.replace('_', '-')}, expected a share from 0 to 1")
    if args.min_score is not None:
        return MinScores(args.min_score)
    if targets["precision"] is None and targets["recall"] is None:
        return MinScores()
    refuse_no_model(args.model)
    of_label = target_thresholds(args.model, **targets)
    console(stderr=True).print(_thresholds_table(of_label, "precision" if args.target_recall is None else "recall"))
    return min_scores(of_label)


def _thresholds_table(of_label: dict, target: str):
    from rich.table import Table

    table = Table("label", title=f"lowest scores for the {target} asked for", title_justify="left")
    for column in ("lowest score", "precision %", "recall %"):
        table.add_column(column, justify="right")
    table.add_column("on validation notes")
    for label, one in sorted(of_label.items(), key=lambda item: (item[0] == "", item[0])):
        remark = "" if one.is_reached else f"this {target} was not reached: nearest to it"
        remark = remark if one.is_own else "few mentions: as all labels together"
        table.add_row(
            printable(label) or "all labels together",
            f"{one.score:.4f}",
            *(f"{100 * value:.2f}" for value in (one.precision, one.recall)),
            remark,
        )
    return table


def _summary(counts) -> str:
    """As "4 notes read (3 changed, 1 new), 116 as before, 2 removed since their notes are gone"."""
    kinds = f" ({counts.changed:,} changed, {counts.new:,} new)" if counts.changed else ""
    parts = [f"{counts.read:,} notes read{kinds}"]
    parts += [f"{counts.as_before:,} as before"] if counts.as_before else []
    parts += [f"{counts.removed:,} removed since their notes are gone"] if counts.removed else []
    parts += [f"{counts.unreadable:,} could not be read"] if counts.unreadable else []
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
    _add_scores(parser.add_mutually_exclusive_group())
    _add_computing(parser.add_argument_group("where and how the model computes"))
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="pass over notes that cannot be read (BRAT, JSON Lines, datasets); unreadable.log says why",
    )
    _add_engine(parser.add_argument_group("many processes, GPUs or machines"))
    parser.add_argument(
        "--disagreement",
        action="store_true",
        help="rank the notes by how much an ensemble's members disagree, in disagreement.tsv: those to annotate next",
    )
    return parser


def _add_computing(group) -> None:
    group.add_argument(
        "--batch-size",
        type=int,
        default=16,
        help="windows that the encoder reads at a time (default: 16, on a CPU no more than threads)",
    )
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: cuda if there is one)")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="number format of the encoder (default: the model repo's). bfloat16 takes half of the memory, and is "
        "faster on GPUs and on CPUs that compute in it (AVX512-BF16 or AMX), much slower on other CPUs",
    )
    group.add_argument(
        "--max-members-in-memory",
        type=int,
        metavar="N",
        help="members of an ensemble that are kept in memory; the others are read from disk, which is slower",
    )


def _add_engine(group) -> None:
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process reads, or the workers of a Ray cluster (default: local)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that read, with a GPU or a CPU core each (default: as many as the cluster has)",
    )
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="a Ray cluster that is there (default: one is started on this machine)"
    )


def _add_scores(kept) -> None:
    """Options that say which mentions are written, of which one may be given."""
    kept.add_argument(
        "--min-score", type=float, metavar="S", help="write mentions of this posterior probability or more (0 to 1)"
    )
    kept.add_argument(
        "--target-precision",
        type=float,
        metavar="P",
        help="write, by label, what was right that often on the model's validation notes (0 to 1)",
    )
    kept.add_argument(
        "--target-recall",
        type=float,
        metavar="R",
        help="write, by label, the surest mentions that were that share of those in the validation notes (0 to 1)",
    )
