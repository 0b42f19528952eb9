"""The load test: a few customers for a few seconds, and what it makes of what they see."""

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.benchmarks.loadtest.charts import blocks, charts_of, draw, squeeze, svg
from tests.benchmarks.loadtest.recorder import Recorder
from tests.benchmarks.loadtest.report import Audit, Report, page, summarize
from tests.checkout import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

AGREED = Audit(0, "KernaPay and the gateway agree.")


def recorded() -> Recorder:
    """Return what two seconds of calls look like, the second of which has an answer that nobody expected."""
    recorder = Recorder(count(start=10).__next__)
    for took in (0.002, 0.004, 0.1):
        recorder.record("status", 200, took)
    recorder.end_second({"api": 90.0})
    recorder.record("<create>", 500, 0.01)
    recorder.record_problem("<create>", "500 internal_error")
    recorder.end_second({"api": 91.5})
    return recorder


def reported(recorder: Recorder, audit: Audit = AGREED) -> Report:
    return summarize(recorder, 2, 4, "2026-01-31T10:00:00+00:00", "abc", audit)


@pytest.mark.soak
def test_customers_buy_and_the_books_agree(tmp_path: Path) -> None:
    figures, html = tmp_path / "load.json", tmp_path / "load.html"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks.loadtest"),
            *("--seconds", "4", "--clients", "4", "--pause", "10", "--seed", "7"),
            *("--json", str(figures), "--html", str(html)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "KernaPay and the gateway agree." in ran.stdout
    run = json.loads(figures.read_text())
    assert run["totals"].keys() >= {"sign up", "log in"}
    assert run["calls"] == sum(each["calls"] for each in run["totals"].values())
    assert run["timeline"][-1]["memory_mb"].keys() == {
        "api",
        "mongod",
        "redis",
        "sandbox",
        "worker",
    }
    assert "Load test" in html.read_text()


def test_a_run_without_problems_whose_books_agree_has_passed() -> None:
    recorder = Recorder()
    recorder.record("status", 200, 0.002)
    assert reported(recorder).has_passed


def test_an_unexpected_answer_fails_the_run() -> None:
    report = reported(recorded())
    assert not report.has_passed
    assert report.problems == {"<create>: 500 internal_error": 1}
    assert report.totals["<create>"].statuses == {500: 1}


@pytest.mark.parametrize("exit_code", [1, 2, 3])
def test_an_audit_that_does_not_agree_fails_the_run(exit_code: int) -> None:
    recorder = Recorder()
    recorder.record("status", 200, 0.002)
    assert not reported(recorder, Audit(exit_code, "1 difference(s).")).has_passed


def test_the_page_loads_nothing_and_shows_what_it_was_told_as_text() -> None:
    text = page(reported(recorded(), Audit(1, "<script>")))
    assert "<script" not in text
    assert "&lt;create&gt;" in text
    assert "http" not in text
    assert text.count("<svg") == 4


def test_a_second_without_calls_is_a_gap_and_no_zero() -> None:
    recorder = recorded()
    recorder.end_second({})
    latency = charts_of(recorder.seconds)[1]
    assert latency.lines[0].values[-1] is None
    assert svg(latency).count("<path") == 2


def test_long_runs_are_squeezed_to_the_width_and_keep_their_peaks() -> None:
    values: list[float | None] = [1.0] * 1000
    values[500] = 80.0
    squeezed = squeeze(values, 72)
    assert len(squeezed) == 72
    assert max(value or 0 for value in squeezed) == 80.0
    assert blocks(values, 72)[0].count("█") == 1


def test_the_terminal_shows_each_chart() -> None:
    drawn = "\n".join(draw(chart, 40) for chart in charts_of(recorded().seconds))
    assert "Throughput, 0 to 3 calls/s" in drawn
    assert "Memory, 0 to 92 MB" in drawn


def test_the_problems_that_are_kept_as_text_are_bounded() -> None:
    recorder = Recorder()
    for number in range(100):
        recorder.record_problem("status", f"{number}")
    assert recorder.errors == 100
    assert len(recorder.problems) == 20
