"""How many lines of code a user of a peer writes: those of its module, by one rule for all.

A line counts if it holds code: blank lines, comments, docstrings and imports do not, and neither does `lost_mentions`,
which only the comparison needs. Of what the peers share, the functions of `sentences.py` count that a module imports,
and what these call there.
"""

import ast
import io
import tokenize
from pathlib import Path
from typing import NamedTuple


SHARED = "sentences"
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Lines(NamedTuple):
    """Lines of code: of a peer's own module, and of those functions that it shares with others."""

    own: int
    shared: int


def lines_of(module: Path) -> Lines:
    """The lines that a user of this peer writes."""
    source = module.read_text(encoding="utf-8")
    tree = ast.parse(source)
    own = [node for node in tree.body if getattr(node, "name", None) != "lost_mentions"]
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == SHARED
        for alias in node.names
    }
    shared_source = module.with_name(f"{SHARED}.py").read_text(encoding="utf-8")
    shared = {node.name: node for node in ast.parse(shared_source).body if hasattr(node, "name")}
    needed, ahead = set(), [*imported]
    while ahead:
        name = ahead.pop()
        if name in shared and name not in needed:
            needed.add(name)
            ahead += [node.id for node in ast.walk(shared[name]) if isinstance(node, ast.Name)]
    return Lines(_count(source, own), _count(shared_source, [shared[name] for name in needed]))


def _count(source: str, nodes: list[ast.AST]) -> int:
    """Lines with code in them, of some nodes of a module's body."""
    with_code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            with_code.update(range(token.start[0], token.end[0] + 1))
    inside = set()
    for node in nodes:
        first = min([node.lineno, *(of.lineno for of in getattr(node, "decorator_list", []))])
        inside.update(range(first, node.end_lineno + 1))
        for part in ast.walk(node):
            is_docstring = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            if is_docstring or isinstance(part, ast.Import | ast.ImportFrom):
                inside.difference_update(range(part.lineno, part.end_lineno + 1))
    return len(with_code & inside)
