"""The vendor's Python SDK makes every call that the sandbox has. Only its base address is changed."""

from typing import Any

import pytest
import razorpay
import requests

from tests.sandbox.sandbox_process import SandboxProcess


def test_the_sdk_creates_finds_and_edits_orders(sandbox: SandboxProcess, client: Any) -> None:
    order = client.order.create({"amount": 50_000, "currency": "INR", "receipt": "py"})
    assert client.order.fetch(order["id"]) == order
    assert client.order.all({"receipt": "py"})["items"] == [order]
    assert client.order.edit(order["id"], {"notes": {"k": "v"}})["notes"] == {"k": "v"}
    sandbox.pay(order)
    assert client.order.payments(order["id"])["items"][0]["status"] == "captured"
    expanded = client.order.all({"expand[]": "payments.card"})
    assert expanded["items"][0]["payments"]["count"] == 1


def test_the_sdk_captures_finds_and_edits_payments(sandbox: SandboxProcess, client: Any) -> None:
    order = client.order.create(
        {"amount": 50_000, "currency": "INR", "payment": {"capture": "manual"}}
    )
    response = sandbox.pay(order, method="card")
    payment_id = response["razorpay_payment_id"]
    assert client.utility.verify_payment_signature(response)
    payment = client.payment.capture(payment_id, 50_000, {"currency": "INR"})
    assert payment["status"] == "captured"
    assert client.payment.fetch(payment_id) == payment
    expanded = client.payment.fetch(payment_id, {"expand[]": "card"})
    assert expanded["card"] == client.payment.fetchCardDetails(payment_id)
    assert client.payment.all({"count": 1})["items"] == [payment]
    assert client.payment.edit(payment_id, {"notes": {"k": "v"}})["notes"] == {"k": "v"}


def test_the_sdk_creates_finds_and_edits_refunds(sandbox: SandboxProcess, client: Any) -> None:
    payment_id = sandbox.create_payment()["id"]
    key = {"X-Refund-Idempotency": "python-sdk-key-1"}
    refund = client.payment.refund(payment_id, {"amount": 10_000}, headers=key)
    assert client.payment.refund(payment_id, {"amount": 10_000}, headers=key) == refund
    second = client.refund.create({"payment_id": payment_id, "amount": 5_000})
    assert client.refund.fetch(refund["id"]) == refund
    assert client.refund.all()["items"] == [second, refund]
    assert client.payment.fetch_multiple_refund(payment_id)["count"] == 2
    assert client.payment.fetch_refund_id(payment_id, refund["id"]) == refund
    assert client.refund.edit(refund["id"], {"notes": {"a": "b"}})["notes"] == {"a": "b"}


def test_the_sdk_reads_settlements_and_answers_disputes(
    sandbox: SandboxProcess, client: Any
) -> None:
    sandbox.freeze_clock()
    payment_id = sandbox.create_payment()["id"]
    sandbox.control("/settle")
    (settlement,) = client.settlement.all()["items"]
    assert client.settlement.fetch(settlement["id"]) == settlement
    report = client.settlement.report({"year": 2026, "month": 1, "day": 1})
    assert report["items"][0]["entity_id"] == payment_id
    first, second = (
        sandbox.control("/disputes", payment_id=payment_id, amount=100) for _ in range(2)
    )
    assert client.dispute.all()["count"] == 2
    assert client.dispute.fetch(first["id"]) == first
    assert client.dispute.accept(first["id"])["status"] == "lost"
    proof = {"shipping_proof": ["doc_KpSandbox00001"], "action": "submit"}
    assert client.dispute.contest(second["id"], proof)["status"] == "under_review"


def test_errors_raise_the_sdks_own_classes(sandbox: SandboxProcess, client: Any) -> None:
    order = {"amount": 50_000, "currency": "INR"}
    with pytest.raises(razorpay.errors.BadRequestError, match="at least INR"):
        client.order.create({**order, "amount": 1})
    sandbox.arm_fault("server_error")
    with pytest.raises(razorpay.errors.ServerError, match="encountered an error"):
        client.order.create(order)
    sandbox.arm_fault("rate_limit")
    with pytest.raises(razorpay.errors.BadRequestError):
        client.order.create(order)
    sandbox.arm_fault("bad_gateway_html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.order.create(order)
    sandbox.arm_fault("answer_lost")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.order.create(order)
    assert client.order.all()["count"] == 1
