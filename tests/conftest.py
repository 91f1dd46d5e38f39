"""Fixtures of all rooms: where the real corpora and models lie, and a tiny encoder trained on nothing."""

import os
from pathlib import Path

import pytest


def _external(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable, Path(__file__).parents[1] / default))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora; a test that needs it is skipped where it is absent."""
    folder = _external("CLINX_CORPORA", "../shared/corpora")
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}: set CLINX_CORPORA")
    return folder


@pytest.fixture(scope="session")
def mini_encoder() -> Path:
    """The small pretrained Spanish encoder; a test that needs it is skipped where it is absent."""
    folder = _external("CLINX_MODELS", "../shared/models") / "clin-x-es-mini"
    if not folder.is_dir():
        pytest.skip(f"no model at {folder}: set CLINX_MODELS")
    return folder
