"""A month of a busy shop, on the clocks of both sides: ledger = gateway = bank, to the paisa."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.bootstrap.services import Services
from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import FEED_ZONE
from kernapay.payments.dtos import PaymentCreate, PaymentVerify, RefundCreate
from kernapay.security.principal import Principal, Role
from tests.aliases import Json
from tests.clocks import RunningClock
from tests.factories import unique
from tests.http_server import HttpServer
from tests.money.disputes import raise_dispute, resolve
from tests.money.shop import PAID, Shop, check_payments
from tests.stack import WEBHOOK_SECRET
from tests.waiting import eventually

DAYS = 30
AFTERWARDS = 12  # until the last refund, dispute and settlement has ended
STEP = timedelta(hours=3)
LOST_EVENTS = 0.15
# What a night may find when an event was lost. Whatever else it finds is a false alarm.
EXPECTED = (
    *("dispute", "dispute_missing", "dispute_refunded"),
    *("second_payment", "refunds", "status"),
)
HOW = Counter(plain=10, fee=4, offer=4, authorized=3, failed=2, twice=2, late=3, too_late=2)
HOW.update(cancelled=2, cancelled_and_paid=2, abandoned=2)


class BusyMonth:
    """Customers, the shop's staff, the bank and a worker, who take turns every few hours."""

    def __init__(
        self, shop: Shop, services: Services, clock: RunningClock, events: HttpServer
    ) -> None:
        self.shop = shop
        self.services = services
        self.clock = clock
        self.events = events
        self.chance = random.Random(11)
        self.customers = [
            Principal(id=str(ObjectId()), role=Role.USER, session_id="month") for _ in range(5)
        ]
        self.admin = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="month")
        self.done: Counter[str] = Counter()
        self.waiting: list[tuple[Any, str]] = []
        self.disputes: list[Json] = []
        self.adjusted = 0

    async def live(self) -> None:
        for day in range(DAYS + AFTERWARDS):
            is_open = day < DAYS
            for _ in range(timedelta(days=1) // STEP):
                if is_open:
                    (how,) = self.chance.choices(list(HOW), list(HOW.values()))
                    await self._sell(how, self.chance.randrange(10_000, 100_000))
                    await self._look_after_sales()
                await self._pay_late()
                self._decide_disputes(every=not is_open)
                self._advance(STEP)
                await self._work()
            if is_open:
                self._adjust()
            self.shop.sandbox.call("POST", "/_sandbox/settle", {})
            await self._work()

        # The bank pays out only what is more than nothing, and lately there was more to take than to pay.
        await self._sell("plain", amount=900_000)
        self._advance(STEP)
        await self._work()
        self.shop.sandbox.call("POST", "/_sandbox/settle", {})
        self._advance(timedelta(days=1))
        await self._work()

    def _advance(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.shop.sandbox.advance(by.total_seconds())

    async def _try(self, work: Callable[[], Awaitable[Any]]) -> Any:
        with suppress(KernaPayError):
            return await work()

    async def _sell(self, how: str, amount: int) -> None:
        customer = self.chance.choice(self.customers)
        body = PaymentCreate(amount=amount, currency="INR", service_type="CONSULTATION")
        created, _ = await self.services.payment_service.create(customer, body, unique("key-"))
        self.done[how] += 1
        sandbox, order_id = self.shop.sandbox, created.order_id
        told = {"order_amount_paid": self.chance.choice(["order", "payment"])}
        match how:
            case "plain" | "fee" | "offer":
                if how == "fee":
                    sandbox.fault("customer_fee", options=told)
                elif how == "offer":
                    discount = self.chance.randrange(1, 5_000)
                    sandbox.fault("offer", options={**told, "discount": discount})
                await self._verify(created.reference_id, sandbox.pay(order_id))
            case "authorized":
                sandbox.pay(order_id, "authorized")
            case "failed":
                sandbox.pay(order_id, "failure")
            case "twice":
                sandbox.fault("late_authorization", options={"seconds": 600})
                sandbox.fault("paid_twice")
                sandbox.pay(order_id, "failure")
                await self._verify(created.reference_id, sandbox.pay(order_id))
                self._advance(timedelta(minutes=20))
            case "late" | "too_late":
                self.waiting.append((created, how))
            case "cancelled" | "cancelled_and_paid":
                await self.services.payment_service.cancel(customer, created.reference_id)
                if how == "cancelled_and_paid":
                    self.waiting.append((created, how))

    async def _verify(self, reference_id: str, checkout: Json) -> None:
        if self.chance.random() < 0.5:
            body = PaymentVerify(**checkout, reference_id=reference_id)
            await self._try(lambda: self.services.payment_service.verify(body))

    async def _pay_late(self) -> None:
        for created, how in list(self.waiting):
            after = {"late": 10, "too_late": 30, "cancelled_and_paid": -50}[how]
            if self.clock() > created.payable_until + timedelta(hours=after):
                self.waiting.remove((created, how))
                self.shop.sandbox.pay(
                    created.order_id, self.chance.choice(["success", "authorized"])
                )

    async def _look_after_sales(self) -> None:
        """Refund here and in the dashboard, and let customers ask their banks for their money."""
        paid = await asyncio.to_thread(
            lambda: list(self.shop.store.payments.find({"status": "success"}).sort("_id"))
        )
        if not paid:
            return
        row = self.chance.choice(paid)
        payment_id = row["razorpayPaymentId"]
        amount = self.chance.choice([None, 1_000, 3_333])
        match self.chance.choice(["refund", "dashboard", "dispute", *["nothing"] * 3]):
            case "refund":
                fault = self.chance.choice([None, "refund_pending", "refund_fails_later"])
                if fault:
                    self.shop.sandbox.fault(fault, options={"seconds": 86_400})
                body = RefundCreate(amount=amount)
                await self._try(lambda: self._refund(row["referenceId"], body))
                self.shop.sandbox.call("DELETE", "/_sandbox/faults")
                self.done["refund"] += 1
            case "dashboard":
                left = self.shop.sandbox.payment(payment_id)
                if left["amount"] - left["amount_refunded"] > 1_000 and not row.get("disputes"):
                    self.shop.sandbox.refund(payment_id, 1_000)
                    self.done["refund in the dashboard"] += 1
            case "dispute" if not row.get("refunds") and not row.get("disputes"):
                phase = self.chance.choice(["retrieval", "chargeback"])
                facts = {"phase": phase, **({"amount": amount} if amount else {})}
                self.disputes.append(raise_dispute(self.shop, payment_id, **facts))
                self.done["dispute"] += 1

    async def _refund(self, reference_id: str, body: RefundCreate) -> None:
        payment = await self.services.refund_service.payment_of(self.admin, reference_id)
        await self.services.refund_service.refund(self.admin, payment, body, unique("refund-"))

    def _decide_disputes(self, *, every: bool) -> None:
        for dispute in list(self.disputes):
            if every or self.chance.random() < 0.1:
                self.disputes.remove(dispute)
                status = self.chance.choice(["won", "lost", "lost", "closed"])
                resolve(self.shop, dispute, status)
                self.done[f"dispute {status}"] += 1

    def _adjust(self) -> None:
        terms: Json = self.chance.choice([{"credit": 1_012}, {"debit": 296, "type": "transfer"}])
        self.shop.sandbox.call("POST", "/_sandbox/adjustments", terms)
        self.adjusted += terms.get("credit", 0) - terms.get("debit", 0)

    async def _work(self) -> None:
        """Deliver what has been told, in any order and not all of it, and do what a worker does."""
        sandbox = self.shop.sandbox
        await asyncio.to_thread(eventually, lambda: not sandbox.deliveries(status="pending"))
        told, self.events.requests[:] = list(self.events.requests), []
        self.chance.shuffle(told)
        for each in told:
            if self.chance.random() > LOST_EVENTS:
                event_id = each.headers["x-razorpay-event-id"]
                await self.services.webhook_inbox.receive(each.body, event_id)
        while await self.services.webhook_inbox.sweep():
            pass
        await check_payments(self.services)
        while await self.services.settlement_reader.sweep():
            pass
        await self.services.reconciliation_service.request_nightly()
        while await self.services.reconciliation_service.sweep_reports():
            await self._repair_findings()

    async def _repair_findings(self) -> None:
        """Do what the shop's operator does in the morning: repair what the night has found."""
        reports = self.shop.store.reconciliation_reports
        (report,) = await asyncio.to_thread(lambda: list(reports.find().sort("_id", -1).limit(1)))
        for finding in await self.services.finding_repository.list(report_id=report["_id"]):
            assert finding.kind in EXPECTED, (finding.kind, finding.ours, finding.theirs)
            self.done[f"finding {finding.kind}"] += 1
            await self._try(
                lambda finding=finding: self.services.repair_service.repair(  # type: ignore[misc]
                    self.admin, str(finding.report_id), str(finding.pk)
                )
            )


@pytest.fixture
def events() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_after_a_busy_month_the_ledger_is_the_gateways_and_the_banks(
    shop: Shop, events: HttpServer
) -> None:
    clock = RunningClock()
    # It ends shortly before now, so that the audit command can look back at all of it.
    clock.advance(days=-(DAYS + AFTERWARDS + 3))
    shop.sandbox.call("POST", "/_sandbox/clock", {"now": clock().timestamp()})
    shop.sandbox.deliver_to(events.url, WEBHOOK_SECRET)

    async def live() -> tuple[BusyMonth, Any]:
        settings = shop.settings(reconcile_after="15m", payment_expiry="3d")
        services = Services(settings, clock=clock)
        await services.open()
        try:
            month = BusyMonth(shop, services, clock, events)
            await month.live()
            assert (await services.nightly_reports.standing()).missing == []
            days = BusinessDays(FEED_ZONE)
            today = days.day_of(clock())
            first = today - timedelta(days=DAYS + AFTERWARDS + 4)
            ledger = await services.settlement_reports.ledger(first, today)
        finally:
            await services.close()
        return month, ledger

    month, ledger = asyncio.run(live())

    assert set(HOW) | {"refund", "refund in the dashboard", "dispute lost"} <= set(month.done)
    judge(shop, month, ledger)
    assert shop.differences() == []


def judge(shop: Shop, month: BusyMonth, ledger: Any) -> None:
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    captured = {p["id"]: p for p in books["payment"] if p["captured"]}
    returned: Counter[str] = Counter()
    for refund in books["refund"]:
        assert refund["status"] in ("processed", "failed")
        if refund["status"] == "processed" and refund["payment_id"] in captured:
            returned[refund["payment_id"]] += refund["amount"]
    taken: Counter[str] = Counter()
    for dispute in books["dispute"]:
        taken[dispute["payment_id"]] += dispute["amount_deducted"]

    rows = list(shop.store.payments.find())
    counted = {row["razorpayPaymentId"]: row for row in rows if row["status"] in PAID}
    surplus = {each["paymentId"]: each for row in rows for each in row.get("surplusPayments", [])}
    reasons = {each["reason"] for each in surplus.values()}
    assert reasons == {"second_payment", "late_payment", "cancelled_payment"}
    assert counted.keys().isdisjoint(surplus)
    assert counted.keys() | surplus.keys() == captured.keys(), "money that nobody accounts for"
    ours = 0
    for payment_id, row in counted.items():
        theirs = captured[payment_id]
        assert (row["amountPaid"], row["fee"], row["tax"]) == (
            theirs["amount"],
            theirs["fee"],
            theirs["tax"],
        )
        assert row.get("amountRefunded", 0) == returned[payment_id]
        lost = sum(each["lost"] for each in row.get("disputes", []))
        assert lost == taken[payment_id]
        ours += row["amountPaid"] - row["fee"] - returned[payment_id] - lost
        own = [each for each in row["settlements"] if each["entityId"] == payment_id]
        assert [each["credit"] for each in own] == [row["amountPaid"] - row["fee"]]
    for payment_id, each in surplus.items():
        assert (each["status"], returned[payment_id]) == ("processed", each["amount"])
        # The gateway keeps its fee for what was given back.
        ours -= captured[payment_id]["fee"]

    bank = sum(each["amount"] for each in shop.sandbox.items("/v1/settlements", count=100))
    assert bank == ours + month.adjusted
    entered: dict[str, int] = defaultdict(int)
    for row in rows:
        for each in row.get("settlements", []):
            entered[each["type"]] += each["credit"] - each["debit"]
    assert sum(entered.values()) == ours
    for lines in (ledger.by_paid_day, ledger.by_settled_day):
        assert sum(line.total.net for line in lines) == bank
    assert {line.difference for line in ledger.by_settled_day} == {0}
    assert all(settlement["problems"] == [] for settlement in shop.store.settlements.find())
    for row in rows:
        steps = [step["status"] for step in row["history"]]
        assert row["final"], "a sale that never ended"
        assert steps[-1] == row["status"]
        assert "success" not in steps or not row.get("cancelledAt"), "cancelled, but sold"
