"""Add up the lines of an export while they are written, so that the totals are those of the lines above them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kernapay.payments.exports.values import Line, Lines, Money, Value

COUNT: Final = "count"


@dataclass(slots=True)
class Total:
    """The sums of the lines with one key: the currency and, depending on the table, the status or type."""

    key: dict[str, str]
    count: int = 0
    sums: dict[str, Money] = field(default_factory=dict)

    def value_of(self, name: str) -> Value:
        return self.count if name == COUNT else self.key.get(name, self.sums.get(name))


class Tally:
    def __init__(self, columns: Sequence[str], keys: Sequence[str], sums: Sequence[str]) -> None:
        """`keys` are the columns to group by, `sums` the columns to add up."""
        self.names = (*keys, COUNT, *sums)
        self._keys = {name: columns.index(name) for name in keys}
        self._sums = {name: columns.index(name) for name in sums}
        self._totals: dict[tuple[Value, ...], Total] = {}

    def over(self, lines: Lines) -> Iterator[Line]:
        """Yield the lines and add them up."""
        for line in lines:
            self._count(line)
            yield line

    def totals(self) -> list[Total]:
        """Return the totals, sorted by key. Without any line, there is one total of 0 lines."""
        return sorted(self._totals.values(), key=lambda each: [*each.key.values()]) or [Total({})]

    def _count(self, line: Line) -> None:
        key = tuple(line[place] for place in self._keys.values())
        total = self._totals.get(key)
        if total is None:
            names = {name: str(value) for name, value in zip(self._keys, key, strict=True)}
            total = self._totals[key] = Total(names)
        total.count += 1
        for name, place in self._sums.items():
            if (money := self.money_of(name, line, place)) is not None:
                before = total.sums.get(name)
                amount = money.amount + (before.amount if before else 0)
                total.sums[name] = Money(amount, money.currency)

    def money_of(self, name: str, line: Line, place: int) -> Money | None:
        """Return what a line adds to the sum of a column."""
        value = line[place]
        return value if isinstance(value, Money) else None
