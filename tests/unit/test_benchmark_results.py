"""Which rounds of the benchmark count, and what follows from them."""

from collections.abc import Iterator
from itertools import count, cycle

import pytest

from tests.benchmarks.api import report
from tests.benchmarks.api.results import (
    Measure,
    Pair,
    Result,
    Round,
    Run,
    Target,
    compare,
    keep,
    measure_pairs,
)

QUIET, BUSY = 0.01, 0.6
TOLERANCE = 0.1


def a_round(cpu_us: float | None = 100, others: float = QUIET, p99_ms: float = 2) -> Round:
    return Round(
        per_second=1000,
        cpu_us=cpu_us,
        p50_ms=1,
        p99_ms=p99_ms,
        memory_mb=80,
        answers=1000,
        others=others,
    )


def a_pair(row: float, limit: float, others: float = QUIET) -> Pair:
    return Pair(a_round(row, others), a_round(limit))


def a_result(*pairs: Pair, measure: Measure = Measure.CPU) -> Result:
    return Result("history", 16, measure, list(pairs), limit="mini", target=Target(1.4, 1.1))


def rounds(*others: float) -> Iterator[Round]:
    """Return rounds that are numbered by their processor time, with these shares in turn."""
    return (a_round(number, share) for number, share in zip(count(1), cycle(others)))


def test_row_and_limit_are_measured_in_turn() -> None:
    calls: list[str] = []

    def row() -> Round:
        calls.append("row")
        return a_round()

    def limit() -> Round:
        calls.append("limit")
        return a_round()

    measure_pairs(row, limit, 3, TOLERANCE)
    assert calls == ["row", "limit"] * 3


def test_a_disturbed_round_is_dropped_with_its_partner_and_measured_again() -> None:
    of_row, of_limit = rounds(QUIET, BUSY, QUIET, QUIET), rounds(QUIET)
    kept = measure_pairs(lambda: next(of_row), lambda: next(of_limit), 3, TOLERANCE)
    assert [pair.row.cpu_us for pair in kept.pairs] == [1, 3, 4]
    assert [pair.limit and pair.limit.cpu_us for pair in kept.pairs] == [1, 3, 4]
    assert (kept.dropped, kept.is_noisy) == (1, False)


def test_a_disturbed_round_of_the_limit_drops_the_pair_too() -> None:
    of_row, of_limit = rounds(QUIET), rounds(BUSY, QUIET, QUIET)
    kept = measure_pairs(lambda: next(of_row), lambda: next(of_limit), 2, TOLERANCE)
    assert [pair.row.cpu_us for pair in kept.pairs] == [2, 3]


def test_on_a_busy_machine_the_quietest_rounds_are_kept_and_called_noisy() -> None:
    of_row = rounds(0.9, 0.3, 0.8, 0.2)
    kept = measure_pairs(lambda: next(of_row), None, 2, TOLERANCE)
    assert [pair.row.others for pair in kept.pairs] == [0.2, 0.3]
    assert (kept.dropped, kept.is_noisy) == (2, True)


def test_half_of_the_wanted_rounds_are_enough() -> None:
    pairs = [a_pair(1, 1), a_pair(1, 1, BUSY), a_pair(1, 1), a_pair(1, 1, BUSY)]
    assert not keep(pairs, 4, TOLERANCE).is_noisy
    assert keep(pairs, 5, TOLERANCE).is_noisy


def test_the_value_is_the_median_of_the_ratios_of_neighbours() -> None:
    # The ratio of the medians would be 2: the machine slowed down from one pair to the next.
    result = a_result(a_pair(100, 100), a_pair(330, 300), a_pair(400, 100))
    assert result.value == pytest.approx(1.1)


def test_a_latency_row_compares_the_99th_percentiles() -> None:
    pair = Pair(a_round(None, p99_ms=6), a_round(None, p99_ms=4))
    assert a_result(pair, measure=Measure.P99).value == 1.5
    assert a_result(pair).value is None


def test_the_memory_row_is_not_compared_with_a_limit() -> None:
    assert a_result(Pair(a_round()), measure=Measure.MEMORY).value == 80


def test_a_change_is_clear_when_the_rounds_of_the_two_runs_lie_apart() -> None:
    before = a_result(a_pair(300, 100), a_pair(320, 100))
    change = compare(before, a_result(a_pair(150, 100), a_pair(160, 100)))
    assert change.is_clear
    assert change.share == pytest.approx(-0.5)
    assert not compare(before, a_result(a_pair(280, 100), a_pair(310, 100))).is_clear


def test_rows_without_a_limit_are_compared_by_their_processor_time() -> None:
    change = compare(a_result(Pair(a_round(200))), a_result(Pair(a_round(100))))
    assert (change.before, change.now) == (200, 100)


def a_run(*results: Result) -> Run:
    return Run(
        at="2026-11-29T05:00:00+00:00",
        commit="a825a5d",
        processor="some processor",
        python="3.11.7",
        tool="wrk",
        seconds=1,
        rounds=2,
        results=list(results),
    )


def test_the_report_of_changes_has_the_rows_that_both_runs_have() -> None:
    before, now = a_result(a_pair(300, 100)), a_result(a_pair(150, 100))
    alone = Result("live", 16, Measure.CPU, [Pair(a_round())])
    text = report.changes(a_run(before), a_run(now, alone), {"history": "cached history"})
    _, _, *lines = text.splitlines()
    assert [line.split() for line in lines] == [
        ["cached", "history", "16", "3.00", "1.50", "-50%", "better"]
    ]


@pytest.mark.parametrize(("cost", "verdict"), [(110, "reached"), (130, "met"), (150, "MISSED")])
def test_a_line_says_whether_the_target_is_reached(cost: float, verdict: str) -> None:
    line = report.line(a_result(a_pair(cost, 100)), "cached history")
    assert line.split()[-3:] == ["1.4/1.1", "1/1", verdict]
