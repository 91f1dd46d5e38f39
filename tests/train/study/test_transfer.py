"""`clinx study transfer` as a user runs it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from clinx import cli
from clinx.corpora import read_corpus
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError
from clinx.finetuning.data import read_annotated
from clinx.recipe import Recipe
from clinx.study.transfer import TransferStudy, study_transfer


def clinx(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def done(study, tmp_path_factory):
    """The folder of the study, which was interrupted once, and the times of the runs that were there then."""
    folder = tmp_path_factory.mktemp("runs") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clinx.study.transfer.write_tables", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            study_transfer(TransferStudy.read(study, str(folder)))
    before = {file: file.stat().st_mtime_ns for file in folder.glob("**/metrics.json")}
    assert clinx("study", "transfer", study, "--output_dir", folder) == 0
    return folder, before


def test_a_study_goes_on_where_it_stopped_and_trains_no_cell_twice(done):
    folder, before = done
    assert len(before) == 3 + 6 + 2  # the sources, no transfer, and the first cell
    assert all(file.stat().st_mtime_ns == changed for file, changed in before.items())
    runs = {str(file.parent.relative_to(folder)) for file in folder.glob("**/metrics.json")}
    assert len(runs) == 3 + 2 * (1 + 2) * (2 + 1) and "a/10/c/seed-2" in runs and "a/10/a/seed-1" not in runs


def test_tables_say_what_each_source_gave_and_what_foresaw_it(done):
    folder, _ = done
    result = json.loads((folder / "transfer.json").read_text())
    target = result["sizes"]["10"]["targets"]["a"]
    assert len(target["without_transfer"]) == 2 and set(target["sources"]) == {"b", "c"}
    of_source = target["sources"]["c"]
    expected = sum(of_source["f1"]) / 2 - sum(target["without_transfer"]) / 2
    assert of_source["gain"]["difference"] == pytest.approx(expected)
    assert of_source["gain"]["holm_p_value"] >= of_source["gain"]["p_value"]
    assert target["best"] == max(target["sources"], key=lambda name: target["sources"][name]["gain"]["difference"])
    assert target["foreseen"] == max(target["sources"], key=lambda name: target["sources"][name]["score"])
    assert {"regret", "ndcg", "spearman"} < set(result["sizes"]["10"]["measures"]["fused"])
    table = (folder / "transfer.md").read_text()
    assert "### 10 sentences" in table and "### All sentences" in table and "| chance |" in table and "‡" in table
    assert (folder / "transfer.png").read_bytes().startswith(b"\x89PNG")
    transfers = json.loads((folder / "transfers.json").read_text())["transfers"]
    assert len(transfers) == 2 * 2 * 2 and {transfer["size"] for transfer in transfers} == {"10", "all"}
    assert all(transfer["measures"]["leep"] < 0 < transfer["measures"]["size"] for transfer in transfers)


def test_the_recipe_of_a_cell_lies_beside_its_run(done):
    folder, _ = done
    recipe = yaml.safe_load((folder / "a/10/c/seed-2.yaml").read_text())
    assert (recipe["seed"], recipe["max_train_sentences"]) == (2, 10)
    assert recipe["source_model"] == str(folder / "sources/c")
    runs = {"a/10/c/seed-2": 2, "sources/a": 3, "b/10/c/seed-2": 1, "sources/b": 1}  # a corpus keeps its own settings
    assert {run: yaml.safe_load((folder / f"{run}.yaml").read_text())["max_steps"] for run in runs} == runs


def test_sources_are_ranked_again_when_a_model_is_another(done, study, capsys):
    folder, _ = done
    file = folder / "a" / "10" / "ranking.json"
    ranking = json.loads(file.read_text())
    file.write_text(json.dumps(ranking | {"models": {}, "foreseen": "nobody"}))
    assert clinx("study", "transfer", study, "--output_dir", folder) == 0
    assert json.loads(file.read_text()) == ranking
    assert capsys.readouterr().out.count("ranking the sources") == 1


def test_killed_in_the_middle_and_side_by_side_the_same_command_goes_on(study, tmp_path):
    folder, file = tmp_path / "runs", tmp_path / "study.yaml"
    one = {"targets": ["a"], "sources": ["c"], "sizes": {"10": {"seed": "1"}}}
    file.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | one))
    options = ("--output_dir", str(folder), "--at_once", "2")
    command = [sys.executable, "-P", "-m", "clinx", "study", "transfer", str(file), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.time() + 500
    while not (before := {file: file.stat().st_mtime_ns for file in folder.glob("a/10/none/*/metrics.json")}):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)  # it alone: what it began ends with it
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(file.stat().st_mtime_ns == changed for file, changed in before.items())
    assert len(list(folder.glob("**/metrics.json"))) == 3 and "2 at a time" in done.stdout
    assert (folder / "a/10/c/seed-1.log").exists() and (folder / "transfer.png").exists()


def test_what_stands_twice_in_a_study_is_refused_with_its_line(study, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("settings: {encoder: x}\ncorpora:\n  a: {train: x}\n  b: {train: y}\n  a: {train: z}\n")
    with pytest.raises(InputError, match=r"study.yaml:5: 'a' stands here a second time; keep one"):
        TransferStudy.read(file)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"target": ["a"]}, "unknown key 'target' of a study; did you mean targets"),
        ({"targets": ["a", "d"]}, "targets has d, but corpora are a, b, c"),
        ({"targets": "a"}, "expected targets as a list"),
        ({"sources": None}, "the study has no sources"),
        ({"sizes": {"ten": {}}}, "sizes has ten, expected a number of sentences, or all"),
        ({"sizes": {"10": "seed"}}, "10: expected a mapping of settings"),
        ({"corpora": {"a": {"train": "x"}, "b": {"test": "x"}, "c": {"test": "x"}}}, "a has no test documents"),
        ({"corpora": {"a": {"test": "x"}, "b": {"test": "x"}, "c": {}, "none": {}}}, "a corpus is called none"),
        ({"settings": {"learning_rat": "1"}}, "unknown key 'learning_rat'; did you mean learning_rate"),
        ({"sizes": {"10": {"max_step": "3"}}}, "unknown key 'max_step'; did you mean max_steps"),
        ({"sizes": {"10": {"test": "x"}}}, "10 of sizes sets test, which belongs to corpora or settings"),
        ({"sizes": {"10": {"seed": ["1", "1"]}}}, "a seed stands twice in 1, 1"),
        ({"targets": [["a"]]}, "expected targets as a list of names"),
    ],
)
def test_a_fault_in_a_study_is_one_clear_line(study, tmp_path, capsys, change, fault):
    content = {key: value for key, value in {**yaml.safe_load(study.read_text()), **change}.items() if value}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    assert clinx("study", "transfer", file, "--output_dir", tmp_path / "runs") == 2
    error = capsys.readouterr().err
    assert fault in error and "Traceback" not in error
    assert not list(tmp_path.glob("runs/**/model"))


@pytest.mark.parametrize("option", ["--seed=7", "--output-dir=x", "--max_train_sentences=3"])
def test_what_tells_cells_apart_is_not_changed_for_all(study, tmp_path, option):
    with pytest.raises(InputError, match="is what tells the study's cells apart"):
        TransferStudy.read(study, str(tmp_path), (option,))


def test_a_source_learns_nothing_that_shares_text_with_the_test_of_a_target(done, study):
    folder, _ = done
    recipe = yaml.safe_load((folder / "sources/a.yaml").read_text())
    assert recipe["held_out"] == [f"{folder}/judging/b.jsonl"]
    recipe = yaml.safe_load((folder / "sources/c.yaml").read_text())
    assert recipe["held_out"] == [f"{folder}/judging/a.jsonl", f"{folder}/judging/b.jsonl"]
    for name in ("a", "b"):
        texts = [
            [d.text for d in read_corpus(path)]
            for path in (folder / f"judging/{name}.jsonl", study.parent / name / "test")
        ]
        assert texts[0] == texts[1] and len(texts[0]) > 1
    assert "held_out" not in yaml.safe_load((folder / "a/10/none/seed-1.yaml").read_text())


def test_what_a_study_holds_out_is_added_to_and_read_in_its_own_format(study, tmp_path):
    content = yaml.safe_load(study.read_text())
    content["settings"]["held_out"] = [str(study.parent / "c/test")]
    content["corpora"]["a"] = {"train": str(study.parent / "a/train"), "test_fraction": "0.3", "format": "brat"}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    of_study = TransferStudy.read(file, str(tmp_path / "runs"))
    recipe = of_study.source_recipe("b")
    of_study.keep({"sources/b": recipe})
    held_out = recipe.held_out
    assert held_out == [str(study.parent / "c/test"), f"{tmp_path}/runs/judging/a.jsonl"]
    judging = {d.text for d in read_corpus(held_out[1])}
    assert judging == {d.text for d in read_annotated(of_study.recipes(["none"])["a/10/none/seed-1"]).test}
    for option in ("--held_out=x", "--test_fraction=0.5"):
        with pytest.raises(InputError, match="is what tells the study's cells apart"):
            TransferStudy.read(file, str(tmp_path / "runs"), (option,))


@pytest.mark.parametrize(("folder", "expected"), [("~/runs", "runs"), ("{home}/$runs", "$runs")])
def test_a_study_may_lie_in_the_home_folder_and_in_one_with_a_dollar_sign(
    study, tmp_path, monkeypatch, folder, expected
):
    monkeypatch.setenv("HOME", str(tmp_path))
    of_study = TransferStudy.read(study, folder.format(home=tmp_path))
    recipe = of_study.recipes(["c"])["a/10/c/seed-1"]
    assert recipe.output_dir == str(tmp_path / expected / "a/10/c/seed-1")
    assert recipe.source_model == str(tmp_path / expected / "sources/c")
    assert of_study.source_recipe("b").held_out == [str(tmp_path / expected / "judging/a.jsonl")]
    of_study.keep({"a/10/c/seed-1": recipe})
    assert Recipe.read(tmp_path / expected / "a/10/c/seed-1.yaml") == recipe


def test_one_document_is_too_few_to_judge_before_anything_is_trained(study, tmp_path, capsys):
    content = yaml.safe_load(study.read_text())
    (document, *_) = read_corpus(study.parent / "a/test")
    write_jsonl([document], tmp_path / "one.jsonl")
    content["corpora"]["a"]["test"] = str(tmp_path / "one.jsonl")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    assert clinx("study", "transfer", tmp_path / "study.yaml", "--output_dir", tmp_path / "runs") == 2
    fault = f"{tmp_path}/one.jsonl: found 1 test document, too few to compare on"
    assert fault in capsys.readouterr().err and not [path for path in tmp_path.glob("runs/**/*") if path.suffix]


def test_a_cell_that_fails_is_told_and_the_others_are_trained(study, tmp_path, monkeypatch):
    def refuse(recipe):
        from clinx.finetuning.ensemble import run_recipe

        if recipe.folder == tmp_path / "sources" / "c":
            raise InputError("no such notes")
        return run_recipe(recipe)

    monkeypatch.setattr("clinx.study.transfer.train_cells", _with(refuse))
    content = yaml.safe_load(study.read_text()) | {"sizes": {"10": {}}, "targets": ["a"]}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="sources/c: no such notes\nthe others are complete"):
        study_transfer(TransferStudy.read(file, str(tmp_path)))
    result = json.loads((tmp_path / "transfer.json").read_text())
    assert list(result["sizes"]["10"]["targets"]["a"]["sources"]) == ["b"]


def _with(train):
    from clinx.study.grid import train_cells

    return lambda recipes, after_each, at_once: train_cells(recipes, after_each, train, at_once)


def test_built_in_studies_are_read(monkeypatch):
    monkeypatch.setenv("CLINX_CORPORA", "/corpora")
    monkeypatch.setenv("CLINX_MODELS", "/models")
    study = TransferStudy.read("transfer-mini")
    assert study.folder == Path("runs/transfer-mini") and study.seeds(study.sizes["250"]) == ["1", "2", "3"]
    assert sum(len(study.runs(cell)) for cell in study.cells(["none", *study.sources])) == 96
