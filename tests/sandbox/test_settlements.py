from typing import Any

import pytest

from tests.sandbox.box import Box

NEW_YEAR = 1_767_205_800  # midnight of 1 January 2026 in India


def recon(box: Box, **params: int) -> list[dict[str, Any]]:
    found = box.ok("GET", "/v1/settlements/recon/combined", params=params)
    return list(found["items"])


def test_a_settlement_pays_out_what_was_captured_less_fees_and_refunds(box: Box) -> None:
    box.control("/clock", now=NEW_YEAR + 60, frozen=True)
    payment = box.paid(method="card")
    refund = box.ok("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 10_000})
    box.pay(box.order(), outcome="failure")
    (settled,) = box.control("/settle")["settlements"]
    assert settled == {
        "id": settled["id"],
        "entity": "settlement",
        "amount": 50_000 - 1_180 - 10_000,
        "status": "processed",
        "fees": 1_180,
        "tax": 180,
        "utr": settled["utr"],
        "created_at": NEW_YEAR + 60,
    }
    assert box.ok("GET", f"/v1/settlements/{settled['id']}") == settled
    assert box.ok("GET", "/v1/settlements")["items"] == [settled]
    rows = recon(box, year=2026, month=1, day=1)
    assert [(row["entity_id"], row["type"], row["credit"], row["debit"]) for row in rows] == [
        (payment["id"], "payment", 48_820, 0),
        (refund["id"], "refund", 0, 10_000),
    ]
    assert box.control("/settle") == {"settlements": []}


def test_the_feed_names_order_receipt_and_settlement(box: Box) -> None:
    box.control("/clock", now=NEW_YEAR, frozen=True)
    order = box.order(receipt="KP_1")
    box.pay(order, method="card")
    (settled,) = box.control("/settle")["settlements"]
    (row,) = recon(box, year=2026, month=1)
    assert (row["order_id"], row["order_receipt"]) == (order["id"], "KP_1")
    assert (row["settlement_id"], row["settlement_utr"]) == (settled["id"], settled["utr"])
    assert (row["method"], row["card_network"], row["settled"]) == ("card", "Visa", True)


def test_the_feed_goes_by_the_day_of_settlement_in_india(box: Box) -> None:
    box.control("/clock", now=NEW_YEAR - 1, frozen=True)
    box.paid()
    box.control("/settle")
    assert len(recon(box, year=2025, month=12, day=31)) == 1
    assert recon(box, year=2026, month=1) == []
    assert recon(box, year=2025, month=12, skip=1) == []


def test_settlements_run_by_themselves_every_other_day(box: Box) -> None:
    payment = box.paid()
    box.advance(47 * 3600)
    assert box.ok("GET", "/v1/settlements")["count"] == 0
    box.advance(2 * 3600)
    (settled,) = box.ok("GET", "/v1/settlements")["items"]
    path = f"/v1/payments/{payment['id']}"
    full = box.ok("GET", path, params={"expand[]": "transaction.settlement"})
    assert full["transaction"]["settlement"] == settled


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"month": 1}, "year"),
        ({"year": 2026}, "month"),
        ({"year": 2026, "month": 13}, "month"),
        ({"year": 2026, "month": 2, "day": 30}, "day"),
        ({"year": 99999999, "month": 1}, "year"),
        ({"year": 2026, "month": 1, "count": 1001}, "count"),
    ],
)
def test_an_impossible_day_is_refused(box: Box, params: dict[str, int], field: str) -> None:
    error = box.error("GET", "/v1/settlements/recon/combined", params=params)
    assert error["field"] == field


def test_a_dispute_can_be_accepted_and_is_lost(box: Box) -> None:
    payment = box.paid()
    opened = box.control("/disputes", payment_id=payment["id"], amount=20_000)
    assert (opened["status"], opened["phase"], opened["amount_deducted"]) == (
        "open",
        "chargeback",
        0,
    )
    assert box.ok("GET", "/v1/disputes")["items"] == [opened]
    path = f"/v1/disputes/{opened['id']}"
    lost = box.ok("POST", f"{path}/accept", {})
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 20_000)
    box.error("POST", f"{path}/accept", {})
    assert box.ok("GET", path, params={"expand[]": "payment"})["payment"]["id"] == payment["id"]
    (settled,) = box.control("/settle")["settlements"]
    assert settled["amount"] == 50_000 - 1_180 - 20_000


def test_a_dispute_is_contested_with_a_document_and_won(box: Box) -> None:
    opened = box.control("/disputes", payment_id=box.paid()["id"])
    path = f"/v1/disputes/{opened['id']}"
    draft = box.ok("PATCH", f"{path}/contest", {"summary": "delivered", "action": "draft"})
    assert (draft["status"], draft["evidence"]["summary"]) == ("open", "delivered")
    box.error("PATCH", f"{path}/contest", {"action": "submit"})
    proof = {"shipping_proof": ["doc_KpSandbox00001"], "action": "submit"}
    submitted = box.ok("PATCH", f"{path}/contest", proof)
    assert submitted["status"] == "under_review"
    assert submitted["evidence"]["submitted_at"]
    assert box.control(f"/disputes/{opened['id']}/resolve", status="won")["status"] == "won"
    assert box.ok("GET", path)["amount_deducted"] == 0


def test_only_a_captured_payment_can_be_disputed(box: Box) -> None:
    failed = box.pay(box.order(), outcome="failure")["error"]["metadata"]["payment_id"]
    answer = box.stranger.post("/_sandbox/disputes", json={"payment_id": failed})
    assert answer.status_code == 409
