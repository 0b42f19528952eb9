"""One call finds a payment by whatever an administrator holds."""

import pytest

from tests.actors import ADMIN, PAYMENTS, Actor, assert_problem
from tests.aliases import Json, Store
from tests.databases import receipt_of, row_of
from tests.stack import Sandbox

SEARCH = f"{ADMIN}/payments/search"


def search(admin: Actor, text: str) -> list[Json]:
    answer = admin.call("GET", SEARCH, params={"q": text})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["payments"]
    return found


def test_a_payment_is_found_by_each_of_its_names(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, checkout = user.buy(sandbox)
    user.new_payment()
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    refund = admin.call("POST", path, json={"amount": 100, "idempotencyKey": "k"})
    assert refund.status_code == 201, refund.text
    row = row_of(store.payments, referenceId=payment["referenceId"])

    for text in (
        payment["referenceId"],
        payment["orderId"],
        checkout["razorpay_payment_id"],
        row["refunds"][0]["refundId"],
        receipt_of(row),
        str(row["_id"]),
        f"  {payment['orderId']} ",
    ):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"], text
    assert found["fee"] == row["fee"] > 0
    assert found["tax"] == row["tax"]
    (shown,) = found["refunds"]
    assert (shown["actor"], shown["source"]) == (admin.id, "admin")
    assert shown["receipt"].startswith("KPR_")
    assert found["history"][0]["actor"] == user.id
    assert [p["referenceId"] for p in search(admin, user.email.upper())][1:] == [
        payment["referenceId"]
    ]


def test_surplus_orders_and_second_payments_lead_to_their_payment(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    number = user.id[-14:]
    mismatch = {
        "at": row_of(store.payments, referenceId=payment["referenceId"])["createdAt"],
        "source": "webhook",
        "reason": "second_payment",
        "paymentId": f"pay_{number}",
        "orderId": payment["orderId"],
        "amount": 50000,
        "currency": "INR",
    }
    store.payments.update_one(
        {"referenceId": payment["referenceId"]},
        {"$set": {"surplusOrders": [f"order_{number}"], "mismatches": [mismatch]}},
    )

    for text in (f"order_{number}", f"pay_{number}"):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"]
        assert found["surplusOrders"] == [f"order_{number}"]
        assert found["mismatches"][0]["reason"] == "second_payment"


def test_what_the_bank_and_its_customer_did_leads_to_the_payment(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    row = row_of(store.payments, referenceId=payment["referenceId"])
    number = user.id[-14:]
    second = {
        "paymentId": f"pay_{number}",
        "amount": 50000,
        "reason": "second_payment",
        "at": row["createdAt"],
        "status": "processed",
    }
    dispute = {
        "disputeId": f"disp_{number}",
        "paymentId": row["razorpayPaymentId"],
        "amount": 50000,
        "currency": "INR",
        "phase": "chargeback",
        "status": "won",
        "source": "webhook",
        "createdAt": row["createdAt"],
        "updatedAt": row["createdAt"],
    }
    settled = {
        "settlementId": f"setl_{number}",
        "entityId": row["razorpayPaymentId"],
        "type": "payment",
        "utr": f"AXIS{number}",
        "credit": 48820,
        "debit": 0,
        "fee": 1180,
        "tax": 180,
    }
    change = {"surplusPayments": [second], "disputes": [dispute], "settlements": [settled]}
    store.payments.update_one({"_id": row["_id"]}, {"$set": change})

    for text in (f"pay_{number}", f"disp_{number}", f"setl_{number}", f"AXIS{number}"):
        (found,) = search(admin, text)
        assert found["referenceId"] == payment["referenceId"], text
        assert found["surplusPayments"][0]["paymentId"] == f"pay_{number}"


@pytest.mark.parametrize(
    "text",
    [
        *("order_Unknown0000001", "rfnd_x", "disp_x", "setl_x", "nobody@example.com"),
        *("0" * 24, "AXIS0123456789"),
    ],
)
def test_what_nobody_has_finds_nothing(text: str, admin: Actor) -> None:
    assert search(admin, text) == []


@pytest.mark.parametrize("text", ["who", "cart=42", "", "$where", "a" * 400])
def test_a_text_of_no_known_kind_is_refused(text: str, admin: Actor) -> None:
    assert_problem(admin.call("GET", SEARCH, params={"q": text}), 400, field="q")


@pytest.mark.owasp(line="API5")
def test_only_administrators_search(user: Actor) -> None:
    assert_problem(user.call("GET", SEARCH, params={"q": "order_Unknown0000001"}), 403)
