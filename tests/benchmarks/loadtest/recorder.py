"""What the load sees, second by second."""

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

_MOST_PROBLEMS: Final = 20


class Second(msgspec.Struct):
    """What happened in about a second, which ended `at` so many seconds after the start.

    Latencies are in milliseconds, memory is in megabytes by program.
    """

    at: float
    length: float = 1.0
    calls: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    memory_mb: dict[str, float] = {}

    @property
    def per_second(self) -> float:
        return self.calls / self.length


class Totals(msgspec.Struct):
    """All calls of one kind. `statuses` counts them by status, 0 for connections without an answer."""

    calls: int
    errors: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    statuses: dict[int, int]


class Recorder:
    """Collects the calls. A problem is an answer that the load did not expect."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._latencies: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self._statuses: dict[str, Counter[int]] = defaultdict(Counter)
        self._errors: Counter[str] = Counter()
        self._current: list[float] = []
        self._current_errors = 0
        self._ended_at = 0.0
        self.seconds: list[Second] = []
        self.problems: Counter[str] = Counter()

    @property
    def calls(self) -> int:
        return sum(map(len, self._latencies.values()))

    @property
    def errors(self) -> int:
        return self._errors.total()

    def record(self, name: str, status: int, seconds: float) -> None:
        self._latencies[name].append(seconds * 1000)
        self._statuses[name][status] += 1
        self._current.append(seconds * 1000)

    def record_problem(self, name: str, problem: str) -> None:
        """Count what should not have happened. The first ones of each kind are kept as text."""
        self._errors[name] += 1
        self._current_errors += 1
        text = f"{name}: {problem}"
        if text in self.problems or len(self.problems) < _MOST_PROBLEMS:
            self.problems[text] += 1

    def end_second(self, memory: Mapping[str, float]) -> Second:
        """Begin the next second, and return the one that has ended."""
        took, self._current = sorted(self._current), []
        at = self._clock() - self._started
        second = Second(
            at=at,
            length=at - self._ended_at,
            calls=len(took),
            errors=self._current_errors,
            p50_ms=_percentile(took, 50) if took else None,
            p99_ms=_percentile(took, 99) if took else None,
            memory_mb=dict(memory),
        )
        self._current_errors = 0
        self._ended_at = at
        self.seconds.append(second)
        return second

    def totals(self) -> dict[str, Totals]:
        """Return what each kind of call came to, the most frequent first."""
        names = sorted(self._latencies, key=lambda name: -len(self._latencies[name]))
        return {name: self._totals_of(name) for name in names}

    def _totals_of(self, name: str) -> Totals:
        took = sorted(self._latencies[name])
        return Totals(
            calls=len(took),
            errors=self._errors[name],
            p50_ms=_percentile(took, 50),
            p99_ms=_percentile(took, 99),
            worst_ms=took[-1],
            statuses=dict(self._statuses[name]),
        )

    def all_latencies(self) -> list[float]:
        return sorted(each for latencies in self._latencies.values() for each in latencies)


def _percentile(took: "list[float]", percent: int) -> float:
    return took[min(len(took) - 1, len(took) * percent // 100)]


def percentiles(took: Iterable[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, 0 without any."""
    ordered = sorted(took)
    return (_percentile(ordered, 50), _percentile(ordered, 99)) if ordered else (0.0, 0.0)
