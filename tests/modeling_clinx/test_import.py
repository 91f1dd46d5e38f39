"""Importing the package: what it costs, what it offers, and that transformers knows its classes afterwards."""

import subprocess
import sys

import pytest

import modeling_clinx
from tests.modeling_clinx.models import PROJECT


pytestmark = pytest.mark.compat


def run(script: str) -> str:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_splitting_sentences_needs_neither_torch_nor_transformers():
    run("import modeling_clinx.windows_clinx, sys; assert not {'torch', 'transformers'} & set(sys.modules)")


@pytest.mark.parametrize("first", ["from modeling_clinx import DocumentPredictor", "import modeling_clinx.auto"])
def test_any_public_name_makes_the_classes_known_to_transformers(first):
    script = """
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification
for kind, name in (("clinx", "ClinX"), ("clinx-ensemble", "ClinXEnsemble")):
    config = type(AutoConfig.for_model(kind))
    classes = [AutoModel._model_mapping[config], AutoModelForTokenClassification._model_mapping[config]]
    print(config.__name__, *(model.__name__ for model in classes))
"""
    assert run(first + script).splitlines() == [
        "ClinXConfig ClinXModel ClinXForTokenClassification",
        "ClinXEnsembleConfig ClinXEnsembleModel ClinXEnsembleForTokenClassification",
    ]


def test_every_public_name_is_there_and_is_listed():
    assert set(modeling_clinx.__all__) == set(modeling_clinx._MODULES) <= set(dir(modeling_clinx))
    for name in modeling_clinx.__all__:
        assert getattr(modeling_clinx, name).__name__ == name
        assert getattr(modeling_clinx, name).__module__ == f"modeling_clinx.{modeling_clinx._MODULES[name]}"
    namespace = {}
    exec("from modeling_clinx import *", namespace)
    assert set(modeling_clinx.__all__) <= set(namespace)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'modeling_clinx' has no attribute 'ClinXNothing'"):
        modeling_clinx.ClinXNothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'ClinXNothing'"):
        from modeling_clinx import ClinXNothing  # noqa: F401
