"""Tables of a study: the rows that are complete, scored and compared with a reference row."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..corpora import read_corpus
from ..corpora.documents import Document
from ..plots import ablation_plot
from ..run_folder import RunFolder
from ..scoring.p_values import LEGEND as CODES
from ..scoring.p_values import correct_family
from ..scoring.scores import median_member, score
from ..scoring.significance import compare
from ..writing import atomic_file, write_json


REFERENCE = "random"  # the row with which the others are compared


def write_table(folder: Path, gold: Sequence[Document], titles: Mapping[str, str]) -> dict:
    """Writes `ablation.json`, `.md` and `.png` of the runs in a folder, and returns the figures.

    Args:
        titles: of each row, by the name of its run's folder; those without figures are left out.
    """
    rows, predictions = {}, {}
    for name, title in titles.items():
        if RunFolder(folder / name).is_done:
            rows[name], predictions[name] = _row(folder / name, title, gold)
    if REFERENCE in rows:
        for name, row in rows.items():
            if name != REFERENCE:
                row["against_random"] = {
                    model: compare(gold, documents, predictions[REFERENCE][model])
                    for model, documents in predictions[name].items()
                }
    # Holm's families: the cells of the table, and the ensembles of all rows beside their own members.
    cells = [comparison for row in rows.values() for comparison in row.get("against_random", {}).values()]
    gains = [row["ensemble_above_median"] for row in rows.values() if "ensemble_above_median" in row]
    for family in (cells, gains):
        correct_family(family)
    result = {"documents": len(gold), "written": time.strftime("%Y-%m-%d"), "rows": rows}
    write_json(folder / "ablation.json", result)
    with atomic_file(folder / "ablation.md") as file:
        file.write(as_markdown(result).encode())
    ablation_plot(rows, folder / "ablation.png")
    return result


def _row(folder: Path, title: str, gold: Sequence[Document]) -> tuple[dict, dict[str, list[Document]]]:
    """The figures of a run, and the documents that its median member and its ensemble predicted."""
    members = [path for path in folder.glob("member-*") if path.is_dir()]
    members = sorted(members, key=lambda path: int(path.name.split("-")[1]))
    runs = members or [folder]
    predicted = [list(read_corpus(run / "test.jsonl")) for run in runs]
    f1 = [score(gold, documents)["f1"] for documents in predicted]
    row = {"title": title, "members": f1, "median": f1[median_member(f1)], "best": max(f1)}
    predictions = {"median": predicted[median_member(f1)]}
    if members:
        predictions["ensemble"] = list(read_corpus(folder / "test.jsonl"))
        row["ensemble"] = score(gold, predictions["ensemble"])["f1"]
        row["ensemble_above_median"] = compare(gold, predictions["ensemble"], predictions["median"])
    row["seconds"] = [RunFolder(run).read_metrics()["seconds"] for run in runs]
    return row, predictions


LEGEND = """
Strict micro F1 in % on {documents} documents; in brackets the 95 % interval of the paired
bootstrap over documents, which knows nothing of other seeds and splits; median and best are by this F1.
p is of the randomization test over documents, Holm the same p after Holm's correction for all differences of the
table, with its code as in R: `{codes}`.
All is one model, of all notes. The rows with − are random splits without that component; without context
each sentence is a window of its own.
"""


def as_markdown(result: dict) -> str:
    """The table; differences are to random splits, with bootstrap interval, p-value and Holm's over all of them."""
    lines = [
        "| training | median | best | ensemble | median − random's | ensemble − random's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["rows"].values():
        against = row.get("against_random", {})
        cells = [percent(row.get(name)) for name in ("median", "best", "ensemble")]
        cells += [difference(against.get(name)) for name in ("median", "ensemble")]
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    lines.append(LEGEND.format(documents=result["documents"], codes=CODES).rstrip("\n"))
    if gain := result["rows"].get(REFERENCE, {}).get("ensemble_above_median"):
        lines += [
            "",
            f"Random splits: the ensemble is above its median member by {difference(gain)}",
            "(Holm's correction is over the ensembles of all rows).",
        ]
    return "\n".join(lines) + "\n"


def percent(value: float | None) -> str:
    """An F1 from 0 to 1 in %; "" for None."""
    return "" if value is None else f"{100 * value:.2f}"


def difference(comparison: dict | None) -> str:
    """A difference of F1 in points, with interval, p-value, and Holm's with its code; "" for None."""
    if comparison is None:
        return ""
    low, high = (f"{100 * bound:+.2f}" for bound in comparison["interval"])
    p_values = f"p {comparison['p_value']:.4f}, Holm {comparison['holm_p_value']:.4f} {comparison['holm_code']}"
    return f"{100 * comparison['difference']:+.2f} [{low}, {high}], {p_values.rstrip()}"
