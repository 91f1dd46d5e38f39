"""Plots of a run, as PNG."""

from pathlib import Path


def training_curves(log: list[dict], path: Path) -> None:
    """Training loss, and strict precision, recall and F1 on the validation documents, over the steps of a run.

    Args:
        log: the Trainer's `log_history`.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    losses = [(row["step"], row["loss"]) for row in log if "loss" in row]
    if losses:
        left.plot(*zip(*losses, strict=True), color="tab:blue")
        left.set_yscale("log")
    left.set(title="Training loss", xlabel="step", ylabel="nats per labelled subword")
    rows = [row for row in log if "eval_strict_f1" in row]
    for name, style in (("strict_f1", "-o"), ("precision", ":"), ("recall", "--")):
        values = [100 * row[f"eval_{name}"] for row in rows]
        right.plot([row["step"] for row in rows], values, style, markersize=4, label=name.replace("_f1", " F1"))
    right.set(title="Validation documents", xlabel="step", ylabel="%", ylim=(0, 100))
    right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
