"""`clinx rank-sources` as a user runs it, on tiny models that learned nothing."""

import json
import shutil
from dataclasses import replace

import pytest
from transformers import XLMRobertaForTokenClassification

from clinx import cli
from clinx.corpora.documents import Document
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.synthetic import synthetic_notes
from clinx.transfer import ranking
from clinx.transfer.ranking import PARTS, rank_sources
from hub_cards.repo import save_model_repo
from tests.modeling_clinx.models import new_model, tiny_config


@pytest.fixture(scope="module")
def folder(tiny_encoder_dir, tokenizer, tmp_path_factory):
    """Notes, a CLIN-X model `a`, another token classifier `b` and an encoder `c`."""
    folder = tmp_path_factory.mktemp("sources")
    for note in synthetic_notes(6, split="train"):
        write_brat(note, folder / "notes")
    save_model_repo(new_model(tiny_encoder_dir, seed=1), tokenizer, folder / "a/model")
    save_model_repo(XLMRobertaForTokenClassification(tiny_config(tokenizer)), tokenizer, folder / "b")
    (folder / "c").symlink_to(tiny_encoder_dir)
    return folder


def rank(folder, *options, sources=("a", "b", "c")):
    names = [str(folder / source) for source in sources]
    return cli.main(["rank-sources", "--target", str(folder / "notes"), "--source_models", *names, *map(str, options)])


def test_sources_are_ranked_in_a_table_a_file_and_a_plot(folder, tmp_path, capsys):
    assert rank(folder, "--json", tmp_path / "ranking.json", "--plot", tmp_path / "ranking.png") == 0
    printed = capsys.readouterr().out
    ranking = json.loads((tmp_path / "ranking.json").read_text())
    names = [source["name"] for source in ranking["sources"]]
    assert sorted(names) == [str(folder / source) for source in "abc"]
    assert [line.split()[3] for line in printed.splitlines() if line.startswith("│")] == names
    scores = [source["score"] for source in ranking["sources"]]
    assert scores == sorted(scores, reverse=True) and 0 <= ranking["ahead"] <= 1
    by_name = {source["name"]: source for source in ranking["sources"]}
    assert by_name[str(folder / "c")]["leep"] is None and by_name[str(folder / "a")]["leep"] < 0
    assert all(source["h_score"] > 0 and source["size"] is None for source in ranking["sources"])
    assert names[0] in printed.splitlines()[-1]
    assert (tmp_path / "ranking.png").read_bytes().startswith(b"\x89PNG")


def test_the_notes_of_sources_are_compared_where_they_are_told(folder, tmp_path):
    notes = [folder / "notes"] * 2
    assert rank(folder, "--source_notes", *notes, "--json", tmp_path / "r.json", sources=("a", "b")) == 0
    for source in json.loads((tmp_path / "r.json").read_text())["sources"]:
        assert source["mention_vocabulary"] == source["vocabulary"] == 1.0 and source["size"] > 100


def test_what_is_no_note_is_left_out_of_all_notes(folder, tiny_encoder_dir, tmp_path, capsys):
    shutil.copytree(folder / "notes", tmp_path / "notes")
    shutil.copytree(folder / "a", tmp_path / "a")
    shutil.copytree(folder / "b", tmp_path / "b")
    (tmp_path / "notes/README.txt").write_text("Which notes these are.")
    recipe = tmp_path / "target.yaml"
    recipe.write_text(f"encoder: {tiny_encoder_dir}\ntrain: elsewhere\nsplit_kind: all\nmax_steps: 1\nuse_cpu: true\n")
    recipe.write_text(recipe.read_text() + f"window_length: 128\ncontext_size: 16\noutput_dir: {tmp_path}/target\n")
    options = ("--source_notes", tmp_path / "notes", tmp_path / "notes", "--target_model", recipe)
    assert rank(tmp_path, *options, sources=("a", "b")) == 2
    assert "README.ann: found no such file" in capsys.readouterr().err
    assert rank(tmp_path, *options, "--exclude", "README*", sources=("a", "b")) == 0


def test_a_model_of_the_target_adds_the_procrustes_distance(folder, tmp_path):
    assert rank(folder, "--target_model", folder / "a", "--json", tmp_path / "r.json", sources=("a", "c")) == 0
    distances = {
        source["name"][-1]: source["procrustes"] for source in json.loads((tmp_path / "r.json").read_text())["sources"]
    }
    assert distances["a"] == pytest.approx(0, abs=1e-6) and distances["c"] is not None


def test_a_recipe_as_the_model_of_the_target_is_trained_on_it_first(folder, tiny_encoder_dir, tmp_path):
    recipe = tmp_path / "target.yaml"
    recipe.write_text(
        f"encoder: {tiny_encoder_dir}\ntrain: elsewhere\nsplit_kind: all\nwindow_length: 128\ncontext_size: 16\n"
        f"max_steps: 2\nuse_cpu: true\ndisable_tqdm: true\noutput_dir: {tmp_path}/target\n"
    )
    options = ("--target_model", recipe, "--max_sentences", 20, "--json", tmp_path / "r.json")
    assert rank(folder, *options, sources=("a", "c")) == 0
    assert json.loads((tmp_path / "r.json").read_text())["sources"][0]["procrustes"] > 0
    assert "max_train_sentences: 20" in (tmp_path / "target/recipe.yaml").read_text()
    trained = (tmp_path / "target/metrics.json").stat().st_mtime_ns
    assert rank(folder, *options, sources=("a", "c")) == 0
    assert (tmp_path / "target/metrics.json").stat().st_mtime_ns == trained


def test_earlier_transfers_say_which_and_how_many_sources_help(folder, tmp_path, capsys):
    """Where they taught that the higher the H-score the better, sources of the higher ones are named."""
    transfers = [
        {
            "target": f"t{t}",
            "source": f"s{s}",
            "size": "250",
            "gain": 0.02 * (s - 1),
            "measures": {"h_score": s + 10.0 * t},
        }
        for t in range(5)
        for s in range(3)
    ]
    (tmp_path / "transfers.json").write_text(json.dumps({"transfers": transfers}))
    assert rank(folder, "--transfers", tmp_path / "transfers.json", "--json", tmp_path / "r.json") == 0
    sources = json.loads((tmp_path / "r.json").read_text())["sources"]
    by_score = sorted(sources, key=lambda source: source["h_score"])
    assert by_score[-1]["foreseen"] == "helps" and by_score[0]["foreseen"] == "hurts"
    assert "by earlier transfers" in capsys.readouterr().out
    (tmp_path / "transfers.json").write_text("{}")
    assert rank(folder, "--transfers", tmp_path / "transfers.json") == 2
    assert "expected transfers.json" in capsys.readouterr().err


def test_the_order_in_which_sources_are_named_changes_nothing(folder):
    notes = synthetic_notes(6, split="train")
    names = [str(folder / source) for source in "abc"]
    once, turned = rank_sources(notes, names), rank_sources(notes, names[::-1])
    assert [source.name for source in once.sources] == [source.name for source in turned.sources]


def test_a_corpus_without_documents_is_compared_in_blocks_of_sentences(folder):
    """A single document would be a single part, of which the first source is always ahead."""
    text, entities = "", []
    for note in synthetic_notes(30, split="train"):
        shifted = [replace(e, start=e.start + len(text), end=e.end + len(text)) for e in note.entities]
        text, entities = f"{text}{note.text}\n\n", [*entities, *shifted]
    ranked = rank_sources([Document("all", text, entities)], [str(folder / source) for source in "ab"])
    assert ranked.documents > PARTS


def test_one_source_alone_is_no_choice(folder, capsys):
    assert rank(folder, sources=("a",)) == 0
    assert "there is no other source to choose" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, sources, expected",
    [
        ((), ("a", "missing"), "missing: found no such folder"),
        ((), ("a", "notes"), "notes: found no config.json in this folder"),
        (("--source_notes", "x"), ("a", "b"), "found 1 --source_notes and 2 --source_models"),
        (("--max_sentences", "0"), ("a", "b"), "--max_sentences is 0, expected at least 1"),
        ((), ("a", "b", "a"), "/a stands there more than once: name each model once"),
    ],
)
def test_what_cannot_be_ranked_is_told(folder, capsys, options, sources, expected):
    assert rank(folder, *options, sources=sources) == 2
    assert expected in capsys.readouterr().err


def test_the_notes_of_a_run_are_those_that_it_learned_from(folder, tmp_path, capsys):
    for number in (1, 2):
        (tmp_path / f"run-{number}").mkdir()
        (tmp_path / f"run-{number}/model").symlink_to(folder / "a/model")
    recipe = f"encoder: x\ntrain: {folder}/notes\nsplit_kind: all\nmax_train_sentences: {{}}\n"
    (tmp_path / "run-1/recipe.yaml").write_text(recipe.format(5))
    (tmp_path / "run-2/recipe.yaml").write_text("train: [texts]\n")  # of a language model
    options = ["--json", tmp_path / "r.json"]
    assert rank(folder, *options, sources=(tmp_path / "run-1", tmp_path / "run-2")) == 0
    few, none = sorted(json.loads((tmp_path / "r.json").read_text())["sources"], key=lambda source: source["name"])
    assert none["size"] is None and f"words of {tmp_path}/run-2 are not compared" in capsys.readouterr().err
    (tmp_path / "run-1/recipe.yaml").write_text(recipe.format(1000))
    assert rank(folder, *options, sources=(tmp_path / "run-1",)) == 0
    (all_notes,) = json.loads((tmp_path / "r.json").read_text())["sources"]
    assert 0 < few["size"] < all_notes["size"]


def test_few_long_notes_are_compared_in_stretches(folder, monkeypatch):
    text, entities, compared = "", [], []
    for note in synthetic_notes(400, split="train"):
        entities += [replace(e, start=e.start + len(text), end=e.end + len(text)) for e in note.entities]
        text = f"{text}{note.text}\n\n"
    notes = [Document(f"{number}", text, entities) for number in range(PARTS)]  # of which one has all words of a sample
    whole = ranking._by_models
    monkeypatch.setattr(ranking, "_by_models", lambda *args: compared.append(args[3]) or whole(*args))
    ranked = rank_sources(notes, [str(folder / source) for source in "ab"])
    rows, *parts = compared
    assert ranked.documents < PARTS and len(parts) == PARTS
    assert (sum(part.astype(int) for part in parts) == rows).all() and min(part.sum() for part in parts) > 1000


def test_a_truncated_source_is_told(folder, tmp_path, capsys):
    shutil.copytree(folder / "a/model", tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert rank(folder, sources=("a", tmp_path / "cut")) == 2
    assert f"cannot read the source {tmp_path}/cut" in capsys.readouterr().err


def test_a_target_without_mentions_is_told(folder, tmp_path, capsys):
    (tmp_path / "note.txt").write_text("Sin menciones.")
    (tmp_path / "note.ann").write_text("")
    assert cli.main(["rank-sources", "--target", str(tmp_path), "--source_models", str(folder / "a")]) == 2
    assert "found no mention" in capsys.readouterr().err


def test_a_run_starts_from_the_first_of_its_sources(folder, tmp_path, capsys):
    for split in ("train", "validation"):
        for note in synthetic_notes(4, split=split):
            write_brat(note, tmp_path / split)
    recipe = tmp_path / "auto.yaml"
    recipe.write_text(
        f"source_model: auto\nsource_models: [{folder}/a, {folder}/b]\ntrain: {tmp_path}/train\n"
        f"validation: {tmp_path}/validation\nmax_steps: 2\nuse_cpu: true\ndisable_tqdm: true\n"
    )
    assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / "run")]) == 0
    recorded = (tmp_path / "run/recipe.yaml").read_text()
    first = next(line.split()[3] for line in capsys.readouterr().out.splitlines() if line.startswith("│ 1"))
    assert f"source_model: {first}" in recorded and "source_models" not in recorded
    assert cli.main(["finetune", str(recipe), "--source_models", f"{folder}/a"]) == 2
    assert "name the models to choose from" in capsys.readouterr().err
