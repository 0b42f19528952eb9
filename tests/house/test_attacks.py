"""No line of the OWASP API Security Top 10 (2023) is without attacks, and the guide says truly where they are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.share import PARTS, Sweep
from tests.checkout import ROOT

LINES = [f"API{number}" for number in range(1, 11)]
TESTS = ROOT / "tests"


def lines_of(nodes: list[ast.expr]) -> Iterator[str]:
    """Yield the lines that `pytest.mark.owasp(line=…)` names, in decorators or in a list of marks."""
    for node in (each for root in nodes for each in ast.walk(root)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.owasp":
            assert [word.arg for word in node.keywords] == ["line"], ast.unparse(node)
            yield ast.literal_eval(node.keywords[0].value)


def attacks() -> Iterator[tuple[str, Path, str]]:
    """Yield every marked module, class and test: its line, its file, its name."""
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text()
        if "owasp" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                yield from ((line, path, "") for line in lines_of([node.value]))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from ((line, path, node.name) for line in lines_of(node.decorator_list))


@pytest.fixture(scope="module")
def marked() -> dict[str, set[str]]:
    """The files with attacks of each line."""
    found: dict[str, set[str]] = {}
    for line, path, _ in attacks():
        found.setdefault(line, set()).add(f"tests/{path.relative_to(TESTS).as_posix()}")
    return found


def test_a_sweep_deals_every_attack_out_and_all_of_them_where_that_is_asked_for() -> None:
    sweep = Sweep(tries_all=False)
    dealt = [sweep.share(range(10)) for _ in range(2 * PARTS)]
    assert sorted(each for part in dealt[:PARTS] for each in part) == list(range(10))
    assert dealt[PARTS:] == dealt[:PARTS]
    assert Sweep(tries_all=True).share("abc") == ["a", "b", "c"]


def test_every_line_of_the_list_has_attacks(marked: dict[str, set[str]]) -> None:
    assert set(marked) == set(LINES)


def test_every_module_of_attacks_belongs_to_a_line(marked: dict[str, set[str]]) -> None:
    modules = {f"tests/attacks/{path.name}" for path in (TESTS / "attacks").glob("test_*.py")}
    assert modules <= set().union(*marked.values())
    for line in LINES:
        number = line.removeprefix("API")
        own = {
            module for module in modules if module.startswith(f"tests/attacks/test_api{number}_")
        }
        assert own <= marked[line], line


def test_the_guide_names_for_each_line_files_with_its_attacks(
    marked: dict[str, set[str]], repository: Path
) -> None:
    page = (repository / "kernapay" / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (API\d+) [^|]*\|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    assert [line for line, _ in rows] == LINES
    for line, where in rows:
        named = {f"tests/{path}" for path in re.findall(r"`([\w/]+\.py)`", where)}
        assert named, line
        assert named <= marked[line], line


def test_the_attacks_of_one_line_can_be_run_alone(repository: Path) -> None:
    """A later `-m` takes the place of the one in pyproject.toml."""
    options = ("--collect-only", "-q", "-n", "0", "-p", "no:hypothesispytest")
    files = ("tests/house/test_compose.py", "tests/attacks/test_api9_inventory.py")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-m", 'owasp(line="API9")', *files],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "test_api9_inventory.py::" in ran.stdout
    assert "test_compose.py::" not in ran.stdout
