"""The code that a repo carries stands alone, and is short enough to be read."""

import sys

from tests.modeling_clinx.models import ENSEMBLE_CODE, PROJECT


CODE = sorted((PROJECT / "modeling_clinx").glob("*_clinx.py"))


def test_what_is_pushed_imports_nothing_but_transformers_torch_and_numpy():
    allowed = {"transformers", "torch", "numpy", *sys.stdlib_module_names}
    for file in CODE:
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.strip().split()
            if words[:1] in (["import"], ["from"]) and not words[1].startswith("."):
                assert words[1].split(".")[0] in allowed, (file, line)


def test_the_code_that_an_ensemble_carries_is_short_enough_to_be_read():
    lines = [line for file in CODE for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert {file.name for file in CODE} == ENSEMBLE_CODE and len(lines) <= 1200  # docstrings and comments among them
