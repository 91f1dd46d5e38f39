"""`clinx predict`: what it writes, and how it goes on after an interruption."""

import pytest

from clinx import cli
from clinx.corpora import read_corpus
from clinx.errors import InputError
from clinx.prediction.predict import predict
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor


def test_a_model_that_is_not_there_is_told(notes, tmp_path, capsys):
    arguments = ["--input", str(notes / "validation"), "--output", str(tmp_path / "out")]
    assert cli.main(["predict", "--model", "/no/model", *arguments]) == 2
    assert "cannot load the model /no/model" in capsys.readouterr().err


def test_files_that_are_no_notes_are_not_read(notes, tmp_path, capsys):
    arguments = ["--model", "/no/model", "--input", str(notes / "validation"), "--output", str(tmp_path / "out")]
    assert cli.main(["predict", *arguments, "--exclude", "README*"]) == 2
    assert "cannot load the model /no/model" in capsys.readouterr().err
    assert cli.main(["predict", *arguments, "--exclude", "README*", "--exclude", "*.txt"]) == 2
    assert "found no documents" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_predictions_are_those_of_the_predictor(run, notes, tmp_path, format):
    arguments = ["--model", run / "model", "--input", notes / "validation", "--output", tmp_path, "--format", format]
    assert cli.main(["predict", *map(str, arguments)]) == 0
    written = list(read_corpus(tmp_path if format == "brat" else tmp_path / "predictions.jsonl"))
    model = ClinXForTokenClassification.from_pretrained(run / "model")
    from transformers import AutoTokenizer

    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(run / "model"))
    for document, found in zip(written, predictor(d.text for d in written), strict=True):
        assert [(e.start, e.end, e.label) for e in document.entities] == list(
            zip(found.starts.tolist(), found.ends.tolist(), found.labels, strict=True)
        )


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_prediction_goes_on_where_it_was_cut_off(run, notes, tmp_path, interrupted, format):
    arguments = (str(run / "model"), str(notes / "validation"), str(tmp_path / "out"), format)
    assert predict(*arguments[:2], str(tmp_path / "whole"), format) == 4
    with interrupted(format, after=2):
        predict(*arguments)
    if format == "jsonl":
        with open(tmp_path / "out" / "predictions.jsonl.partial", "ab") as file:
            file.write(b'{"id": "half a li')
    assert predict(*arguments) == 2
    assert predict(*arguments) == 0
    name = "predictions.jsonl" if format == "jsonl" else "."
    assert list(read_corpus(tmp_path / "out" / name)) == list(read_corpus(tmp_path / "whole" / name))
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix in (".partial", ".tmp")]


def test_predictions_of_another_model_are_not_mixed(run, notes, tmp_path):
    predict(str(run / "model"), str(notes / "validation"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="holds predictions of"):
        predict(str(run / "model"), str(notes / "train"), str(tmp_path / "out"))
