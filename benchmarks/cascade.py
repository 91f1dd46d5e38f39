"""A cascade, one member and other single models beside the whole ensemble: strict F1, agreement, and time.

    python benchmarks/cascade.py --model RUN/model --singles RUN/member-1/model SOUP STUDENT --gold NOTES

On annotated notes that no member has seen. Agreement is the F1 of the mentions beside those of the ensemble. Time is
that of one member, the first of `--singles`; the sides take turns.
"""

from itertools import islice
from pathlib import Path

from report import arguments, finish, interleaved

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.prediction.loading import Computing, load_predictor
from clinx.scoring.evaluation import entities_of
from clinx.scoring.scores import score
from clinx.scoring.significance import compare


def main() -> None:
    parser = arguments(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--model", required=True, metavar="DIR", help="an ensemble")
    parser.add_argument("--singles", required=True, nargs="+", metavar="DIR", help="single models, its member 1 first")
    parser.add_argument("--gold", required=True, metavar="PATH", help="annotated notes that no member has seen")
    parser.add_argument("--notes", type=int, default=100, help="the first N of them")
    parser.add_argument("--cascade", type=float, nargs="+", default=[0.5, 0.7, 0.8, 0.9], metavar="P")
    args = parser.parse_args()

    gold = list(islice(read_corpus(args.gold), args.notes))
    texts = [document.text for document in gold]
    predictors = {str(Path(path).parent.name): load_predictor(path, Computing()) for path in args.singles}
    one = next(iter(predictors))
    predictors |= {f"cascade {p:g}": load_predictor(args.model, Computing(cascade=p)) for p in args.cascade}
    predictors["ensemble"] = load_predictor(args.model, Computing())
    found: dict[str, list[Document]] = {}

    def read(name: str) -> None:
        found[name] = [
            Document(document.id, document.text, entities_of(prediction))
            for document, prediction in zip(gold, predictors[name](texts), strict=True)
        ]

    seconds = interleaved({name: lambda name=name: read(name) for name in predictors}, args.repeats)
    result, rows = {}, []
    for name, documents in found.items():
        result[name] = {
            "f1": score(gold, documents)["f1"],
            "agreement": score(found["ensemble"], documents)["f1"],
            "times_one_model": seconds[name] / seconds[one],
        }
        cells = "F1 {f1:.2%}, agreement {agreement:.2%}, {times_one_model:.2f} times one model".format(**result[name])
        if name != "ensemble":
            result[name] |= compare(gold, documents, found["ensemble"])
            low, high = (100 * bound for bound in result[name]["interval"])
            cells += f", {100 * result[name]['difference']:+.2f} [{low:+.2f}, {high:+.2f}] beside the ensemble"
        rows.append((name, cells))
    finish("cascade", {"notes": len(gold), "sides": result}, rows, args.out)


if __name__ == "__main__":
    main()
