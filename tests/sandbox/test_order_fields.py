"""Orders with all the fields that Razorpay's clients send, and what the sandbox says it does not play."""

import json
from pathlib import Path

import pytest

from kernapay.sandbox import not_played
from tests.sandbox.sandbox_process import SandboxProcess
from tests.sandbox.shapes import check_shape

# The bodies that the vendor's plugins build, as PHP encodes them.
PLUGINS = json.loads(Path(__file__).with_name("plugin_orders.json").read_text())
GUIDE = Path(not_played.__file__).parents[1] / "docs" / "differences.md"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_orders_of_the_vendors_plugins_are_taken(sandbox: SandboxProcess, plugin: str) -> None:
    body = PLUGINS[plugin]
    # The vendor's PHP client ends the address with a slash.
    order = sandbox.call("POST", "/v1/orders/", body)
    check_shape("order", order)
    fetched = sandbox.fetch_order(order["id"])
    # What WooCommerce's plugin compares, of which numbers must be integers.
    for name in ("amount", "currency", "receipt", "line_items_total"):
        assert fetched.get(name) == body.get(name)
    assert isinstance(fetched.get("line_items_total", 0), int)
    payment_id = sandbox.pay(order)["razorpay_payment_id"]
    status = "captured" if body["payment_capture"] else "authorized"
    payment = sandbox.fetch_payment(payment_id)
    assert payment["status"] == status
    assert payment["notes"] == {name: note or "" for name, note in body["notes"].items()}


def test_transfers_are_told_when_an_order_is_made_and_by_expand(sandbox: SandboxProcess) -> None:
    transfer = {
        "account": "acc_KpSandbox00001",
        "amount": 20_000,
        "currency": "INR",
        "notes": {"branch": "north", "name": "Asha"},
        "linked_account_notes": ["branch"],
        "on_hold": True,
        "on_hold_until": 1_800_000_000,
    }
    order = sandbox.create_order(transfers=[transfer])
    (shown,) = order["transfers"]
    check_shape("transfer", shown)
    assert shown["source"] == order["id"]
    assert shown["recipient"] == transfer["account"]
    assert {k: shown[k] for k in list(transfer)[1:]} == dict(list(transfer.items())[1:])
    path = f"/v1/orders/{order['id']}"
    assert "transfers" not in sandbox.call("GET", path)
    expanded = sandbox.call("GET", path, params={"expand[]": "transfers"})
    later = {"fees": 0, "tax": None, "settlement_status": None}
    assert expanded["transfers"]["items"] == [{**shown, **later}]
    for change, words in (
        ({"account": "acc_1"}, "is an invalid account_code"),
        ({"currency": "USD"}, "The currency should be INR for transfers"),
        ({"amount": 99}, "must be at least INR 1.00"),
        ({"amount": 50_001}, "greater than the captured amount"),
        ({"linked_account_notes": ["roof"]}, "must exist in notes"),
        ({"on_hold_until": 1}, "on_hold_until must be between 946684800 and 4765046400"),
        ({"roof": 1}, "roof is/are not required"),
    ):
        body = {"amount": 50_000, "currency": "INR", "transfers": [{**transfer, **change}]}
        assert words in sandbox.expect_error("POST", "/v1/orders", body)["description"]


def test_an_order_keeps_what_magic_checkout_and_checks_of_the_payer_need(
    sandbox: SandboxProcess,
) -> None:
    customer = {"name": "Asha", "shipping_address": {"city": "Pune", "zipcode": "411001"}}
    bank = {"account_number": "765432123456789", "name": "Asha", "ifsc": "HDFC0000053"}
    order = sandbox.create_order(
        customer_details=customer,
        rto_review=True,
        method="netbanking",
        bank_account=bank,
        discount=0,
        promotions=[{"code": "TEA", "type": "coupon", "value": 100}],
        shipping_fee=7_000,
    )
    assert sandbox.fetch_order(order["id"]) == order
    assert order["customer_details"] == customer
    # The samples of such orders do not show the account.
    assert "bank_account" not in order
    check_shape("order", order)
    (row,) = sandbox.inspect("/snapshot")["order"]
    assert row["details"]["bank_account"] == bank
    assert row["details"]["rto_review"] is True
    refused = sandbox.anonymous.post(
        "/_sandbox/pay", json={"order_id": order["id"], "method": "upi"}
    )
    error = refused.json()["error"]
    assert error["reason"] == "order_payment_method_mismatch"
    assert "razorpay_signature" in sandbox.pay(order, method="netbanking")


def test_nested_fields_may_come_as_a_form(sandbox: SandboxProcess) -> None:
    form = {
        "amount": "50000",
        "currency": "INR",
        "payment[capture]": "manual",
        "payment[capture_options][manual_expiry_period]": "7200",
        "transfers[0][account]": "acc_KpSandbox00001",
        "transfers[0][amount]": "100",
        "transfers[0][currency]": "INR",
        "transfers[0][linked_account_notes][]": "a",
        "transfers[0][notes][a]": "b",
    }
    response = sandbox.api.post("/v1/orders", data=form)
    assert response.status_code == 200, response.text
    assert response.json()["transfers"][0]["notes"] == {"a": "b"}
    assert sandbox.inspect("/snapshot")["order"][0]["manual_expiry"] == 7200
    deep = sandbox.api.post("/v1/orders", data={"a" + "[b]" * 50: "c"})
    assert deep.status_code == 400


@pytest.mark.parametrize(
    "spelling", ["expand[]", "expand[0]", "expand[expand]", "expand", "expand[x][]"]
)
def test_expand_may_be_spelt_as_the_sdks_spell_it(sandbox: SandboxProcess, spelling: str) -> None:
    payment = sandbox.create_payment(method="card")
    for path in (f"/v1/payments/{payment['id']}", "/v1/payments"):
        answer = sandbox.call("GET", path, params={spelling: "card"})
        shown = answer["items"][0] if path == "/v1/payments" else answer
        assert shown["card"]["last4"] == "1007"
    several = sandbox.call(
        "GET", f"/v1/payments/{payment['id']}", params={"expand[]": ["card", "emi", "upi"]}
    )
    assert several["emi"] is None
    assert several["card"]


def test_what_is_not_played_is_the_sandboxs_own_refusal(sandbox: SandboxProcess) -> None:
    for field, what in not_played.ORDER_FIELDS.items():
        body = {"amount": 50_000, "currency": "INR", field: {"a": "b"}}
        error = sandbox.expect_error("POST", "/v1/orders", body)
        assert error["code"] == "SANDBOX_ERROR"
        assert error["description"] == f"The sandbox does not play {what}."
        assert error["field"] == field
    for method in not_played.PAYMENT_METHODS:
        body = {"amount": 50_000, "currency": "INR", "method": method}
        assert sandbox.expect_error("POST", "/v1/orders", body)["code"] == "SANDBOX_ERROR"
    for route in not_played.ROUTES:
        path = route.replace("*", "pay_KpSandbox00001")
        for method, address in (("GET", path), ("POST", f"{path}/x/y")):
            error = sandbox.expect_error(method, address)
            assert error["code"] == "SANDBOX_ERROR", address
    assert sandbox.expect_error("GET", "/v1/nothing")["code"] == "BAD_REQUEST_ERROR"


def test_the_guide_lists_what_is_not_played() -> None:
    page = GUIDE.read_text()
    assert not_played.replace_table(page) == page, (
        "Run: python -m kernapay.sandbox.not_played kernapay/docs/differences.md"
    )
    stale = page.replace("| `/v1/invoices` | invoices |\n", "")
    assert not_played.replace_table(stale) == page
