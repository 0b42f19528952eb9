"""Our books, the gateway's books, and those who work on them."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from kernapay.bootstrap.services import Services
from kernapay.commands.audit import audit
from kernapay.config.settings import Settings
from kernapay.core.clock import now
from kernapay.reconciliation.differences import Difference
from kernapay.reconciliation.pacing import Pace
from tests.aliases import Json, Store
from tests.command_line import run_command
from tests.databases import receipt_of, row_of
from tests.environment import settings_from
from tests.stack import Sandbox, Worker, end

LONG_AGO = datetime.fromtimestamp(0, UTC)
PAID = ("success", "refunded")


class _Impatient(Services):
    """The services, which soon ask a gateway again that does not answer."""

    @cached_property
    def pace(self) -> Pace:
        return Pace(self.settings.reconcile_rate, first_pause=0.01)


async def check_payments(services: Services) -> None:
    """Look every due payment and refund up at the gateway, as a worker does."""
    for queue in (
        services.settlement.unpaid,
        services.settlement.late,
        services.settlement.ending,
        services.refund_service.open,
    ):
        while await services.reconciliation_service.check_due(queue):
            pass
    surplus = services.surplus_payments
    while await surplus.due.sweep(surplus.give_back):
        pass


class Shop:
    def __init__(
        self,
        sandbox: Sandbox,
        env: Mapping[str, str],
        store: Store,
        home: Path,
        closing: ExitStack,
    ) -> None:
        self.sandbox = sandbox
        self.env = env
        self.store = store
        self.home = home
        self._closing = closing

    def settings(self, **changes: object) -> Settings:
        return settings_from(self.env, **changes)

    def kernapay(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator does."""
        return run_command(*arguments, env={**self.env, **env}, cwd=self.home)

    def worker(self, name: str = "worker", **env: str) -> Worker:
        """Launch a worker; it is killed when the test ends."""
        worker = Worker(self.home / name, {**self.env, **env})
        self._closing.callback(end, worker)
        worker.launch()
        return worker

    def work(
        self, do: Callable[[Services], Awaitable[Any]], later: timedelta = timedelta(0), **more: Any
    ) -> Any:
        """Let the services of this process do something, with a clock that may be ahead."""

        async def run() -> Any:
            services = _Impatient(self.settings(**more), clock=lambda: now() + later)
            await services.open()
            try:
                return await do(services)
            finally:
                await services.close()

        return asyncio.run(run())

    def settle_later(self, later: timedelta = timedelta(minutes=30)) -> None:
        """Do all the work that a worker finds so much later."""

        async def sweep(services: Services) -> None:
            while await services.webhook_inbox.sweep():
                pass
            await check_payments(services)

        self.work(sweep, later)

    def differences(self) -> list[tuple[str, str | None, str | None]]:
        """Compare the two databases as `kernapay audit` does."""
        found: list[Difference] = []
        asyncio.run(audit(self.settings(), None, None, lambda _, __: None, found.append))
        return [(d.kind.value, d.ours, d.theirs) for d in found]

    def row(self, payment: Json) -> Json:
        """Return the payment as it is stored."""
        return row_of(self.store.payments, referenceId=payment["referenceId"])

    def surplus_states(self, payment: Json) -> list[str]:
        return [each["status"] for each in self.row(payment).get("surplusPayments", [])]

    def edit(self, payment: Json, **change: Any) -> None:
        """Change the stored payment without the service."""
        where = {"referenceId": payment["referenceId"]}
        self.store.payments.update_one(where, {"$set": change})

    def receipt(self, payment: Json) -> str:
        return receipt_of(self.row(payment))

    def captured_at_gateway(self, payment: Json) -> list[Json]:
        attempts = self.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
        return [attempt for attempt in attempts if attempt["captured"]]

    def refunds_at_gateway(self, payment: Json) -> list[Json]:
        return [
            refund
            for attempt in self.captured_at_gateway(payment)
            for refund in self.sandbox.items(f"/v1/payments/{attempt['id']}/refunds")
        ]

    def assert_sound(self, payment: Json) -> Json:
        """Assert that there is one order and one success, a history that leads to the status, and no difference.

        Return the row."""
        row = self.row(payment)
        assert len(self.sandbox.orders(self.receipt(payment))) == 1
        assert len(self.captured_at_gateway(payment)) == 1
        assert row["status"] in PAID, row["status"]
        assert row["razorpayOrderId"] == payment["orderId"]
        steps = [step["status"] for step in row["history"]]
        assert steps[0] == "pending"
        assert steps[-1] == row["status"]
        # Once paid, never anything else; and it became so once.
        first = steps.index("success")
        assert set(steps[first:]) <= set(PAID)
        assert [s["event"] for s in row["history"][first:] if s["event"] == "expired"] == []
        refunded = sum(
            r["amount"] for r in self.refunds_at_gateway(payment) if r["status"] == "processed"
        )
        assert row.get("amountRefunded", 0) == refunded <= row["amountPaid"]
        assert row.get("mismatches", []) == []
        assert row.get("surplusOrders", []) == []
        assert self.differences() == []
        return row
