"""The command that looks for costs that grow: two small databases, a few requests to each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.benchmarks.growth.__main__ import main
from tests.benchmarks.growth.results import Result, Round
from tests.benchmarks.growth.works import Kind
from tests.checkout import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the clocks of processes")


@pytest.mark.soak
def test_costs_are_measured_with_few_payments_and_with_more(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks.growth"),
            *("--sizes", "1k,2k", "--only", "status,history,ledger,looks"),
            *("--rounds", "1", "--requests", "5", "--cache", "0.25", "--save", str(saved)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    # 1 says that something grew, as noise may with so few requests.
    assert ran.returncode in (0, 1), ran.stderr
    assert "history, first page" in ran.stdout
    results = {each["name"]: each for each in json.loads(saved.read_text())["results"]}
    assert {"status", "history", "ledger", "look-inbox", "look-open_refunds"} <= results.keys()
    for each in results.values():
        assert each["rounds"].keys() == {"1000", "2000"}
    (page,) = results["history"]["rounds"]["2000"]
    # A page of ten, from the index of it alone.
    assert page["docs"] == pytest.approx(10, abs=2)
    assert page["server_us"] > 0
    assert page["mongod_us"] > 0


@pytest.mark.soak
def test_people_use_the_service_while_it_is_migrated() -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks.growth.upgrade"),
            *("--payments", "1000", "--from", "0021", "--quiet", "1", "--cache", "0.25"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    # 1 says that a call was slow, as any may be on a busy machine.
    assert ran.returncode in (0, 1), ran.stderr
    assert "0022_note_hashes" in ran.stdout
    assert " 50" not in ran.stderr, "an answer was an error"


def test_what_reads_more_of_a_larger_database_is_called_so() -> None:
    small, large = (Round(2.0, 1000, mongod, 1, 1, 0.0) for mongod in (500, 650))
    result = Result("status", "status", Kind.FLAT, {10: [small], 1000: [large]})
    assert result.faults == ["mongod grows"]


def test_an_aggregate_may_grow_until_it_takes_too_long() -> None:
    rounds = {10: [Round(2.0, 1000, 500, 1, 1, 0.0)], 1000: [Round(150.0, 9000, 90_000, 1, 1, 0.0)]}
    assert Result("ledger", "ledger", Kind.AGGREGATE, rounds).faults == []
    rounds[1000] = [Round(250.0, 9000, 90_000, 1, 1, 0.0)]
    assert Result("ledger", "ledger", Kind.AGGREGATE, rounds).faults == ["takes over 200 ms"]


@pytest.mark.parametrize("sizes", ["", "500", "10k,many", "-5"])
def test_sizes_that_make_no_sense_are_refused(sizes: str) -> None:
    ran = CliRunner().invoke(main, ["--sizes", sizes])
    assert ran.exit_code == 2
    assert "must be numbers from 1k" in ran.output


def test_work_that_does_not_exist_is_refused() -> None:
    ran = CliRunner().invoke(main, ["--only", "histories"])
    assert ran.exit_code == 2
    assert "nothing is named histories" in ran.output
