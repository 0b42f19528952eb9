"""The sandbox's entities have the fields of the vendor's samples and of its SDK's fixtures."""

import json
from typing import Any

import pytest

from tests.sandbox.sandbox_process import SandboxProcess, wait_for
from tests.sandbox.shapes import SHAPES, check_shape
from tests.sandbox.webhook_receiver import WebhookReceiver


def test_there_are_enough_samples_to_compare_with() -> None:
    assert SHAPES["order"]["samples"] >= 15
    assert SHAPES["payment"]["samples"] >= 50
    assert len(SHAPES["payment"]["always"]) >= 25
    with pytest.raises(AssertionError, match="lacks"):
        check_shape("order", {"id": "order_1"})
    with pytest.raises(AssertionError, match="which no sample has"):
        check_shape("collection", {"entity": "collection", "count": 0, "items": [], "total": 0})


def test_orders_have_the_vendors_fields(sandbox: SandboxProcess) -> None:
    check_shape("order", sandbox.create_order())
    order = sandbox.create_order(receipt="r", notes={"a": "b"})
    sandbox.pay(order)
    check_shape(
        "order", sandbox.call("GET", f"/v1/orders/{order['id']}", params={"expand[]": "payments"})
    )


@pytest.mark.parametrize("method", ["card", "upi", "netbanking", "wallet"])
def test_payments_have_the_vendors_fields(sandbox: SandboxProcess, method: str) -> None:
    for outcome in ("success", "authorized", "failure"):
        sandbox.pay(sandbox.create_order(), method=method, outcome=outcome)
    page = sandbox.call("GET", "/v1/payments", params={"expand[]": "card"})
    assert page["count"] == 3
    for payment in page["items"]:
        check_shape("payment", payment)
        if method == "card":
            check_shape("card", payment["card"])


def test_refunds_settlements_disputes_and_the_feed_have_the_vendors_fields(
    sandbox: SandboxProcess,
) -> None:
    sandbox.freeze_clock()
    payment = sandbox.create_payment(method="card")
    check_shape(
        "refund", sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 500})
    )
    check_shape("dispute", sandbox.control("/disputes", payment_id=payment["id"], amount=100))
    (settlement,) = sandbox.control("/settle")["settlements"]
    check_shape("settlement", settlement)
    params = {"year": 2026, "month": 1}
    feed = sandbox.call("GET", "/v1/settlements/recon/combined", params=params)
    check_shape("collection", feed)
    for row in feed["items"]:
        # In the samples, notes are text. The documentation also allows objects and null.
        check_shape("recon", {**row, "notes": "", "order_receipt": None})


def test_events_have_the_vendors_fields(
    sandbox: SandboxProcess, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    order = sandbox.create_order()
    sandbox.pay(order, outcome="failure")
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    refund = f"/v1/payments/{payment_id}/refund"
    sandbox.call("POST", refund, {"amount": 2_468, "speed": "optimum"})
    sandbox.arm_fault("refund_fails_later", options={"seconds": 1})
    sandbox.call("POST", refund, {"amount": 100})
    sandbox.advance_clock(2)
    for ending in ("won", "lost", "closed"):
        dispute = sandbox.control("/disputes", payment_id=payment_id, amount=100)
        proof = {"action": "submit", "billing_proof": ["doc_KpSandbox00001"]}
        sandbox.call("PATCH", f"/v1/disputes/{dispute['id']}/contest", proof)
        sandbox.control(f"/disputes/{dispute['id']}/resolve", status=ending)
    sandbox.control("/settle")
    wait_for(lambda: "settlement.processed" in receiver.events)
    wait_for(lambda: "payment.dispute.closed" in receiver.events)
    for received in receiver.webhooks:
        event = json.loads(received.body)
        check_shape("event", event)
        assert event["contains"] == SHAPES["events"][received.event], received.event
        for name, part in event["payload"].items():
            check_shape(name, part["entity"])
    events = set(receiver.events)
    assert events <= set(SHAPES["events"])
    assert len(events) == 14
