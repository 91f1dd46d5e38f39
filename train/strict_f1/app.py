"""The Space of the metric: mentions in, as JSON, and strict scores out."""

import json
from pathlib import Path

import evaluate
import gradio as gr


METRIC = evaluate.load(str(Path(__file__).with_name("strict_f1.py")))
COLUMNS = ["precision", "recall", "f1", "support", "tp", "fp", "fn"]
GOLD = '[[{"start": 0, "end": 3, "label": "problem"},\n  {"start": 9, "end": 12, "label": "test"}]]'
PRED = '[[{"start": 0, "end": 3, "label": "problem"}]]'


def scores(references: str, predictions: str) -> list[list]:
    """A row for all labels and one for each, of two JSON lists of documents, which are lists of mentions."""
    sides = {}
    for name, text in (("references", references), ("predictions", predictions)):
        try:
            sides[name] = json.loads(text)
        except ValueError as error:
            raise gr.Error(f"{name}: this is not JSON ({error})") from None
    try:
        result = METRIC.compute(**sides)
    except Exception as error:  # whatever `datasets` makes of rows of another form
        raise gr.Error(f"expected a list of mentions for each document ({error})") from None
    rows = {"all": result, **result["per_label"]}
    return [[label, *(round(row[column], 4) for column in COLUMNS)] for label, row in rows.items()]


demo = gr.Interface(
    scores,
    [
        gr.Code(GOLD, language="json", label="Gold: for each document a list of mentions"),
        gr.Code(PRED, language="json", label="Predicted: the same documents in the same order"),
    ],
    gr.Dataframe(headers=["label", *COLUMNS], label="Strict scores"),
    title="Strict micro F1 of extracted concepts",
    description=METRIC.info.description,
    flagging_mode="never",
    analytics_enabled=False,
)

if __name__ == "__main__":
    demo.launch()
