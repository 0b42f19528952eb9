"""The files of this checkout: the package's modules, as text and as syntax trees."""

import ast
import gc
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "kernapay"
SOURCES: Final = sorted(PACKAGE.rglob("*.py"))


def commit() -> str:
    """Return the name of what is checked out."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "no checkout"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    # All of it stays: every collection of garbage would look through it in vain.
    gc.disable()
    try:
        return list(ast.walk(ast.parse(path.read_text())))
    finally:
        gc.enable()


@cache
def imports_of(path: Path) -> set[str]:
    """Return the modules and the names that a module imports."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def calls_in(path: Path) -> Iterator[str]:
    """Yield the last name of everything that a module calls."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            name = node.func
            if isinstance(name, ast.Name):
                yield name.id
            elif isinstance(name, ast.Attribute):
                yield name.attr
