"""Which settings of training pay, at the same wall clock: a Plackett-Burman design of ten factors in twelve runs.

    OMP_NUM_THREADS=1 python benchmarks/screening.py --out benchmarks/results/screening.json

Every run has each factor at its default or at the other value; a factor's effect is the mean F1 of the six runs with
the other value minus that of the six without, so that all runs speak for every factor (Plackett & Burman 1946). Runs
train for as long as that of all defaults. Learned from 100 training notes of each corpus, judged on 100 others of its
training notes; `dev` is not read. What is there already is not trained again.

The eleventh factor of the figures that are kept, a moving average of the weights (decay 0.98), lowered F1 by 1.22
points and is gone since. They are of MEDDOCAN alone (`--corpora meddocan`): the hours of two cores ended.

An earlier screening, from batches of 512 labelled subwords and with 120 updates, was given up after six of its runs.
With half as large a batch, in as much time, MEDDOCAN's F1 was 5 points above, so that batches are of 256 here; and in
three of three runs that rose to the peak of the learning rate within 10 % of the updates training broke down (F1 of 7
to 76).
"""

import math
from pathlib import Path
from statistics import fmean, variance

import yaml
from report import arguments, finish

from clinx.study.compare import CompareStudy, study_compare


FACTORS = {  # the setting, and its other value
    "window_length": 256,
    "context_size": 50,
    "context_dropout": 0.3,
    "locked_dropout": 0.3,
    "word_dropout": 0.05,
    "learning_rate": 5e-4,
    "head_learning_rate": 1e-3,
    "adam_beta2": 0.98,
    "weight_decay": 0.01,
    "layerwise_lr_decay": 0.85,
}
FIRST_ROW = "++-+++---+-"  # the others are its rotations, and one of minuses
SETTINGS = {
    "encoder": "${CLINX_MODELS}/clin-x-es-mini",
    "split_kind": "all",
    "test_fraction": 0.2,
    "max_train_documents": 100,
    "max_steps": 350,
    "batch_subwords": 256,
    "learning_rate": 3e-4,
    "head_learning_rate": 3e-3,
    "eval_strategy": "steps",  # as that of saving has to be; there are no validation notes
    "eval_steps": 0.5,
    "save_strategy": "steps",
    "save_steps": 0.5,
    "seed": [1, 2],
}
CORPORA = ("meddocan", "pharmaconer")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--work", default="runs/screening", type=Path)
    parser.add_argument("--at_once", default=2, type=int, help="trainings side by side, a thread each")
    parser.add_argument("--corpora", nargs="+", default=CORPORA, choices=CORPORA)
    args = parser.parse_args()

    rows = design()
    systems = {f"run {i}": {name: FACTORS[name] for name in others} for i, others in enumerate(rows)}
    corpora = {name: {"train": f"${{CLINX_CORPORA}}/{name}/train"} for name in args.corpora}
    args.work.mkdir(parents=True, exist_ok=True)
    file = args.work / "screening.yaml"
    file.write_text(yaml.safe_dump({"settings": SETTINGS, "corpora": corpora, "systems": systems}, sort_keys=False))
    study = CompareStudy.read(file, str(args.work))
    result = study_compare(study, args.at_once, equal_time=True)["corpora"]

    effects, lines = {}, []
    for name in FACTORS:
        effects[name] = {corpus: effect(name, rows, [*result[corpus]["systems"].values()]) for corpus in args.corpora}
        shown = (f"{corpus} {100 * e:+.2f} ± {100 * half:.2f}" for corpus, (e, half) in effects[name].items())
        lines.append((f"{name}: {FACTORS[name]}", "   ".join(shown)))
    f1 = {corpus: {name: one["f1"] for name, one in result[corpus]["systems"].items()} for corpus in args.corpora}
    finish("screening", {"settings": SETTINGS, "design": systems, "f1": f1, "effects": effects}, lines, args.out)


def design() -> list[set[str]]:
    """For each of twelve runs, the factors that have their other value; the first has none."""
    signs = [FIRST_ROW[-i:] + FIRST_ROW[:-i] if i else FIRST_ROW for i in range(len(FIRST_ROW))]
    return [set(), *({name for name, sign in zip(FACTORS, row, strict=False) if sign == "+"} for row in signs)]


def effect(factor: str, rows: list[set[str]], systems: list[dict]) -> tuple[float, float]:
    """The effect of a factor on F1, and half the width of its 95 % interval over seeds."""
    with_it, without = (
        [s["f1"] for s, row in zip(systems, rows, strict=True) if (factor in row) == on] for on in (1, 0)
    )
    error = fmean(variance(f1) / len(f1) for f1 in (*with_it, *without))  # of a run's mean over seeds
    means = [fmean(map(fmean, side)) for side in (with_it, without)]
    return means[0] - means[1], 1.96 * math.sqrt(error * (1 / len(with_it) + 1 / len(without)))


if __name__ == "__main__":
    main()
