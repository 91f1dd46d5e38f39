"""The house keeps to its plan: imports run downwards only, without circles, and functions fit on a screen."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from clinx.cli import KNOWN


PROJECT = Path(__file__).parents[1]
ROOMS = {"modeling_clinx": "modeling_clinx", "hub_cards": "hub_cards", "train": "clinx"}  # folder: package
ALLOWED = {  # a room may import those on its right; what stands in train/ itself is "clinx"
    "modeling_clinx": (),
    "hub_cards": ("modeling_clinx",),
    "clinx": (),
    "clinx.strict_f1": (),
    "clinx.corpora": ("clinx", "modeling_clinx", "hub_cards"),
    "clinx.scoring": ("clinx", "clinx.corpora", "clinx.strict_f1"),
    "clinx.pretraining": ("clinx", "clinx.corpora", "modeling_clinx", "hub_cards"),
    "clinx.finetuning": ("clinx", "clinx.corpora", "clinx.scoring", "modeling_clinx", "hub_cards"),
    "clinx.prediction": ("clinx", "clinx.corpora", "clinx.scoring", "modeling_clinx"),
    "clinx.transfer": ("clinx", "clinx.corpora", "clinx.finetuning", "modeling_clinx"),
    "clinx.study": (
        "clinx",
        "clinx.corpora",
        "clinx.scoring",
        "clinx.finetuning",
        "clinx.prediction",
        "clinx.transfer",
    ),
}
FILES = {
    ".".join((package, *path.relative_to(PROJECT / folder).with_suffix("").parts)).removesuffix(".__init__"): path
    for folder, package in ROOMS.items()
    for path in sorted((PROJECT / folder).rglob("*.py"))
}


def imported(module: str) -> set[str]:
    """The project's files that a file imports, also inside of functions and for type checking."""
    names = set()
    package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            submodules = {f"{base}.{alias.name}" for alias in node.names} & FILES.keys()
            names |= submodules or {base}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return (names & FILES.keys()) - {module}


def room(module: str) -> str:
    first, *rest = module.split(".")
    is_inside = first == "clinx" and FILES[module].parent != PROJECT / "train"
    return f"clinx.{rest[0]}" if is_inside else first


def test_imports_run_down_the_table_only():
    upwards = {
        f"{module} -> {other}"
        for module in FILES
        for other in imported(module)
        if room(module) != "clinx.commands" and room(other) not in (room(module), *ALLOWED[room(module)])
    }
    assert not upwards


def test_nothing_but_a_door_imports_a_door():
    assert not [
        f"{module} -> {other}"
        for module in FILES
        for other in imported(module)
        if room(other) == "clinx.commands" and room(module) != "clinx.commands"
    ]


def test_no_files_import_each_other_in_a_circle():
    # The carried code names its siblings for transformers' copying under TYPE_CHECKING, which imports nothing.
    graph = {module: imported(module) for module in FILES}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def functions():
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{module}.{node.name}", room(module), node.end_lineno - node.lineno + 1


def test_functions_take_ten_parameters_at_most():
    too_many = {
        f"{module}.{node.name}"
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and sum(isinstance(part, ast.arg) for part in ast.walk(node.args)) > 10
    }
    assert too_many == {"modeling_clinx.configuration_clinx.__init__"}  # it lists the settings, as transformers do


def test_functions_fit_on_a_screen():
    limits = {"clinx.commands": 40}
    assert not {name: lines for name, where, lines in functions() if lines > limits.get(where, 60)}


HEAVY = {"torch", "transformers", "datasets", "evaluate", "scipy", "matplotlib"}
HELP = "from contextlib import suppress; from clinx.cli import main\nwith suppress(SystemExit): "


@pytest.mark.parametrize(
    "code, absent",
    [
        *((f"{HELP}main(['{verb}', '--help'])", {*HEAVY, "numpy", "rich"}) for verb in KNOWN),
        ("import modeling_clinx.windows_clinx", {"torch", "transformers"}),
        ("import clinx.scoring.scores", {*HEAVY, "numpy"}),
        ("import clinx.scoring.significance", HEAVY),
        ("import clinx.corpora.statistics", HEAVY),
        ("import clinx.transfer.similarity", HEAVY),
        ("import clinx.transfer.words", {*HEAVY, "numpy"}),
        ("import clinx.recipe", HEAVY),
    ],
)
def test_what_answers_at_once_imports_nothing_heavy(code, absent):
    code = f"{code}\nimport sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not absent & set(modules.stdout.splitlines()[-1].split())  # after what the code itself prints
