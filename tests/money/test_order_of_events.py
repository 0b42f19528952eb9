"""A model of gateway, network and service: whatever the order of events, the books agree in the end."""

import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from kernapay.core.errors import KernaPayError
from kernapay.payments.dtos import PaymentCreate, PaymentVerify, RefundCreate
from kernapay.payments.states import PHASES
from kernapay.reconciliation.nightly_reports import NightlyReports
from kernapay.security.principal import Principal, Role
from tests.aliases import Json, Store
from tests.money.fake_gateway import LIES
from tests.money.models import ServiceModel, bind, only_if, with_examples
from tests.money.reference_ledger import ReferenceLedger
from tests.money.shop import check_payments

pytestmark = pytest.mark.long

AMOUNT = 50000
FEE = 1180
OFFER = -5000
LATE_PAYMENTS = ("refund", "capture", "hold")
OPENINGS = ("nothing", "ended", "ended long ago", "cancelled", "declined", "declined and paid")
# The setting LATE_PAYMENTS, and how the first sale begins. Before a sale has ended, the setting is no matter.
STARTS = [("refund", opening) for opening in OPENINGS] + [
    (late_payments, opening)
    for late_payments in ("capture", "hold")
    for opening in ("ended", "ended long ago")
]
pick = st.integers(0, 50)


class Model(ServiceModel):
    @initialize(counts_payment=st.booleans(), start=st.sampled_from(STARTS), is_paid=st.booleans())
    def begin(self, counts_payment: bool, start: tuple[str, str], is_paid: bool) -> None:
        late_payments, opening = start
        self.services = self.services_by[late_payments]
        self.gateway.clear()
        self.gateway.counts_payment = counts_payment
        self.clock.ahead = timedelta(0)
        for name in (
            *("payments", "webhook_events"),
            *("reconciliation_reports", "reconciliation_findings"),
        ):
            self.stores[0][name].delete_many({})
        self.user = Principal(id=str(ObjectId()), role=Role.USER, session_id="model")
        self.admin = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="model")
        self.ledger = ReferenceLedger(self.gateway, late_payments)
        if opening != "nothing":
            self._open(opening, is_paid)

    def _open(self, opening: str, is_paid: bool) -> None:
        """Bring a first sale to a turn that random steps alone reach rarely."""
        self.create("a")
        match opening:
            case "ended":
                self.wait_for_an_end(0)
            case "ended long ago":
                self.wait_for_an_end(30)
            case "cancelled":
                self.cancel(0)
            case "declined":
                self.pay(0, "failed", 0, doubles=False)
                self.work()
            case "declined and paid":
                self.pay(0, "failed", 0, doubles=False)
                self.pay(0, "captured", 0, doubles=False)
                self.authorize_late(0, doubles=True)
        if is_paid:
            self.pay(0, "captured", FEE, doubles=False)
            self.work()

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

    @rule(which=pick)
    @only_if(lambda self: self.gateway.payments)
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

    @rule(
        which=pick, amount=st.sampled_from([None, 1000, 25000, 50000]), key=st.sampled_from("xyz")
    )
    @only_if(lambda self: self.rows())
    def refund(self, which: int, amount: int | None, key: str) -> None:
        rows = self.rows()
        reference = rows[which % len(rows)]["referenceId"]
        body = RefundCreate(amount=amount)

        async def refund() -> None:
            payment = await self.services.refund_service.payment_of(self.admin, reference)
            await self.services.refund_service.refund(self.admin, payment, body, key)

        self.do(refund)

    @rule(which=pick)
    @only_if(lambda self: self.rows())
    def capture(self, which: int) -> None:
        rows = self.rows()
        reference = rows[which % len(rows)]["referenceId"]
        self.do(lambda: self.services.payment_service.capture(self.admin, reference))

    @rule(which=pick)
    @only_if(lambda self: self.rows())
    def cancel(self, which: int) -> None:
        rows = self.rows()
        row = rows[which % len(rows)]
        is_heard = self.gateway.silent is None and self.gateway.lie is None
        has_money = any(
            payment.order_id == row.get("razorpayOrderId") and payment.status != "failed"
            for payment in self.gateway.payments.values()
        )
        self.do(lambda: self.services.payment_service.cancel(self.user, row["referenceId"]))
        if is_heard and not has_money and not row.get("final"):
            after = next(each for each in self.rows() if each["_id"] == row["_id"])
            assert (after["status"], after.get("final")) == ("failed", True), "not cancelled"
            assert after.get("cancelledAt")

    # The customer, the bank, the dashboard.

    @rule(
        which=pick,
        outcome=st.sampled_from(["captured", "captured", "authorized", "failed"]),
        differs_by=st.sampled_from([0, 0, FEE, OFFER]),
        doubles=st.booleans(),
    )
    @only_if(lambda self: self.gateway.orders)
    def pay(self, which: int, outcome: str, differs_by: int, doubles: bool) -> None:
        """Pay the order that the page was given, for some a second time."""
        orders = [row["razorpayOrderId"] for row in self.ordered()]
        if orders:
            self.gateway.attempt(orders[which % len(orders)], outcome, differs_by, doubles=doubles)

    @rule(which=pick, doubles=st.booleans())
    @only_if(lambda self: self.gateway.payments)
    def authorize_late(self, which: int, doubles: bool) -> None:
        ids = list(self.gateway.payments)
        self.gateway.authorize_late(ids[which % len(ids)], doubles=doubles)

    @rule(which=pick, amount=st.sampled_from([1000, 50000]), waits=st.booleans())
    @only_if(lambda self: any(p.captured for p in self.gateway.payments.values()))
    def refund_in_the_dashboard(self, which: int, amount: int, waits: bool) -> None:
        ids = [p.id for p in self.gateway.payments.values() if p.captured]
        with suppress(KernaPayError):
            self.gateway.refund_in_the_dashboard(ids[which % len(ids)], amount, waits=waits)

    @rule(which=pick, status=st.sampled_from(["processed", "failed"]))
    @only_if(lambda self: self.gateway.refunds)
    def end_refund(self, which: int, status: str) -> None:
        """Let the bank carry a refund out or return it, even one that it had carried out."""
        ids = list(self.gateway.refunds)
        self.gateway.end_refund(ids[which % len(ids)], status)

    @rule(which=pick, amount=st.sampled_from([1000, 50000]), phase=st.sampled_from(PHASES[:3]))
    @only_if(lambda self: any(p.captured for p in self.gateway.payments.values()))
    def dispute(self, which: int, amount: int, phase: str) -> None:
        ids = [p.id for p in self.gateway.payments.values() if p.captured]
        if len(self.gateway.disputes) < 4:
            payment = self.gateway.payments[ids[which % len(ids)]]
            self.gateway.dispute(payment.id, min(amount, payment.amount), phase)

    @rule(which=pick, event=st.sampled_from(["under_review", "action_required", "won", "lost"]))
    @only_if(lambda self: self.gateway.disputes)
    def go_on_with_a_dispute(self, which: int, event: str) -> None:
        disputes = list(self.gateway.disputes.values())
        self.gateway.go_on(event, disputes[which % len(disputes)])

    @rule(waits=st.booleans())
    def refunds_wait(self, waits: bool) -> None:
        self.gateway.refunds_wait = waits

    # The network.

    @rule(moment=st.sampled_from(["before", "after", "question"]))
    def silence(self, moment: str) -> None:
        self.gateway.silent = moment

    @rule(lie=st.sampled_from(LIES))
    def lie(self, lie: str) -> None:
        self.gateway.lie = lie

    @rule(which=pick, again=st.booleans())
    @only_if(lambda self: self.gateway.events)
    def deliver(self, which: int, again: bool) -> None:
        """Deliver an event, in any order, some twice."""
        events = self.gateway.events
        event_id, body = events[which % len(events)]
        if not again:
            events.remove((event_id, body))
        self.do(lambda: self.services.webhook_inbox.receive(body, event_id))

    @rule(which=pick, every=st.booleans())
    @only_if(lambda self: self.gateway.events)
    def drop(self, which: int, every: bool) -> None:
        """Lose one event, or all that wait."""
        if every:
            self.gateway.events.clear()
        else:
            del self.gateway.events[which % len(self.gateway.events)]

    # The worker, and time.

    @rule(minutes=st.sampled_from([1, 20, 60 * 24, 60 * 24 * 8]))
    def later(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule(hours=st.sampled_from([0, 20, 30]))
    @only_if(lambda self: any(not row.get("final") for row in self.rows()))
    def wait_for_an_end(self, hours: int) -> None:
        """Wait until the oldest sale ends, let a worker end it, and wait on."""
        end = min(row["payableUntil"] for row in self.rows() if not row.get("final"))
        self.clock.advance(max(timedelta(0), end - self.clock()) + timedelta(minutes=1))
        self.work()
        self.clock.advance(hours=hours)

    @rule()
    def work(self) -> None:
        self.do(self.services.webhook_inbox.sweep)
        self.do(lambda: check_payments(self.services))

    @rule()
    @only_if(lambda self: timedelta(hours=12) < self.clock.ahead < timedelta(days=12))
    def night(self) -> None:
        """Make up every night that was missed."""
        reconciliation, services = self.services.reconciliation_service, self.services
        nights = NightlyReports(
            *(services.report_repository, services.payment_repository, services.business_days),
            # It looks once a minute, and its clock must not go back with ours.
            clock=self.clock,
        )
        self.do(nights.request_due)
        while self.do(reconciliation.sweep_reports):
            pass

    @rule(which=pick)
    @only_if(lambda self: self.rows())
    def write_by_hand(self, which: int) -> None:
        """Bring a row to the form of an earlier system."""
        rows = self.rows()
        row = rows[which % len(rows)]
        changes = {"userId": str(row["userId"]), "amount": float(row["amount"]), "notes": "by hand"}
        self.stores[0].payments.update_one({"_id": row["_id"]}, {"$set": changes})

    # What always holds.

    @invariant()
    def money_is_sound(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.follow(self.rows())

    def teardown(self) -> None:
        """Deliver and reconcile everything: then nothing differs."""
        if not hasattr(self, "ledger"):
            return
        self.gateway.silent = self.gateway.lie = None
        self.gateway.refunds_wait = False
        differences = self.loop.run(self._settle())
        self.money_is_sound()
        left = self.ledger.close(self.ordered())
        assert sorted(differences) == left, self.rows()

    async def _settle(self) -> list[tuple[str, str]]:
        """Do all work until nothing differs, a few times at most. Return what differs still."""
        # All that has happened: every day of it costs a question for its settlements.
        beginning = self.clock() - self.clock.ahead - timedelta(days=1)
        # What is too old for the sweep is found by the comparison, and repaired by one call each. What goes back then
        # is under way in the second round, and a refund that was entered may prove to be the second return of what a
        # dispute has taken.
        for _ in range(3):
            await self._do_all_work()
            differences = await self._differences(beginning)
            if not differences:
                break
            await self._repair(beginning, self.clock())
        else:
            await self._do_all_work()
            differences = await self._differences(beginning)
        return differences

    async def _do_all_work(self) -> None:
        for refund_id in list(self.gateway.refunds):
            if self.gateway.refunds[refund_id].status == "pending":
                self.gateway.end_refund(refund_id, "processed")
        for number, dispute in enumerate(list(self.gateway.disputes.values())):
            # What a bank questions stays where it is until the bank has decided.
            self.gateway.go_on("won" if number % 2 else "lost", dispute)
        while self.gateway.events:
            event_id, body = self.gateway.events.pop(0)
            await self.services.webhook_inbox.receive(body, event_id)
        self.clock.advance(days=1)
        while await self.services.webhook_inbox.sweep():
            pass
        await check_payments(self.services)

    async def _differences(self, beginning: datetime) -> list[tuple[str, str]]:
        comparison = self.services.reconciliation_service.compare(beginning, self.clock())
        return [(each.kind.value, str(each.order_id)) async for each in comparison.run()]

    async def _repair(self, beginning: datetime, before: datetime) -> None:
        while beginning < before:
            end = min(before, beginning + timedelta(days=31))
            report, _ = await self.services.reconciliation_service.make_now(
                self.admin, beginning, end, lambda _, __: None
            )
            for finding in await self.services.finding_repository.list(report_id=report.pk):
                # What the gateway refuses now, such as what a dispute of which nobody heard has taken, the next round
                # finds again, and knows more.
                with suppress(KernaPayError):
                    await self.services.repair_service.repair(
                        self.admin, str(report.pk), str(finding.pk)
                    )
            beginning = end


@pytest.fixture
def model(api_env: dict[str, str], store: Store) -> Iterator[type[Model]]:
    with bind(
        Model, api_env, store, LATE_PAYMENTS, reconcile_after="15m", reconcile_rate=1000
    ) as bound:
        yield bound


@with_examples(15, soak=200, stateful_step_count=40)
def test_whatever_the_order_the_books_agree_in_the_end(
    examples: settings, model: type[Model]
) -> None:
    run_state_machine_as_test(model, settings=examples)
