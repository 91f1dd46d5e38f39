"""An app is pushed as a Space that the Hub can build, a metric as one that `evaluate` can load."""

import re

import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement

from hub_cards.card_fields import CardFields
from hub_cards.export import export
from tests.hub_cards.runs import APP, make_app
from tests.hub_cards.sessions import session
from tests.modeling_clinx.models import PROJECT


METRIC = PROJECT / "train" / "strict_f1"
COMMANDS = {
    "metric": ("push", METRIC, "org/strict_f1", "--license", "apache-2.0"),
    "metric under another name": ("push", METRIC, "org/f1"),
    "app": ("push", "app", "org/demo", "--model", "org/notes-ner"),
    "public": ("push", "app", "org/demo", "--pr", "--public"),
    "pull request without changes": ("push", "app", "org/demo", "--model", "org/notes-ner", "--pr"),
}
LOAD_METRIC = """
import sys, evaluate
gold = [[{"start": 0, "end": 3, "label": "a"}, {"start": 9, "end": 12, "label": "b"}]]
print(evaluate.load(sys.argv[1]).compute(predictions=[gold[0][:1]], references=gold)["recall"])
"""


@pytest.fixture(scope="module")
def pushes(tmp_path_factory):
    """The Hub after `COMMANDS`."""
    folder = tmp_path_factory.mktemp("spaces")
    make_app(folder / "app")
    with session(folder, COMMANDS) as pushed:
        yield pushed


def test_the_metric_is_loaded_from_its_private_space(pushes):
    hub, results = pushes.hub, pushes.results
    assert results["metric"].status == 0, results["metric"]
    assert hub.repos["space", "org/strict_f1"].private
    done = pushes.client("-c", LOAD_METRIC, "org/strict_f1", PYTHONPATH="", home="metric")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "0.5"
    card = SpaceCard(hub.files("org/strict_f1", "space")["README.md"].decode())
    assert card.data.tags == ["evaluate", "metric"] and card.data.sdk == "gradio" and card.data.title == "strict f1"
    assert card.data.license == "apache-2.0"
    assert 'evaluate.load("org/strict_f1")' in card.content and "train/strict_f1" not in card.content
    refused = results["metric under another name"]
    assert refused.status == 2 and "expected a repo named strict_f1" in refused.err
    assert ("space", "org/f1") not in hub.repos


def test_an_app_has_the_front_matter_that_it_is_built_from(pushes):
    assert pushes.results["app"].status == 0, pushes.results["app"]
    files = pushes.hub.files("org/demo", "space")
    data = SpaceCard(files["README.md"].decode()).data.to_dict()
    assert (data["sdk"], data["app_file"], data["models"]) == ("gradio", "app.py", ["org/notes-ner"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", data["sdk_version"]) and len(data["short_description"]) <= 60
    assert files["app.py"].decode() == APP


@pytest.mark.parametrize("version", ["6.25.0", "6.99.1"])
def test_the_app_requires_no_other_gradio_than_its_card_names(tmp_path, monkeypatch, version):
    """The Hub installs both at once; the card names the version that is installed here."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    export(PROJECT / "space", tmp_path / "out", "org/notes", CardFields(models=["org/ner"]))
    (required,) = re.findall("gradio.*", (tmp_path / "out/requirements.txt").read_text())
    assert f"sdk_version: {version}" in (tmp_path / "out/README.md").read_text()
    assert Requirement(required).specifier.contains(version)
    assert f'space = ["{required}"]' in (PROJECT / "pyproject.toml").read_text()  # for whoever runs it here


def test_the_card_of_an_app_links_models_by_their_repos_and_names_their_revisions(tmp_path):
    models = ["org/ner@v1", "org/other"]
    export(make_app(tmp_path / "app"), tmp_path / "out", "org/demo", CardFields(models=models))
    card = SpaceCard.load(tmp_path / "out/README.md")
    links = "[org/ner](https://huggingface.co/org/ner) at `v1`, [org/other](https://huggingface.co/org/other)"
    assert f"with {links}.\n" in card.content
    assert card.data.models == models  # of which the app loads those revisions


def test_an_app_keeps_a_card_of_its_own(tmp_path):
    (make_app(tmp_path / "app") / "README.md").write_text("---\ntitle: mine\n---\n")
    lines = []
    export(tmp_path / "app", tmp_path / "out", "org/own", CardFields(), report=lines.append)
    assert "title: mine" in (tmp_path / "out" / "README.md").read_text()
    assert lines == [f"{tmp_path / 'app' / 'README.md'} is kept as the card"]


def test_a_private_space_is_not_made_public_and_a_pull_request_needs_changes(pushes):
    public, unchanged = (pushes.results[name] for name in ("public", "pull request without changes"))
    assert public.status == 2 and "org/demo is private already: leave out --public" in public.err
    assert "nothing has changed: no pull request was opened" in unchanged.out


def test_the_metric_scores_what_is_pasted():
    gradio = pytest.importorskip("gradio")
    from clinx.strict_f1 import app

    assert app.scores(app.GOLD, app.PRED)[0] == ["all", 1.0, 0.5, 0.6667, 2, 1, 0, 1]
    for wrong in ("{", "[1]", '[[{"start": 1}]]', "[]"):
        with pytest.raises(gradio.Error):
            app.scores(wrong, app.PRED)
