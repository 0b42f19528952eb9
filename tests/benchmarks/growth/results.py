"""What was measured at each size, as it is kept in a file, and what grew."""

from collections.abc import Callable
from statistics import median
from typing import Final

import msgspec

from tests.benchmarks.growth.works import Kind

VERSION: Final = 1
FLAT: Final = 1.2
"""What a cost of the largest database may be in units of the same cost in the smallest."""
LONGEST_MS: Final = 200.0
"""How long an aggregate may take."""
# Below it, a difference is that of two pages in a cache, and the clocks of the processes end.
_LEAST_US: Final = 30.0
_LEAST_MS: Final = 0.2


class Round(msgspec.Struct, frozen=True):
    """The cost of a request: the median of its latency, the rest on average.

    `keys` and `docs` are what MongoDB read of indexes and collections, `others` how many cores others
    used, if that is known.
    """

    p50_ms: float
    server_us: float
    mongod_us: float
    keys: float
    docs: float
    others: float | None = None


class Result(msgspec.Struct, frozen=True):
    """The rounds of one kind of work, by the number of payments."""

    name: str
    title: str
    kind: Kind
    rounds: dict[int, list[Round]]

    @property
    def sizes(self) -> list[int]:
        return sorted(self.rounds)

    def middle(self, size: int, of: Callable[[Round], float]) -> float:
        return median(of(each) for each in self.rounds[size])

    def ratio(self, of: Callable[[Round], float], least: float = _LEAST_US) -> float | None:
        """Return a cost at the largest size in units of that at the smallest, None with one size.

        A difference of less than `least` is none.
        """
        if len(self.rounds) < 2:
            return None
        small, large = self.middle(self.sizes[0], of), self.middle(self.sizes[-1], of)
        return 1.0 if large - small < least else large / max(small, least)

    @property
    def ratios(self) -> dict[str, float | None]:
        return {
            "latency": self.ratio(lambda each: each.p50_ms, _LEAST_MS),
            "server": self.ratio(lambda each: each.server_us),
            "mongod": self.ratio(lambda each: each.mongod_us),
        }

    @property
    def faults(self) -> list[str]:
        """What of it grew with the payments, or takes too long."""
        if self.kind is Kind.CONTROL:
            return []
        if self.kind is Kind.AGGREGATE:
            slowest = max(self.middle(size, lambda each: each.p50_ms) for size in self.sizes)
            return [f"takes over {LONGEST_MS:g} ms"] if slowest > LONGEST_MS else []
        grown = [name for name, ratio in self.ratios.items() if ratio and ratio > FLAT]
        return [f"{name} grows" for name in grown]


class Run(msgspec.Struct, frozen=True):
    """All that one call of the command measured, and where."""

    at: str
    commit: str
    processor: str
    cache_gb: float
    requests: int
    results: list[Result]
    version: int = VERSION
