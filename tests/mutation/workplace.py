"""The folder in which one module is mutated. What was tried there stays, so a run that was stopped goes on."""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.checkout import ROOT

_HOME: Final = ROOT / ".kernapay" / "mutation"
_LINKED: Final = ("kernapay", "tests", "migrations")
_OUR_TABLE: Final = re.compile(r"^\[tool\.mutmut\]\n.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
# What mutmut adds to a module would offend the strict check.
_TYPE_CHECK: Final = (
    *(sys.executable, "-m", "mypy", "--output", "json", "--no-error-summary"),
    *("--no-warn-unused-ignores", "--allow-untyped-decorators"),
    *("--cache-dir", str(_HOME / "mypy")),
)


def place_of(module: str) -> Path:
    """Return the folder of a module such as `payments/settlement.py`."""
    return _HOME / module.removesuffix(".py").replace("/", ".")


def prepare(module: str, tests: Sequence[str]) -> None:
    """Set up the folder of a module for these tests. Not while a run is under way there."""
    place = place_of(module)
    place.mkdir(parents=True, exist_ok=True)
    for name in _LINKED:
        link = place / name
        if not link.exists():
            link.symlink_to(ROOT / name)
    # mutmut only adds to its copy, so a test that is gone would stay.
    shutil.rmtree(place / "mutants" / "tests", ignore_errors=True)
    text = (ROOT / "pyproject.toml").read_text()
    table: dict[str, Any] = {
        **tomllib.loads(text)["tool"]["mutmut"],
        "only_mutate": [f"kernapay/{module}"],
        "pytest_add_cli_args_test_selection": list(tests),
        "type_check_command": [*_TYPE_CHECK, f"kernapay/{module}"],
    }
    # JSON's strings, numbers and lists are TOML's too.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in table.items()]
    own = "".join(["[tool.mutmut]\n", *lines, "\n"])
    (place / "pyproject.toml").write_text(_OUR_TABLE.sub("", text) + "\n" + own)
