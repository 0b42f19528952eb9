"""Plan what happens around the payments: nightly reports, settlements, disputes and faults."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from kernapay.commands.example_data.accounts import (
    Accounts,
    open_account,
    open_endpoints,
)
from kernapay.commands.example_data.purchases import Purchases, Sale
from kernapay.commands.example_data.samples import PROVIDERS
from kernapay.commands.example_data.simulation import WEBHOOK_DELAY, Simulation
from kernapay.core.business_days import BusinessDays
from kernapay.payments.dtos import RefundCreate
from kernapay.reconciliation.models import Kind
from kernapay.security.principal import Role

_NIGHT: Final = timedelta(hours=1, minutes=10)
_SETTLEMENT: Final = timedelta(hours=11)
_OFFICE: Final = timedelta(hours=9, minutes=30)
_HOUR: Final = timedelta(hours=1)
# A worker looks each second for what is due. So seldom, a look is cheap, and nothing seems to have waited long.
_BETWEEN_LOOKS: Final = timedelta(hours=3)
_WEBHOOKS: Final = timedelta(seconds=WEBHOOK_DELAY)
# Before today, and with it.
_STORY_DAYS: Final = 8
_HERE: Final = "127.0.0.1"
_HALF_DAY: Final = timedelta(hours=12)
# From now until the evidence of the open dispute is due.
_DEADLINE: Final = timedelta(hours=43)


class Incidents:
    """Plans the events of the days. `days` has the first instant of each day; today is the last."""

    def __init__(
        self,
        simulation: Simulation,
        accounts: Accounts,
        purchases: Purchases,
        days: BusinessDays,
        draw: random.Random,
    ) -> None:
        self._simulation = simulation
        self._accounts = accounts
        self._purchases = purchases
        self._days = days
        self._draw = draw

    def plan(self, starts: Sequence[datetime], end: datetime) -> None:
        """Plan everything until the end."""
        simulation = self._simulation
        simulation.plan(
            starts[0] + _HOUR, partial(open_endpoints, simulation.services, self._accounts)
        )
        simulation.plan(starts[-2] + _OFFICE, self._send_codes)
        for start in starts[1:]:
            simulation.plan(start + _NIGHT, simulation.work)
            simulation.plan(start + _SETTLEMENT, self._settle)
        for number in range(1, int((end - starts[0]) / _BETWEEN_LOOKS) + 1):
            simulation.plan(starts[0] + number * _BETWEEN_LOOKS, self._look)
        office = [start + _OFFICE for start in starts[-_STORY_DAYS:]]
        simulation.plan(office[1], partial(self._dispute_and_win, office[3], office[5]))
        simulation.plan(office[2], partial(self._refund_and_lose, office[5]))
        simulation.plan(office[3], self._refund_in_the_dashboard)
        simulation.plan(office[4], self._repair)
        simulation.plan(office[5], partial(self._refund_slowly, "refund_pending"))
        simulation.plan(office[5] + _HOUR, partial(self._refund_slowly, "refund_fails_later"))
        simulation.plan(end - _HALF_DAY, self._dispute_now)
        simulation.plan(end - _HALF_DAY, self._sign_up_provider)

    async def _look(self) -> None:
        await self._simulation.sweep("unpaid_payments", "open_refunds", "ending_sales")

    async def _settle(self) -> None:
        await self._simulation.ask("/_sandbox/settle", {})
        self._simulation.plan(self._simulation.at + _WEBHOOKS, self._simulation.work)

    def _take_sale(self) -> Sale | None:
        """Take one of the latest sales, so that nothing else happens to it."""
        sales = self._purchases.sales
        return (
            sales.pop(self._draw.randrange(max(0, len(sales) - 15), len(sales))) if sales else None
        )

    async def _open_dispute(
        self, sale: Sale, reason: str, description: str, respond_by: datetime | None = None
    ) -> str:
        opened = await self._simulation.ask(
            "/_sandbox/disputes",
            {
                "payment_id": sale.payment_id,
                "reason_code": reason,
                "reason_description": description,
                "respond_by": respond_by and int(respond_by.timestamp()),
            },
        )
        self._simulation.plan(self._simulation.at + _WEBHOOKS, self._simulation.deliver)
        return str(opened["id"])

    async def _move_dispute(self, dispute: str, how: str, status: str) -> None:
        field = "event" if how == "move" else "status"
        await self._simulation.ask(f"/_sandbox/disputes/{dispute}/{how}", {field: status})
        self._simulation.plan(self._simulation.at + _WEBHOOKS, self._simulation.deliver)

    async def _dispute_and_win(self, reviewed_at: datetime, won_at: datetime) -> None:
        if (sale := self._take_sale()) is None:
            return
        dispute = await self._open_dispute(
            sale, "product_not_received", "The customer says that the service was not given."
        )
        move = partial(self._move_dispute, dispute)
        self._simulation.plan(reviewed_at, partial(move, "move", "under_review"))
        self._simulation.plan(won_at, partial(move, "resolve", "won"))

    async def _refund_and_lose(self, lost_at: datetime) -> None:
        """Let the customer's bank take back what was refunded already: a person has to look at that."""
        if (sale := self._take_sale()) is None:
            return
        await self._refund(sale, "Customer was charged twice at the counter")
        dispute = await self._open_dispute(
            sale, "duplicate_processing", "The customer says that they were charged twice."
        )
        self._simulation.plan(lost_at, partial(self._move_dispute, dispute, "resolve", "lost"))

    async def _dispute_now(self) -> None:
        if (sale := self._take_sale()) is not None:
            await self._open_dispute(
                sale,
                "goods_or_services_not_as_described",
                "The customer says that another test was made than was booked.",
                self._simulation.at + _HALF_DAY + _DEADLINE,
            )

    async def _refund(self, sale: Sale, reason: str) -> None:
        refunds = self._simulation.services.refund_service
        admin = self._accounts.admin
        payment = await refunds.payment_of(admin, sale.reference_id)
        data = RefundCreate(reason=reason, idempotency_key=f"refund-{sale.payment_id}")
        await refunds.refund(admin, payment, data, None)
        self._simulation.plan(self._simulation.at + _WEBHOOKS, self._simulation.deliver)

    async def _refund_slowly(self, fault: str) -> None:
        if (sale := self._take_sale()) is None:
            return
        hours = 40 if fault == "refund_pending" else 20
        options = {"seconds": hours * 3600}
        await self._simulation.ask("/_sandbox/faults", {"name": fault, "options": options})
        await self._refund(sale, "Appointment cancelled")

    async def _refund_in_the_dashboard(self) -> None:
        """Refund in the gateway's dashboard and lose the webhooks: the next nightly report finds the refund."""
        if (sale := self._take_sale()) is None:
            return
        drop = {"name": "webhook_drop", "times": None, "route": "refund.*"}
        fault = await self._simulation.ask("/_sandbox/faults", drop)
        await self._simulation.ask(f"/_sandbox/payments/{sale.payment_id}/refund", {})
        await self._simulation.remove_fault(fault["id"])

    async def _repair(self) -> None:
        services = self._simulation.services
        for report in await services.report_repository.list():
            for finding in await services.finding_repository.open_of(str(report.pk), tuple(Kind)):
                await services.repair_service.repair(
                    self._accounts.admin, str(report.pk), str(finding.pk)
                )

    async def _send_codes(self) -> None:
        """Let the payers with an account ask for the code that verifies their address."""
        for payer in self._accounts.payers[1:]:
            await self._simulation.services.verification_service.request_email(payer, _HERE)
        await self._simulation.sweep("outbox")

    async def _sign_up_provider(self) -> None:
        for each in PROVIDERS:
            if not each.is_approved:
                await open_account(self._simulation.services, each.email, each.name, Role.PROVIDER)
