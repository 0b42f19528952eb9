"""The table of a run, and what changed since another."""

from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Final

from tests.benchmarks.growth.results import FLAT, LONGEST_MS, Result, Run
from tests.benchmarks.growth.works import Kind

_HEAD: Final = (
    f"{'work':<28}{'payments':>10}{'p50 ms':>9}{'API us':>9}{'mongod us':>11}{'keys':>9}{'docs':>8}"
)
_CHANGE_HEAD: Final = f"{'work':<28}{'payments':>10}{'ms':>18}{'API us':>18}{'mongod us':>18}"


def heading(run: Run) -> str:
    """Return what the table is about, and the head of its columns."""
    return "\n".join(
        [
            f"{run.commit}, {run.at}; {run.processor}; a cache of {run.cache_gb:g} GB for each MongoDB",
            "One connection. Medians of the rounds; keys and docs are what MongoDB read for one request.",
            f"The last line of each has the ratio of the largest size to the smallest: at most {FLAT:g}, "
            f"of an aggregate {LONGEST_MS:g} ms instead.",
            "",
            _HEAD,
        ]
    )


def lines(result: Result) -> str:
    """Return the rows of the table of one kind of work."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    for number, size in enumerate(result.sizes):
        middle = result.middle
        yield (
            f"{result.title if number == 0 else '':<28}{size:>10,}"
            f"{middle(size, lambda each: each.p50_ms):>9.2f}"
            f"{middle(size, lambda each: each.server_us):>9,.0f}"
            f"{middle(size, lambda each: each.mongod_us):>11,.0f}"
            f"{middle(size, lambda each: each.keys):>9,.1f}"
            f"{middle(size, lambda each: each.docs):>8,.1f}"
        )
    if len(result.rounds) > 1:
        yield f"{'':<38}{_ratios(result)}  {_verdict(result)}"
    elif result.faults:
        yield f"{'':<38}{_verdict(result)}"


def _ratios(result: Result) -> str:
    latency, server, mongod = (ratio or 0.0 for ratio in result.ratios.values())
    return f"{latency:>9.2f}{server:>9.2f}{mongod:>11.2f}"


def _verdict(result: Result) -> str:
    if result.kind is Kind.CONTROL:
        return "(noise)"
    return f"MISSED: {', '.join(result.faults)}" if result.faults else "met"


def footing(run: Run) -> str:
    """Return how quiet the machine was."""
    rounds = [each for result in run.results for some in result.rounds.values() for each in some]
    others = [each.others for each in rounds if each.others is not None]
    return f"Others used {mean(others):.2f} cores on average." if others else ""


def changes(before: Run, now: Run) -> str:
    """Return the costs of each work at the largest size that both runs have."""
    old: Mapping[str, Result] = {each.name: each for each in before.results}
    rows = [
        _change(old[each.name], each, max(shared))
        for each in now.results
        if each.name in old and (shared := set(each.sizes) & set(old[each.name].sizes))
    ]
    return "\n".join([f"Since {before.commit}, {before.at}:", _CHANGE_HEAD, *rows])


def _change(before: Result, now: Result, size: int) -> str:
    pairs = [
        (before.middle(size, of), now.middle(size, of))
        for of in (
            lambda each: each.p50_ms,
            lambda each: each.server_us,
            lambda each: each.mongod_us,
        )
    ]
    latency, *costs = pairs
    columns = [f"{latency[0]:.2f} > {latency[1]:.2f}", *(f"{a:,.0f} > {b:,.0f}" for a, b in costs)]
    return f"{now.title:<28}{size:>10,}" + "".join(f"{text:>18}" for text in columns)
