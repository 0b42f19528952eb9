"""Route: what a business passes on to its linked accounts."""

import json
from typing import Any

import pytest

from tests.sandbox.sandbox_process import DAY, SandboxProcess, wait_for
from tests.sandbox.shapes import check_shape
from tests.sandbox.webhook_receiver import ReceivedWebhook, WebhookReceiver

NORTH, SOUTH = "acc_KpSandbox00001", "acc_KpSandbox00002"


def transfer_of(amount: int, account: str = NORTH, **fields: Any) -> dict[str, Any]:
    return {"account": account, "amount": amount, "currency": "INR", **fields}


def body_of(webhook: ReceivedWebhook) -> Any:
    return json.loads(webhook.body)


def processed(sandbox: SandboxProcess, transfer_id: str) -> dict[str, Any]:
    """Return the transfer after it was processed, or failed."""

    def found() -> dict[str, Any] | None:
        transfer = sandbox.call("GET", f"/v1/transfers/{transfer_id}")
        return transfer if transfer["status"] not in ("created", "pending") else None

    sandbox.advance_clock(2)
    transfer = wait_for(found)
    assert transfer is not None
    return transfer


def pass_on(sandbox: SandboxProcess, client: Any, amount: int, **fields: Any) -> dict[str, Any]:
    """Return a processed transfer from a new payment of ₹500."""
    payment = sandbox.create_payment()
    page = client.payment.transfer(payment["id"], {"transfers": [transfer_of(amount, **fields)]})
    return processed(sandbox, page["items"][0]["id"])


def test_a_part_of_a_payment_is_transferred_and_told(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    payment = sandbox.create_payment()
    wanted = transfer_of(
        20_000, notes={"branch": "north", "name": "Asha"}, linked_account_notes=["branch"]
    )
    page = client.payment.transfer(payment["id"], {"transfers": [wanted]})
    (transfer,) = page["items"]
    check_shape("transfer", transfer)
    assert (transfer["status"], transfer["source"]) == ("pending", payment["id"])
    assert "fees" not in transfer
    made = processed(sandbox, transfer["id"])
    check_shape("transfer", made)
    # 0.25 %, and twice 9 % of that, each rounded.
    assert (made["status"], made["fees"], made["tax"]) == ("processed", 60, 10)
    assert (made["settlement_status"], made["error"]["code"]) == ("pending", None)
    assert client.payment.transfers(payment["id"])["items"] == [made]
    wait_for(lambda: "transfer.processed" in receiver.events)
    event = body_of(next(e for e in receiver.webhooks if e.event == "transfer.processed"))
    assert event["contains"] == ["transfer"]
    assert event["payload"]["transfer"]["entity"] == made
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement["amount"] == 50_000 - 1_180 - 20_060
    feed = sandbox.call("GET", "/v1/settlements/recon/combined?year=2026&month=1")["items"]
    row = next(row for row in feed if row["type"] == "transfer")
    assert (row["entity_id"], row["payment_id"]) == (made["id"], payment["id"])
    assert (row["amount"], row["debit"], row["fee"], row["tax"]) == (20_000, 20_060, 60, 10)


@pytest.mark.parametrize(
    ("transfers", "words"),
    [
        ([], "The transfers field is required."),
        ([transfer_of(99)], "The transfers.0.amount must be at least 100."),
        ([transfer_of(100), transfer_of(99)], "The transfers.1.amount must be at least 100."),
        ([transfer_of(100, "acc_1")], "acc_1 is an invalid account_code."),
        ([transfer_of(25_000), transfer_of(25_001)], "greater than the captured amount"),
        ([transfer_of(49_000)], "Transfer cannot be made due to insufficient balance"),
        ([transfer_of(100, roof=1)], "roof is/are not required"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused_in_the_vendors_words(
    sandbox: SandboxProcess, transfers: Any, words: str
) -> None:
    payment = sandbox.create_payment()
    path = f"/v1/payments/{payment['id']}/transfers"
    assert words in sandbox.expect_error("POST", path, {"transfers": transfers})["description"]
    assert sandbox.call("GET", path)["items"] == []


def test_only_a_captured_payment_can_be_passed_on(sandbox: SandboxProcess) -> None:
    sandbox.pay(sandbox.create_order(), outcome="authorized")
    (payment,) = sandbox.call("GET", "/v1/payments")["items"]
    path = f"/v1/payments/{payment['id']}/transfers"
    error = sandbox.expect_error("POST", path, {"transfers": [transfer_of(100)]})
    assert "should be captured" in error["description"]


def test_an_orders_transfers_are_made_when_it_is_paid(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    transfers = [transfer_of(20_000), transfer_of(29_000, SOUTH)]
    order = sandbox.create_order(transfers=transfers)
    assert [each["status"] for each in order["transfers"]] == ["created", "created"]
    first, second = order["transfers"]
    paid = sandbox.pay(order)
    assert processed(sandbox, first["id"])["status"] == "processed"
    # The fee of the payment is gone already.
    failed = processed(sandbox, second["id"])
    check_shape("transfer", failed)
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "BAD_REQUEST_TRANSFER_INSUFFICIENT_BALANCE"
    wait_for(lambda: "transfer.failed" in receiver.events)
    listed = client.payment.transfers(paid["razorpay_payment_id"])["items"]
    assert [each["id"] for each in listed] == [second["id"], first["id"]]
    expanded = client.order.fetch(order["id"], {"expand[]": "transfers"})
    assert [each["status"] for each in expanded["transfers"]["items"]] == ["processed", "failed"]


def test_a_direct_transfer_is_made_at_once_and_once_for_each_key(
    sandbox: SandboxProcess, client: Any
) -> None:
    error = sandbox.expect_error("POST", "/v1/transfers", transfer_of(100))
    assert error["description"] == "Transfer cannot be made due to insufficient balance"
    sandbox.create_payment()
    transfer = client.transfer.create(transfer_of(1_000))
    check_shape("transfer", transfer)
    # As in the vendor's samples: 3 paise of 1000, 1 of 100.
    assert (transfer["status"], transfer["fees"], transfer["tax"]) == ("processed", 3, 0)
    assert transfer["source"].startswith("acc_")
    keyed = {"headers": {"X-Transfer-Idempotency": "one transfer"}}
    once = sandbox.call("POST", "/v1/transfers", transfer_of(100), **keyed)
    assert sandbox.call("POST", "/v1/transfers", transfer_of(100), **keyed) == once
    error = sandbox.expect_error("POST", "/v1/transfers", transfer_of(101), **keyed)
    assert "same idempotency key" in error["description"]
    odd = {"headers": {"X-Transfer-Idempotency": "a/b"}}
    sandbox.expect_error("POST", "/v1/transfers", transfer_of(100), **odd)
    assert client.transfer.all()["count"] == 2


def test_a_transfer_is_taken_back_in_parts(sandbox: SandboxProcess, client: Any) -> None:
    transfer = pass_on(sandbox, client, 20_000)
    balance = 50_000 - 1_180 - 20_060
    reversal = client.transfer.reverse(transfer["id"], {"amount": 5_000})
    check_shape("reversal", reversal)
    assert (reversal["amount"], reversal["transfer_id"]) == (5_000, transfer["id"])
    path = f"/v1/transfers/{transfer['id']}"
    assert sandbox.call("GET", path)["status"] == "partially_reversed"
    for body, words in (
        ({"amount": 99}, "The amount must be at least INR 1.00"),
        ({"amount": 15_001}, "greater than what was transferred"),
    ):
        error = sandbox.expect_error("POST", f"{path}/reversals", body)
        assert words in error["description"]
    rest = client.transfer.reverse(transfer["id"])
    assert rest["amount"] == 15_000
    shown = sandbox.call("GET", path)
    assert (shown["status"], shown["amount_reversed"]) == ("reversed", 20_000)
    assert client.transfer.reversals(transfer["id"])["items"] == [rest, reversal]
    assert sandbox.call("GET", "/v1/reversals?count=100")["items"] == [rest, reversal]
    assert sandbox.other_api.get("/v1/reversals").json()["count"] == 0
    assert (
        "Only a processed" in sandbox.expect_error("POST", f"{path}/reversals", {})["description"]
    )
    assert sandbox.other_api.get(path).json()["error"]["description"] == (
        "The id provided does not exist"
    )
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement["amount"] == balance + 20_000


def test_a_refund_takes_back_what_was_passed_on(sandbox: SandboxProcess, client: Any) -> None:
    payment = sandbox.create_payment()
    sandbox.create_payment()
    wanted = {"transfers": [transfer_of(10_000), transfer_of(20_000, SOUTH)]}
    ids = [each["id"] for each in client.payment.transfer(payment["id"], wanted)["items"]]
    assert [processed(sandbox, each)["status"] for each in ids] == ["processed", "processed"]
    path = f"/v1/payments/{payment['id']}/refund"
    error = sandbox.expect_error("POST", path, {"amount": 100, "reverse_all": 1})
    assert error["field"] == "reverse_all"
    keyed = {"headers": {"X-Refund-Idempotency": "refund-key-0001"}}
    refund = sandbox.call("POST", path, {"reverse_all": True}, **keyed)
    assert sandbox.call("POST", path, {"reverse_all": True}, **keyed) == refund
    for each, amount in zip(ids, (10_000, 20_000), strict=True):
        (reversal,) = client.transfer.reversals(each)["items"]
        assert (reversal["amount"], reversal["customer_refund_id"]) == (amount, refund["id"])


def test_no_more_comes_back_than_is_refunded(sandbox: SandboxProcess, client: Any) -> None:
    payment = sandbox.create_payment()
    sandbox.create_payment()
    wanted = {"transfers": [transfer_of(10_000), transfer_of(20_000, SOUTH)]}
    ids = [each["id"] for each in client.payment.transfer(payment["id"], wanted)["items"]]
    assert [processed(sandbox, each)["status"] for each in ids] == ["processed", "processed"]
    path = f"/v1/payments/{payment['id']}/refund"
    sandbox.call("POST", path, {"amount": 45_000})
    # The rest is 5,000: whose part would it be?
    for body in ({"reverse_all": 1}, {"reverse_all": 1, "amount": 5_000}):
        assert sandbox.expect_error("POST", path, body)["field"] == "reverse_all"
    assert sandbox.call("GET", "/v1/reversals")["count"] == 0
    keyed = {"headers": {"X-Refund-Idempotency": "refund-key-0002"}}
    sandbox.call("POST", path, {"amount": 100}, **keyed)
    error = sandbox.expect_error("POST", path, {"amount": 100, "reverse_all": 1}, **keyed)
    assert "Different request" in error["description"]
    assert sandbox.call("GET", "/v1/reversals")["count"] == 0


def test_nothing_is_refunded_if_what_was_passed_on_cannot_come_back(
    sandbox: SandboxProcess, client: Any
) -> None:
    transfer = pass_on(sandbox, client, 10_000)
    sandbox.control("/settle")
    path = f"/v1/payments/{transfer['source']}"
    error = sandbox.expect_error("POST", f"{path}/refund", {"reverse_all": 1})
    assert "sufficient balance" in error["description"]
    payment = sandbox.call("GET", path)
    assert (payment["status"], payment["amount_refunded"]) == ("captured", 0)


def test_a_linked_account_is_paid_out_unless_it_is_on_hold(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    sandbox.freeze_clock()
    free = pass_on(sandbox, client, 10_000)
    held = pass_on(sandbox, client, 5_000, on_hold=True)
    assert held["settlement_status"] == "on_hold"
    sandbox.control("/settle")
    query = {"expand[]": "recipient_settlement"}
    waiting, settled = client.transfer.all(query)["items"]
    check_shape("transfer", settled)
    assert (waiting["recipient_settlement"], settled["settlement_status"]) == (None, "settled")
    settlement = settled["recipient_settlement"]
    assert settlement["amount"] == 10_000
    wait_for(lambda: receiver.events.count("settlement.processed") == 2)
    told = [body_of(e) for e in receiver.webhooks if e.event == "settlement.processed"]
    assert NORTH in {event["account_id"] for event in told}
    found = client.transfer.all({"recipient_settlement_id": settlement["id"]})["items"]
    assert [each["id"] for each in found] == [free["id"]]
    error = sandbox.expect_error("POST", f"/v1/transfers/{free['id']}/reversals", {})
    assert error["description"] == (
        "The linked account does not have sufficient balance to process reversal."
    )
    path = f"/v1/transfers/{held['id']}"
    until = sandbox.inspect("/overview")["now"] + DAY
    changed = sandbox.call("PATCH", path, {"on_hold": "1", "on_hold_until": int(until)})
    assert changed["on_hold_until"] == int(until)
    sandbox.expect_error("PATCH", path, {"on_hold_until": int(until)})
    sandbox.control("/settle")
    assert sandbox.call("GET", path)["settlement_status"] == "on_hold"
    sandbox.advance_clock(DAY + 60)
    sandbox.control("/settle")
    assert sandbox.call("GET", path)["settlement_status"] == "settled"


def test_a_linked_accounts_payments_are_what_it_received(
    sandbox: SandboxProcess, client: Any
) -> None:
    transfer = pass_on(sandbox, client, 10_000)
    client.transfer.reverse(transfer["id"], {"amount": 4_000})
    of_account = {"headers": {"X-Razorpay-Account": NORTH}}
    (payment,) = sandbox.call("GET", "/v1/payments", **of_account)["items"]
    assert (payment["method"], payment["amount"], payment["refund_status"]) == (
        "transfer",
        10_000,
        "partial",
    )
    other = {"headers": {"X-Razorpay-Account": SOUTH}}
    assert sandbox.call("GET", "/v1/payments", **other)["count"] == 0
    own = {"headers": {"X-Razorpay-Account": client.transfer.all()["items"][0]["recipient"]}}
    assert sandbox.call("GET", "/v1/payments", **own)["count"] == 1
