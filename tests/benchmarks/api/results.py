"""What was measured, as it is kept in a file, and what follows from it: which rounds count, and their medians."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from statistics import median
from typing import Final, NamedTuple

import msgspec

VERSION: Final = 1
_ATTEMPTS: Final = 2
"""How many times the wanted rounds are run at most, if others keep using the machine."""


class Measure(StrEnum):
    """What of the rounds is compared with the target."""

    CPU = "cpu"
    P99 = "p99"
    MEMORY = "memory"


class Round(msgspec.Struct, frozen=True):
    """One measurement. `others` is how many cores others used on average.

    `cpu_us` is None where the server did other work too.
    """

    per_second: float
    cpu_us: float | None
    p50_ms: float
    p99_ms: float
    memory_mb: float
    answers: int
    others: float


class Pair(msgspec.Struct, frozen=True):
    """A round of a row, and right after it one of what it is compared with."""

    row: Round
    limit: Round | None = None

    @property
    def others(self) -> float:
        """How many cores others used, in the worse of the two."""
        return max(self.row.others, self.limit.others if self.limit else 0.0)

    def value(self, measure: Measure) -> float | None:
        """Return the row's cost in units of the limit's, or its memory in megabytes; None without a limit."""
        if measure is Measure.MEMORY:
            return self.row.memory_mb
        if self.limit is None:
            return None
        if measure is Measure.P99:
            return self.row.p99_ms / self.limit.p99_ms
        if self.row.cpu_us is None or self.limit.cpu_us is None:
            return None
        return self.row.cpu_us / self.limit.cpu_us


class Target(NamedTuple):
    """A value that must not be exceeded, and one to reach."""

    must: float
    reach: float


class Result(msgspec.Struct, frozen=True):
    """A row at so many connections. `limit` names what it is compared with, at `limit_connections`."""

    name: str
    connections: int
    measure: Measure
    pairs: list[Pair]
    dropped: int = 0
    is_noisy: bool = False
    limit: str | None = None
    limit_connections: int | None = None
    target: Target | None = None

    @property
    def values(self) -> list[float]:
        return [v for v in (pair.value(self.measure) for pair in self.pairs) if v is not None]

    @property
    def costs(self) -> list[float]:
        """The processor time of a request, in microseconds, in each round."""
        return [pair.row.cpu_us for pair in self.pairs if pair.row.cpu_us is not None]

    @property
    def value(self) -> float | None:
        return median(self.values) if self.values else None

    def middle(self, of: Callable[[Round], float | None]) -> float | None:
        """Return the median of a number of the row's rounds, None if they do not have it."""
        return _median(of(pair.row) for pair in self.pairs)

    def limit_middle(self, of: Callable[[Round], float | None]) -> float | None:
        """Return the median of a number of the limit's rounds, None without a limit."""
        return _median(of(pair.limit) for pair in self.pairs if pair.limit is not None)


def _median(numbers: Iterable[float | None]) -> float | None:
    known = [each for each in numbers if each is not None]
    return median(known) if known else None


class Run(msgspec.Struct, frozen=True):
    """All that one call of the benchmark measured, and where."""

    at: str
    commit: str
    processor: str
    python: str
    tool: str
    seconds: float
    rounds: int
    results: list[Result]
    version: int = VERSION


class Kept(NamedTuple):
    """The pairs that count. They are noisy if others used the machine in too many of them all."""

    pairs: list[Pair]
    dropped: int
    is_noisy: bool


def measure_pairs(
    row: Callable[[], Round], limit: Callable[[], Round] | None, wanted: int, tolerance: float
) -> Kept:
    """Measure row and limit in turn, until so many pairs are undisturbed, or twice as many were tried."""
    pairs: list[Pair] = []
    while len(pairs) < wanted * _ATTEMPTS and _count_quiet(pairs, tolerance) < wanted:
        pairs.append(Pair(row(), limit() if limit else None))
    return keep(pairs, wanted, tolerance)


def _count_quiet(pairs: Sequence[Pair], tolerance: float) -> int:
    return sum(pair.others <= tolerance for pair in pairs)


def keep(pairs: Sequence[Pair], wanted: int, tolerance: float) -> Kept:
    """Drop the pairs in which others used more than `tolerance` of a core.

    If that leaves fewer than half of the wanted ones, keep the quietest instead and call them noisy.
    """
    quiet = [pair for pair in pairs if pair.others <= tolerance]
    if len(quiet) * 2 >= wanted:
        return Kept(quiet, len(pairs) - len(quiet), False)
    quietest = sorted(pairs, key=lambda pair: pair.others)[:wanted]
    return Kept(quietest, len(pairs) - len(quietest), True)


class Change(NamedTuple):
    """A value that two runs have, before and now."""

    before: float
    now: float
    is_clear: bool
    """Whether no value of the one run lies among the values of the other."""

    @property
    def share(self) -> float:
        return self.now / self.before - 1


def compare(before: Result, now: Result) -> Change:
    """Compare the values; without a limit, the processor time of a request."""
    old, new = (each.values or each.costs for each in (before, now))
    return Change(median(old), median(new), max(old) < min(new) or max(new) < min(old))
