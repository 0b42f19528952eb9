"""Rows that another system or a person wrote: they can be read, settle and be refunded, or are named and skipped."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
import structlog
from bson import ObjectId
from prometheus_client import REGISTRY

from kernapay.bootstrap.services import Services
from kernapay.payments.evidence import Origin
from kernapay.payments.states import Event, Source
from kernapay.storage.migration_files import read_migrations
from kernapay.storage.updates import RowChanged, RowGone
from tests.actors import ADMIN, PAYMENTS, Actor, assert_problem, data_of, send_event, status, verify
from tests.aliases import Json
from tests.databases import row_of
from tests.factories import gateway_payment, unique
from tests.money.shop import LONG_AGO, Shop, check_payments

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def express_row(user: Actor, payment: Json, **changes: Any) -> Json:
    """Return the row that the Express service writes for this order, in paise."""
    milliseconds = int(AT.timestamp() * 1000) + random.randrange(10**6)
    return {
        "userId": user.id,
        "orderId": payment["orderId"],
        "razorpayOrderId": payment["orderId"],
        "providerId": "clinic-7",
        "amount": float(payment["amount"]),
        "currency": "INR",
        "status": "pending",
        "paymentMethod": "Payment Not Done",
        "paymentGateway": "razorpay",
        "referenceId": f"PAY_{user.id}_{milliseconds}_{random.randrange(1000)}",
        "serviceType": "CONSULTATION",
        "notes": "A first visit &lt;b&gt;",
        "idempotencyKey": f"idempotent_{user.id}_{milliseconds}_x",
        "history": [{"_id": ObjectId(), "status": "pending", "updatedAt": AT}],
        "refundStatus": "not_requested",
        "createdAt": AT,
        "updatedAt": AT,
        "__v": 0,
        **changes,
    }


def replace(shop: Shop, payment: Json, row: Json) -> Json:
    """Put the row in the place of the payment's own. Return the payment by its new reference."""
    own = shop.row(payment)
    # The receipt at the gateway names the row by its id.
    row = {**row, "_id": own["_id"], "checkAt": own["checkAt"]}
    shop.store.payments.replace_one({"_id": own["_id"]}, row)
    return {**payment, "referenceId": row["referenceId"]}


class Form(NamedTuple):
    change: Callable[[Json], Json]
    payer: str | None = "reads it"


def without(*names: str) -> Callable[[Json], Json]:
    return lambda row: {name: value for name, value in row.items() if name not in names}


FORMS = {
    "express": Form(lambda row: row),
    "payer as an id": Form(lambda row: {**row, "userId": ObjectId(row["userId"])}),
    "no history": Form(without("history", "refundStatus")),
    "no times": Form(without("createdAt", "updatedAt")),
    "times as text": Form(lambda row: {**row, "createdAt": "2026-01-31T12:00:00Z"}),
    "no currency": Form(without("currency")),
    "no service type": Form(without("serviceType", "notes", "providerId")),
    "numbers in the notes": Form(lambda row: {**row, "notes": {"cart": 42, "empty": None}}),
    "a payer who is no id": Form(lambda row: {**row, "userId": "guest"}, payer=None),
    "a customer who is no id": Form(lambda row: {**row, "customerId": 12}),
    "no payer": Form(without("userId"), payer=None),
    "a later version's source": Form(
        lambda row: {**row, "history": [{**step, "source": "moon"} for step in row["history"]]}
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_a_row_of_another_system_is_read_settled_and_refunded(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor, form: Form
) -> None:
    made = user.new_payment()
    payment = replace(shop, made, form.change(express_row(user, made)))
    if form.payer:
        listed = user.history()
        assert [line["referenceId"] for line in listed.json()] == [payment["referenceId"]]
        assert user.show(payment["referenceId"]).status_code == 200
    assert admin.show(payment["referenceId"]).status_code == 200
    before = found_by_admin(admin, payment)
    assert (before["fee"], before["mismatches"], before["surplusPayments"]) == (None, [], [])
    assert status(api, payment)["status"] == "pending"

    checkout = shop.sandbox.pay(payment["orderId"])
    attempt = shop.sandbox.payment(checkout["razorpay_payment_id"])
    assert send_event(api, "payment.captured", payment=attempt).status_code == 200
    (event,) = shop.store.webhook_events.find()
    assert (event["status"], event["outcome"]) == ("processed", "moved")
    assert status(api, payment)["status"] == "success"
    assert verify(api, payment, checkout).status_code == 200

    refunds = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    refund = admin.call("POST", refunds, json={"idempotencyKey": unique("r")})
    assert refund.status_code == 201, refund.text
    assert status(api, payment)["status"] == "refunded"
    assert shop.row(payment)["userId" if form.payer else "status"] is not None
    after = found_by_admin(admin, payment)
    assert after["fee"] == attempt["fee"] > after["tax"] == attempt["tax"] > 0
    assert after["history"][-1]["actor"] == admin.id
    assert {"webhook", "admin"} <= {step["source"] for step in after["history"]}


def test_a_customer_who_is_no_id_is_nobody(shop: Shop, user: Actor) -> None:
    key = unique("key-")
    made = user.new_payment(idempotencyKey=key)
    shop.edit(made, customerId="a text")
    again = user.create(idempotencyKey=key)
    assert (again.status_code, data_of(again).get("prefill")) == (200, None), again.text


def found_by_admin(admin: Actor, payment: Json) -> Json:
    answer = admin.call("GET", f"{ADMIN}/payments/search", params={"q": payment["referenceId"]})
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["payments"]
    return dict(found)


def test_the_worker_finds_the_money_of_a_row_of_another_system(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    made = user.new_payment()
    payment = replace(shop, made, express_row(user, made))
    shop.sandbox.pay(payment["orderId"])
    shop.settle_later()
    assert status(api, payment)["status"] == "success"


def broken(row: Json) -> list[Json]:
    """Return rows in which the money or its state is a guess, so that nobody makes it."""
    return [
        {**row, "amount": "500.00"},
        {**row, "amount": 499.5},
        without("amount")(row),
        {**row, "status": "paid"},
        {**row, "history": "pending"},
        {**row, "refunds": [{"status": "processed", "amount": None}]},
        {**row, "_id": "a text"},
        {**row, "history": [{"status": "who knows"}]},
        {**row, "refunds": None},
        {**row, "userId": 12},
    ]


def unreadable_rows() -> float:
    return (
        REGISTRY.get_sample_value("kernapay_unreadable_rows_total", {"collection": "payments"})
        or 0.0
    )


def test_rows_that_nobody_can_read_are_named_and_hold_up_nobody(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    paid = user.new_payment()
    shop.sandbox.pay(paid["orderId"])
    rows = []
    for number, bad in enumerate(broken(express_row(user, paid)) * 2):
        reference = f"PAY_{user.id}_1769854530250_{number}"
        own = {"referenceId": reference, "checkAt": LONG_AGO, "idempotencyKey": reference}
        order = f"order_bad{number}"
        rows.append({"_id": ObjectId(), **bad, **own, "orderId": order, "razorpayOrderId": order})
        if isinstance(rows[-1]["_id"], str):
            rows[-1]["_id"] += str(number)
    shop.store.payments.insert_many(rows)
    before = unreadable_rows()
    with structlog.testing.capture_logs() as logs:
        shop.work(check_payments, timedelta(minutes=30))
    assert status(api, paid)["status"] == "success", "the row behind them"
    named = {entry["row"]["referenceId"] for entry in logs if entry["event"] == "row_unreadable"}
    pending = {row["referenceId"] for row in rows if row.get("status") == "pending"}
    assert named == pending
    assert unreadable_rows() - before >= len(pending)
    logged = str(logs)
    assert "500.00" not in logged
    assert "idempotent_" not in logged


@pytest.mark.parametrize("number", range(len(broken({}))))
def test_an_unreadable_row_is_a_conflict_and_hides_no_other(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor, number: int
) -> None:
    other = user.new_payment()
    made = user.new_payment()
    row = broken(express_row(user, made, userId=ObjectId(user.id)))[number]
    shop.store.payments.delete_one({"referenceId": made["referenceId"]})
    shop.store.payments.insert_one(row)
    reference = row["referenceId"]

    facts = gateway_payment(made["orderId"], amount=made["amount"])
    assert send_event(api, "payment.captured", payment=facts).status_code == 200
    (event,) = shop.store.webhook_events.find()
    assert event["status"] == "pending", "never filed as processed"
    assert event["error"].startswith("UnreadableRow")
    refund = admin.call("POST", f"{PAYMENTS}/{reference}/refunds", json={"idempotencyKey": "r"})
    assert_problem(refund, 409, code="unreadable_row")
    for answer in (user.show(reference), admin.show(reference), user.history()):
        assert answer.status_code < 500, answer.text
    assert other["referenceId"] in [line["referenceId"] for line in user.history().json()]


def test_a_row_that_changed_between_reading_and_writing_is_not_called_done(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()

    async def move(services: Services) -> None:
        stored = await services.payment_repository.get(reference_id=payment["referenceId"])
        origin = Origin(Source.WEBHOOK, "test")
        stored.amount += 1
        with pytest.raises(RowChanged):
            await services.payment_ledger.move(Event.CAPTURED, stored, origin)
        stored.user_id = str(ObjectId())
        with pytest.raises(RowGone):
            await services.payment_ledger.move(Event.CAPTURED, stored, origin)

    shop.work(move)
    assert row_of(shop.store.payments, referenceId=payment["referenceId"])["status"] == "pending"


def test_updated_at_stays_while_clients_see_no_change(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    before = status(api, payment)["updatedAt"]
    shop.work(check_payments, timedelta(minutes=30))
    row = shop.row(payment)
    assert row["checks"] == 1
    foreign = gateway_payment(payment["orderId"], amount=payment["amount"] + 1)
    send_event(api, "payment.captured", payment=foreign)
    assert len(shop.row(payment)["mismatches"]) == 1
    assert status(api, payment)["updatedAt"] == before
    shop.sandbox.pay(payment["orderId"])
    shop.settle_later(timedelta(hours=1))
    assert status(api, payment)["updatedAt"] > before


def test_a_refund_event_that_repeats_moves_no_time(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    refunds = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    assert admin.call("POST", refunds, json={"idempotencyKey": "r", "amount": 100}).is_success
    before = status(api, payment)["updatedAt"]
    attempt = shop.sandbox.payment(checkout["razorpay_payment_id"])
    (refund,) = shop.refunds_at_gateway(payment)
    send_event(api, "refund.processed", payment=attempt, refund=refund)
    assert status(api, payment)["updatedAt"] == before


def test_a_worker_that_died_after_claiming_delays_a_payment_by_its_lease(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])

    async def die(services: Services) -> None:
        assert len(await services.settlement.unpaid.claim()) == 1

    shop.work(die, timedelta(seconds=5))
    shop.work(check_payments, timedelta(seconds=100))
    assert status(api, payment)["status"] == "pending", "the lease of the dead one"
    shop.work(check_payments, timedelta(seconds=130))
    assert status(api, payment)["status"] == "success"


def test_an_upgrade_lets_the_worker_check_rows_of_another_system(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    made = user.new_payment()
    payment = replace(shop, made, express_row(user, made, createdAt="2026-01-31T12:00:00Z"))
    shop.store.payments.update_many({}, {"$unset": {"checkAt": ""}})
    shop.sandbox.pay(payment["orderId"])
    shop.settle_later()
    assert status(api, payment)["status"] == "pending"
    name = "0019_parked_events_and_check_times"
    migration = next(each for each in read_migrations() if each.name == name).load()
    for _ in range(2):  # it may be stopped and run again
        migration.up(shop.store)
    shop.settle_later()
    assert status(api, payment)["status"] == "success"
