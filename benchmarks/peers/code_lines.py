"""How many lines of code a user of a peer writes: those of its module, by one rule for all.

A line counts if it holds code: blank lines, comments, docstrings and imports do not, and neither does `lost_mentions`,
which only the comparison needs. Of what the peers share, those definitions of `sentences.py` count that a module
imports, and what these use there.
"""

import ast
from pathlib import Path
from typing import NamedTuple


SHARED = "sentences"


class Lines(NamedTuple):
    """Lines of code: of a peer's own module, and of what it shares with others."""

    own: int
    shared: int


def lines_of(module: Path) -> Lines:
    """The lines that a user of this peer writes."""
    source, shared_source = (path.read_text("utf-8") for path in (module, module.with_name(f"{SHARED}.py")))
    body = ast.parse(source).body
    own = [node for node in body if getattr(node, "name", None) != "lost_mentions"]
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == SHARED]
    shared = {_name(node): node for node in ast.parse(shared_source).body}
    needed, ahead = set(), [alias.name for node in imports for alias in node.names]
    while ahead:
        name = ahead.pop()
        if name in shared and name not in needed:
            needed.add(name)
            ahead += [node.id for node in ast.walk(shared[name]) if isinstance(node, ast.Name)]
    return Lines(_count(source, own), _count(shared_source, [shared[name] for name in needed]))


def _name(node: ast.stmt) -> str | None:
    """The name of a function, a class or a constant."""
    is_constant = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    return node.targets[0].id if is_constant else getattr(node, "name", None)


def _count(source: str, nodes: list[ast.stmt]) -> int:
    """Lines with code in them, of some nodes of a module's body."""
    numbers = set()
    for node in nodes:
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
        numbers.update(range(first, node.end_lineno + 1))
        for part in ast.walk(node):
            is_docstring = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            if is_docstring or isinstance(part, ast.Import | ast.ImportFrom):
                numbers.difference_update(range(part.lineno, part.end_lineno + 1))
    lines = [line.strip() for line in source.split("\n")]
    return sum(bool(line) and not line.startswith("#") for line in (lines[number - 1] for number in numbers))
