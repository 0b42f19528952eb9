"""Every update is on the list of those that are tried with a stale row, and nobody drops what an update returns."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import PACKAGE, SOURCES
from tests.unit.stale_updates import CASES, UNCONDITIONAL

VERBS = {
    "update_where",
    "update_if",
    "assign",
    "set_aside",
    "find_one_and_update",
    "update_one",
    "update_many",
    "delete_one",
    "delete_many",
    "delete_where",
    "replace_one",
    "bulk_write",
}
# The verbs themselves, and what writes the rows of migrations.
_APART = {"storage/repository.py", "storage/assignments.py", "storage/migrations.py"}
_SOURCES = [
    path
    for path in SOURCES
    if "sandbox" not in path.parts and path.relative_to(PACKAGE).as_posix() not in _APART
]


def writers_in(tree: ast.AST, prefix: str) -> Iterator[str]:
    """Yield the names of the functions that call a verb, with their classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from writers_in(node, f"{prefix}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
            if any(isinstance(c.func, ast.Attribute) and c.func.attr in VERBS for c in calls):
                yield f"{prefix}.{node.name}"


def dropped_in(tree: ast.AST) -> Iterator[str]:
    """Yield the calls of `update_where` and `update_if` whose result nobody looks at."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Await) else node.value
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Attribute)
                and value.func.attr in {"update_where", "update_if", "assign", "set_aside"}
            ):
                yield ast.unparse(value)


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


def test_the_list_of_updates_is_complete() -> None:
    found = {
        name
        for path in _SOURCES
        for name in writers_in(
            parsed(path), ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        )
    }
    assert found == CASES.keys() | UNCONDITIONAL.keys()
    assert not CASES.keys() & UNCONDITIONAL.keys()


def test_nobody_drops_the_result_of_an_update() -> None:
    """None, `Refused` and False mean that nothing was changed."""
    assert [call for path in SOURCES for call in dropped_in(parsed(path))] == []


@pytest.mark.parametrize(
    ("code", "dropped"),
    [
        ("async def f(): await rows.update_where({}, set__a=1)", 1),
        ("async def f(): rows.update_if({}, {})", 1),
        ("async def f(): await rows.assign({}, set__a=1)", 1),
        ("async def f(): return await rows.update_where({})", 0),
        ("async def f(): row = await rows.update_if({}, {})", 0),
    ],
)
def test_a_dropped_result_is_found(code: str, dropped: int) -> None:
    assert len(list(dropped_in(ast.parse(code)))) == dropped
