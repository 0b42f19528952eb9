"""Exports: payments as CSV, streamed in batches, so that any number fits into memory."""

import csv
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from io import StringIO
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields

from kernapay.audit.repository import AuditLog
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import InvalidInput
from kernapay.core.text import show_controls
from kernapay.files.base import FileLink, FileStore
from kernapay.payments.dtos import PayoutView
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import RefundStatus, Status
from kernapay.security.principal import Principal
from kernapay.storage.filters import BeforeAfter, OrderBy

# Bytes of an export in memory; a larger one goes to a temporary file.
_IN_MEMORY: Final = 1_048_576
# A spreadsheet takes text that starts with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class ExportedPayment(Struct, rename="camel"):
    """One line of an export. The field names are the header. Amounts are in minor units."""

    reference_id: str
    status: Status
    amount: int
    currency: str
    created_at: datetime
    user_id: str
    service_type: str
    provider_id: str | None = None
    description: str | None = None
    paid_at: datetime | None = None
    payment_method: str | None = None
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    refund_status: RefundStatus = RefundStatus.NOT_REQUESTED
    amount_refunded: int = 0
    livemode: bool | None = None
    payee_id: str | None = None
    fee: int | None = None
    tax: int | None = None
    settled_at: datetime | None = None
    amount_paid: int | None = None
    fee_bearer: str | None = None
    offer_id: str | None = None
    final: bool = False
    metadata: dict[str, Any] = {}
    customer_id: str | None = None
    # The last one, because its columns are others.
    settlements: list[PayoutView] = []


_COLUMNS: Final = [field.encode_name for field in fields(ExportedPayment)][:-1]
# The settlement of the payment, of its refunds, and the days of the business, beside the times in UTC.
_FURTHER: Final = (
    *("settlementId", "settlementUtr", "settledAmount", "refundSettlementIds"),
    *("createdOn", "paidOn", "settledOn"),
)


class ExportService:
    def __init__(
        self,
        payments: PaymentRepository,
        files: FileStore,
        audit: AuditLog,
        pool: Bulkhead,
        days: BusinessDays,
    ) -> None:
        self._payments = payments
        self._files = files
        self._audit = audit
        self._pool = pool
        self._days = days

    def read_instant(self, text: str, field: str) -> datetime:
        """Return the instant that a text names; a bare day is one of the business. Raises InvalidInput."""
        return self._days.read_instant(text, field)

    async def stream(
        self, actor: Principal, start: datetime, end: datetime
    ) -> AsyncIterator[bytes]:
        """Return the payments created between two times, oldest first, as chunks of CSV. `end` is exclusive.

        Raises InvalidInput and Unavailable when called, before the first chunk is read. An export that breaks off
        later has a second audit entry.
        """
        chunks = self._audited_chunks(actor, start, end)
        # The answer has begun once a chunk is asked for. So let the audit entry be written before.
        head = await anext(chunks)
        return _chain(head, chunks)

    async def store(self, actor: Principal, start: datetime, end: datetime) -> FileLink:
        """Store an export as a file and return a link to it. Raises InvalidInput, Unavailable."""
        name = f"export-{secrets.token_hex(16)}.csv"
        async with self._action(actor, "payments.export_file", start, end):
            with SpooledTemporaryFile(_IN_MEMORY) as file:
                async for chunk in self._chunks(start, end):
                    await self._pool.run(file.write, chunk)
                file.seek(0)
                await self._files.put(name, file)
            return await self._files.link(name)

    def _action(
        self, actor: Principal, action: str, start: datetime, end: datetime
    ) -> AbstractAsyncContextManager[None]:
        if start >= end:
            raise InvalidInput("Must be after `from`.", field="to")
        period = {"from": start.isoformat(), "to": end.isoformat()}
        return self._audit.action(actor, action, after=period)

    async def _audited_chunks(
        self, actor: Principal, start: datetime, end: datetime
    ) -> AsyncGenerator[bytes]:
        async with self._action(actor, "payments.export", start, end):
            async for chunk in self._chunks(start, end):
                yield chunk

    async def _chunks(self, start: datetime, end: datetime) -> AsyncIterator[bytes]:
        yield _csv([[*_COLUMNS, *_FURTHER]])
        created = BeforeAfter("created_at", before=end, after=start)
        oldest_first = (OrderBy("created_at"), OrderBy("reference_id"))
        async for batch in self._payments.batches(ExportedPayment, created, *oldest_first):
            yield await self._pool.run(_csv, [map(_cell, self._line(row)) for row in batch])

    def _line(self, row: ExportedPayment) -> Iterator[object]:
        yield from astuple(row)[:-1]
        own = [each for each in row.settlements if each.entity_id == row.razorpay_payment_id]
        yield own[0].settlement_id if own else None
        yield own[0].utr if own else None
        yield own[0].credit - own[0].debit if own else None
        refunds = {each.settlement_id for each in row.settlements if each.type == "refund"}
        yield " ".join(sorted(refunds))
        for at in (row.created_at, row.paid_at, row.settled_at):
            yield at and self._days.day_of(at).isoformat()


async def _chain(head: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield head
        async for chunk in rest:
            yield chunk


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        value = msgspec.json.encode(value, enc_hook=str).decode() if value else None
    if not isinstance(value, str):
        return value
    text = show_controls(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
