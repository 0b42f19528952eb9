"""What is paid may be more or less than what was ordered: the gateway's order says whether it is enough."""

import csv
import io

import httpx
import pytest

from tests.actors import PAYMENTS, Actor, assert_problem, send_event, status, verify
from tests.aliases import Json
from tests.factories import gateway_payment
from tests.money.shop import Shop
from tests.stack import Api
from tests.waiting import eventually

FEE = 1_180  # of 50,000: 2 %, and 18 % tax of that
ROADS = ("verify", "webhook", "worker", "capture")


def play(shop: Shop, kind: str, told: str = "order") -> int:
    """Let the next payment differ from its order. Return what it will be."""
    options: Json = {"order_amount_paid": told}
    if kind == "offer":
        shop.sandbox.fault(kind, options={**options, "discount": 5_000})
        return 45_000
    shop.sandbox.fault(kind, options=options)
    return 50_000 + FEE


@pytest.mark.parametrize("told", ["order", "payment"])
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", ["customer_fee", "offer"])
def test_a_payment_that_differs_from_its_order_is_taken(
    kind: str,
    road: str,
    told: str,
    api_server: Api,
    api: httpx.Client,
    shop: Shop,
    user: Actor,
    admin: Actor,
) -> None:
    payment = user.new_payment()
    paid = play(shop, kind, told)
    if road == "webhook":
        shop.sandbox.deliver_to(api_server.url)
    outcome = "success" if road == "webhook" else "authorized"
    checkout = shop.sandbox.pay(payment["orderId"], outcome)
    if road == "verify":
        assert verify(api, payment, checkout).status_code == 200
    elif road == "worker":
        shop.settle_later()
    elif road == "capture":
        path = f"{PAYMENTS}/{payment['referenceId']}/capture"
        assert admin.call("POST", path).status_code == 200

    seen = eventually(lambda: (s := status(api, payment))["status"] == "success" and s)
    assert (seen["amount"], seen["amountPaid"], seen["final"]) == (50_000, paid, True)
    row = shop.assert_sound(payment)
    at_gateway = shop.sandbox.payment(row["razorpayPaymentId"])
    assert (row["fee"], row["tax"]) == (at_gateway["fee"], at_gateway["tax"])
    assert row.get("feeBearer") == ("customer" if kind == "customer_fee" else None)
    assert bool(row.get("offerId")) is (kind == "offer")


@pytest.mark.parametrize("kind", ["customer_fee", "offer"])
def test_all_that_was_paid_can_be_refunded_and_no_more(
    kind: str, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    paid = play(shop, kind)
    checkout = shop.sandbox.pay(payment["orderId"])
    assert verify(api, payment, checkout).status_code == 200

    def refund(amount: int | None, key: str) -> httpx.Response:
        body = {"idempotencyKey": key} | ({"amount": amount} if amount else {})
        return admin.call("POST", f"{PAYMENTS}/{payment['referenceId']}/refunds", json=body)

    assert_problem(refund(paid + 1, "too-much"), 409, "amount", "not_refundable")
    assert refund(100, "a-part").status_code == 201
    rest = refund(None, "the-rest")
    assert rest.status_code == 201, rest.text
    assert rest.json()["data"]["amountRefunded"] == paid
    row = shop.assert_sound(payment)
    assert (row["status"], row["refundStatus"]) == ("refunded", "completed")
    sums = [step["amountRefunded"] for step in row["history"] if "amountRefunded" in step]
    assert sums == [100, paid], "each step of a refund has the sum as of it"
    assert_problem(verify(api, payment, checkout), 409, code="payment_returned")


def test_both_amounts_are_shown(api: httpx.Client, shop: Shop, user: Actor, admin: Actor) -> None:
    payment = user.new_payment()
    play(shop, "customer_fee")
    assert verify(api, payment, shop.sandbox.pay(payment["orderId"])).status_code == 200

    (item,) = user.history().json()
    assert (item["amount"], item["amountPaid"]) == (50_000, 51_180)
    seen = user.seen(payment["referenceId"])
    assert (seen["amount"], seen["amountPaid"], seen["feeBearer"]) == (50_000, 51_180, "customer")
    window = {"from": "2000-01-01", "to": "2100-01-01"}
    text = admin.call("GET", f"{PAYMENTS}/export", params=window).text
    (line,) = [
        each
        for each in csv.DictReader(io.StringIO(text))
        if each["referenceId"] == payment["referenceId"]
    ]
    assert (line["amount"], line["amountPaid"], line["fee"], line["tax"]) == (
        "50000",
        "51180",
        "1180",
        "180",
    )


@pytest.mark.owasp(line="API10")
@pytest.mark.parametrize("amount", [1, 49_999, 50_001])
def test_an_order_that_is_not_paid_proves_no_other_amount(
    amount: int, api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    facts = gateway_payment(payment["orderId"], amount=amount)

    assert send_event(api, "payment.captured", payment=facts).status_code == 200

    row = shop.row(payment)
    assert (row["status"], len(row["history"])) == ("pending", 1)
    assert [each["reason"] for each in row["mismatches"]] == ["amount"]


@pytest.mark.parametrize("by", [-100, 700])
def test_an_odd_amount_that_the_gateway_says_once_is_not_believed(
    by: int, api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    paid = play(shop, "customer_fee")
    checkout = shop.sandbox.pay(payment["orderId"])
    shop.sandbox.fault("wrong_amount", route="/v1/payments/pay_*", method="GET", options={"by": by})

    assert_problem(verify(api, payment, checkout), 503)
    assert verify(api, payment, checkout).status_code == 200

    assert shop.assert_sound(payment)["amountPaid"] == paid


def test_the_day_of_a_payment_is_when_the_payer_paid(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"])
    paid_at = shop.sandbox.payment(checkout["razorpay_payment_id"])["created_at"]

    shop.settle_later()

    assert shop.row(payment)["paidAt"].timestamp() == paid_at
