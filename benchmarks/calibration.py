"""Are scores probabilities, and do thresholds give what they promise? Trained models, on notes that chose nothing.

    python benchmarks/calibration.py --gold "$CLINX_CORPORA/meddocan/dev" --notes 150 RUN…

Of each run, trained with `calibrate: true`, it reads the notes twice: as its model is, and with the temperature taken
out of its weights. Thresholds are those of the model's validation notes.
"""

import argparse
import json
from itertools import islice
from pathlib import Path
from statistics import fmean

from report import finish

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.finetuning.temperature import apply_temperature
from clinx.prediction.loading import Computing, load_predictor
from clinx.prediction.min_scores import MinScores, min_scores, target_thresholds
from clinx.scoring.calibration import calibration, scored_mentions
from clinx.scoring.evaluation import evaluate_documents
from clinx.scoring.scores import score


TARGETS = (0.9, 0.95, 0.98)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs of one corpus")
    parser.add_argument("--gold", required=True, metavar="PATH", help="annotated notes that no run has seen")
    parser.add_argument("--notes", type=int, default=150, help="the first N of them")
    parser.add_argument("--out", metavar="FILE", help="keep the JSON there")
    args = parser.parse_args()

    gold = list(islice(read_corpus(args.gold), args.notes))
    results = {str(run): of_run(run, gold) for run in args.runs}
    rows = []
    for when in ("before", "after"):
        values = [100 * result["ece"][when] for result in results.values()]
        rows.append((f"expected calibration error {when}, %", ", ".join(f"{value:.2f}" for value in values)))
    for target in map(str, TARGETS):
        got = [result["targets"][target] for result in results.values()]
        text = ", ".join(f"{100 * one['precision']:.2f}" for one in got)
        rows.append((f"precision for {target}, %", f"{text} (recall {100 * fmean(o['recall'] for o in got):.2f})"))
    finish("calibration", {"notes": len(gold), "runs": results}, rows, args.out)


def of_run(run: Path, gold: list[Document]) -> dict:
    """Figures of the run's model on the gold documents."""
    temperature = json.loads((run / "metrics.json").read_text())["temperature"]
    predictor = load_predictor(str(run / "model"), Computing())
    after, scores = evaluate_documents(gold, predictor)
    apply_temperature(predictor.model, 1 / temperature)
    before, _ = evaluate_documents(gold, predictor)
    ece = {
        when: calibration(scored_mentions(gold, pred))["ece"] for when, pred in (("before", before), ("after", after))
    }
    targets = {
        str(target): precision_recall_above(min_scores(target_thresholds(str(run / "model"), target)), gold, after)
        for target in TARGETS
    }
    return {"temperature": temperature, "f1": scores["f1"], "ece": ece, "targets": targets}


def precision_recall_above(keep: MinScores, gold: list[Document], pred: list[Document]) -> dict[str, float]:
    """What is got of predicted documents whose mentions need certain scores."""
    result = score(gold, [Document(document.id, document.text, keep.keep(document.entities)) for document in pred])
    return {name: result[name] for name in ("precision", "recall")}


if __name__ == "__main__":
    main()
