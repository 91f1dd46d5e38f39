"""Strict micro F1 over character spans, as an `evaluate` module that needs nothing but its folder."""

import datasets
import evaluate

from .matching import count_matches, summarize


_DESCRIPTION = """\
Strict precision, recall and F1 of extracted concepts: a predicted mention counts when its start, its end and its label
all match a gold mention of the same document. Mentions are summed over all documents before the scores are formed
(micro average). A mention given twice in a document counts once; a score whose denominator is 0 is 0.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: one list a document of {"start", "end", "label"}; start and end in characters, half-open; no
        other keys.
    references: the gold mentions, in the same form and order.
Returns:
    precision, recall and f1 (from 0 to 1), support (gold mentions), tp, fp and fn (mentions), and
    per_label: {label: {the same seven}}.
Examples:
    >>> strict_f1 = StrictF1()  # or evaluate.load("ORG/strict_f1") from a Hub
    >>> gold = [[{"start": 0, "end": 3, "label": "problem"}, {"start": 9, "end": 12, "label": "test"}]]
    >>> pred = [[{"start": 0, "end": 3, "label": "problem"}]]
    >>> strict_f1.compute(predictions=pred, references=gold)["recall"]
    0.5
"""

_CITATION = """\
@article{lange-etal-2022-clin-x,
    author = {Lange, Lukas and Adel, Heike and Str{\\"o}tgen, Jannik and Klakow, Dietrich},
    title = {{CLIN-X}: pre-trained language models and a study on cross-task transfer for concept extraction in the
        clinical domain},
    journal = {Bioinformatics},
    year = {2022},
    doi = {10.1093/bioinformatics/btac297},
    eprint = {2112.08754},
    archivePrefix = {arXiv}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class StrictF1(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        mentions = datasets.List(
            {"start": datasets.Value("int64"), "end": datasets.Value("int64"), "label": datasets.Value("string")}
        )
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": mentions, "references": mentions}),
            reference_urls=["https://doi.org/10.1093/bioinformatics/btac297"],
        )

    def _compute(self, predictions: list[list[dict]], references: list[list[dict]]) -> dict:
        gold, pred = (
            [[(mention["start"], mention["end"], mention["label"]) for mention in document] for document in side]
            for side in (references, predictions)
        )
        return summarize(count_matches(gold, pred))
