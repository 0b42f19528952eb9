"""Our books, the gateway's books, and those who work on them."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

from kernapay.bootstrap.services import Services
from kernapay.commands.audit import audit
from kernapay.config.settings import Settings, load_settings
from kernapay.core.clock import now
from kernapay.devstack.process import Process
from kernapay.reconciliation.comparison import Difference
from tests.stack import Sandbox, bare_environment

LONG_AGO = datetime.fromtimestamp(0, UTC)
PAID = ("success", "refunded")


async def check_payments(services: Services) -> None:
    """Look every due payment and refund up at the gateway, as a worker does."""
    for queue in (
        services.settlement.unpaid,
        services.settlement.late,
        services.refund_service.open,
    ):
        while await services.reconciliation_service.check_due(queue):
            pass


class Shop:
    def __init__(
        self,
        sandbox: Sandbox,
        env: dict[str, str],
        store: Database[dict[str, Any]],
        home: Path,
        closing: ExitStack,
    ) -> None:
        self.sandbox = sandbox
        self.env = env
        self.store = store
        self.home = home
        self._closing = closing

    def settings(self, **changes: Any) -> Settings:
        given: dict[str, Any] = {name.lower(): value for name, value in self.env.items()}
        return load_settings(None, **{**given, **changes})

    def kernapay(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator does."""
        return subprocess.run(
            [sys.executable, "-m", "kernapay", *arguments],
            env={**bare_environment(), **self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def worker(self, name: str = "worker", **env: str) -> Process:
        """Start a worker process; it is ended with the test."""
        home = self.home / name
        process = Process(
            "worker",
            home,
            (sys.executable, "-m", "kernapay", "worker"),
            {**bare_environment(), **self.env, **env},
            lambda: "worker_started" in process.log.read_text(),
        )
        self._closing.callback(process.kill)
        process.launch()
        return process

    def work(
        self, do: Callable[[Services], Awaitable[Any]], later: timedelta = timedelta(0), **more: Any
    ) -> Any:
        """Let the services of this process do something, in a time that may lie ahead."""

        async def run() -> Any:
            services = Services(self.settings(**more), clock=lambda: now() + later)
            await services.open()
            try:
                return await do(services)
            finally:
                await services.close()

        return asyncio.run(run())

    def settle_later(self, later: timedelta = timedelta(minutes=30)) -> None:
        """Do all the work a worker finds that much later."""

        async def sweep(services: Services) -> None:
            while await services.webhook_inbox.sweep():
                pass
            await check_payments(services)

        self.work(sweep, later)

    def differences(self) -> list[tuple[str, str | None, str | None]]:
        """Compare the books as `kernapay audit` does."""
        found: list[Difference] = []
        asyncio.run(audit(self.settings(), None, None, lambda _, __: None, found.append))
        return [(d.kind.value, d.ours, d.theirs) for d in found]

    def row(self, payment: dict[str, Any]) -> dict[str, Any]:
        """The payment as it is stored."""
        found = self.store.payments.find_one({"referenceId": payment["referenceId"]})
        assert found is not None
        return found

    def edit(self, payment: dict[str, Any], **change: Any) -> None:
        """Change our book behind the service's back."""
        where = {"referenceId": payment["referenceId"]}
        self.store.payments.update_one(where, {"$set": change})

    def receipt(self, payment: dict[str, Any]) -> str:
        return f"KP_{self.row(payment)['_id']}"

    def captured_at_gateway(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        attempts = self.sandbox.call("GET", f"/v1/orders/{payment['orderId']}/payments")["items"]
        return [attempt for attempt in attempts if attempt["captured"]]

    def refunds_at_gateway(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            refund
            for attempt in self.captured_at_gateway(payment)
            for refund in self.sandbox.call("GET", f"/v1/payments/{attempt['id']}/refunds")["items"]
        ]

    def assert_sound(self, payment: dict[str, Any]) -> dict[str, Any]:
        """One order, one success, a history that leads to the status, and books that agree; the row."""
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
        assert row.get("amountRefunded", 0) == refunded <= row["amount"]
        assert row.get("mismatches", []) == []
        assert row.get("surplusOrders", []) == []
        assert self.differences() == []
        return row
