"""The tables of the transfer study: gains by target, source and size, and how well each measure foresaw them."""

from pathlib import Path

from ..plots import gain_heat_map
from ..scoring.p_values import LEGEND as CODES
from ..scoring.p_values import correct_family
from ..transfer.quality import FIGURES, case_of, evaluate_measures
from ..transfer.sets import evaluate_sets
from ..writing import atomic_file, write_json
from .paper import of_transfer
from .tables import difference


def with_evaluated_measures(result: dict) -> dict:
    """The result with "measures" of each size: `evaluate_measures` over its targets.

    A target takes part when its sources have been ranked, and all of those, two or more, have been tried.
    """
    for of_size in result["sizes"].values():
        cases = []
        for target in of_size["targets"].values():
            sources = list(target["sources"].values())
            if len(sources) > 1 and {*target["sources"]} == {*target["ranked"]}:
                names = sources[0]["measures"]
                measures = {name: [source["measures"][name] for source in sources] for name in names}
                cases.append(case_of([source["gain"]["difference"] for source in sources], measures))
        if cases:
            of_size["measures"] = evaluate_measures(cases)
    result["sets"] = evaluate_sets(_transfers(result))
    return result


def write_tables(folder: Path, result: dict) -> None:
    """Writes `transfer.json`, `.md`, `.png` and `transfers.json`; gains of a size are one family of Holm's."""
    for of_size in result["sizes"].values():
        cells = [source["gain"] for target in of_size["targets"].values() for source in target["sources"].values()]
        correct_family(cells)
    write_json(folder / "transfer.json", result)
    write_json(folder / "transfers.json", {"transfers": _transfers(result)})
    with atomic_file(folder / "transfer.md") as file:
        file.write(as_markdown(result).encode())
    gain_heat_map(result["sizes"], result["sources"], folder / "transfer.png")


def _transfers(result: dict) -> list[dict]:
    """Every transfer that was tried after it was measured, for those who learn from it."""
    return [
        {
            "target": target,
            "source": name,
            "size": size,
            "gain": source["gain"]["difference"],
            "measures": source["measures"],
        }
        for size, of_size in result["sizes"].items()
        for target, of_target in of_size["targets"].items()
        for name, source in of_target["sources"].items()
        if "measures" in source
    ]


LEGEND = """
Strict micro F1 in %, the mean over seeds, and what each source gives more than no transfer, in points: bold the best
source, ‡ the one that the fused measures put first before any transfer to that target was trained. In brackets the 95 %
interval of a bootstrap over documents and seeds; p is of the randomization test over documents, which knows nothing of
other seeds, and Holm the same p after Holm's correction over all gains of the table, with its code as in R: `{codes}`.
The last column is the paper's own: without transfer → with its best source, of XLM-R large.
"""

MEASURES_LEGEND = """
Over targets, with the 95 % bootstrap interval over them; chance takes any source. Regret is what the source that comes
first gives less than the best, in points of F1; the last columns are intervals of how much smaller or larger it is than
that of chance and of the Procrustes distance. A measure that no source has is left out. What a source learned from
shares no 50 words in a row with the documents on which a target is scored.
"""


SETS = """
A support vector machine that learned from the transfers to the other targets tells of {right} of {transfers} transfers
whether they help, hurt or are neutral (within half a point); the commonest class is {commonest} of them. The {helpful}
sources that it says help gain {gain_of_helpful} points on average, all sources {gain_of_all}.
"""


def as_markdown(result: dict) -> str:
    """The tables of every size."""
    parts = []
    for size, of_size in result["sizes"].items():
        if targets := of_size["targets"]:
            parts += [f"### {'All' if size == 'all' else size} sentences", ""]
            parts += [*_gains(size, targets, result["sources"]), ""]
        if "measures" in of_size:
            parts += [*_measures(of_size["measures"]), ""]
    if sets := result.get("sets"):
        gains = {name: sets[name] for name in ("gain_of_helpful", "gain_of_all")}
        shown = {name: "–" if gain is None else f"{100 * gain:+.2f}" for name, gain in gains.items()}
        parts += [SETS.format(**sets | shown).strip(), ""]
    return "\n".join([*parts, LEGEND.format(codes=CODES).strip(), "", MEASURES_LEGEND.strip(), ""])


def _gains(size: str, targets: dict[str, dict], sources: list[str]) -> list[str]:
    lines = [f"| target | no transfer | {' | '.join(sources)} | paper |", "| --- " * (len(sources) + 3) + "|"]
    for name, target in targets.items():
        without = target["without_transfer"]
        cells = [f"{100 * sum(without) / len(without):.2f}"]
        for source in sources:
            text = difference(target["sources"].get(source, {}).get("gain"))
            gain, space, rest = text.partition(" ")  # codes are stars too
            text = f"**{gain}**{space}{rest}" if text and source == target["best"] else text
            cells.append(f"{text} ‡" if text and source == target["foreseen"] else text)
        lines.append(f"| {name} | {' | '.join(cells)} | {of_transfer(name, size)} |")
    return lines


def _measures(measures: dict[str, dict]) -> list[str]:
    titles = {"spearman": "Spearman", "ndcg": "NDCG", "regret": "regret", "rank_of_best": "rank of best", "hit": "hits"}
    heads = ["measure", *(titles[figure] for figure in FIGURES)]
    differences = [name for name in ("less_chance", "less_procrustes") if name in measures["fused"]["regret"]]
    heads += [f"regret, {name.replace('_', ' ')}’s" for name in differences]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, figures in measures.items():
        cells = []
        for figure in FIGURES:
            scale = 100 if figure == "regret" else 1
            mean, low, high = (scale * value for value in (figures[figure]["mean"], *figures[figure]["interval"]))
            cells.append(f"{mean:.2f} [{low:.2f}, {high:.2f}]")
        for other in differences:
            low, high = (f"{100 * value:+.2f}" for value in figures["regret"][other])
            cells.append(f"[{low}, {high}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
