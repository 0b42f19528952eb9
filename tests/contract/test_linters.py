"""The OpenAPI document passes the linters that people run on it, without an error or a warning."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import node
from tests.aliases import Json

pytestmark = pytest.mark.long

CONTRACT = Path(__file__).parent
REDOCLY = "2.77.0"
SPECTRAL = "6.16.3"


@pytest.fixture(scope="module")
def written(document: Json, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module", autouse=True)
def _recent_node() -> None:
    if not shutil.which("node"):
        pytest.skip("Node is not installed")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, told.strip("v\n").split(".")[:2])) < (20, 19):
        pytest.skip(f"Node {told.strip()} is too old for the linters")


def run(program: Path, *arguments: str) -> Any:
    """Return what the linter prints as JSON. Its exit code only says whether there is anything."""
    env = {"PATH": os.environ["PATH"], "HOME": str(program.parent), "REDOCLY_TELEMETRY": "off"}
    ran = subprocess.run(
        [program, *arguments], env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.stdout.strip(), ran.stderr
    return json.loads(ran.stdout)


def test_redocly_finds_nothing(written: Path) -> None:
    program = node.installed("@redocly/cli", REDOCLY) / ".bin" / "redocly"
    config = f"--config={CONTRACT / 'redocly.yaml'}"
    found = run(program, "lint", str(written), config, "--format=json")
    assert lines(found["problems"], "ruleId") == []


# It takes a minute. Redocly, beside it, checks the document in every run of the long tests.
@pytest.mark.soak
def test_spectral_finds_nothing(written: Path) -> None:
    program = node.installed("@stoplight/spectral-cli", SPECTRAL) / ".bin" / "spectral"
    ruleset = f"--ruleset={CONTRACT / 'spectral.yaml'}"
    found = run(program, "lint", str(written), ruleset, "--format=json", "--quiet")
    assert lines(found, "code") == []


def lines(problems: Sequence[Json], rule: str) -> list[str]:
    return [f"{each[rule]}: {each['message']}" for each in problems]
