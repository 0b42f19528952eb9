"""What pyproject.toml asks for can be installed, and what CI installs of it is up to date."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
PYTHONS = [
    name.rpartition(" ")[2]
    for name in PROJECT["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", name)
]
# With an interpreter named, uv looks for none of the version that it resolves for.
COMPILE = (sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python", sys.executable)
UNIVERSAL = ("--universal", "--python-version", "3.11", "--all-extras", "--no-annotate")


def resolve(*options: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMPILE, *options],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def _index() -> None:
    """Skip where no package index can be asked."""
    asked = resolve("--no-cache", "--no-deps", "-", stdin="uv")
    if asked.returncode != 0:
        pytest.skip(f"no package index: {asked.stderr.strip()}")


@pytest.mark.usefixtures("_index")
@pytest.mark.parametrize("python", PYTHONS)
def test_the_newest_releases_go_together_and_need_no_compiler(python: str) -> None:
    found = resolve(
        *("--python-version", python, "--all-extras", "--only-binary", ":all:", "pyproject.toml")
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.usefixtures("_index")
def test_the_oldest_releases_go_together() -> None:
    found = resolve(*UNIVERSAL, "--resolution", "lowest-direct", "pyproject.toml")
    assert found.returncode == 0, found.stderr


@pytest.mark.usefixtures("_index")
def test_the_constraints_are_an_answer_to_what_pyproject_asks_for(tmp_path: Path) -> None:
    """A bound or a dependency that has changed since would change the file as well."""
    again = tmp_path / "constraints.txt"
    again.write_text(CONSTRAINTS.read_text())
    # What is written there already is kept as long as it fits.
    found = resolve(*UNIVERSAL, "--no-header", "pyproject.toml", "--output-file", str(again))
    assert found.returncode == 0, found.stderr
    assert again.read_text().splitlines() == pins()


def pins() -> list[str]:
    return [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]


def test_the_constraints_name_releases_and_nothing_of_the_machine_that_made_them() -> None:
    release = re.compile(
        r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_]+ [<=>!]=? '[\w.*]+'( (and|or) .+)?)?"
    )
    assert [line for line in pins() if not release.fullmatch(line)] == []
    assert f"uv pip compile {' '.join(UNIVERSAL)} pyproject.toml -o .ci/constraints.txt" in (
        CONSTRAINTS.read_text()
    )


def test_an_older_python_is_refused_in_one_sentence_before_anything_is_resolved() -> None:
    """pip 23.0, which comes with Python 3.10, tried releases of the dependencies for minutes."""
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.version_info = (3, 10, 13)
from hatchling.builders.wheel import WheelBuilder
WheelBuilder({str(ROOT)!r}).metadata.core
"""
    refused = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("KernaPay needs Python 3.11 or newer")
    assert refused.stderr.count("\n") == 1
    oldest = runpy.run_path(str(ROOT / ".ci/require_python.py"))["OLDEST"]
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]}"


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["ci"]["strategy"]["matrix"]["python"] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    named = f"Python {', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}"
    assert named in (ROOT / "README.md").read_text()
