"""The lists of the mutation run name what there is."""

import ast
from collections.abc import Iterator

import pytest

from tests.checkout import PACKAGE, ROOT
from tests.mutation.rooms import ROOMS
from tests.mutation.survivors import Survivor, read_survivors

WHOLE = ("payments/disputes", "reconciliation", "settlements", "webhooks")
# HTTP, shapes and counters: the tests of the API have them.
NO_MONEY = {"controller.py", "dtos.py", "models.py", "metrics.py", "personal.py", "__init__.py"}


def test_every_room_and_all_of_its_tests_are_there() -> None:
    names = [PACKAGE / module for module in ROOMS]
    names += [ROOT / test for tests in ROOMS.values() for test in tests]
    assert [str(path) for path in names if not path.is_file()] == []


@pytest.mark.parametrize("folder", WHOLE)
def test_no_module_of_a_money_room_is_left_out(folder: str) -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in (PACKAGE / folder).glob("*.py")
        if path.name not in NO_MONEY
    }
    assert found - ROOMS.keys() == set()


@pytest.mark.parametrize("survivor", read_survivors(), ids=lambda each: each.function)
def test_a_survivor_has_a_reason_and_is_in_the_code(survivor: Survivor) -> None:
    assert survivor.module in ROOMS
    assert survivor.reason.endswith(".")
    assert survivor.function in set(functions_of(survivor.module))


def functions_of(module: str) -> Iterator[str]:
    tree = ast.parse((PACKAGE / module).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{method.name}"
