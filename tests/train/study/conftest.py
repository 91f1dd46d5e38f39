"""A study of three small corpora."""

from dataclasses import replace

import pytest
import yaml

from clinx.corpora.formats.brat import write_brat
from clinx.corpora.synthetic import synthetic_notes


@pytest.fixture(scope="module")
def study(tiny_encoder_dir, tmp_path_factory):
    """The file of a transfer study, in which the entity types of one corpus have other names."""
    folder = tmp_path_factory.mktemp("corpora")
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        for note in synthetic_notes(12, split="train", seed=seed):
            entities = [replace(e, label=f"{e.label}_C") if name == "c" else e for e in note.entities]
            split = "test" if note.id.endswith(("1", "3", "5")) else "train"
            write_brat(replace(note, entities=entities), folder / name / split)
    content = {
        "settings": {
            "encoder": str(tiny_encoder_dir),
            "split_kind": "all",
            "window_length": 128,
            "context_size": 16,
            "learning_rate": "1e-3",
            "max_steps": 2,
            "use_cpu": True,
            "disable_tqdm": True,
        },
        "corpora": {name: {"train": f"{folder}/{name}/train", "test": f"{folder}/{name}/test"} for name in "abc"},
        "targets": ["a", "b"],
        "sources": ["a", "b", "c"],
        "source_settings": {"max_steps": 3},
        "sizes": {10: {"seed": [1, 2]}, "all": {"seed": 1}},
    }
    content["corpora"]["b"]["max_steps"] = 1
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(content))
    return file
