"""What a comparison of a window finds, though its orders are older, its entities odd and its pages long."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.gateway.base import GatewayDispute, GatewayPayment, Order
from kernapay.reconciliation.dispute_comparison import DisputeComparison
from kernapay.reconciliation.guarding import Guard
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repository import ReportRepository
from kernapay.reconciliation.settled_rows import settled_rows
from tests.actors import Actor, verify
from tests.clocks import FrozenClock
from tests.databases import row_of
from tests.money.books import DAY, OPERATOR, age, compare, kinds, pay_twice, window
from tests.money.disputes import raise_dispute
from tests.money.fake_gateway import FakeGateway
from tests.money.shop import Shop


def test_a_second_payment_of_an_older_order_is_found(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 10 * DAY)
    second = pay_twice(shop, payment)

    _, findings = compare(shop, *window())

    assert [(f["kind"], f["razorpayPaymentId"]) for f in findings] == [("second_payment", second)]


def test_a_refund_in_the_dashboard_of_an_older_order_is_found(shop: Shop, user: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    age(shop, payment, 10 * DAY)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 12300)

    report, findings = compare(shop, *window())

    assert [(f["kind"], f["ours"], f["theirs"]) for f in findings] == [("refunds", "0", "12300")]
    assert report["money"]["INR"]["refundedThere"] == 12300
    assert report["money"]["INR"]["refundedHere"] == 0


def test_a_late_payment_of_an_older_order_is_found(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    age(shop, payment, 10 * DAY)
    shop.edit(payment, status="failed")
    shop.sandbox.pay(payment["orderId"])

    _, findings = compare(shop, *window())

    assert [(f["kind"], f["ours"], f["theirs"]) for f in findings] == [("status", "failed", "paid")]


def test_a_settled_row_leads_to_its_older_order(shop: Shop, user: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 100)
    age(shop, payment, 10 * DAY)
    shop.sandbox.call("POST", "/_sandbox/settle")

    _, findings = compare(shop, *window())

    assert kinds(findings) == ["refunds"]


def test_what_we_call_paid_is_asked_for_though_the_order_is_older(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    age(shop, payment, 10 * DAY)
    shop.edit(payment, status="success", updatedAt=now() - timedelta(minutes=1))

    _, findings = compare(shop, *window())

    assert [(f["kind"], f["ours"], f["theirs"]) for f in findings] == [
        ("status", "success", "created")
    ]


@pytest.mark.parametrize(
    ("route", "kind"),
    [("/v1/orders", "order"), ("/v1/payments", "pay"), ("/v1/refunds", "rfnd")],
)
def test_one_odd_entity_is_a_finding_and_not_the_end(
    route: str, kind: str, shop: Shop, user: Actor
) -> None:
    _, checkout = user.buy(shop.sandbox)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 100)
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    shop.sandbox.fault("odd_entity", route=route)

    report, findings = compare(shop, *window())

    assert kinds(findings) == ["refunds", "status", "unreadable"]
    assert findings[-1]["theirs"].startswith(f"{kind}_")
    assert report["isComplete"] is True


def test_an_odd_attempt_of_one_order_does_not_end_it(shop: Shop, user: Actor) -> None:
    odd, missed = user.new_payment(), user.new_payment()
    for payment in (odd, missed):
        shop.sandbox.pay(payment["orderId"])
    shop.sandbox.fault("odd_entity", times=None, route=f"/v1/orders/{odd['orderId']}/payments")

    _, findings = compare(shop, *window())

    assert [(f["kind"], f.get("referenceId")) for f in findings] == [
        ("status", missed["referenceId"]),
        ("unreadable", odd["referenceId"]),
    ]


def test_a_row_of_ours_of_another_form_does_not_end_it(shop: Shop, user: Actor) -> None:
    odd, missed = user.new_payment(), user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    shop.edit(odd, status="strange")

    _, findings = compare(shop, *window())

    assert kinds(findings) == ["status", "unreadable"]
    assert findings[1]["ours"] == f"the payment with the _id {shop.row(odd)['_id']}"


@pytest.mark.parametrize("where", ["a settlement", "a dispute"])
def test_a_row_of_ours_that_another_list_leads_to_is_a_finding_and_not_the_end(
    where: str, shop: Shop, user: Actor
) -> None:
    odd, checkout = user.buy(shop.sandbox)
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    if where == "a settlement":
        shop.sandbox.call("POST", "/_sandbox/settle", {})
    else:
        raise_dispute(shop, checkout["razorpay_payment_id"])
    shop.edit(odd, amount="strange")

    report, findings = compare(shop, *window())

    expected = ["settlement"] * (where == "a settlement") + ["status", "unreadable"]
    assert kinds(findings) == expected
    assert findings[-1]["ours"] == f"the payment with the _id {shop.row(odd)['_id']}"
    assert report["isComplete"] is True


def test_an_odd_dispute_is_a_finding_and_not_the_end(shop: Shop, user: Actor) -> None:
    _, checkout = user.buy(shop.sandbox)
    dispute = raise_dispute(shop, checkout["razorpay_payment_id"])
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    shop.sandbox.fault("odd_entity", times=None, route="/v1/disputes")

    report, findings = compare(shop, *window())

    assert [(f["kind"], f.get("disputeId")) for f in findings] == [
        ("status", None),
        ("unreadable", dispute["id"]),
    ]
    assert report["isComplete"] is True


def test_a_dispute_without_an_answer_is_passed_over(shop: Shop, user: Actor) -> None:
    _, checkout = user.buy(shop.sandbox)
    dispute = raise_dispute(shop, checkout["razorpay_payment_id"])
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    shop.sandbox.fault("server_error", times=6, route="/v1/disputes/disp_*")

    report, findings = compare(shop, *window())

    assert kinds(findings) == ["status"]
    (unchecked,) = report["unchecked"]
    assert unchecked.startswith(f"{dispute['id']}: ")


def test_a_dispute_about_an_old_order_of_another_application_does_not_end_it(
    shop: Shop, user: Actor
) -> None:
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    foreign = shop.sandbox.order(receipt="another application's")
    raise_dispute(shop, shop.sandbox.pay(foreign["id"])["razorpay_payment_id"])
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    for each in (*books["order"], *books["payment"]):
        if foreign["id"] in (each["id"], each.get("order_id")):
            each["created_at"] -= int(timedelta(days=200).total_seconds())
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)

    report, findings = compare(shop, *window())

    assert kinds(findings) == ["status"]
    assert report["totals"]["foreignDisputes"] == 1
    assert report["isComplete"] is True


def test_a_list_that_is_refused_is_told_and_the_rest_compared(shop: Shop, user: Actor) -> None:
    missed = user.new_payment()
    shop.sandbox.pay(missed["orderId"])
    shop.sandbox.fault("refused", times=None, route="/v1/refunds")

    report, findings = compare(shop, *window())

    assert kinds(findings) == ["status"]
    assert report["isComplete"] is False
    (unchecked,) = report["unchecked"]
    assert unchecked.startswith("the gateway's list of refunds: ")


def test_one_order_without_an_answer_is_passed_over(shop: Shop, user: Actor) -> None:
    silent, missed = user.new_payment(), user.new_payment()
    for payment in (silent, missed):
        shop.sandbox.pay(payment["orderId"])
    route = f"/v1/orders/{silent['orderId']}*"
    fault = shop.sandbox.fault("server_error", times=6, route=route)

    report, findings = compare(shop, *window())

    assert shop.sandbox.hits(fault) == 6
    assert [f["referenceId"] for f in findings] == [missed["referenceId"]]
    (unchecked,) = report["unchecked"]
    assert unchecked.startswith(f"{silent['referenceId']}: ")


def test_money_is_added_up_by_currency_and_each_row_once(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    for amount, currency in ((50000, "INR"), (70000, "INR"), (1200, "USD")):
        payment = user.new_payment(amount=amount)
        checkout = shop.sandbox.pay(payment["orderId"])
        assert verify(api, payment, checkout).status_code == 200
        shop.edit(payment, currency=currency)
        books = shop.sandbox.call("GET", "/_sandbox/snapshot")
        for kind in ("order", "payment"):
            for each in books[kind]:
                if payment["orderId"] in (each["id"], each.get("order_id")):
                    each["currency"] = currency
        shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    shop.sandbox.call("POST", "/_sandbox/settle")

    report, findings = compare(shop, *window())

    assert kinds(findings) == []
    money = report["money"]
    assert (money["INR"]["paidHere"], money["INR"]["paidThere"]) == (120000, 120000)
    assert (money["USD"]["paidHere"], money["USD"]["paidThere"]) == (1200, 1200)
    assert report["totals"]["settlementRows"] == 3


def test_a_report_made_again_has_the_same_findings(shop: Shop, user: Actor) -> None:
    missed = user.new_payment()
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.pay(missed["orderId"])
    pay_twice(shop, payment)
    report, first = compare(shop, *window())
    assert kinds(first) == ["second_payment", "status"]
    # Its worker died before it finished, and nobody pays twice any more.
    shop.store.reconciliation_reports.update_one(
        {"_id": report["_id"]}, {"$set": {"state": "running", "leaseUntil": report["createdAt"]}}
    )
    shop.sandbox.refund(first[0]["razorpayPaymentId"])

    async def sweep(services: Services) -> bool:
        return await services.reconciliation_service.sweep_reports()

    assert shop.work(sweep) is True

    second = list(shop.store.reconciliation_findings.find({"reportId": report["_id"]}))
    assert [f["_id"] for f in second] == [first[1]["_id"]]
    assert second[0]["createdAt"] == first[1]["createdAt"]


def test_a_long_report_is_not_taken_by_a_second_worker(shop: Shop, user: Actor) -> None:
    user.buy(shop.sandbox)
    shop.sandbox.fault("delay", times=2, route="/v1/payments", options={"seconds": 1.5})
    lease = timedelta(seconds=1)

    async def race(services: Services) -> list[bool]:
        reports = ReportRepository(services.mongo, now, lease)
        vars(services)["report_repository"] = reports
        await services.reconciliation_service.request(OPERATOR, *window())
        first = asyncio.create_task(services.reconciliation_service.sweep_reports())
        others = []
        while not first.done():
            await asyncio.sleep(0.1)
            others.append(bool(await reports.queue.claim()))
        return [await first, *others]

    first, *others = shop.work(race)
    assert first is True
    assert len(others) > 10
    assert not any(others)
    assert row_of(shop.store.reconciliation_reports)["state"] == "done"


class GrowingGateway(FakeGateway):
    """A gateway where somebody pays during every question."""

    async def list_entities(
        self, entity: type[Any], after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Any]:
        page = await super().list_entities(entity, after, before, skip=skip, count=count)
        self.add(int(before.timestamp()) - 1)
        return page

    def add(self, at: int) -> None:
        number = len(self.payments)
        payment = GatewayPayment(
            f"pay_{number:014}", 100, "INR", "captured", "order_1", created_at=at
        )
        # Newest first, as the gateway lists them.
        self.payments = dict(
            sorted({**self.payments, payment.id: payment}.items(), key=lambda x: -x[1].created_at)
        )


class OnePageGateway(FakeGateway):
    """A gateway whose lists give their first page whatever is skipped."""

    async def list_entities(
        self, entity: type[Any], after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Any]:
        return await super().list_entities(entity, after, before, skip=0, count=count)

    async def list_disputes(self, *, skip: int, count: int) -> Sequence[GatewayDispute]:
        return await super().list_disputes(skip=0, count=count)

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        return [
            {"entity_id": f"pay_{n}", "type": "payment", "currency": "INR"} for n in range(count)
        ]


@pytest.mark.anyio
async def test_lists_that_ignore_what_is_skipped_come_to_an_end(shop: Shop) -> None:
    clock = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
    gateway = OnePageGateway(clock)
    for number in range(150):
        payment_id = f"pay_{number:014}"
        gateway.payments[payment_id] = GatewayPayment(
            payment_id, 100, "INR", "captured", "order_1", created_at=int(clock().timestamp())
        )
        gateway.dispute(payment_id, 100, "chargeback")
    pace = Pace(1000)

    listing = Listing(gateway, pace, GatewayPayment)
    payments = [p async for p in listing.read(clock(), clock() + timedelta(seconds=1))]
    rows = [row async for row in settled_rows(gateway, pace, clock().date())]

    assert (len(payments), len(rows)) == (100, 1000)

    async def read(services: Services) -> int:
        disputes = DisputeComparison(services.payment_repository, gateway, pace, totals)
        return len([each async for each in disputes.run(Guard())])

    totals: Counter[str] = Counter()
    await asyncio.to_thread(shop.work, read)
    assert totals["gatewayDisputes"] == 100


@pytest.mark.anyio
async def test_a_list_of_many_pages_is_read_whole_while_it_grows() -> None:
    clock = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
    gateway = GrowingGateway(clock)
    start = int(clock().timestamp())
    for number in range(450):
        # More than two pages in one second, the others spread over an hour.
        gateway.add(start + (1800 if number < 230 else number * 8))
    before = set(gateway.payments)

    listing = Listing(gateway, Pace(1000), GatewayPayment)
    read = [p async for p in listing.read(clock(), clock() + timedelta(hours=1, minutes=5))]

    ids = [p.id for p in read if isinstance(p, GatewayPayment)]
    assert before <= set(ids)
    assert len(ids) == len(set(ids))
    assert [o async for o in Listing(gateway, Pace(1000), Order).read(clock(), clock())] == []
