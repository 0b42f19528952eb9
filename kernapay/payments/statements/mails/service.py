"""Mail the statements of the last month to providers, once each, from a day of the next month on."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog
from bson import ObjectId

from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError
from kernapay.notifications.base import Attachment
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.payments.statements.figures import is_empty
from kernapay.payments.statements.mails.models import StatementMail
from kernapay.payments.statements.mails.repository import (
    ProviderRepository,
    StatementMailRepository,
)
from kernapay.payments.statements.months import month_of, read_month
from kernapay.payments.statements.plain_text import write_plain_text
from kernapay.payments.statements.service import StatementService
from kernapay.users.dtos import UserView
from kernapay.users.models import UserStatus

_log = structlog.get_logger("kernapay.statements")
_KEEP_TRYING: Final = timedelta(days=3)


class StatementMails:
    def __init__(
        self,
        rows: StatementMailRepository,
        providers: ProviderRepository,
        statements: StatementService,
        account_of: Callable[[str], Awaitable[UserView | None]],
        outbox: Outbox,
        days: BusinessDays,
        from_day: int | None,
        clock: Clock = now,
    ) -> None:
        """From `from_day` of a month on, the statements of the month before are mailed. With None, none are."""
        self._rows = rows
        self._providers = providers
        self._statements = statements
        self._account_of = account_of
        self._outbox = outbox
        self._days = days
        self._from_day = from_day
        self._clock = clock
        self._planned: str | None = None

    async def sweep(self) -> bool:
        """Plan the last month if it is time, and mail one statement that is due. Return False if none was.

        Raises Unavailable.
        """
        if self._from_day is None or not self._outbox.has_provider(Channel.EMAIL):
            return False
        today = self._days.day_of(self._clock())
        month = str(month_of(self._clock(), self._days).before)
        if today.day >= self._from_day and self._planned != month:
            await self._rows.plan(month)
            self._planned = month
        return await self._rows.queue.sweep(self._do_or_fail)

    async def _do_or_fail(self, row: StatementMail) -> None:
        try:
            if row.provider_id is None:
                await self._plan_all(row)
            else:
                await self._mail(row, str(row.provider_id))
        except KernaPayError as error:
            _log.warning("statement_interrupted", statement=row.pk, code=error.code)
            await self._rows.queue.fail(row, error.detail)

    async def _plan_all(self, row: StatementMail) -> None:
        async for provider_id in self._providers.approved():
            await self._rows.plan(row.month, provider_id)
        await self._rows.finish(row)

    async def _mail(self, row: StatementMail, provider_id: str) -> None:
        account = await self._account_of(provider_id)
        # Between the plan and the mail, an administrator may have ended it.
        if account is not None and _gets_mail(account):
            await self._post(row, account)
        await self._rows.finish(row)

    async def _post(self, row: StatementMail, account: UserView) -> None:
        statement = await self._statements.make(account, read_month(row.month))
        if is_empty(statement):
            return
        sheet = self._statements.sheet_of(statement)
        await self._outbox.post(
            Channel.EMAIL,
            "statement",
            account.email,
            write_plain_text(sheet),
            subject=f"{sheet.seller}: statement for {sheet.month}",
            expires_at=self._clock() + _KEEP_TRYING,
            user_id=account.id,
            attachment=Attachment(
                f"statement-{row.month}.pdf",
                "application/pdf",
                await self._statements.draw(sheet),
            ),
            # The same for whoever repeats this after a crash.
            message_id=ObjectId(hashlib.sha256(f"statement\n{row.pk}".encode()).digest()[:12]),
        )


def _gets_mail(account: UserView) -> bool:
    return (
        account.is_approved_provider
        and account.status is UserStatus.ACTIVE
        and account.is_email_verified
    )
