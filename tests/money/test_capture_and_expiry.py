from datetime import timedelta

import httpx
import pytest

from tests.actors import PAYMENTS, Actor, assert_problem, send_event, status, verify
from tests.databases import row_of
from tests.factories import gateway_payment
from tests.money.shop import Shop
from tests.stack import Api
from tests.waiting import eventually


def capture(actor: Actor, payment: dict[str, str]) -> httpx.Response:
    return actor.call("POST", f"{PAYMENTS}/{payment['referenceId']}/capture")


def test_what_the_bank_has_authorised_is_captured_once(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")

    answer = capture(admin, payment)

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["status"] == "success"
    assert_problem(capture(admin, payment), 409, code="not_capturable")
    step = shop.assert_sound(payment)["history"][-1]
    assert (step["source"], step["actor"]) == ("admin", admin.id)


def test_nothing_is_captured_where_nothing_was_authorised(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    unpaid, failed = user.new_payment(), user.new_payment()
    shop.sandbox.pay(failed["orderId"], "failure")

    for payment in (unpaid, failed):
        assert_problem(capture(admin, payment), 409, code="not_capturable")
        assert shop.row(payment)["status"] == "pending"


@pytest.mark.owasp(line="API5")
def test_only_administrators_capture(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")

    assert_problem(capture(user, payment), 403)
    assert shop.captured_at_gateway(payment) == []


def test_capturing_an_unknown_payment_is_not_found(shop: Shop, admin: Actor) -> None:
    unknown = {"referenceId": f"PAY_{'0' * 24}_1760000000000_{'x' * 22}"}

    assert_problem(capture(admin, unknown), 404)


def test_a_capture_without_an_answer_is_found_by_the_next_call(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")
    shop.sandbox.fault("answer_lost", route="/v1/payments/*/capture", method="POST")

    assert_problem(capture(admin, payment), 503)
    assert shop.row(payment)["status"] == "pending"

    assert capture(admin, payment).status_code == 200
    shop.assert_sound(payment)


def test_capture_finds_what_was_captured_elsewhere(shop: Shop, user: Actor, admin: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])

    assert capture(admin, payment).status_code == 200
    shop.assert_sound(payment)


def test_verify_captures_what_is_only_authorised(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"], "authorized")

    assert verify(api, payment, checkout).status_code == 200
    shop.assert_sound(payment)


def test_the_worker_captures_what_nobody_came_back_for(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")

    shop.settle_later()

    shop.assert_sound(payment)


def test_what_is_authorised_after_a_day_is_captured_soon(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    for hours in (1, 2, 4, 9, 22):
        shop.settle_later(timedelta(hours=hours))
    shop.sandbox.pay(payment["orderId"], "authorized")
    (attempt,) = shop.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
    send_event(api, "payment.authorized", payment=attempt)
    assert shop.captured_at_gateway(payment) == []

    shop.settle_later(timedelta(minutes=1))

    shop.assert_sound(payment)


def test_an_abandoned_payment_expires_and_not_before(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()

    shop.settle_later(timedelta(days=6))
    assert status(api, payment)["status"] == "pending"
    shop.settle_later(timedelta(days=8))

    assert status(api, payment)["status"] == "failed"
    step = shop.row(payment)["history"][-1]
    assert (step["event"], step["source"]) == ("expired", "reconciliation")
    assert user.history().json()[0]["status"] == "failed"
    assert shop.differences() == []


@pytest.mark.parametrize("road", ["webhook", "verify", "worker"])
def test_money_that_comes_after_expiry_still_counts(
    road: str, api_server: Api, api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    shop.settle_later(timedelta(days=8))
    assert status(api, payment)["status"] == "failed"

    if road == "webhook":
        shop.sandbox.deliver_to(api_server.url)
    checkout = shop.sandbox.pay(payment["orderId"])
    if road == "verify":
        assert verify(api, payment, checkout).status_code == 200
    elif road == "worker":
        # A payment is looked after for four days beyond its beginning.
        shop.edit(payment, checkAt=shop.row(payment)["createdAt"])
        shop.settle_later(timedelta(days=3))

    eventually(lambda: status(api, payment)["status"] == "success")
    shop.assert_sound(payment)


def test_a_payment_that_never_got_its_order_expires(shop: Shop, user: Actor) -> None:
    shop.sandbox.fault("reset", times=3, route="/v1/orders", method="POST")
    answer = user.create()
    assert_problem(answer, 503)
    row = row_of(shop.store.payments)
    assert "razorpayOrderId" not in row

    shop.settle_later(timedelta(days=8))

    assert row_of(shop.store.payments)["status"] == "failed"
    assert shop.differences() == []


def test_an_order_we_never_heard_of_is_adopted_by_the_worker(shop: Shop, user: Actor) -> None:
    shop.sandbox.fault("answer_lost", route="/v1/orders", method="POST")
    key = "lost-answer"
    assert_problem(user.create(idempotencyKey=key), 503)
    assert [kind for kind, _, _ in shop.differences()] == ["unattached_order"]

    shop.settle_later()

    assert shop.differences() == []
    again = user.create(idempotencyKey=key)
    assert again.status_code == 200
    payment = again.json()["data"]
    assert len(shop.sandbox.orders(shop.receipt(payment))) == 1


def test_an_order_told_with_another_amount_is_not_bought_again(shop: Shop, user: Actor) -> None:
    key = "one-key"
    shop.sandbox.fault("wrong_amount", times=2, route="/v1/orders")

    for _ in range(2):
        assert_problem(user.create(idempotencyKey=key), 503)
    payment = user.create(idempotencyKey=key).json()["data"]

    assert len(shop.sandbox.orders(shop.receipt(payment))) == 1
    assert shop.row(payment).get("surplusOrders", []) == []


def test_a_late_failure_does_not_undo_success_or_refund(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    facts = gateway_payment(
        payment["orderId"],
        id=checkout["razorpay_payment_id"],
        status="failed",
        captured=False,
    )

    assert send_event(api, "payment.failed", payment=facts).status_code == 200

    shop.assert_sound(payment)
