"""The code that model repos carry: small enough to be audited, and importing only what a plain environment has."""

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

from tests.modeling_clinx.models import ENSEMBLE_CODE, PROJECT


pytestmark = pytest.mark.compat

FILES = sorted(Path(PROJECT, "modeling_clinx").glob("*.py"))
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def lines_of_code(source: str) -> set[int]:
    """The numbers of the lines that hold code, rather than nothing, a comment or a docstring."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, *Function)) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def parameters_of(function: ast.FunctionDef) -> list[str]:
    """The names of a function's parameters, without self and cls."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument.arg for argument in named if argument is not None and argument.arg not in ("self", "cls")]


def test_lines_of_code_are_counted_without_documentation():
    source = '''"""Module."""

# a comment
def double(  # one
    x,  # two
):
    """Docstring

    of three lines."""
    text = """four
    five"""  # a string that is no docstring

    return 2 * x, text
'''
    assert lines_of_code(source) == {4, 5, 6, 10, 11, 13}
    (function,) = (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))
    assert parameters_of(function) == ["x"]


def test_the_code_that_an_ensemble_carries_is_small_enough_to_be_audited():
    carried = [path for path in FILES if path.name in ENSEMBLE_CODE]
    lines = {path.name: len(lines_of_code(path.read_text(encoding="utf-8"))) for path in carried}
    print(lines, sum(lines.values()))
    assert lines.keys() == ENSEMBLE_CODE and sum(lines.values()) <= 1200, lines


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_function_has_more_than_40_lines_of_code_or_6_parameters(file):
    source = file.read_text(encoding="utf-8")
    code = lines_of_code(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            size = len(code & set(range(node.lineno, node.end_lineno + 1)))
            assert size <= 40, f"{file.name}: {node.name} has {size} lines of code"
            if (file.name, node.name) != ("configuration_clinx.py", "__init__"):  # which lists the settings
                parameters = parameters_of(node)
                assert len(parameters) <= 6, f"{file.name}: {node.name} has {len(parameters)} parameters"


@pytest.mark.parametrize("name", sorted(ENSEMBLE_CODE))
def test_what_is_carried_imports_only_what_a_plain_environment_has(name):
    allowed = {"torch", "numpy", "transformers", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(Path(PROJECT, "modeling_clinx", name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            is_sibling = node.level == 1 and f"{node.module}.py" in ENSEMBLE_CODE
            assert is_sibling or (node.level == 0 and node.module.split(".")[0] in allowed), ast.unparse(node)


@pytest.mark.parametrize("entry", ["modeling_clinx", "ensemble_clinx", "pipeline_clinx"])
def test_each_entry_file_imports_every_sibling_itself(entry):
    """Transformers 4 copies no others from a local repo."""
    tree = ast.parse(Path(PROJECT, "modeling_clinx", f"{entry}.py").read_text(encoding="utf-8"))
    siblings = {f"{node.module}.py" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}
    entries = {"modeling_clinx.py", "ensemble_clinx.py", f"{entry}.py"}
    assert siblings | entries == ENSEMBLE_CODE
