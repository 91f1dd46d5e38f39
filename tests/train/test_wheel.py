"""The wheel holds no top-level `train`, and works from a folder whose files are called as ours or others' packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest


PROJECT = Path(__file__).parents[2]
HOSTILE = ("train.py", "evaluate.py", "datasets/__init__.py", "tests/__init__.py", "modeling_clinx.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("modeling_clinx", "hub_cards", "train", "space"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_package_and_no_top_level_train(wheel):
    names = set(ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "clinx",
        "hub_cards",
        "modeling_clinx",
    }
    rooms = {"train": "clinx", "hub_cards": "hub_cards", "modeling_clinx": "modeling_clinx", "space": "clinx/app"}
    for folder, package in rooms.items():
        files = [path for path in (PROJECT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {f"{package}/{path.relative_to(PROJECT / folder).as_posix()}" for path in files} <= names


def test_members_train_side_by_side_in_a_hostile_folder(wheel, few, tmp_path):
    installed, folder = tmp_path / "installed", tmp_path / "hostile"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", installed, wheel]
    subprocess.run(command, check=True, capture_output=True)
    for name in HOSTILE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit('a file of the user was executed')")
    command = [installed / "bin" / "clinx", "finetune", few, "--splits", "2", "--members_at_once", "2"]
    done = subprocess.run(
        [sys.executable, *command, "--max_steps", "2", "--output_dir", tmp_path / "run"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + "".join(log.read_text() for log in (tmp_path / "run").glob("*.log"))
    assert "member 2 is done" in done.stdout and (tmp_path / "run" / "model" / "config.json").exists()
