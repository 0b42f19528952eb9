"""The benchmark of the API measures: one row, for a second."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.benchmarks.api.__main__ import main
from tests.checkout import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

COMMAND = (
    *(sys.executable, "-m", "tests.benchmarks.api"),
    *("--connections", "2", "--seconds", "1", "--rounds", "1"),
)


@pytest.mark.soak
def test_one_row_is_measured_and_saved(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    ran = subprocess.run(
        [*COMMAND, "--tolerance", "1000", "--only", "history", "--save", str(saved)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "cached history" in ran.stdout
    document = json.loads(saved.read_text())
    (result,) = document["results"]
    assert (result["name"], result["connections"]) == ("history", 2)
    assert (result["limit"], result["target"]) == ("mini", [1.4, 1.1])
    (pair,) = result["pairs"]
    for each in (pair["row"], pair["limit"]):
        assert each["answers"] > 0
        assert each["cpu_us"] > 0
        assert 0 < each["p50_ms"] <= each["p99_ms"]


def test_a_row_that_does_not_exist_is_refused() -> None:
    ran = CliRunner().invoke(main, ["--only", "histories"])
    assert ran.exit_code == 2
    assert "no row is named histories" in ran.output


def test_a_file_that_is_no_saved_run_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"results": []}')
    ran = CliRunner().invoke(main, ["--compare", str(other)])
    assert ran.exit_code == 2
    assert "is no saved run" in ran.output
