"""The steps of a run: each row at each number of connections, then the special rows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from tests.benchmarks.api.bench import Bench
from tests.benchmarks.api.results import Result
from tests.benchmarks.api.rows import ROWS, Row
from tests.benchmarks.api.special_rows import SPECIAL_ROWS

# Fewer would be refused: one account may not have so many calls under way.
_SPECIAL_ACCOUNTS: Final = 16


class Step(NamedTuple):
    title: str
    accounts: int
    measure: Callable[[Bench], Result]


def plan_steps(names: Sequence[str], connections: Sequence[int]) -> list[Step]:
    """Return the steps for the rows of these names, in the order of the table."""
    plain = [
        Step(row.title, count, partial(_measure, row, count))
        for row in ROWS
        if row.name in names
        for count in connections
    ]
    special = [
        Step(row.title, _SPECIAL_ACCOUNTS, row.measure) for row in SPECIAL_ROWS if row.name in names
    ]
    return plain + special


def _measure(row: Row, connections: int, bench: Bench) -> Result:
    return bench.measure(row, connections)


def accounts_for(steps: Sequence[Step]) -> int:
    """Return how many accounts the steps need: one for each connection."""
    return max(step.accounts for step in steps)
