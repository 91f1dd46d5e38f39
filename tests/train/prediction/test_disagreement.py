"""The notes on which an ensemble's members disagree most, as `clinx predict --disagreement` ranks them."""

from clinx import cli
from clinx.corpora import read_corpus
from clinx.prediction.disagreement import HEADINGS
from clinx.prediction.predict import predict


def clinx(*arguments):
    return cli.main([str(argument) for argument in arguments])


def ranking(folder):
    header, *rows = (folder / "disagreement.tsv").read_text(encoding="utf-8").splitlines()
    assert header.split("\t") == list(HEADINGS)
    return [row.split("\t") for row in rows]


def test_notes_are_ranked_by_disagreement_with_annotations_to_correct(ensemble_run, notes, tmp_path):
    command = ("predict", "--model", ensemble_run / "model", "--input", notes / "train", "--disagreement")
    assert clinx(*command, "--output", tmp_path / "brat") == 0
    rows = ranking(tmp_path / "brat")
    values = [float(row[0]) for row in rows]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] >= 0
    assert {row[3] for row in rows} == {path.stem for path in (notes / "train").glob("*.txt")}
    for _, mentions, disputed, name in rows:
        lines = (tmp_path / "brat" / f"{name}.ann").read_text(encoding="utf-8").splitlines()
        shares = [float(line.split("agreement ")[1]) for line in lines if line.startswith("#")]
        assert len(shares) == int(mentions) and sum(share < 1 for share in shares) == int(disputed)
    assert clinx(*command, "--output", tmp_path / "jsonl", "--format", "jsonl") == 0
    assert ranking(tmp_path / "jsonl") == rows
    found = {document.id: document for document in read_corpus(tmp_path / "jsonl" / "predictions.jsonl")}
    assert all(0 <= entity.agreement <= 1 for document in found.values() for entity in document.entities)


def test_a_ranking_that_was_cut_off_is_completed(ensemble_run, notes, tmp_path, interrupted):
    arguments = (str(ensemble_run / "model"), str(notes / "train"), str(tmp_path / "out"))
    assert predict(*arguments[:2], str(tmp_path / "whole"), disagreement=True).read == 12
    with interrupted("brat", after=4):
        predict(*arguments, disagreement=True)
    assert predict(*arguments, disagreement=True).read == 8
    assert predict(*arguments, disagreement=True).read == 0
    assert ranking(tmp_path / "out") == ranking(tmp_path / "whole")
    assert not list((tmp_path / "out").glob("*.partial"))


def test_one_model_cannot_disagree_and_other_models_are_told(ensemble_run, notes, tiny_encoder_dir, tmp_path, capsys):
    command = ("predict", "--input", notes / "train", "--output", tmp_path / "out")
    assert clinx(*command, "--model", ensemble_run / "member-1" / "model", "--disagreement") == 2
    assert "is a single model" in capsys.readouterr().err
    assert clinx(*command, "--model", tiny_encoder_dir) == 2
    assert "expected a model or an ensemble of CLIN-X" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_members_that_do_not_fit_are_read_from_disk(ensemble_run, notes, tmp_path):
    command = ("predict", "--model", ensemble_run / "model", "--input", notes / "validation", "--format", "jsonl")
    assert clinx(*command, "--output", tmp_path / "all") == 0
    assert clinx(*command, "--output", tmp_path / "one", "--max-members-in-memory", 1) == 0
    one, whole = (list(read_corpus(tmp_path / name / "predictions.jsonl")) for name in ("one", "all"))
    assert one == whole


def test_only_members_of_an_ensemble_can_be_read_from_disk(ensemble_run, notes, tmp_path, capsys):
    model = ensemble_run / "member-1" / "model"
    command = ("predict", "--model", model, "--input", notes / "validation", "--output", tmp_path / "out")
    assert clinx(*command, "--max-members-in-memory", 1) == 2
    assert f"error: {model} is a single model" in capsys.readouterr().err
