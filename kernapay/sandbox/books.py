"""All rows in memory, found by id or by index; each change goes to the journal."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from kernapay.sandbox import entities
from kernapay.sandbox.fields import Page
from kernapay.sandbox.journal import Journal

RowT = TypeVar("RowT", bound=entities.Row)
OwnedT = TypeVar("OwnedT", bound=entities.Owned)


class Table(Generic[RowT]):
    def __init__(self, kind: str, row_type: type[RowT], journal: Journal, *indexes: str) -> None:
        self.kind = kind
        self.row_type = row_type
        self._journal = journal
        self._rows: dict[str, RowT] = {}
        self._indexes: dict[str, dict[Any, list[RowT]]] = {name: {} for name in indexes}

    def __iter__(self) -> Iterator[RowT]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> RowT | None:
        return self._rows.get(row_id)

    def by(self, index: str, value: Any) -> list[RowT]:
        """Return the rows with this value, oldest first: the index itself, so do not change it."""
        return self._indexes[index].get(value, [])

    def newest(self, limit: int) -> list[RowT]:
        return list(islice(reversed(self._rows.values()), limit))

    def add(self, row: RowT) -> RowT:
        self.insert(row)
        self.changed(row)
        return row

    def insert(self, row: RowT) -> None:
        """Take a row in that the journal already has."""
        self._rows[row.id] = row
        for name, index in self._indexes.items():
            value = getattr(row, name)
            if value is not None:
                index.setdefault(value, []).append(row)

    def changed(self, row: RowT) -> None:
        self._journal.record(self.kind, row.id, row)

    def remove(self, row_id: str) -> RowT | None:
        row = self._rows.pop(row_id, None)
        if row is not None:
            for name, index in self._indexes.items():
                index.get(getattr(row, name), []).remove(row)
            self._journal.record(self.kind, row_id, None)
        return row

    def clear(self) -> None:
        for row_id in self._rows:
            self._journal.record(self.kind, row_id, None)
        self._rows.clear()
        for index in self._indexes.values():
            index.clear()


class Books:
    """Every table of the sandbox."""

    def __init__(self, journal: Journal) -> None:
        self.orders = Table("order", entities.Order, journal, "owner", "receipt")
        self.payments = Table("payment", entities.Payment, journal, "owner", "order_id")
        self.refunds = Table("refund", entities.Refund, journal, "owner", "payment_id")
        self.refund_keys = Table("refund_key", entities.RefundKey, journal)
        self.settlements = Table("settlement", entities.Settlement, journal, "owner")
        self.disputes = Table("dispute", entities.Dispute, journal, "owner", "payment_id")
        self.endpoints = Table("endpoint", entities.Endpoint, journal, "owner")
        self.deliveries = Table("delivery", entities.Delivery, journal)
        self.messages = Table("message", entities.Message, journal)
        self.timers = Table("timer", entities.Timer, journal)
        self.faults = Table("fault", entities.Fault, journal)
        self.clock = Table("clock", entities.ClockState, journal)
        self._journal = journal

    @property
    def tables(self) -> list[Table[Any]]:
        return [table for table in vars(self).values() if isinstance(table, Table)]

    def load(self) -> None:
        """Read everything the journal holds."""
        tables = {table.kind: table for table in self.tables}
        decoders = {kind: msgspec.json.Decoder(table.row_type) for kind, table in tables.items()}
        for kind, body in self._journal.load():
            tables[kind].insert(decoders[kind].decode(body))

    def clear(self) -> None:
        for table in self.tables:
            table.clear()

    def snapshot(self) -> dict[str, list[Any]]:
        return {table.kind: list(table) for table in self.tables}

    def restore(self, rows: dict[str, list[Any]]) -> None:
        """Replace everything; change nothing and raise ValidationError if a row is wrong."""
        fresh: list[tuple[Table[Any], list[Any]]] = [
            (table, [msgspec.convert(row, table.row_type) for row in rows.get(table.kind, [])])
            for table in self.tables
        ]
        check_links({table.kind: found for table, found in fresh})
        self.clear()
        for table, found in fresh:
            for row in found:
                table.add(row)


def page_of(rows: list[OwnedT], page: Page) -> list[OwnedT]:
    """Return one page, newest first, of the rows created within the page's span."""
    within = (row for row in reversed(rows) if page.start <= row.created_at <= page.end)
    return list(islice(within, page.skip, page.skip + page.count))


def check_links(rows: dict[str, list[Any]]) -> None:
    """Raise ValidationError if a row speaks of an order or payment that is not there."""
    for parent, name, children in (
        ("order", "order_id", ("payment",)),
        ("payment", "payment_id", ("refund", "dispute")),
    ):
        known = {row.id for row in rows[parent]} | {None}
        for kind in children:
            for row in rows[kind]:
                if getattr(row, name) not in known:
                    raise msgspec.ValidationError(f"{row.id} belongs to an unknown {parent}")
