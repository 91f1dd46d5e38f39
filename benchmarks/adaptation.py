"""Does pretraining on clinical text help? Strict F1 of the extraction model from an encoder before, while and after.

    clinx pretrain clin-x-es-mini
    python benchmarks/adaptation.py --before MODEL --run runs/clin-x-es-mini --out benchmarks/results/adaptation.json

Fine-tunes with the same recipe on few notes of each corpus, for each seed, from the model before, from every
`revisions/step-N` of the run, and from its model; judges on the notes of `dev`. What is there already is not trained
again. Differences have the 95 % interval of a bootstrap over seeds and documents.
"""

import subprocess
import sys
from pathlib import Path

from report import arguments, finish

from clinx.corpora import read_corpus
from clinx.plots import f1_over_steps
from clinx.run_folder import RunFolder
from clinx.scoring.scores import score
from clinx.scoring.significance import compare_runs


RECIPE = "meddocan-mini"
SETTINGS = {"batch_subwords": 256, "learning_rate": 3e-4, "max_steps": 600, "max_validation_documents": 20}
FEW = {  # notes to learn from: where mentions are rarer, it takes more of them
    "meddocan": {"max_train_documents": 60},
    "pharmaconer": {"max_train_documents": 200},
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--before", required=True, help="the model that pretraining began with")
    parser.add_argument("--run", required=True, type=Path, help="the pretraining run")
    parser.add_argument("--corpora", default="../shared/corpora", type=Path)
    parser.add_argument("--names", nargs="+", default=list(FEW))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--seeds_between", nargs="+", type=int, default=[1], help="seeds for the steps between")
    parser.add_argument("--steps", nargs="*", type=int, help="steps of the run (default: all that are there)")
    parser.add_argument("--bf16", action="store_true", help="fine-tune in bfloat16: faster where a CPU has avx512_bf16")
    parser.add_argument("--work", default="runs/adaptation", type=Path)
    args = parser.parse_args()

    encoders = models(args)
    settings = SETTINGS | {"bf16": args.bf16} | FEW
    result, rows = {"seeds": args.seeds, "settings": settings, "pretraining": pretraining_figures(args.run)}, []
    for name in args.names:
        gold = list(read_corpus(args.corpora / name / "dev"))
        first, last = encoders[0][0], encoders[-1][0]
        seeds = {step: args.seeds if step in (first, last) else args.seeds_between for step, _ in encoders}
        runs = {step: [predicted(args, name, step, path, seed) for seed in seeds[step]] for step, path in encoders}
        f1 = {step: [score(gold, documents)["f1"] for documents in of_step] for step, of_step in runs.items()}
        gain = compare_runs(gold, runs[last], runs[first])
        result[name] = {"documents": len(gold), "f1": f1, "gain": gain}
        rows += [(f"{name}, step {step}", "  ".join(f"{100 * value:.2f}" for value in of)) for step, of in f1.items()]
        low, high = gain["interval"]
        rows.append((f"{name}, gain", f"{100 * gain['difference']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"))
    if args.out:
        f1_over_steps({name: result[name]["f1"] for name in args.names}, Path(args.out).with_suffix(".png"))
    finish("adaptation", result, rows, args.out)


def models(args) -> list[tuple[int, Path]]:
    """Steps and folders of the encoders, from the one before to the one that pretraining left."""
    last = RunFolder(args.run).read_metrics()["steps"]
    kept = {int(path.name.split("-")[1]): path for path in (args.run / "revisions").glob("step-*")}
    steps = sorted(kept if args.steps is None else args.steps)
    return [(0, Path(args.before)), *((step, kept[step]) for step in steps), (last, args.run / "model")]


def pretraining_figures(run: Path) -> dict:
    metrics = RunFolder(run).read_metrics()
    names = ("steps", "subwords", "subwords_per_second", "seconds", "before", "validation", "blocks")
    return {name: metrics[name] for name in names if name in metrics}


def predicted(args, name: str, step: int, encoder: Path, seed: int) -> list:
    """The notes of `dev` with what a model from this encoder finds in them."""
    folder = args.work / f"{name}-step-{step}-seed-{seed}"
    corpus = args.corpora / name
    settings = SETTINGS | FEW[name] | dict.fromkeys(("eval_steps", "save_steps"), SETTINGS["max_steps"])
    settings |= {
        "use_cpu": True,
        "bf16": args.bf16,
        "encoder": encoder,
        "train": corpus / "train",
        "test": corpus / "dev",
        "seed": seed,
    }
    settings["output_dir"] = folder
    command = [sys.executable, "-m", "clinx", "finetune", RECIPE]
    command += [str(word) for key, value in settings.items() for word in (f"--{key}", value)]
    subprocess.run(command, check=True)
    return list(read_corpus(folder / "test.jsonl"))


if __name__ == "__main__":
    main()
