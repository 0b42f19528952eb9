"""Make statements: for an approved provider their own, and for administrators any."""

from collections.abc import AsyncIterator, Awaitable, Callable

from kernapay.audit.repository import AuditLog
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, NotFound
from kernapay.core.fair_share import FairShare
from kernapay.payments.documents.printer import Printer
from kernapay.payments.exports.plans import Plan
from kernapay.payments.exports.repository import ExportRepository
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.values import By, FileFormat, Unit
from kernapay.payments.payees import Payees
from kernapay.payments.statements.dtos import Statement
from kernapay.payments.statements.figures import StatementSums
from kernapay.payments.statements.months import Month, month_of, read_month
from kernapay.payments.statements.sheet import StatementSheet, statement_sheet
from kernapay.payments.statements.table import StatementTable
from kernapay.security.principal import Principal
from kernapay.users.dtos import UserView

AccountOf = Callable[[str], Awaitable[UserView | None]]


class StatementService:
    def __init__(
        self,
        payments: ExportRepository,
        exports: ExportService,
        account_of: AccountOf,
        payees: Payees,
        audit: AuditLog,
        printer: Printer,
        pool: Bulkhead,
        share: FairShare,
        days: BusinessDays,
        seller: str,
        clock: Clock = now,
    ) -> None:
        """`share` limits how many statements are added up at once. `seller` is the name of the business."""
        self._payments = payments
        self._exports = exports
        self._account_of = account_of
        self._payees = payees
        self._audit = audit
        self._printer = printer
        self._pool = pool
        self._share = share
        self._days = days
        self._seller = seller
        self._clock = clock

    async def show(self, caller: Principal, provider_id: str, text: str) -> Statement:
        """Return a statement. Raises NotFound, NotApproved, InvalidInput, TooManyRequests, Unavailable."""
        month = await self._require(caller, text)
        account = await self._account(provider_id)
        async with self._share.turn(caller.id):
            return await self.make(account, month)

    async def pdf(self, caller: Principal, provider_id: str, text: str) -> bytes:
        """Return a statement as PDF, the same bytes for the same figures. Raises the same as `show`."""
        return await self.draw(self.sheet_of(await self.show(caller, provider_id, text)))

    async def lines(
        self, caller: Principal, provider_id: str, text: str, unit: Unit
    ) -> AsyncIterator[bytes]:
        """Return the lines of a statement as CSV, in chunks of bytes. Raises as `show`, before the first one."""
        month = await self._require(caller, text)
        account = await self._account(provider_id)
        start, end = month.window(self._days)
        action = self._audit.action(
            caller, "statement.export", f"user:{account.id}", after={"month": str(month)}
        )
        plan = Plan(start, end, FileFormat.CSV, unit, False, None, None, True)
        return await self._exports.stream_table(self._table(account.id), plan, action)

    async def make(self, account: UserView, month: Month) -> Statement:
        """Return the statement of a provider's account. Raises Unavailable."""
        start, end = month.window(self._days)
        table = self._table(account.id)
        sums = StatementSums(table.tally())
        async for lines in table.batches(By.CREATED, start, end):
            await self._pool.run(sums.add, lines)
        return Statement(
            provider_id=account.id,
            provider=account.name,
            month=str(month),
            start=start,
            end=end,
            timezone=str(self._days.zone),
            is_over=end <= self._clock(),
            figures=sums.figures(),
            days=sums.days(),
            transfers=sums.transfers(),
        )

    def sheet_of(self, statement: Statement) -> StatementSheet:
        """Return the content of a statement's PDF."""
        return statement_sheet(statement, self._seller, self._days)

    async def draw(self, sheet: StatementSheet) -> bytes:
        """Draw a sheet as PDF. Raises Unavailable."""
        return await self._printer.draw("statement", sheet, _draw_pdf)

    def _table(self, provider_id: str) -> StatementTable:
        return StatementTable(self._payments, provider_id, self._days)

    async def _require(self, caller: Principal, text: str) -> Month:
        """Return the month that was asked for, if the caller may see it. Raises NotApproved, InvalidInput."""
        if not caller.is_admin:
            await self._payees.require_approved(caller, "it gets statements")
        month = read_month(text)
        if month > month_of(self._clock(), self._days):
            raise InvalidInput("Must not be a month to come.", field="month")
        return month

    async def _account(self, provider_id: str) -> UserView:
        account = await self._account_of(provider_id)
        if account is None:
            raise NotFound("No account has this id.")
        return account


def _draw_pdf(sheet: StatementSheet) -> bytes:
    from kernapay.payments.statements import pdf  # here, because the import takes half a second

    return pdf.draw(sheet)
