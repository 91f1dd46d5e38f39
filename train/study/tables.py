"""Tables of a study: the rows that are complete, scored and compared with a reference row."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..corpora import read_corpus
from ..corpora.documents import Document
from ..plots import ablation_plot
from ..run_folder import RunFolder
from ..scoring.p_values import LEGEND as CODES
from ..scoring.p_values import correct_family
from ..scoring.scores import median_member, score
from ..scoring.significance import compare, compare_runs
from ..writing import atomic_file, write_json
from .paper import of_component


REFERENCE = "random"  # the row with which the others are compared
SENTENCES = "sentences"  # that with which the one without context is compared too


def write_table(folder: Path, gold: Sequence[Document], runs: Mapping[str, Sequence[str]]) -> dict:
    """Writes `ablation.json`, `.md` and `.png` of the runs in a folder, and returns the figures.

    Args:
        runs: by the title of each row, the folders of its runs: an ensemble's, or those of models with other seeds.
    """
    rows, predictions = {}, {}
    for title, of_row in runs.items():
        name = of_row[0].partition("/")[0]
        rows[name], predictions[name] = _row([folder / run for run in of_row], title, gold)
        rows[name]["paper"] = of_component(name)
    for reference in {REFERENCE, SENTENCES} & rows.keys():
        for name, row in rows.items():
            if name != reference and (reference == REFERENCE or name == "no-context"):
                row[f"against_{reference}"] = _against(gold, predictions[name], predictions[reference])
    # Holm's families: the cells of the table, and the ensembles of all rows beside their own members.
    against = [row.get(f"against_{reference}", {}) for row in rows.values() for reference in (REFERENCE, SENTENCES)]
    cells = [comparison for of_row in against for comparison in of_row.values()]
    gains = [row["ensemble_above_median"] for row in rows.values() if "ensemble_above_median" in row]
    for family in (cells, gains):
        correct_family(family)
    result = {"documents": len(gold), "written": time.strftime("%Y-%m-%d"), "rows": rows}
    write_json(folder / "ablation.json", result)
    with atomic_file(folder / "ablation.md") as file:
        file.write(as_markdown(result).encode())
    ablation_plot(rows, folder / "ablation.png")
    return result


class Predicted(NamedTuple):
    """What the models of a row find in the test documents."""

    members: list[list[Document]]
    ensemble: list[Document] | None


def _row(runs: Sequence[Path], title: str, gold: Sequence[Document]) -> tuple[dict, Predicted]:
    """The figures of a row, and what its models predicted."""
    members = [path for path in runs[0].glob("member-*") if path.is_dir()]
    members = sorted(members, key=lambda path: int(path.name.split("-")[1]))
    predicted = [list(read_corpus(run / "test.jsonl")) for run in members or runs]
    f1 = [score(gold, documents)["f1"] for documents in predicted]
    row = {"title": title, "members": f1, "median": f1[median_member(f1)], "best": max(f1)}
    ensemble = list(read_corpus(runs[0] / "test.jsonl")) if members else None
    if ensemble:
        row["ensemble"] = score(gold, ensemble)["f1"]
        row["ensemble_above_median"] = compare(gold, ensemble, predicted[median_member(f1)])
    figures = [RunFolder(run).read_metrics() for run in members or runs]
    row["seconds"], row["steps"] = ([of_run[name] for of_run in figures] for name in ("seconds", "steps"))
    return row, Predicted(predicted, ensemble)


def _against(gold: Sequence[Document], row: Predicted, reference: Predicted) -> dict[str, dict]:
    """The comparison of the members of two rows, and of their ensembles."""
    comparisons = {"members": compare_runs(gold, row.members, reference.members)}
    if row.ensemble and reference.ensemble:
        comparisons["ensemble"] = compare(gold, row.ensemble, reference.ensemble)
    return comparisons


LEGEND = """
Strict micro F1 in % on {documents} documents; median and best are by this F1. Differences are to random splits: of the
mean of the members, in brackets with the 95 % interval of a bootstrap over documents and over members, which are
other seeds and other splits; and of the ensembles, with that over documents alone. p is of the randomization test over
documents, which knows nothing of other seeds, Holm the same p after Holm's correction for all differences of the table,
with its code as in R: `{codes}`. The paper's are those of its Table 4, English / Spanish, ensembles but for All.
All is one model of all notes, with three seeds. The rows with − are random splits without that component.
"""


def as_markdown(result: dict) -> str:
    """The table; differences are to random splits, with bootstrap interval, p-value and Holm's over all of them."""
    lines = [
        "| training | median | best | ensemble | members − random's | ensemble − random's | the paper's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["rows"].values():
        against = row.get("against_random", {})
        cells = [percent(row.get(name)) for name in ("median", "best", "ensemble")]
        cells += [difference(against.get(name)) for name in ("members", "ensemble")]
        cells.append(" / ".join(f"{value:+.2f}" for value in row.get("paper") or ()))
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    lines.append(LEGEND.format(documents=result["documents"], codes=CODES).rstrip("\n"))
    if gain := result["rows"].get(REFERENCE, {}).get("ensemble_above_median"):
        lines += [
            "",
            f"Random splits: the ensemble is above its median member by {difference(gain)}",
            "(Holm's correction is over the ensembles of all rows).",
        ]
    if context := result["rows"].get("no-context", {}).get(f"against_{SENTENCES}"):
        lines += ["", "Context alone, both with sentence windows: without it, differences to those with it are"]
        lines += [f"{difference(context[name])} ({name})" + "." * (name == "ensemble") for name in context]
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
