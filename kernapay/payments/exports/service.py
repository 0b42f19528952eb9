"""Exports: files for finance, streamed in batches, so that any number of rows fits into memory."""

import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Final, ParamSpec, Protocol, TypeVar

from kernapay.audit.repository import AuditLog
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import InvalidInput, Unavailable
from kernapay.files.base import FileLink, FileStore
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.plans import Plan
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, FileFormat, Line, Lines, RowKind
from kernapay.payments.exports.workbook import WorkbookWriter
from kernapay.payments.exports.writers import CsvWriter, JsonLinesWriter, Writer
from kernapay.security.principal import Principal

P = ParamSpec("P")
R = TypeVar("R")

# Bytes of an export in memory; a larger one goes to a temporary file.
_IN_MEMORY: Final = 1_048_576
# Lines between two notes of progress: some seconds of a workbook.
_NOTED_AFTER: Final = 5_000


class Table(Protocol):
    """The lines of an export: their columns, and where they come from."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def times(self) -> Sequence[By]:
        """Return the times by which lines can be selected. The first is the default."""

    def tally(self) -> Tally:
        """Return a new tally for its lines."""

    def batches(self, by: By, start: datetime, end: datetime) -> AsyncIterator[Lines]:
        """Yield the lines between two times, of which the second is exclusive. They are made in a pool thread."""


class Passed:
    """Counts lines on their way."""

    def __init__(self) -> None:
        self.count = 0

    def over(self, lines: Lines) -> Iterator[Line]:
        for line in lines:
            self.count += 1
            yield line


class ExportService:
    def __init__(
        self,
        tables: Mapping[RowKind | None, Table],
        files: FileStore,
        audit: AuditLog,
        pool: Bulkhead,
        days: BusinessDays,
    ) -> None:
        """`tables` has a table for each kind of row. None stands for payments with the columns of earlier versions."""
        self._tables = tables
        self._files = files
        self._audit = audit
        self._pool = pool
        self._days = days

    async def stream(self, actor: Principal, request: ExportRequest) -> AsyncIterator[bytes]:
        """Return an export as chunks of bytes, oldest rows first.

        Raises InvalidInput and Unavailable when called, before the first chunk is read.
        """
        plan = self.plan(request)
        return await self.stream_table(
            self._tables[plan.rows], plan, self._action(actor, "payments.export", plan)
        )

    async def stream_table(
        self, table: Table, plan: Plan, action: AbstractAsyncContextManager[None]
    ) -> AsyncIterator[bytes]:
        """Return the lines of a table as chunks of bytes. `action` writes the audit entry. Raises Unavailable.

        An export that breaks off later has a second audit entry.
        """
        chunks = self._audited_chunks(table, plan, action)
        # The answer has begun once a chunk is asked for. So let the audit entry be written before.
        head = await anext(chunks)
        return _chain(head, chunks)

    async def store(self, actor: Principal, request: ExportRequest) -> FileLink:
        """Store an export as a file and return a link to it. Raises InvalidInput, Unavailable."""
        plan = self.plan(request)
        name = f"export-{secrets.token_hex(16)}.{plan.form.value}"
        async with self._action(actor, "payments.export_file", plan):
            await self.put(plan, name)
            return await self._files.link(name)

    async def put(
        self, plan: Plan, name: str, note: Callable[[int], Awaitable[None]] | None = None
    ) -> int:
        """Store an export under a name. Return the number of its lines. Raises Unavailable.

        `note` is called from time to time with the number of lines so far.
        """
        passed = Passed()
        noted = 0
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            table = self._tables[plan.rows]
            async with aclosing(self._chunks(table, plan, passed)) as chunks:
                async for chunk in chunks:
                    await self._run(file.write, chunk)
                    if note is not None and passed.count >= noted + _NOTED_AFTER:
                        noted = passed.count
                        await note(noted)
            file.seek(0)
            await self._files.put(name, file)
        return passed.count

    def plan(self, request: ExportRequest) -> Plan:
        """Check a request and return its plan. Raises InvalidInput, naming the field."""
        start = self._days.read_instant(request.start, "from")
        end = self._days.read_instant(request.end, "to")
        if start >= end:
            raise InvalidInput("Must be after `from`.", field="to")
        if request.bom and request.form is not FileFormat.CSV:
            raise InvalidInput("Only CSV files have a byte order mark. Leave it out.", field="bom")
        times = self._tables[request.rows].times
        if request.by not in (None, *times):
            raise InvalidInput(
                f"For these rows, it must be one of: {', '.join(times)}.", field="by"
            )
        return Plan(
            start,
            end,
            request.form,
            request.unit,
            request.bom,
            request.rows,
            request.by,
            request.totals,
        )

    def _action(
        self, actor: Principal, action: str, plan: Plan
    ) -> AbstractAsyncContextManager[None]:
        return self._audit.action(actor, action, after=plan.as_audited())

    async def _audited_chunks(
        self, table: Table, plan: Plan, action: AbstractAsyncContextManager[None]
    ) -> AsyncGenerator[bytes]:
        async with action, aclosing(self._chunks(table, plan, Passed())) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chunks(self, table: Table, plan: Plan, passed: Passed) -> AsyncGenerator[bytes]:
        writer, tally = _writer_for(plan, table), table.tally()
        try:
            yield await self._run(writer.begin, table.columns)
            async for lines in table.batches(plan.by or table.times[0], plan.start, plan.end):
                counted = tally.over(lines) if plan.totals else lines
                yield await self._run(writer.write, passed.over(counted))
            if plan.totals:
                yield await self._run(writer.add_up, tally)
            pieces = writer.finish()
            while piece := await self._run(_next, pieces):
                yield piece
        finally:
            await self._run(writer.close)

    async def _run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self._pool.run(call, *args, **kwargs)
        except OSError as error:
            raise Unavailable("The file cannot be written now. Try again later.") from error


def _writer_for(plan: Plan, table: Table) -> Writer:
    match plan.form:
        case FileFormat.CSV:
            return CsvWriter(plan.unit, has_mark=plan.bom, has_totals=plan.totals)
        case FileFormat.JSONL:
            return JsonLinesWriter(plan.unit)
        case FileFormat.XLSX:
            return WorkbookWriter(table.name, plan.unit)


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")


async def _chain(head: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        # The bytes of a workbook come when it is finished.
        if head:
            yield head
        async for chunk in rest:
            if chunk:
                yield chunk
