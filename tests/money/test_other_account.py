"""Keys that were changed: for newer ones of the same account, or for those of another."""

import hashlib
import hmac
from datetime import timedelta

import httpx
import pytest

from tests.actors import PAYMENTS, Actor, assert_problem, status
from tests.aliases import Json
from tests.money.shop import Shop, check_payments
from tests.stack import KEY_SECRET, STRONG_KEY_ID, STRONG_KEY_SECRET, StartApi
from tests.waiting import eventually

OLD_SECRET = "key_secret_before_the_change"
OTHER_ACCOUNT = {"RAZORPAY_KEY_ID": STRONG_KEY_ID, "RAZORPAY_KEY_SECRET": STRONG_KEY_SECRET}


def verify_signed_with(
    client: httpx.Client, payment: Json, checkout: Json, secret: str
) -> httpx.Response:
    message = f"{checkout['razorpay_order_id']}|{checkout['razorpay_payment_id']}".encode()
    body = {
        "razorpayOrderId": checkout["razorpay_order_id"],
        "razorpayPaymentId": checkout["razorpay_payment_id"],
        "razorpaySignature": hmac.new(secret.encode(), message, hashlib.sha256).hexdigest(),
        "referenceId": payment["referenceId"],
    }
    return client.post(f"{PAYMENTS}/verify", json=body)


@pytest.mark.owasp(line="API2")
def test_a_checkout_that_was_open_while_the_key_changed_still_verifies(
    shop: Shop, user: Actor, api: httpx.Client, start_api: StartApi
) -> None:
    during = start_api(RAZORPAY_KEY_SECRET_PREVIOUS=OLD_SECRET)
    payments = [user.new_payment() for _ in range(2)]
    checkouts = [shop.sandbox.pay(payment["orderId"]) for payment in payments]

    refused = verify_signed_with(api, payments[0], checkouts[0], OLD_SECRET)
    assert_problem(refused, 400, field="razorpaySignature", code="invalid_signature")
    stranger = verify_signed_with(during.client, payments[0], checkouts[0], "nobodys_secret")
    assert_problem(stranger, 400, field="razorpaySignature", code="invalid_signature")

    for payment, checkout, secret in zip(
        payments, checkouts, (OLD_SECRET, KEY_SECRET), strict=True
    ):
        answer = verify_signed_with(during.client, payment, checkout, secret)
        assert answer.status_code == 200, answer.text


def test_the_doctor_knows_the_account_and_the_mode_of_the_payments(shop: Shop, user: Actor) -> None:
    payments = [user.new_payment() for _ in range(2)]
    sound = shop.kernapay("doctor")
    assert "the keys fit the stored payments" in sound.stdout

    other = shop.kernapay("doctor", **OTHER_ACCOUNT)

    assert other.returncode == 1
    (line,) = [line for line in other.stdout.splitlines() if " account" in line]
    assert line.startswith("FAIL")
    assert any(payment["orderId"] in line for payment in payments)
    assert "RAZORPAY_KEY_ID" in line

    for payment in payments:
        shop.edit(payment, livemode=True)
    other_mode = shop.kernapay("doctor").stdout
    assert "are test keys, but the newest payments were made with live keys" in other_mode


def test_one_order_that_is_gone_is_no_other_account(shop: Shop, user: Actor) -> None:
    user.new_payment()
    shop.edit(user.new_payment(), orderId="order_Gone1", razorpayOrderId="order_Gone1")

    assert "the keys fit the stored payments" in shop.kernapay("doctor").stdout


def test_a_proxy_that_finds_no_order_is_no_other_account(shop: Shop, user: Actor) -> None:
    user.new_payment()
    shop.sandbox.fault(
        "proxy_page", times=None, route="/v1/orders/order_*", options={"status": 404}
    )

    assert "another account" not in shop.kernapay("doctor").stdout


def test_a_start_with_the_keys_of_another_account_is_told(
    shop: Shop, user: Actor, start_api: StartApi
) -> None:
    payment = user.new_payment()
    api = start_api(**OTHER_ACCOUNT)
    worker = shop.worker("other-account", **OTHER_ACCOUNT)

    (told,) = eventually(lambda: api.log_entries("gateway_account_changed"))
    assert payment["orderId"] in told["problem"]
    assert "RAZORPAY_KEY_ID" in told["fix"]
    eventually(lambda: "gateway_account_changed" in worker.log.read_text())


def test_payments_of_another_account_end_or_are_named(
    shop: Shop, user: Actor, api: httpx.Client
) -> None:
    unpaid = user.new_payment()
    paid, _ = user.buy(shop.sandbox)
    keys = {
        "razorpay_key_id": STRONG_KEY_ID,
        "razorpay_key_secret": STRONG_KEY_SECRET,
    }

    shop.work(check_payments, timedelta(hours=1), **keys)
    assert status(api, unpaid)["status"] == "pending"
    shop.work(check_payments, timedelta(days=30), **keys)

    assert status(api, unpaid)["status"] == "failed"
    assert status(api, paid)["status"] == "success"
    audited = shop.kernapay("audit", **OTHER_ACCOUNT)
    assert audited.returncode == 1
    assert f"missing_there     {paid['referenceId']}" in audited.stdout
