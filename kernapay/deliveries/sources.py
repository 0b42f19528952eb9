"""The sources of events: payments, settlements and findings whose rows are marked as changed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar

import msgspec

from kernapay.deliveries.drafts import Draft, Mark
from kernapay.deliveries.erased import ErasedBuyers
from kernapay.deliveries.ids import make_event_id, make_row_id
from kernapay.deliveries.models import EventType
from kernapay.deliveries.payloads import FindingEvent, SettlementEvent
from kernapay.deliveries.payment_events import PaymentRow, draft_events
from kernapay.reconciliation.dtos import FindingView
from kernapay.settlements.dtos import SettlementView

ViewT = TypeVar("ViewT", bound=msgspec.Struct)

NoteChanges = Callable[[list[tuple[datetime, str | None]]], Awaitable[None]]

_OF_SETTLEMENT: Final = tuple(each.name for each in msgspec.structs.fields(SettlementView))
_OF_FINDING: Final = tuple(each.name for each in msgspec.structs.fields(FindingView))


@dataclass(frozen=True, slots=True)
class Change:
    """A marked row. `draft` makes its new events, and `version` identifies the state of the row they describe."""

    row_id: str
    version: Any
    draft: Callable[[], Iterable[Draft]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Marked rows, and the ids of those that cannot be read."""

    found: list[Change]
    unreadable: list[Any]


class Source(Protocol):
    """One kind of marked rows. Each method raises Unavailable."""

    name: str

    async def read(self, at: datetime, count: int) -> Changes:
        """Return rows whose marker is due, oldest first."""

    async def end(self, changes: Sequence[Change]) -> None:
        """Clear the marker of rows that have not changed since they were read."""

    async def put_off(self, row_ids: Sequence[Any], until: datetime) -> int:
        """Make marked rows due again later. Return how many still had the marker."""

    async def oldest(self) -> datetime | None:
        """Return since when the oldest marked row is due, None if there is none."""


@dataclass(frozen=True, slots=True)
class _PaymentChange(Change):
    row: PaymentRow


class Rows(Protocol):
    """A repository of marked rows. `version` is what `end_announcement` compares a row with."""

    async def due_to_announce(
        self, view: type[ViewT], at: datetime, count: int
    ) -> tuple[list[ViewT], list[Any]]: ...

    async def end_announcement(self, row_ids: Sequence[str], version: Any, /) -> int: ...

    async def put_off_announcement(self, row_ids: Sequence[Any], until: datetime) -> int: ...

    async def oldest_announcement(self) -> datetime | None: ...


class _MarkedRows:
    """The operations that all sources share."""

    name: str

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.put_off = rows.put_off_announcement
        self.oldest = rows.oldest_announcement

    async def end(self, changes: Sequence[Change]) -> None:
        # All rows of one version in one statement: that costs MongoDB a tenth of as many statements.
        ordered = sorted(changes, key=lambda each: each.version)
        for version, group in groupby(ordered, key=lambda each: each.version):
            await self._rows.end_announcement([each.row_id for each in group], version)


class PaymentSource(_MarkedRows):
    """Payments: their events are the steps of the history, in its order."""

    name = "payments"

    def __init__(
        self,
        rows: Rows,
        since: Callable[[], Awaitable[datetime]],
        follow_up: Callable[[list[str]], Awaitable[None]] | None = None,
        erased_buyers: ErasedBuyers | None = None,
        note_changes: NoteChanges | None = None,
    ) -> None:
        """`since` returns the time from which on changes get events. It matters for rows that are older.

        `follow_up` gets the ids of changed payments before the markers go: again, if it or what follows fails.
        `erased_buyers` take the texts out of what is told of their payments. `note_changes` gets the time and the payee
        of each changed payment, also before its marker goes.
        """
        super().__init__(rows)
        self._since = since
        self._follow_up = follow_up
        self._erased_buyers = erased_buyers
        self._note_changes = note_changes

    async def read(self, at: datetime, count: int) -> Changes:
        rows, unreadable = await self._rows.due_to_announce(PaymentRow, at, count)
        since = await self._since() if rows else at
        if self._erased_buyers is not None:
            rows = await self._erased_buyers.clear_rows(rows)
        found: list[Change] = [
            _PaymentChange(row.id, len(row.history), partial(_payment_drafts, row, since), row)
            for row in rows
        ]
        return Changes(found, unreadable)

    async def end(self, changes: Sequence[Change]) -> None:
        rows = [change.row for change in changes if isinstance(change, _PaymentChange)]
        if self._note_changes is not None:
            await self._note_changes([(row.created_at, row.payee_id) for row in rows])
        if self._erased_buyers is not None:
            await self._erased_buyers.clear_events(rows)
        if self._follow_up is not None and changes:
            await self._follow_up([change.row_id for change in changes])
        await super().end(changes)


class _SettlementRow(SettlementView, kw_only=True, rename="camel"):
    id: str = msgspec.field(name="_id")
    announce: datetime


class SettlementSource(_MarkedRows):
    """Settlements that were processed."""

    name = "settlements"

    async def read(self, at: datetime, count: int) -> Changes:
        rows, unreadable = await self._rows.due_to_announce(_SettlementRow, at, count)
        found = [Change(row.id, row.announce, partial(_settlement_drafts, row)) for row in rows]
        return Changes(found, unreadable)


class _ReportRow(msgspec.Struct, rename="camel"):
    id: str = msgspec.field(name="_id")
    announce: datetime


class FindingSource(_MarkedRows):
    """Reports that are done: each finding is an event. A report that is made again finds the same ones."""

    name = "reports"

    def __init__(self, rows: Rows, find: Callable[[str], AsyncIterator[list[FindingView]]]) -> None:
        """`find` yields the findings of a report."""
        super().__init__(rows)
        self._find = find

    async def read(self, at: datetime, count: int) -> Changes:
        # One at a time: it may have thousands of findings.
        rows, unreadable = await self._rows.due_to_announce(_ReportRow, at, 1)
        found = []
        for row in rows:
            findings = [each async for batch in self._find(row.id) for each in batch]
            draft = partial(_finding_drafts, row, findings)
            found.append(Change(row.id, row.announce, draft))
        return Changes(found, unreadable)


def _payment_drafts(row: PaymentRow, since: datetime) -> Iterator[Draft]:
    return draft_events(row, row.first_untold(since))


def _settlement_drafts(row: _SettlementRow) -> Iterator[Draft]:
    event_type = EventType.SETTLEMENT_PROCESSED
    mark = Mark(
        id=make_event_id(make_row_id(row.settlement_id), 0, event_type),
        type=event_type,
        # When its rows were added up. The bank may have had the money long before an endpoint was made.
        at=row.announce,
        seq=0,
        subject=row.settlement_id,
    )
    yield Draft(mark, SettlementEvent(**{name: getattr(row, name) for name in _OF_SETTLEMENT}))


def _finding_drafts(report: _ReportRow, findings: Sequence[FindingView]) -> Iterator[Draft]:
    event_type = EventType.RECONCILIATION_FINDING
    for finding in findings:
        mark = Mark(
            id=make_event_id(finding.id, 0, event_type),
            type=event_type,
            at=report.announce,
            seq=0,
            subject=report.id,
        )
        facts = {name: getattr(finding, name) for name in _OF_FINDING}
        yield Draft(mark, FindingEvent(**facts, report_id=report.id))
