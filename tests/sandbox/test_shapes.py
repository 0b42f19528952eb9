"""Our entities beside the vendor's documented samples and its SDK's fixtures.

The samples are kept as what they show: which fields an entity has always, which sometimes, and
of what types they are. They were gathered from the vendor's published documentation.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.box import Box, Receiver, wait_for

SHAPES = json.loads(Path(__file__).with_name("vendor_shapes.json").read_text())
# Shown as null by the real API where the samples, all of paid test accounts, have a value.
NULLABLE = {"customer_id", "token_id", "email", "contact"}
# Ours beyond the samples: said by the documentation's prose.
PROSE = {"late_authorized", "refunds", "token", "transaction", "virtual_account", "transfers"}
TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
}


def compare(kind: str, entity: dict[str, Any], without: frozenset[str] = frozenset()) -> None:
    shape = SHAPES[kind]
    known = {**shape["always"], **shape["sometimes"]}
    missing = set(shape["always"]) - set(entity) - without
    assert not missing, f"{kind} lacks {missing}"
    invented = set(entity) - set(known) - PROSE
    assert not invented, f"{kind} has {invented}, which no sample has"
    for name, value in entity.items():
        if name in known and not (value is None and name in NULLABLE):
            assert TYPES[type(value)] in known[name], f"{kind}.{name} is {value!r}"


def test_the_samples_are_worth_comparing_with() -> None:
    assert SHAPES["order"]["samples"] >= 15
    assert SHAPES["payment"]["samples"] >= 50
    assert len(SHAPES["payment"]["always"]) >= 25
    with pytest.raises(AssertionError, match="lacks"):
        compare("order", {"id": "order_1"})
    with pytest.raises(AssertionError, match="which no sample has"):
        compare("collection", {"entity": "collection", "count": 0, "items": [], "total": 0})


def test_orders(box: Box) -> None:
    compare("order", box.order())
    order = box.order(receipt="r", notes={"a": "b"})
    box.pay(order)
    compare("order", box.ok("GET", f"/v1/orders/{order['id']}", params={"expand[]": "payments"}))


@pytest.mark.parametrize("method", ["card", "upi", "netbanking", "wallet"])
def test_payments(box: Box, method: str) -> None:
    for outcome in ("success", "authorized", "failure"):
        box.pay(box.order(), method=method, outcome=outcome)
    page = box.ok("GET", "/v1/payments", params={"expand[]": "card"})
    assert page["count"] == 3
    for payment in page["items"]:
        compare("payment", payment)
        if method == "card":
            compare("card", payment["card"])


def test_refunds_settlements_disputes_and_the_feed(box: Box) -> None:
    box.control("/clock", now=1_767_225_600, frozen=True)
    payment = box.paid(method="card")
    compare("refund", box.ok("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 500}))
    compare("dispute", box.control("/disputes", payment_id=payment["id"], amount=100))
    (settled,) = box.control("/settle")["settlements"]
    compare("settlement", settled)
    params = {"year": 2026, "month": 1}
    feed = box.ok("GET", "/v1/settlements/recon/combined", params=params)
    compare("collection", feed)
    for row in feed["items"]:
        # The samples have notes as text only; the documentation's prose knows objects and null.
        compare("recon", {**row, "notes": "", "order_receipt": None})


def test_events_contain_what_the_vendors_contain(
    box: Box, receiver: Receiver, webhook: dict[str, Any]
) -> None:
    order = box.order()
    box.pay(order, outcome="failure")
    payment_id = box.pay(order)["razorpay_payment_id"]
    refund = f"/v1/payments/{payment_id}/refund"
    box.ok("POST", refund, {"amount": 2_468, "speed": "optimum"})
    box.fault("refund_fails_later", options={"seconds": 1})
    box.ok("POST", refund, {"amount": 100})
    box.advance(2)
    for ending in ("won", "lost", "closed"):
        dispute = box.control("/disputes", payment_id=payment_id, amount=100)
        proof = {"action": "submit", "billing_proof": ["doc_KpSandbox00001"]}
        box.ok("PATCH", f"/v1/disputes/{dispute['id']}/contest", proof)
        box.control(f"/disputes/{dispute['id']}/resolve", status=ending)
    box.control("/settle")
    wait_for(lambda: "settlement.processed" in receiver.events)
    wait_for(lambda: "payment.dispute.closed" in receiver.events)
    for hook in receiver.hooks:
        event = json.loads(hook.body)
        compare("event", event)
        assert event["contains"] == SHAPES["events"][hook.event], hook.event
        for name, wrapped in event["payload"].items():
            compare(name, wrapped["entity"])
    told = set(receiver.events)
    assert told == {event for event in SHAPES["events"] if event in told}
    assert len(told) == 14
