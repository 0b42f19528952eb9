from typing import Any

import pytest

from tests.sandbox.sandbox_process import NEW_YEAR, SandboxProcess

NEW_YEAR_IN_INDIA = NEW_YEAR - 19_800  # midnight there, five and a half hours before UTC


def recon(sandbox: SandboxProcess, **params: int) -> list[dict[str, Any]]:
    feed = sandbox.call("GET", "/v1/settlements/recon/combined", params=params)
    return list(feed["items"])


def test_a_settlement_is_what_was_captured_less_fees_and_refunds(
    sandbox: SandboxProcess,
) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA + 60)
    payment = sandbox.create_payment(method="card")
    refund = sandbox.call("POST", f"/v1/payments/{payment['id']}/refund", {"amount": 10_000})
    sandbox.pay(sandbox.create_order(), outcome="failure")
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement == {
        "id": settlement["id"],
        "entity": "settlement",
        "amount": 50_000 - 1_180 - 10_000,
        "status": "processed",
        "fees": 0,
        "tax": 0,
        "utr": settlement["utr"],
        "created_at": NEW_YEAR_IN_INDIA + 60,
    }
    assert sandbox.call("GET", f"/v1/settlements/{settlement['id']}") == settlement
    assert sandbox.call("GET", "/v1/settlements")["items"] == [settlement]
    rows = recon(sandbox, year=2026, month=1, day=1)
    assert [(row["entity_id"], row["type"], row["credit"], row["debit"]) for row in rows] == [
        (payment["id"], "payment", 48_820, 0),
        (refund["id"], "refund", 0, 10_000),
    ]
    assert sandbox.control("/settle") == {"settlements": []}


def test_the_feed_has_order_receipt_and_settlement(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA)
    order = sandbox.create_order(receipt="KP_1")
    sandbox.pay(order, method="card")
    (settlement,) = sandbox.control("/settle")["settlements"]
    (row,) = recon(sandbox, year=2026, month=1)
    assert (row["order_id"], row["order_receipt"]) == (order["id"], "KP_1")
    assert (row["settlement_id"], row["settlement_utr"]) == (settlement["id"], settlement["utr"])
    assert (row["method"], row["card_network"], row["settled"]) == ("card", "Visa", True)


def test_the_feed_is_by_the_day_of_settlement_in_india(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA - 1)
    sandbox.create_payment()
    sandbox.control("/settle")
    assert len(recon(sandbox, year=2025, month=12, day=31)) == 1
    assert recon(sandbox, year=2026, month=1) == []
    assert recon(sandbox, year=2025, month=12, skip=1) == []


def test_settlements_run_every_48_hours(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    sandbox.advance_clock(47 * 3600)
    assert sandbox.call("GET", "/v1/settlements")["count"] == 0
    sandbox.advance_clock(2 * 3600)
    (settlement,) = sandbox.call("GET", "/v1/settlements")["items"]
    path = f"/v1/payments/{payment['id']}"
    full = sandbox.call("GET", path, params={"expand[]": "transaction.settlement"})
    assert full["transaction"]["settlement"] == settlement


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
def test_an_invalid_day_is_refused(
    sandbox: SandboxProcess, params: dict[str, int], field: str
) -> None:
    error = sandbox.expect_error("GET", "/v1/settlements/recon/combined", params=params)
    assert error["field"] == field


def test_an_accepted_dispute_is_lost(sandbox: SandboxProcess) -> None:
    payment = sandbox.create_payment()
    dispute = sandbox.control("/disputes", payment_id=payment["id"], amount=20_000)
    assert (dispute["status"], dispute["phase"], dispute["amount_deducted"]) == (
        "open",
        "chargeback",
        0,
    )
    assert sandbox.call("GET", "/v1/disputes")["items"] == [dispute]
    path = f"/v1/disputes/{dispute['id']}"
    lost = sandbox.call("POST", f"{path}/accept", {})
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 20_000)
    sandbox.expect_error("POST", f"{path}/accept", {})
    assert (
        sandbox.call("GET", path, params={"expand[]": "payment"})["payment"]["id"] == payment["id"]
    )
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement["amount"] == 50_000 - 1_180 - 20_000


def test_a_dispute_contested_with_a_document_can_be_won(sandbox: SandboxProcess) -> None:
    dispute = sandbox.control("/disputes", payment_id=sandbox.create_payment()["id"])
    path = f"/v1/disputes/{dispute['id']}"
    draft = sandbox.call("PATCH", f"{path}/contest", {"summary": "delivered", "action": "draft"})
    assert (draft["status"], draft["evidence"]["summary"]) == ("open", "delivered")
    sandbox.expect_error("PATCH", f"{path}/contest", {"action": "submit"})
    proof = {"shipping_proof": ["doc_KpSandbox00001"], "action": "submit"}
    submitted = sandbox.call("PATCH", f"{path}/contest", proof)
    assert submitted["status"] == "under_review"
    assert submitted["evidence"]["submitted_at"]
    assert sandbox.control(f"/disputes/{dispute['id']}/resolve", status="won")["status"] == "won"
    assert sandbox.call("GET", path)["amount_deducted"] == 0


def test_only_a_captured_payment_can_be_disputed(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.fail_payment(sandbox.create_order())
    response = sandbox.anonymous.post("/_sandbox/disputes", json={"payment_id": payment_id})
    assert response.status_code == 409


def test_adjustments_and_transfers_are_rows_of_the_next_settlement(
    sandbox: SandboxProcess,
) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA)
    payment = sandbox.create_payment()
    adjustment = sandbox.control("/adjustments", credit=1_012, description="Fee correction")
    transfer = sandbox.control("/adjustments", type="transfer", debit=2_296, fee=296, tax=46)
    chargeback = sandbox.control("/adjustments", debit=500, dispute_id="disp_KpSandbox00001")
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement["amount"] == 50_000 - 1_180 + 1_012 - 2_296 - 500
    rows = {row["entity_id"]: row for row in recon(sandbox, year=2026, month=1)}
    assert rows.keys() == {each["id"] for each in (payment, adjustment, transfer, chargeback)}
    assert sum(row["credit"] - row["debit"] for row in rows.values()) == settlement["amount"]
    corrected, moved = rows[adjustment["id"]], rows[transfer["id"]]
    assert (corrected["type"], corrected["settlement_utr"]) == ("adjustment", None)
    assert "credit_type" not in corrected
    assert (moved["type"], moved["debit"], moved["fee"], moved["tax"]) == (
        "transfer",
        2_296,
        296,
        46,
    )
    taken = rows[chargeback["id"]]
    assert (taken["dispute_id"], taken["payment_id"]) == ("disp_KpSandbox00001", None)
    assert sandbox.control("/settle") == {"settlements": []}


def test_what_the_balance_does_not_cover_waits(sandbox: SandboxProcess) -> None:
    for _ in range(3):
        sandbox.create_payment()
    amounts = [
        sandbox.control("/settle", limit=100_000)["settlements"][0]["amount"] for _ in range(2)
    ]
    assert amounts == [2 * 48_820, 48_820]


def test_a_created_settlement_has_no_utr_before_it_is_processed(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA)
    sandbox.create_payment()
    (created,) = sandbox.control("/settle", status="created")["settlements"]
    assert (created["status"], created["utr"]) == ("created", None)
    (row,) = recon(sandbox, year=2026, month=1)
    assert (row["settlement_id"], row["settlement_utr"]) == (created["id"], None)
    path = f"/settlements/{created['id']}/process"
    processed = sandbox.control(path)
    assert (processed["status"], processed["amount"]) == ("processed", created["amount"])
    (row,) = recon(sandbox, year=2026, month=1)
    assert row["settlement_utr"] == processed["utr"] is not None
    assert sandbox.anonymous.post(f"/_sandbox{path}").status_code == 409


@pytest.mark.parametrize(("foreign_rows", "currency"), [("base", "INR"), ("payment", "USD")])
def test_a_payment_in_dollars_is_settled_in_rupees(
    sandbox: SandboxProcess, foreign_rows: str, currency: str
) -> None:
    sandbox.freeze_clock(NEW_YEAR_IN_INDIA)
    order = sandbox.call("POST", "/v1/orders", {"amount": 10_000, "currency": "USD"})
    sandbox.pay(order)
    (payment,) = sandbox.call("GET", f"/v1/orders/{order['id']}/payments")["items"]
    assert (payment["base_amount"], payment["base_currency"]) == (830_000, "INR")
    (settlement,) = sandbox.control("/settle", foreign_rows=foreign_rows)["settlements"]
    assert settlement["amount"] == 830_000 - payment["fee"]
    (row,) = recon(sandbox, year=2026, month=1)
    assert row["currency"] == currency
    assert row["amount"] == (830_000 if currency == "INR" else 10_000)
    assert (row["credit"], row["fee"]) == (settlement["amount"], payment["fee"])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/settle", {"status": "paid"}, "status"),
        ("/settle", {"foreign_rows": "USD"}, "foreign_rows"),
        ("/adjustments", {"credit": -1}, "credit"),
    ],
)
def test_odd_wishes_are_refused(
    sandbox: SandboxProcess, path: str, body: dict[str, Any], field: str
) -> None:
    response = sandbox.anonymous.post(f"/_sandbox{path}", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["field"] == field


def test_the_feed_has_an_older_name(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock()
    sandbox.create_payment()
    sandbox.control("/settle")
    feed = sandbox.call("GET", "/v1/settlements/recon/combined?year=2026&month=1")
    assert feed["count"] == 1
    assert sandbox.call("GET", "/v1/settlements/report/combined?year=2026&month=1") == feed
