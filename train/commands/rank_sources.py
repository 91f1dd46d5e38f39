"""Which model to start from: ranks source models by how much each knows of the target's annotated notes already."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import EXCLUDE, console, help_with_example, printable, quiet_loading
from ..corpora import FORMATS, read_corpus
from ..corpora.documents import Document, telling_problems
from ..errors import InputError
from ..setting_fields import COUNT
from ..writing import atomic_file, check_writable


if TYPE_CHECKING:
    from rich.table import Table

    from ..transfer.ranking import Ranking


EXAMPLE = "clinx rank-sources --target notes/train --source_models runs/meddocan org/pharmaconer --plot sources.png"
COLUMNS = {  # as the table shows the measures
    "leep": "LEEP",
    "h_score": "H-score",
    "log_me": "LogME",
    "mention_vocabulary": "words in mentions",
    "vocabulary": "words",
    "trigrams": "3-grams",
    "size": "size",
    "procrustes": "Procrustes distance",
    "cosine": "cosine",
}


def main(argv: list[str]) -> None:
    """Runs `clinx rank-sources`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    for target in (args.json, args.plot):
        if target:
            check_writable(Path(target))
    documents = _read(args.target, args.exclude, args.target_format)
    if args.max_sentences is not None:
        from ..corpora.sentences import first_sentences

        if args.max_sentences not in COUNT:
            raise InputError(f"--max_sentences is {args.max_sentences}, expected {COUNT}")
        documents = first_sentences(documents, args.max_sentences)
    from ..transfer.ranking import rank_sources  # not above: `--help` answers at once

    quiet_loading()
    notes = _notes_of(args)

    earlier = _transfers(args.transfers)
    target_model = _target_model(args)
    ranking = rank_sources(documents, args.source_models, notes, target_model, args.seed)
    classes = _foreseen(ranking, earlier) if args.transfers else None
    console().print(table(ranking, classes))
    print(recommendation(ranking))
    if classes:
        print(_set_of_sources(ranking, classes))
    if args.json:
        with atomic_file(Path(args.json)) as file:
            file.write(json.dumps(_as_dict(ranking, classes), indent=2).encode("ascii") + b"\n")
    if args.plot:
        from ..plots import source_bars

        source_bars({source.name: source.score for source in ranking.sources}, Path(args.plot))


def _transfers(path: str | None) -> list[dict]:
    if path is None:
        return []
    from ..transfer.sets import read_transfers

    return read_transfers(path)


def _foreseen(ranking: Ranking, transfers: list[dict]) -> list[str]:
    from ..transfer.sets import foresee_classes

    names = ranking.sources[0].measures
    return foresee_classes(transfers, {name: [source.measures[name] for source in ranking.sources] for name in names})


def _target_model(args: argparse.Namespace) -> str | None:
    """The model of the target; where a recipe is given, the run that it trains on the target, or has trained."""
    from ..recipe_reading import recipe_file

    if args.target_model is None or recipe_file(args.target_model).suffix not in (".yaml", ".yml"):
        return args.target_model
    from ..finetuning.ensemble import run_recipe
    from ..recipe import Recipe

    of_target = ["--train", args.target, *(["--format", args.target_format] if args.target_format else [])]
    of_target += ["--max_train_sentences", str(args.max_sentences)] if args.max_sentences is not None else []
    of_target += ["--exclude", *args.exclude] if args.exclude else []
    return str(run_recipe(Recipe.read(args.target_model, of_target)))


def _read(path: str, exclude: Sequence[str], format: str | None = None) -> list[Document]:
    return list(telling_problems(path, read_corpus(path, format, exclude=exclude)))


def _notes_of(args: argparse.Namespace) -> dict[str, list[Document]]:
    """The notes that a source learned from, as far as it is told or its run remembers them."""
    if args.source_notes:
        if len(args.source_notes) != len(args.source_models):
            raise InputError(
                f"found {len(args.source_notes)} --source_notes and {len(args.source_models)} --source_models, "
                "expected as many, in the same order"
            )
        notes = zip(args.source_models, args.source_notes, strict=True)
        return {name: _read(path, args.exclude) for name, path in notes}
    from ..transfer.sources import notes_of_runs

    return notes_of_runs(args.source_models)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx rank-sources", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument("--target", required=True, metavar="PATH", help="annotated notes of the target")
    parser.add_argument("--target-format", choices=sorted(FORMATS), help="their format (default: guessed)")
    parser.add_argument("--exclude", **EXCLUDE)
    parser.add_argument("--max_sentences", type=int, metavar="N", help="use only their first N sentences")
    parser.add_argument(
        "--source_models",
        required=True,
        nargs="+",
        metavar="MODEL",
        help="models to choose from: runs, folders or names on the Hub; token classifiers, ensembles or encoders",
    )
    parser.add_argument(
        "--source_notes",
        nargs="+",
        metavar="PATH",
        help="the annotated notes that each of them learned from, in the same order, to compare words with (default: "
        "those that a run's recipe names, if they are still there)",
    )
    parser.add_argument(
        "--target_model",
        metavar="MODEL",
        help="a model trained on the target, for the Procrustes distance and the cosine; or a recipe, by which one is "
        "trained on the target first",
    )
    parser.add_argument(
        "--transfers",
        metavar="FILE",
        help="earlier transfers (transfers.json of `clinx study transfer`), from which is learned which sources help",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample of words, of more than 10,000")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    parser.add_argument("--plot", metavar="FILE", help="draw the fused scores to this PNG")
    return parser


def table(ranking: Ranking, classes: Sequence[str] | None = None) -> Table:
    """A row for each source, the likely best first, with what was measured of it, and what it is foreseen to do."""
    from rich.table import Table

    names = [name for name in COLUMNS if any(_is_known(source.measures.get(name)) for source in ranking.sources)]
    rows = Table("", "source", "fused")
    for name in names:
        rows.add_column(COLUMNS[name], justify="right")
    if classes:
        rows.add_column("foreseen")
    for rank, source in enumerate(ranking.sources, 1):
        values = [_shown(source.measures.get(name)) for name in names]
        values += [classes[rank - 1]] if classes else []
        rows.add_row(str(rank), printable(source.name), f"{source.score:.5f}", *values)
    return rows


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _shown(value: float | None) -> str:
    return f"{value:,.4g}" if _is_known(value) else "–"


def recommendation(ranking: Ranking) -> str:
    """What to start from, and how sure that is."""
    first = printable(ranking.sources[0].name)
    sample = f"compared at {ranking.words:,} words of {ranking.documents} notes"
    if len(ranking.sources) == 1:
        return f"{sample}; there is no other source to choose"
    if math.isnan(ranking.ahead):
        return f"{first} comes first; no part of the target can tell how sure that is ({sample})"
    share = f"ahead of the second in {100 * ranking.ahead:.0f} % of the target's parts"
    if ranking.is_sure:
        return f"start from {first}: it is {share} ({sample})"
    return f"{first} comes first, but is {share}: the two first are closer than chance ({sample})"


def _set_of_sources(ranking: Ranking, classes: Sequence[str]) -> str:
    """Which and how many sources help, by earlier transfers."""
    helpful = [printable(source.name) for source, of in zip(ranking.sources, classes, strict=True) if of == "helps"]
    if len(helpful) > 1:
        return f"by earlier transfers {len(helpful)} help; their mean: --source_models {' '.join(helpful)}"
    return f"by earlier transfers {helpful[0] if helpful else 'none'} helps"


def _as_dict(ranking: Ranking, classes: Sequence[str] | None = None) -> dict:
    def known(value: float) -> float | None:
        return value if _is_known(value) else None

    return {
        "sources": [
            {
                "name": source.name,
                "score": source.score,
                **({"foreseen": classes[i]} if classes else {}),
                **{name: known(value) for name, value in source.measures.items()},
            }
            for i, source in enumerate(ranking.sources)
        ],
        "ahead": known(ranking.ahead),
        "is_sure": ranking.is_sure,
        "words": ranking.words,
        "documents": ranking.documents,
    }
