"""Plots of a run, as PNG."""

from pathlib import Path


def training_curves(log: list[dict], path: Path, unit: str = "labelled subword") -> None:
    """Training loss, and strict precision, recall and F1 on the validation documents, over the steps of a run.

    Args:
        log: the Trainer's `log_history`.
        unit: over what its losses are means.
    """
    figure, right = _beside_training_loss(log, f"nats per {unit}")
    rows = [row for row in log if "eval_strict_f1" in row]
    for name, style in (("strict_f1", "-o"), ("precision", ":"), ("recall", "--")):
        values = [100 * row[f"eval_{name}"] for row in rows]
        right.plot([row["step"] for row in rows], values, style, markersize=4, label=name.replace("_f1", " F1"))
    right.set(title="Validation documents", xlabel="step", ylabel="%", ylim=(0, 100))
    right.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)
    _pyplot().close(figure)


def pretraining_curves(log: list[dict], path: Path) -> None:
    """Training loss, and perplexity of the held-out texts, over the steps of a run.

    Args:
        log: the Trainer's `log_history`.
    """
    figure, right = _beside_training_loss(log, "nats per masked subword")
    rows = [row for row in log if "eval_perplexity" in row]
    right.plot([row["step"] for row in rows], [row["eval_perplexity"] for row in rows], "-o", markersize=4)
    right.set(title="Held-out texts", xlabel="step", ylabel="perplexity", yscale="log")
    figure.savefig(path, dpi=120)
    _pyplot().close(figure)


def _beside_training_loss(log: list[dict], unit: str):
    """A figure with the training loss on its left, and its right half."""
    figure, (left, right) = _pyplot().subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    losses = [(row["step"], row["loss"]) for row in log if "loss" in row]
    if losses:
        left.plot(*zip(*losses, strict=True), color="tab:blue")
        left.set_yscale("log")
    left.set(title="Training loss", xlabel="step", ylabel=unit)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, right


def ablation_plot(rows: dict[str, dict], path: Path) -> None:
    """Strict F1 of every member as a dot, their median as a line, the ensemble as a diamond; one row a setting.

    Args:
        rows: by name, `{"title", "members", "median", "ensemble"}` with F1 from 0 to 1; the ensemble may be missing.
    """
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.5 * len(rows)), layout="constrained")
    for y, row in enumerate(rows.values()):
        members = [100 * f1 for f1 in row["members"]]
        axes.plot(
            [min(members), max(members)], [y, y], color="tab:blue", alpha=0.3, linewidth=5, solid_capstyle="round"
        )
        axes.plot(members, [y] * len(members), "o", color="tab:blue", markersize=5, label="" if y else "member")
        axes.plot(100 * row["median"], y, "|", color="black", markersize=16, label="" if y else "median")
        if "ensemble" in row:
            label = "" if any("ensemble" in other for other in list(rows.values())[:y]) else "ensemble"
            axes.plot(100 * row["ensemble"], y, "D", color="tab:orange", markersize=7, label=label)
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows.values()])
    axes.invert_yaxis()
    axes.set(xlabel="strict micro F1, %")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def reliability_diagram(calibration: dict, path: Path) -> None:
    """How often mentions of a score are right, beside the diagonal, over how many mentions have that score.

    Args:
        calibration: as `clinx.scoring.calibration.calibration` returns it.
    """
    plt = _pyplot()
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(4.6, 5.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    bins = calibration["bins"]
    scores, precisions = ([100 * row[name] for row in bins] for name in ("score", "precision"))
    above.plot([0, 100], [0, 100], "--", color="gray", linewidth=1)
    above.plot(scores, precisions, "-o", color="tab:blue")
    error = f"expected calibration error {100 * calibration['ece']:.1f} %"
    above.set(title=error, ylabel="mentions that are right, %", ylim=(0, 102), xlim=(0, 102))
    below.bar(scores, [row["mentions"] for row in bins], width=5, color="tab:blue", alpha=0.6)
    below.set(xlabel="score, % (mean of a tenth of the scale)", ylabel="mentions")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)


def f1_over_steps(corpora: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Strict F1 of models from an encoder, over the steps of its pretraining: each seed as a dot, their mean as a line.

    Args:
        corpora: by the name of a corpus, by step, F1 from 0 to 1 of each seed.
    """
    plt = _pyplot()
    figure, panels = plt.subplots(1, len(corpora), figsize=(5 * len(corpora), 3.6), layout="constrained", squeeze=False)
    for axes, (name, of_corpus) in zip(panels[0], corpora.items(), strict=True):
        means = [100 * sum(f1) / len(f1) for f1 in of_corpus.values()]
        for step, f1 in of_corpus.items():
            axes.plot([step] * len(f1), [100 * value for value in f1], "o", color="tab:blue", alpha=0.5, markersize=5)
        axes.plot(list(of_corpus), means, color="tab:blue")
        axes.set(title=name, xlabel="steps of pretraining", ylabel="strict micro F1, %")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def source_bars(scores: dict[str, float], path: Path) -> None:
    """The fused score of each source as a bar, the best on top."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.35 * len(scores)), layout="constrained")
    axes.barh(list(scores), list(scores.values()), color="tab:blue")
    axes.invert_yaxis()
    low, high = min(scores.values()), max(scores.values())
    axes.set(xlabel="fused reciprocal rank", xlim=(low - 0.3 * (high - low or low), high + 0.05 * (high - low or high)))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def systems_plot(corpora: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Strict F1 of each system, a panel a corpus: each seed as a dot, their mean as a line.

    Args:
        corpora: by the name of a corpus, by system, F1 from 0 to 1 of each seed.
    """
    plt = _pyplot()
    systems = list(dict.fromkeys(system for of_corpus in corpora.values() for system in of_corpus))
    size = (2.5 + 3 * len(corpora), 1 + 0.4 * len(systems))
    figure, panels = plt.subplots(1, len(corpora), figsize=size, layout="constrained", squeeze=False, sharey=True)
    for axes, (name, of_corpus) in zip(panels[0], corpora.items(), strict=True):
        for system, f1 in of_corpus.items():
            y = systems.index(system)
            axes.plot([100 * value for value in f1], [y] * len(f1), "o", color="tab:blue", alpha=0.5, markersize=5)
            axes.plot(100 * sum(f1) / len(f1), y, "|", color="black", markersize=16)
        axes.set(title=name, xlabel="strict micro F1, %")
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_yticks(range(len(systems)), systems)
    panels[0][0].set_ylim(len(systems) - 0.5, -0.5)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def gain_heat_map(sizes: dict[str, dict], sources: list[str], path: Path) -> None:
    """What each source gives each target more than no transfer, a panel a size; ★ the best, □ the foreseen source.

    Args:
        sizes: by size, `{"targets": {name: {"sources": {name: {"gain": {"difference"}}}, "best", "foreseen"}}}`.
        sources: the columns.
    """
    plt = _pyplot()
    sizes = {size: of["targets"] for size, of in sizes.items() if of["targets"]}
    figure, panels = plt.subplots(
        1,
        len(sizes),
        figsize=(1 + (1.6 + 0.9 * len(sources)) * len(sizes), 1.6 + 0.5 * max(map(len, sizes.values()))),
        layout="constrained",
        squeeze=False,
    )

    def gain_of(target: dict, source: str) -> float:
        return 100 * target["sources"][source]["gain"]["difference"] if source in target["sources"] else float("nan")

    gains = [[[gain_of(of, source) for source in sources] for of in targets.values()] for targets in sizes.values()]
    limit = max((abs(gain) for panel in gains for row in panel for gain in row if gain == gain), default=0) or 1
    for axes, (size, targets), matrix in zip(panels[0], sizes.items(), gains, strict=True):
        image = axes.imshow(matrix, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for y, (row, target) in enumerate(zip(matrix, targets.values(), strict=True)):
            for x, (gain, source) in enumerate(zip(row, sources, strict=True)):
                if gain == gain:
                    mark = " ★" if source == target["best"] else ""
                    color = "white" if abs(gain) > 0.6 * limit else "black"
                    axes.text(x, y, f"{gain:+.1f}{mark}", ha="center", va="center", color=color, fontsize=9)
                if source == target["foreseen"]:
                    axes.add_patch(plt.Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, linewidth=2))
        axes.set(title="all sentences" if size == "all" else f"{size} sentences", xlabel="source (★ best, □ foreseen)")
        axes.set_facecolor("0.85")  # where there is nothing
        axes.set_xticks(range(len(sources)), sources, rotation=35, ha="right")
        axes.set_yticks(range(len(targets)), list(targets))
    panels[0][0].set_ylabel("target")
    figure.colorbar(image, ax=panels[0], label="points of strict F1")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
