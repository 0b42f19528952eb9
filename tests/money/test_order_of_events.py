"""A model of gateway, network and service: whatever the order of events, the books agree in the end."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kernapay.bootstrap.services import Services
from kernapay.core.errors import KernaPayError
from kernapay.payments.dtos import PaymentCreate, PaymentVerify, RefundCreate
from kernapay.payments.states import PHASES
from kernapay.security.principal import Principal, Role
from tests.aliases import Json, Store
from tests.clocks import RunningClock
from tests.environment import settings_from
from tests.money.fake_gateway import FakeGateway
from tests.money.shop import check_payments

AMOUNT = 50000
PAID = ("success", "refunded")
# What may follow what; the same status again is a note in between.
LEGAL = {
    ("pending", "success"),
    ("pending", "failed"),
    ("failed", "success"),
    ("success", "refunded"),
    ("refunded", "success"),  # the bank sent a refund back
}
pick = st.integers(0, 50)


class Model(RuleBasedStateMachine):
    services: ClassVar[Services]
    gateway: ClassVar[FakeGateway]
    clock: ClassVar[RunningClock]
    loop: ClassVar[asyncio.Runner]
    # In a tuple: Hypothesis looks for rules among the attributes, and a database has any attribute.
    stores: ClassVar[tuple[Store]]

    @initialize()
    def begin(self) -> None:
        self.gateway.clear()
        self.clock.ahead = timedelta(0)
        for name in (
            *("payments", "webhook_events"),
            *("reconciliation_reports", "reconciliation_findings"),
        ):
            self.stores[0][name].delete_many({})
        self.user = Principal(id=str(ObjectId()), role=Role.USER, session_id="model")
        self.admin = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="model")
        self.keys: list[str] = []
        self.refund_keys: list[tuple[str, str, int | None]] = []
        self.seen_paid: set[str] = set()
        self.lost = 0

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Call the service as a client does: refusals and outages are answers too."""

        async def call() -> Any:
            with suppress(KernaPayError):
                return await work()

        return self.loop.run(call())

    def rows(self) -> list[Json]:
        return list(self.stores[0].payments.find().sort("_id"))

    def ordered(self) -> list[Json]:
        return [row for row in self.rows() if row.get("razorpayOrderId")]

    # The client.

    @rule(key=st.sampled_from("abc"))
    def create(self, key: str) -> None:
        body = PaymentCreate(amount=AMOUNT, currency="INR", service_type="CONSULTATION")
        self.do(lambda: self.services.payment_service.create(self.user, body, key))

    @precondition(lambda self: self.gateway.payments)
    @rule(which=pick)
    def verify(self, which: int) -> None:
        paid = [p for p in self.gateway.payments.values() if p.status != "failed"]
        if not paid:
            return
        payment = paid[which % len(paid)]
        row = next((r for r in self.ordered() if r["razorpayOrderId"] == payment.order_id), None)
        if row is None:
            return
        secret = self.services.settings.razorpay_key_secret.get_secret_value().encode()
        signed = f"{payment.order_id}|{payment.id}".encode()
        signature = hmac.new(secret, signed, "sha256").hexdigest()
        body = PaymentVerify(
            razorpay_order_id=str(payment.order_id),
            razorpay_payment_id=payment.id,
            razorpay_signature=signature,
            reference_id=row["referenceId"],
        )
        self.do(lambda: self.services.payment_service.verify(body))

    @precondition(lambda self: self.rows())
    @rule(
        which=pick, amount=st.sampled_from([None, 1000, 25000, 50000]), key=st.sampled_from("xyz")
    )
    def refund(self, which: int, amount: int | None, key: str) -> None:
        rows = self.rows()
        reference = rows[which % len(rows)]["referenceId"]
        body = RefundCreate(amount=amount)

        async def refund() -> None:
            payment = await self.services.refund_service.payment_of(self.admin, reference)
            await self.services.refund_service.refund(self.admin, payment, body, key)

        self.do(refund)

    @precondition(lambda self: self.rows())
    @rule(which=pick)
    def capture(self, which: int) -> None:
        rows = self.rows()
        reference = rows[which % len(rows)]["referenceId"]
        self.do(lambda: self.services.payment_service.capture(self.admin, reference))

    # The customer, the bank, the dashboard.

    @precondition(lambda self: self.gateway.orders)
    @rule(which=pick, outcome=st.sampled_from(["captured", "captured", "authorized", "failed"]))
    def pay(self, which: int, outcome: str) -> None:
        # A customer pays the order the page was given.
        orders = [row["razorpayOrderId"] for row in self.ordered()]
        if orders:
            self.gateway.attempt(orders[which % len(orders)], outcome)

    @precondition(lambda self: self.gateway.payments)
    @rule(which=pick)
    def authorize_late(self, which: int) -> None:
        ids = list(self.gateway.payments)
        self.gateway.authorize_late(ids[which % len(ids)])

    @precondition(lambda self: any(p.captured for p in self.gateway.payments.values()))
    @rule(which=pick, amount=st.sampled_from([1000, 50000]), waits=st.booleans())
    def refund_in_the_dashboard(self, which: int, amount: int, waits: bool) -> None:
        ids = [p.id for p in self.gateway.payments.values() if p.captured]
        with suppress(KernaPayError):
            self.gateway.refund_now(ids[which % len(ids)], amount, None, waits=waits)

    @precondition(lambda self: self.gateway.refunds)
    @rule(which=pick, status=st.sampled_from(["processed", "failed"]))
    def end_refund(self, which: int, status: str) -> None:
        ids = list(self.gateway.refunds)
        self.gateway.end_refund(ids[which % len(ids)], status)

    @precondition(lambda self: any(p.captured for p in self.gateway.payments.values()))
    @rule(which=pick, amount=st.sampled_from([1000, 50000]), phase=st.sampled_from(PHASES[:3]))
    def dispute(self, which: int, amount: int, phase: str) -> None:
        ids = [p.id for p in self.gateway.payments.values() if p.captured]
        if len(self.gateway.disputes) < 4:
            self.gateway.dispute(ids[which % len(ids)], amount, phase)

    @precondition(lambda self: self.gateway.disputes)
    @rule(which=pick, event=st.sampled_from(["under_review", "action_required", "won", "lost"]))
    def go_on_with_a_dispute(self, which: int, event: str) -> None:
        disputes = list(self.gateway.disputes.values())
        self.gateway.go_on(event, disputes[which % len(disputes)])

    @rule(waits=st.booleans())
    def refunds_wait(self, waits: bool) -> None:
        self.gateway.refunds_wait = waits

    # The network.

    @rule(moment=st.sampled_from(["before", "after"]))
    def silence(self, moment: str) -> None:
        self.gateway.silent = moment

    @precondition(lambda self: self.gateway.events)
    @rule(which=pick, again=st.booleans())
    def deliver(self, which: int, again: bool) -> None:
        """Deliver an event, in any order, some twice."""
        events = self.gateway.events
        event_id, body = events[which % len(events)]
        if not again:
            events.remove((event_id, body))
        self.do(lambda: self.services.webhook_inbox.receive(body, event_id))

    @precondition(lambda self: self.gateway.events)
    @rule(which=pick)
    def drop(self, which: int) -> None:
        del self.gateway.events[which % len(self.gateway.events)]
        self.lost += 1

    # The worker, and time.

    @rule(minutes=st.sampled_from([1, 20, 60 * 24, 60 * 24 * 8]))
    def later(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule()
    def work(self) -> None:
        self.do(self.services.webhook_inbox.sweep)
        self.do(lambda: check_payments(self.services))

    # What always holds.

    @invariant()
    def money_is_sound(self) -> None:
        if not hasattr(self, "seen_paid"):
            return
        captured = {p.order_id: p for p in self.gateway.payments.values() if p.captured}
        for row in self.rows():
            order_id, status = row.get("razorpayOrderId"), row["status"]
            if status in PAID:
                assert order_id in captured, "success without a capture"
                self.seen_paid.add(row["referenceId"])
            assert status in PAID or row["referenceId"] not in self.seen_paid, "success undone"
            reserved = [r for r in row.get("refunds", []) if r["status"] != "failed"]
            assert row.get("amountRefunded", 0) <= row["amount"]
            assert sum(r["amount"] for r in reserved) <= row["amount"] or any(
                r["source"] == "webhook" or not r.get("key") for r in reserved
            ), "more promised than was captured"
            steps = [step["status"] for step in row["history"]]
            assert (steps[0], steps[-1]) == ("pending", status)
            changes = {pair for pair in pairwise(steps) if pair[0] != pair[1]}
            assert changes <= LEGAL, changes
        for payment in self.gateway.payments.values():
            assert (payment.amount_refunded or 0) <= payment.amount
        receipts = [order.receipt for order in self.gateway.orders.values()]
        assert len(receipts) == len(set(receipts)), "an order was made twice"
        ours = [r.receipt for r in self.gateway.refunds.values() if r.receipt]
        assert len(ours) == len(set(ours)), "a refund was made twice"

    def teardown(self) -> None:
        """Deliver and reconcile everything: then nothing differs."""
        if not hasattr(self, "seen_paid"):
            return
        self.gateway.silent = None
        self.loop.run(self._settle())
        self.money_is_sound()
        for row in self.ordered():
            attempts = [
                p for p in self.gateway.payments.values() if p.order_id == row["razorpayOrderId"]
            ]
            paid = [p for p in attempts if p.captured]
            assert (row["status"] in PAID) == bool(paid), row["status"]
            for payment in paid:
                assert row["razorpayPaymentId"] == payment.id
                refunded = sum(
                    r.amount
                    for r in self.gateway.refunds.values()
                    if r.payment_id == payment.id and r.status == "processed"
                )
                assert row.get("amountRefunded", 0) == refunded
                assert (row["status"] == "refunded") == (refunded == payment.amount)
                self.assert_disputes(row, payment.id)

    def assert_disputes(self, row: Json, payment_id: str) -> None:
        """Both books have the same disputes, and whoever lost money twice was named."""
        theirs = [d for d in self.gateway.disputes.values() if d.payment_id == payment_id]
        ours = {d["disputeId"]: d for d in row.get("disputes", [])}
        assert {each.id: each.status for each in theirs} == {
            name: each["status"] for name, each in ours.items()
        }
        reserved = [r for r in row.get("refunds", []) if r["status"] != "failed"]
        lost = {name for name, each in ours.items() if each["lost"] and reserved}
        assert lost <= {each.get("disputeId") for each in row.get("mismatches", [])}

    async def _settle(self) -> None:
        for event_id, body in list(self.gateway.events):
            await self.services.webhook_inbox.receive(body, event_id)
        self.clock.advance(days=1)
        while await self.services.webhook_inbox.sweep():
            pass
        await check_payments(self.services)
        reconciliation = self.services.reconciliation_service
        before = self.clock()
        # All that has happened: every day of it costs a question for its settlements.
        beginning = before - self.clock.ahead - timedelta(days=1)
        # What is too old for the sweep is found by the comparison, and repaired by one call each. A refund that is
        # entered so may turn out to be the second return of what a dispute has taken.
        for _ in range(2):
            findings = [d async for d in reconciliation.compare(beginning, before).run()]
            if findings:
                await self._repair(beginning, before)
        comparison = reconciliation.compare(beginning, self.clock())
        assert [d.kind async for d in comparison.run()] == []

    async def _repair(self, beginning: datetime, before: datetime) -> None:
        while beginning < before:
            end = min(before, beginning + timedelta(days=31))
            report, _ = await self.services.reconciliation_service.make_now(
                self.admin, beginning, end, lambda _, __: None
            )
            for finding in await self.services.finding_repository.list(report_id=report.pk):
                await self.services.repair_service.repair(
                    self.admin, str(report.pk), str(finding.pk)
                )
            beginning = end


@pytest.fixture
def model(api_env: dict[str, str], store: Store) -> Iterator[type[Model]]:
    clock = RunningClock()
    gateway = FakeGateway(clock)
    settings = settings_from(api_env, reconcile_after="15m", reconcile_rate=1000)
    services = Services(settings, clock=clock, gateway=gateway)
    with asyncio.Runner() as loop:
        loop.run(services.open())
        yield type(
            "BoundModel",
            (Model,),
            {
                "services": services,
                "gateway": gateway,
                "clock": clock,
                "loop": loop,
                "stores": (store,),
            },
        )
        loop.run(services.close())


def test_whatever_the_order_the_books_agree_in_the_end(model: type[Model]) -> None:
    run_state_machine_as_test(
        model,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
