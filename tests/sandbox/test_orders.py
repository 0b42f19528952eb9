import string
from typing import Any

import pytest

from tests.sandbox.sandbox_process import DAY, KEY, NEW_YEAR, OTHER_KEY, SandboxProcess


def test_an_order_has_the_vendors_fields_and_form_of_id(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(receipt="r-1", notes={"a": "b"})
    assert order == {
        "id": order["id"],
        "entity": "order",
        "amount": 50_000,
        "amount_paid": 0,
        "amount_due": 50_000,
        "currency": "INR",
        "receipt": "r-1",
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": {"a": "b"},
        "created_at": order["created_at"],
    }
    prefix, _, rest = order["id"].partition("_")
    assert prefix == "order"
    assert len(rest) == 14
    assert set(rest) <= set(string.ascii_letters + string.digits)
    assert sandbox.fetch_order(order["id"]) == order


def test_empty_notes_are_an_empty_list(sandbox: SandboxProcess) -> None:
    assert sandbox.create_order(notes={})["notes"] == []
    assert sandbox.create_order(notes=[])["notes"] == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"currency": "INR"}, "amount", "The amount field is required."),
        ({"amount": 100}, "currency", "The currency field is required."),
        ({"amount": 1.5, "currency": "INR"}, "amount", "must be an integer"),
        ({"amount": True, "currency": "INR"}, "amount", "must be an integer"),
        ({"amount": 10**30, "currency": "INR"}, "amount", "exceeds maximum amount"),
        ({"amount": {"$ne": ""}, "currency": "INR"}, "amount", "must be an integer"),
        ({"amount": 99, "currency": "INR"}, "amount", "must be at least INR 1.00"),
        ({"amount": -5, "currency": "INR"}, "amount", "must be at least INR 1.00"),
        ({"amount": 50_000_001, "currency": "INR"}, "amount", "exceeds maximum amount"),
        ({"amount": 100, "currency": "XXX"}, "currency", "not supported"),
        ({"amount": 100, "currency": "INR", "receipt": "r" * 41}, None, "no more than 40"),
        (
            {"amount": 100, "currency": "INR", "notes": dict.fromkeys("abcdefghijklmnop", "x")},
            "notes",
            "15",
        ),
        ({"amount": 100, "currency": "INR", "notes": {"a": "x" * 257}}, "notes", "256"),
        ({"amount": 100, "currency": "INR", "notes": {"a": {"b": "c"}}}, "notes", "array"),
        ({"amount": 100, "currency": "INR", "payment": "auto"}, "payment", "object"),
        ({"amount": 100, "currency": "INR", "payment": {"capture": "later"}}, "capture", "invalid"),
    ],
)
def test_an_invalid_order_is_refused_with_the_vendors_message(
    sandbox: SandboxProcess, body: Any, field: str | None, words: str
) -> None:
    error = sandbox.expect_error("POST", "/v1/orders", body)
    assert error["code"] == "BAD_REQUEST_ERROR"
    assert words in error["description"]
    assert error["reason"] == "input_validation_failed"
    if field:
        assert error["field"] == field
    assert sandbox.call("GET", "/v1/orders")["count"] == 0


def test_an_unknown_field_is_refused_as_extra(sandbox: SandboxProcess) -> None:
    error = sandbox.expect_error(
        "POST", "/v1/orders", {"amount": 100, "currency": "INR", "colour": "red"}
    )
    assert error["reason"] == "extra_field_sent"
    assert error["description"] == "colour is/are not required and should not be sent"


@pytest.mark.parametrize(
    ("currency", "least", "too_little"),
    [("INR", 100, 99), ("USD", 100, 99), ("JPY", 1, 0), ("KWD", 1000, 999)],
)
def test_the_least_amount_follows_the_currencys_decimals(
    sandbox: SandboxProcess, currency: str, least: int, too_little: int
) -> None:
    sandbox.call("POST", "/v1/orders", {"amount": least, "currency": currency})
    error = sandbox.expect_error("POST", "/v1/orders", {"amount": too_little, "currency": currency})
    assert f"must be at least {currency} 1" in error["description"]


def test_the_last_of_three_decimals_must_be_zero(sandbox: SandboxProcess) -> None:
    sandbox.call("POST", "/v1/orders", {"amount": 99_990, "currency": "KWD"})
    assert (
        "last digit"
        in sandbox.expect_error("POST", "/v1/orders", {"amount": 99_991, "currency": "KWD"})[
            "description"
        ]
    )


def test_receipts_may_repeat_unless_the_order_asks_for_a_unique_one(
    sandbox: SandboxProcess,
) -> None:
    first, second = sandbox.create_order(receipt="same"), sandbox.create_order(receipt="same")
    assert first["id"] != second["id"]
    unique = sandbox.create_order(receipt="once", unique_receipt=True)
    repeated = sandbox.create_order(receipt="once", unique_receipt=True)
    assert unique["id"] == repeated["id"]
    orders = sandbox.call("GET", "/v1/orders", params={"receipt": "same"})["items"]
    assert [order["id"] for order in orders] == [second["id"], first["id"]]


def test_a_page_of_a_list_is_newest_first_and_counts_its_own_items(sandbox: SandboxProcess) -> None:
    ids = [sandbox.create_order()["id"] for _ in range(12)]
    page = sandbox.call("GET", "/v1/orders")
    assert page["entity"] == "collection"
    assert page["count"] == 10
    assert [order["id"] for order in page["items"]] == ids[:1:-1]
    rest = sandbox.call("GET", "/v1/orders", params={"skip": 10, "count": 5})
    assert [order["id"] for order in rest["items"]] == [ids[1], ids[0]]
    for params, field in (
        ({"count": 101}, "count"),
        ({"count": 0}, "count"),
        ({"skip": -1}, "skip"),
        ({"from": 5}, "from"),
        ({"count": "ten"}, "count"),
    ):
        assert sandbox.expect_error("GET", "/v1/orders", params=params)["field"] == field


def test_a_list_can_be_limited_to_a_time_span(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock()
    early = sandbox.create_order()
    sandbox.advance_clock(100)
    late = sandbox.create_order()

    def ids(**params: int) -> list[str]:
        return [o["id"] for o in sandbox.call("GET", "/v1/orders", params=params)["items"]]

    assert ids(**{"from": NEW_YEAR + 1}) == [late["id"]]
    assert ids(to=NEW_YEAR + 99) == [early["id"]]
    assert ids(**{"from": NEW_YEAR, "to": NEW_YEAR + 100}) == [late["id"], early["id"]]


def test_an_orders_payments_can_be_expanded_with_their_cards(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    sandbox.pay(order, method="card")
    plain = sandbox.call("GET", f"/v1/orders/{order['id']}", params={"expand[]": "payments"})
    assert "card" not in plain["payments"]["items"][0]
    page = sandbox.call("GET", "/v1/orders", params={"expand[]": "payments.card"})
    payment = page["items"][0]["payments"]["items"][0]
    assert payment["card"]["last4"] == "1007"
    assert payment["card"]["id"] == payment["card_id"]
    assert (
        sandbox.expect_error("GET", "/v1/orders", params={"expand[]": "soul"})["field"] == "expand"
    )


def test_only_notes_of_an_order_can_be_changed(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    path = f"/v1/orders/{order['id']}"
    assert sandbox.call("PATCH", path, {"notes": {"k": "v"}})["notes"] == {"k": "v"}
    error = sandbox.expect_error("PATCH", path, {"notes": {}, "amount": 1})
    assert error["reason"] == "extra_field_sent"
    assert "required" in sandbox.expect_error("PATCH", path, {})["description"]
    assert sandbox.fetch_order(order["id"])["notes"] == {"k": "v"}


def test_authorized_orders_can_be_listed(sandbox: SandboxProcess) -> None:
    sandbox.create_order()
    authorized = sandbox.create_order(payment={"capture": "manual"})
    sandbox.pay(authorized)
    orders = sandbox.call("GET", "/v1/orders", params={"authorized": 1})["items"]
    assert [order["id"] for order in orders] == [authorized["id"]]


def test_keys_cannot_see_each_others_objects(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order(receipt="mine")
    payment = sandbox.pay(order)["razorpay_payment_id"]
    refund = sandbox.call("POST", f"/v1/payments/{payment}/refund", {})["id"]
    for path in (f"/v1/orders/{order['id']}", f"/v1/payments/{payment}", f"/v1/refunds/{refund}"):
        response = sandbox.other_api.get(path)
        assert response.status_code == 400
        assert response.json()["error"]["description"] == "The id provided does not exist"
    for path in ("/v1/orders", "/v1/orders?receipt=mine", "/v1/payments", "/v1/refunds"):
        assert sandbox.other_api.get(path).json()["count"] == 0


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "basic cnpwX3Rlc3Rfa2VybmFwYXk6c2FuZGJveF9zZWNyZXRfa2VybmFwYXlfMDAwMQ==",
    ],
)
def test_a_call_without_a_valid_key_pair_is_refused(
    sandbox: SandboxProcess, header: str | None
) -> None:
    headers = {"authorization": header} if header else {}
    response = sandbox.anonymous.get("/v1/orders", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "BAD_REQUEST_ERROR"
    mixed = sandbox.anonymous.get("/v1/orders", auth=(KEY[0], OTHER_KEY[1]))
    assert mixed.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/orders"),
        ("GET", "/v1"),
        ("POST", "/v1/orders/x/y/z"),
    ],
)
def test_an_unknown_route_is_a_bad_request(sandbox: SandboxProcess, method: str, path: str) -> None:
    error = sandbox.expect_error(method, path)
    assert error["description"] == "The requested URL was not found on the server."


@pytest.mark.parametrize(
    "order_id", ["order_1", "pay_KpSandbox00001", "ORDER_KpSandbox00001", "%00"]
)
def test_a_malformed_id_is_named(sandbox: SandboxProcess, order_id: str) -> None:
    assert (
        "is not a valid id" in sandbox.expect_error("GET", f"/v1/orders/{order_id}")["description"]
    )


def test_an_order_can_be_sent_as_a_form(sandbox: SandboxProcess) -> None:
    response = sandbox.api.post(
        "/v1/orders", data={"amount": "50000", "currency": "INR", "notes[a]": "b"}
    )
    assert response.status_code == 200
    assert response.json()["notes"] == {"a": "b"}


def test_an_order_older_than_180_days_cannot_be_fetched(sandbox: SandboxProcess) -> None:
    order = sandbox.create_order()
    sandbox.advance_clock(181 * DAY)
    assert "180 days" in sandbox.expect_error("GET", f"/v1/orders/{order['id']}")["description"]


def test_an_order_is_fetched_with_transfers_as_the_sdk_for_ruby_asks(
    sandbox: SandboxProcess,
) -> None:
    order = sandbox.create_order()
    path = f"/v1/orders/{order['id']}/?expand[]=transfers&status"
    assert sandbox.call("GET", path)["transfers"]["count"] == 0


def test_a_body_of_null_is_an_empty_one_as_the_sdk_for_go_sends_it(sandbox: SandboxProcess) -> None:
    dispute = sandbox.control("/disputes", payment_id=sandbox.create_payment()["id"])
    accepted = sandbox.api.post(
        f"/v1/disputes/{dispute['id']}/accept",
        content=b"null",
        headers={"content-type": "application/json"},
    )
    assert accepted.json()["status"] == "lost"
