"""All rows in memory, found by id or by an indexed field. The database gets every change."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from kernapay.sandbox import account_entities, entities
from kernapay.sandbox.database import Database

RowT = TypeVar("RowT", bound=entities.Row)


class Table(Generic[RowT]):
    def __init__(self, kind: str, row_type: type[RowT], database: Database, *indexes: str) -> None:
        self.kind = kind
        self.row_type = row_type
        self._database = database
        self._rows: dict[str, RowT] = {}
        self._indexes: dict[str, dict[Any, list[RowT]]] = {name: {} for name in indexes}

    def __iter__(self) -> Iterator[RowT]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> RowT | None:
        return self._rows.get(row_id)

    def find_by(self, index: str, value: Any) -> list[RowT]:
        """Return the rows with this value, oldest first.

        The list is the index itself: do not change it.
        """
        return self._indexes[index].get(value, [])

    def has_index(self, name: str) -> bool:
        return name in self._indexes

    def newest(self, limit: int) -> list[RowT]:
        return list(islice(reversed(self._rows.values()), limit))

    def newest_first(self) -> Iterator[RowT]:
        return reversed(self._rows.values())

    def add(self, row: RowT) -> RowT:
        self.insert(row)
        self.save(row)
        return row

    def insert(self, row: RowT) -> None:
        """Add a row that the database already has."""
        self._rows[row.id] = row
        for name, index in self._indexes.items():
            value = getattr(row, name)
            if value is not None:
                index.setdefault(value, []).append(row)

    def save(self, row: RowT) -> None:
        """Write a row after a change. Fields with an index must not change."""
        self._database.write(self.kind, row.id, row)

    def remove(self, row_id: str) -> RowT | None:
        row = self._rows.pop(row_id, None)
        if row is not None:
            for name, index in self._indexes.items():
                index.get(getattr(row, name), []).remove(row)
            self._database.write(self.kind, row_id, None)
        return row

    def clear(self) -> None:
        for row_id in self._rows:
            self._database.write(self.kind, row_id, None)
        self._rows.clear()
        for index in self._indexes.values():
            index.clear()


class Store:
    """Every table of the sandbox. The names of kinds are part of the SQLite file's format."""

    def __init__(self, database: Database) -> None:
        self.orders = Table("order", entities.Order, database, "owner", "receipt")
        self.payments = Table("payment", entities.Payment, database, "owner", "order_id")
        self.customers = Table("customer", account_entities.Customer, database, "owner")
        self.payment_links = Table("payment_link", account_entities.PaymentLink, database, "owner")
        self.downtimes = Table("downtime", account_entities.Downtime, database)
        self.instant_settlements = Table(
            "instant_settlement", account_entities.InstantSettlement, database, "owner"
        )
        self.api_keys = Table("api_key", account_entities.ApiKey, database)
        self.offers = Table("offer", account_entities.Offer, database, "owner")
        self.transfers = Table("transfer", account_entities.Transfer, database, "owner", "source")
        self.reversals = Table(
            "reversal", account_entities.Reversal, database, "owner", "transfer_id"
        )
        self.transfer_keys = Table("transfer_key", account_entities.TransferKey, database)
        self.linked_accounts = Table(
            "linked_account", account_entities.LinkedAccount, database, "email"
        )
        self.stakeholders = Table(
            "stakeholder", account_entities.Stakeholder, database, "account_id"
        )
        self.product_configurations = Table(
            "product_configuration", account_entities.ProductConfiguration, database, "account_id"
        )
        self.refunds = Table("refund", entities.Refund, database, "owner", "payment_id")
        self.refund_keys = Table("refund_key", entities.RefundKey, database)
        self.settlements = Table("settlement", entities.Settlement, database, "owner")
        self.adjustments = Table("adjustment", entities.Adjustment, database, "owner")
        self.disputes = Table("dispute", entities.Dispute, database, "owner", "payment_id")
        self.endpoints = Table("endpoint", entities.Endpoint, database, "owner")
        self.deliveries = Table("delivery", entities.Delivery, database)
        self.messages = Table("message", entities.Message, database)
        self.timers = Table("timer", entities.Timer, database)
        self.faults = Table("fault", entities.Fault, database)
        self.clock = Table("clock", entities.ClockState, database)
        self._database = database

    @property
    def tables(self) -> list[Table[Any]]:
        return [table for table in vars(self).values() if isinstance(table, Table)]

    def load(self) -> None:
        """Read all rows from the database."""
        tables = {table.kind: table for table in self.tables}
        decoders = {kind: msgspec.json.Decoder(table.row_type) for kind, table in tables.items()}
        for kind, body in self._database.read():
            tables[kind].insert(decoders[kind].decode(body))

    def clear(self) -> None:
        for table in self.tables:
            table.clear()

    def snapshot(self) -> dict[str, list[Any]]:
        return {table.kind: list(table) for table in self.tables}

    def restore(self, snapshot: dict[str, list[Any]]) -> None:
        """Replace all rows. Raise ValidationError and change nothing if a row is invalid."""
        rows = {
            table.kind: [
                msgspec.convert(row, table.row_type) for row in snapshot.get(table.kind, [])
            ]
            for table in self.tables
        }
        check_references(rows)
        self.clear()
        for table in self.tables:
            for row in rows[table.kind]:
                table.add(row)


def check_references(rows: dict[str, list[Any]]) -> None:
    """Raise ValidationError if a row refers to an order or payment that does not exist."""
    for parent, name, children in (
        ("order", "order_id", ("payment",)),
        ("payment", "payment_id", ("refund", "dispute")),
    ):
        parent_ids = {row.id for row in rows[parent]} | {None}
        for kind in children:
            for row in rows[kind]:
                if getattr(row, name) not in parent_ids:
                    raise msgspec.ValidationError(f"{row.id} belongs to an unknown {parent}")
