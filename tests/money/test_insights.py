"""What payments add up to over time: by currency, by hour and day of the business, and by kind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.insights.repository import key_of, query_of
from kernapay.payments.insights.sums.spans import ALL, By
from tests.actors import INSIGHTS, PAYMENTS, Actor, People, request_refund
from tests.aliases import Json, Store
from tests.factories import unique
from tests.money.disputes import invented, tell
from tests.stack import Sandbox

ZERO = {
    **dict.fromkeys(("created", "paid", "open", "failed", "refunded", "disputed"), 0),
    **dict.fromkeys(("amountPaid", "amountRefunded"), 0),
}


def read(actor: Actor, **query: Any) -> Json:
    answer = actor.call("GET", INSIGHTS, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def today() -> dict[str, str]:
    at = datetime.now(UTC)
    day = timedelta(days=1)
    return {"from": (at - day).isoformat(), "to": (at + day).isoformat()}


def seed(store: Store, pattern: Json, at: datetime, **changes: Any) -> None:
    """Store a payment like another one, as if it had been created at another time."""
    row = store.payments.find_one({"referenceId": pattern["referenceId"]})
    assert row is not None
    names = ("orderId", "razorpayOrderId", "razorpayPaymentId", "idempotencyKey", "receipt")
    rest = {name: value for name, value in row.items() if name not in names}
    own = {"_id": ObjectId(), "referenceId": unique("PAY_"), "createdAt": at, "updatedAt": at}
    store.payments.insert_one({**rest, **own, **changes})


def test_a_provider_sees_what_the_payments_to_the_account_add_up_to_and_nothing_else(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    provider = people.new("PROVIDER", approved=True)
    assert read(provider, **today())["totals"] == []
    user.buy(sandbox)
    user.new_payment(providerId=provider.id, amount=70_000)
    abroad, _ = user.buy(sandbox, providerId=provider.id, amount=30_000)
    in_dollars = {"$set": {"currency": "USD"}}
    store.payments.update_one({"referenceId": abroad["referenceId"]}, in_dollars)
    payment, checkout = user.buy(sandbox, providerId=provider.id, amount=50_000)
    assert request_refund(admin, payment, 12_000).status_code == 201
    tell(user.client, "created", invented(checkout["razorpay_payment_id"], amount=100))
    found = read(provider, **today(), unit="hour", by="method")
    rupees = {
        **ZERO,
        **{"currency": "INR", "created": 2, "paid": 1, "open": 1, "refunded": 1, "disputed": 1},
        **{"amountPaid": 50_000, "amountRefunded": 12_000},
    }
    dollars = {**ZERO, "currency": "USD", "created": 1, "paid": 1, "amountPaid": 30_000}
    assert found["totals"] == [rupees, dollars]
    for parts in ("series", "groups"):
        for currency in ("INR", "USD"):
            shown = [each for each in found[parts] if each["currency"] == currency]
            whole = next(each for each in found["totals"] if each["currency"] == currency)
            for name in ZERO:
                assert sum(each[name] for each in shown) == whole[name], (parts, name)
    assert {each["name"] for each in found["groups"]} > {None}
    assert found["timezone"] == "Asia/Kolkata"


def test_a_provider_without_an_approval_and_everybody_else_are_refused(
    people: People, user: Actor
) -> None:
    waiting = people.new("PROVIDER")
    refused = waiting.call("GET", INSIGHTS, params=today())
    assert (refused.status_code, refused.json()["code"]) == (403, "not_approved")
    assert user.call("GET", INSIGHTS, params=today()).status_code == 403


def test_an_administrator_sees_all_and_the_sums_are_those_of_the_totals(
    admin: Actor, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox)
    assert request_refund(admin, payment, 500).status_code == 201
    user.new_payment()
    period = today()
    totals = admin.call("GET", f"{PAYMENTS}/totals", params=period).json()["totals"]
    for figures in read(admin, **period, by="provider")["totals"]:
        own = [each for each in totals if each["currency"] == figures["currency"]]
        assert figures["created"] == sum(each["count"] for each in own)
        for name in ("amountPaid", "amountRefunded"):
            assert figures[name] == sum(each[name] for each in own)
        paid = [each for each in own if each["status"] in ("success", "refunded")]
        assert figures["paid"] == sum(each["count"] for each in paid)


def test_days_and_hours_are_those_of_the_business(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    pattern, _ = user.buy(sandbox, amount=50_000)
    # Midnight in India is at 18:30 in UTC.
    midnight = datetime(2019, 3, 4, 18, 30, tzinfo=UTC)
    for at in (midnight - timedelta(milliseconds=1), midnight, midnight + timedelta(minutes=59)):
        seed(store, pattern, at)
    seed(store, pattern, midnight + timedelta(minutes=60), amountPaid=51_000.0, currency=None)
    days = read(admin, **{"from": "2019-03-04", "to": "2019-03-06"})
    assert [(each["start"], each["created"], each["amountPaid"]) for each in days["series"]] == [
        ("2019-03-03T18:30:00Z", 1, 50_000),
        ("2019-03-04T18:30:00Z", 3, 151_000),
    ]
    hours = read(admin, **{"from": "2019-03-05", "to": "2019-03-06", "unit": "hour"})
    assert [(each["start"], each["created"]) for each in hours["series"]] == [
        ("2019-03-04T18:30:00Z", 2),
        ("2019-03-04T19:30:00Z", 1),
    ]
    assert [each["created"] for each in hours["totals"]] == [3]


def test_rows_of_another_system_stop_no_sums(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    pattern, _ = user.buy(sandbox, amount=50_000)
    at = datetime(2017, 6, 1, 12, tzinfo=UTC)
    for changes in ({"serviceType": {"a": 1}}, {"status": {"a": 1}}, {"status": "held"}):
        seed(store, pattern, at, **changes)
    found = read(admin, **{"from": "2017-06-01", "to": "2017-06-02", "by": "serviceType"})
    assert [(each["name"], each["amountPaid"]) for each in found["groups"]] == [(None, 50_000)]


def test_the_largest_groups_are_shown_and_the_others_counted(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    pattern, _ = user.buy(sandbox)
    at = datetime(2018, 6, 1, 12, tzinfo=UTC)
    for number in range(23):
        seed(store, pattern, at, serviceType=f"kind {number:02}", amountPaid=1000 + number)
    found = read(admin, **{"from": "2018-06-01", "to": "2018-06-02", "by": "serviceType"})
    assert [each["name"] for each in found["groups"]][:2] == ["kind 22", "kind 21"]
    assert (len(found["groups"]), found["otherGroups"]) == (20, 3)


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ({"from": "2026-01-02", "to": "2026-01-02"}, "to"),
        ({"from": "2026-01-01", "to": "2026-02-02"}, "to"),
        ({"from": "yesterday!!", "to": "2026-02-02"}, "from"),
        ({"from": "2026-01-01", "to": "2026-01-02", "by": "payer"}, "by"),
        ({"from": "2026-01-01", "to": "2026-01-02", "unit": "minute"}, "unit"),
    ],
)
def test_a_period_that_cannot_be_added_up_names_its_field(
    admin: Actor, period: dict[str, str], field: str
) -> None:
    problem = admin.call("GET", INSIGHTS, params=period)
    assert problem.status_code == 400
    assert [each["field"] for each in problem.json()["errors"]] == [field]


def test_all_that_is_added_up_for_administrators_stands_in_the_index(
    admin: Actor, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    user.buy(sandbox)
    after, before = (datetime.fromisoformat(each) for each in today().values())
    names = ("currency", "status", "paymentMethod", "serviceType", "providerId")
    key: Json = {**{name: f"${name}" for name in names}, **key_of(By.HOUR, "Asia/Kolkata")}
    pipeline, index = query_of(key, after, before, ALL)
    command = {"aggregate": "payments", "pipeline": pipeline, "hint": index, "cursor": {}}
    plan = store.command("explain", command, verbosity="executionStats")
    stats = plan.get("executionStats") or plan["stages"][0]["$cursor"]["executionStats"]
    assert stats["totalKeysExamined"] > 0
    assert stats["totalDocsExamined"] == 0
