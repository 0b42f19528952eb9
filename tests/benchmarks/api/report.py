"""The table of a run, and what changed since another."""

from collections.abc import Iterable, Mapping
from typing import Final

from tests.benchmarks.api.results import Measure, Result, Run, compare

_HEAD: Final = (
    f"{'row':<30}{'conn':>5}{'req/s':>9}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}{'MB':>6}"
    f"  {'against':<14}{'it has':>9}{'ratio':>8}  {'must/reach':<12}{'rounds':>7}"
)
_CHANGE_HEAD: Final = f"{'row':<30}{'conn':>5}{'before':>11}{'now':>11}{'change':>9}"


def heading(run: Run, tolerance: float) -> str:
    """Return what the table is about, and the head of its columns."""
    return "\n".join(
        [
            f"{run.commit}, {run.at}; {run.processor}, Python {run.python}; load by {run.tool}",
            f"{run.rounds} rounds of {run.seconds:g} s; a round counts if others used at most "
            f"{tolerance:.0%} of a core. Numbers are medians.",
            "",
            _HEAD,
        ]
    )


def line(result: Result, title: str) -> str:
    """Return a row of the table."""
    is_latency = result.measure is Measure.P99
    limit = result.limit_middle(lambda each: each.p99_ms if is_latency else each.cpu_us)
    against = f"{result.limit} at {result.limit_connections}" if result.limit else "-"
    return (
        f"{title:<30}{result.connections:>5}"
        f"{_number(result.middle(lambda each: each.per_second), 0):>9}"
        f"{_number(result.middle(lambda each: each.cpu_us), 0):>9}"
        f"{_number(result.middle(lambda each: each.p50_ms), 2):>9}"
        f"{_number(result.middle(lambda each: each.p99_ms), 2):>9}"
        f"{_number(result.middle(lambda each: each.memory_mb), 0):>6}"
        f"  {against:<14}{_number(limit, 2 if is_latency else 0):>9}"
        f"{_number(result.value, 0 if result.measure is Measure.MEMORY else 2):>8}"
        f"  {_target(result):<12}{_rounds(result):>7}{_verdict(result)}"
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _target(result: Result) -> str:
    return f"{result.target.must:g}/{result.target.reach:g}" if result.target else "-"


def _rounds(result: Result) -> str:
    return f"{len(result.pairs)}/{len(result.pairs) + result.dropped}"


def _verdict(result: Result) -> str:
    verdict = ""
    if result.target is not None and result.value is not None:
        if result.value <= result.target.reach:
            verdict = "  reached"
        elif result.value <= result.target.must:
            verdict = "  met"
        else:
            verdict = "  MISSED"
    return verdict + ("  noisy" if result.is_noisy else "")


def changes(before: Run, now: Run, titles: Mapping[str, str]) -> str:
    """Return what changed: the ratio to the limit, which depends least on the machine, or the CPU of a request."""
    old = {(each.name, each.connections): each for each in before.results}
    both = [
        (old[key], each) for each in now.results if (key := (each.name, each.connections)) in old
    ]
    return "\n".join(
        [
            f"Since {before.commit}, {before.at}: ratio to the limit, without one the CPU us of a request",
            _CHANGE_HEAD,
            *_change_lines(both, titles),
        ]
    )


def _change_lines(
    both: Iterable[tuple[Result, Result]], titles: Mapping[str, str]
) -> Iterable[str]:
    for before, now in both:
        change = compare(before, now)
        word = "" if not change.is_clear else "  better" if change.share < 0 else "  worse"
        yield (
            f"{titles.get(now.name, now.name):<30}{now.connections:>5}"
            f"{change.before:>11,.2f}{change.now:>11,.2f}{change.share:>+9.0%}{word}"
        )
