"""`clinx study compare` as a user runs it."""

import json

import pytest
import yaml

from clinx import cli
from clinx.study.compare import CompareStudy
from clinx.study.paper import of_system, of_transfer


@pytest.fixture(scope="module")
def compared(study, tmp_path_factory):
    """The file of a study of two systems, and the folder of its runs."""
    folder = tmp_path_factory.mktemp("compared")
    content = yaml.safe_load(study.read_text())
    corpora = {"meddocan": content["corpora"]["a"], "other": content["corpora"]["b"] | {"seed": 1}}
    systems = {"CLIN-X-ES + architecture": {}, "CLIN-X-ES": {"head": "linear", "scheme": "BIO"}}
    settings = content["settings"] | {"seed": [1, 2]}
    languages = {"es": ["meddocan", "other"], "en": ["other"]}
    file = folder / "two.yaml"
    file.write_text(
        yaml.safe_dump(
            {"settings": settings, "corpora": corpora, "systems": systems, "languages": languages}, sort_keys=False
        )
    )
    assert cli.main(["study", "compare", str(file), "--output_dir", str(folder / "runs")]) == 0
    return file, folder / "runs"


def test_systems_are_compared_with_the_first_and_with_the_paper(compared):
    _, folder = compared
    result = json.loads((folder / "compare.json").read_text())
    systems = result["corpora"]["meddocan"]["systems"]
    first, second = systems["CLIN-X-ES + architecture"], systems["CLIN-X-ES"]
    assert len(first["f1"]) == 2 and len(result["corpora"]["other"]["systems"]["CLIN-X-ES"]["f1"]) == 1
    assert second["against_first"]["difference"] == pytest.approx((sum(second["f1"]) - sum(first["f1"])) / 2)
    assert "against_first" not in first and second["against_first"]["holm_p_value"] <= 1
    of_other = result["corpora"]["other"]["systems"]["CLIN-X-ES"]["f1"][0]
    assert result["means"]["es"]["CLIN-X-ES"] == pytest.approx((sum(second["f1"]) / 2 + of_other) / 2)
    table = (folder / "compare.md").read_text()
    assert "(98.00)" in table and "(97.08)" in table and "mean of es" in table and "Holm" in table
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")
    recipe = yaml.safe_load((folder / "meddocan/CLIN-X-ES/seed-2.yaml").read_text())
    assert (recipe["head"], recipe["scheme"], recipe["seed"]) == ("linear", "BIO", 2)


def test_at_equal_time_systems_train_for_as_long_as_the_first(compared, tmp_path, monkeypatch):
    file, folder = compared
    monkeypatch.setattr("clinx.study.cost._update_seconds", lambda recipe: 1.0 if recipe.head == "linear" else 2.0)
    command = ["study", "compare", str(file), "--output_dir", str(tmp_path), "--equal", "time"]
    assert cli.main(command) == cli.main(command) == 0
    steps = [json.loads(path.read_text())["steps"] for path in sorted(tmp_path.glob("meddocan/*/seed-1/metrics.json"))]
    assert steps == [4, 2]


def test_nothing_is_trained_twice_and_a_new_system_is_added(compared):
    file, folder = compared
    before = {path: path.stat().st_mtime_ns for path in folder.glob("**/metrics.json")}
    content = yaml.safe_load(file.read_text())
    content["systems"]["no context"] = {"context_size": 0, "seed": 1}
    more = file.with_name("three.yaml")
    more.write_text(yaml.safe_dump(content, sort_keys=False))
    assert cli.main(["study", "compare", str(more), "--output_dir", str(folder)]) == 0
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    assert len(list(folder.glob("**/metrics.json"))) == len(before) + 2
    assert "| no context |" in (folder / "compare.md").read_text()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"languages": {"es": "meddocan"}}, "es of languages is no list of corpora"),
        ({"languages": {"es": ["cantemist"]}}, "es of languages has cantemist, but corpora are meddocan, other"),
        ({"systems": {"x": {"heads": "crf"}}}, "unknown key 'heads'; did you mean head"),
        ({"systems": []}, "expected systems as a mapping"),
    ],
)
def test_a_fault_in_a_study_is_one_clear_line(compared, tmp_path, capsys, change, fault):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(compared[0].read_text()) | change))
    assert cli.main(["study", "compare", str(file), "--output_dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert fault in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"head": "crf", "heads": "crf"},
            "settings of meddocan/CLIN-X-ES/seed-1: unknown key 'heads'; did you mean head",
        ),
        ({"head": "crf"}, "seed-1 holds a run with head 'linear', not 'crf'"),
    ],
)
def test_a_refused_command_changes_nothing_beside_the_runs(compared, tmp_path, capsys, change, fault):
    file, folder = compared
    content = yaml.safe_load(file.read_text())
    content["systems"]["CLIN-X-ES + architecture"] = {"vote": "average"}  # on which no result depends
    content["systems"]["CLIN-X-ES"] = {"scheme": "BIO"} | change
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    before = {path: path.read_bytes() for path in folder.glob("**/*.*") if path.is_file()}
    assert cli.main(["study", "compare", str(tmp_path / "two.yaml"), "--output_dir", str(folder)]) == 2
    assert fault in capsys.readouterr().err
    after = {path: path.read_bytes() for path in folder.glob("**/*.*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {folder / ".clinx-lock"}


def test_the_paper_s_figures():
    assert of_system("CLIN-X-ES + architecture", "meddocan") == 98.00
    assert of_system("XLM-R", "i2b2-2006") == 96.72 and of_system("XLM-R", "pharmaconer") == 88.92
    assert of_system("NLNDE", "i2b2-2010") is None and of_system("mine", "meddocan") is None
    assert of_transfer("meddocan", "250") == "84.00 → 92.74 (pharmaconer)"
    assert of_transfer("meddocan", "all") == "98.00 → 97.65" and of_transfer("mine", "all") == ""


def test_the_built_in_study_is_read(monkeypatch):
    for name in ("CLINX_CORPORA", "CLINX_MODELS", "CLINX_BERT"):
        monkeypatch.setenv(name, f"/{name}")
    study = CompareStudy.read("compare-mini")
    assert len(study.runs("meddocan", "CLIN-X-ES mini")) == 3
