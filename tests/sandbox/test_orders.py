import string
from typing import Any

import pytest

from tests.sandbox.box import KEY, OTHER_KEY, Box


def test_an_order_has_the_vendors_fields_and_an_id_in_its_alphabet(box: Box) -> None:
    order = box.order(receipt="r-1", notes={"a": "b"})
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
    assert box.ok("GET", f"/v1/orders/{order['id']}") == order


def test_empty_notes_are_an_empty_list(box: Box) -> None:
    assert box.order(notes={})["notes"] == []
    assert box.order(notes=[])["notes"] == []


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
def test_a_bad_order_is_refused_in_the_vendors_words(
    box: Box, body: Any, field: str | None, words: str
) -> None:
    error = box.error("POST", "/v1/orders", body)
    assert error["code"] == "BAD_REQUEST_ERROR"
    assert words in error["description"]
    assert error["reason"] == "input_validation_failed"
    if field:
        assert error["field"] == field
    assert box.ok("GET", "/v1/orders")["count"] == 0


def test_an_unknown_field_is_refused_as_extra(box: Box) -> None:
    error = box.error("POST", "/v1/orders", {"amount": 100, "currency": "INR", "colour": "red"})
    assert error["reason"] == "extra_field_sent"
    assert error["description"] == "colour is/are not required and should not be sent"


@pytest.mark.parametrize(
    ("currency", "least", "too_little"),
    [("INR", 100, 99), ("USD", 100, 99), ("JPY", 1, 0), ("KWD", 1000, 999)],
)
def test_the_least_amount_follows_the_currencys_decimals(
    box: Box, currency: str, least: int, too_little: int
) -> None:
    box.ok("POST", "/v1/orders", {"amount": least, "currency": currency})
    error = box.error("POST", "/v1/orders", {"amount": too_little, "currency": currency})
    assert f"must be at least {currency} 1" in error["description"]


def test_the_last_of_three_decimals_must_be_zero(box: Box) -> None:
    box.ok("POST", "/v1/orders", {"amount": 99_990, "currency": "KWD"})
    assert (
        "last digit"
        in box.error("POST", "/v1/orders", {"amount": 99_991, "currency": "KWD"})["description"]
    )


def test_receipts_may_repeat_unless_the_order_asks_for_a_unique_one(box: Box) -> None:
    first, second = box.order(receipt="same"), box.order(receipt="same")
    assert first["id"] != second["id"]
    unique = box.order(receipt="once", unique_receipt=True)
    again = box.order(receipt="once", unique_receipt=True)
    assert unique["id"] == again["id"]
    found = box.ok("GET", "/v1/orders", params={"receipt": "same"})
    assert [order["id"] for order in found["items"]] == [second["id"], first["id"]]


def test_lists_are_paged_newest_first_and_count_their_own_items(box: Box) -> None:
    ids = [box.order()["id"] for _ in range(12)]
    page = box.ok("GET", "/v1/orders")
    assert page["entity"] == "collection"
    assert page["count"] == 10
    assert [order["id"] for order in page["items"]] == ids[:1:-1]
    rest = box.ok("GET", "/v1/orders", params={"skip": 10, "count": 5})
    assert [order["id"] for order in rest["items"]] == [ids[1], ids[0]]
    for params, field in (
        ({"count": 101}, "count"),
        ({"count": 0}, "count"),
        ({"skip": -1}, "skip"),
        ({"from": 5}, "from"),
        ({"count": "ten"}, "count"),
    ):
        assert box.error("GET", "/v1/orders", params=params)["field"] == field


def test_a_span_of_time_narrows_a_list(box: Box) -> None:
    box.control("/clock", now=1_767_225_600, frozen=True)
    early = box.order()
    box.advance(100)
    late = box.order()

    def ids(**params: int) -> list[str]:
        return [o["id"] for o in box.ok("GET", "/v1/orders", params=params)["items"]]

    assert ids(**{"from": 1_767_225_601}) == [late["id"]]
    assert ids(to=1_767_225_699) == [early["id"]]
    assert ids(**{"from": 1_767_225_600, "to": 1_767_225_700}) == [late["id"], early["id"]]


def test_an_orders_payments_can_be_expanded_with_their_cards(box: Box) -> None:
    order = box.order()
    box.pay(order, method="card")
    plain = box.ok("GET", f"/v1/orders/{order['id']}", params={"expand[]": "payments"})
    assert "card" not in plain["payments"]["items"][0]
    page = box.ok("GET", "/v1/orders", params={"expand[]": "payments.card"})
    payment = page["items"][0]["payments"]["items"][0]
    assert payment["card"]["last4"] == "1007"
    assert payment["card"]["id"] == payment["card_id"]
    assert box.error("GET", "/v1/orders", params={"expand[]": "soul"})["field"] == "expand"


def test_only_notes_of_an_order_can_be_changed(box: Box) -> None:
    order = box.order()
    path = f"/v1/orders/{order['id']}"
    assert box.ok("PATCH", path, {"notes": {"k": "v"}})["notes"] == {"k": "v"}
    assert box.error("PATCH", path, {"notes": {}, "amount": 1})["reason"] == "extra_field_sent"
    assert "required" in box.error("PATCH", path, {})["description"]


def test_authorized_orders_can_be_listed(box: Box) -> None:
    box.order()
    waiting = box.order(payment={"capture": "manual"})
    box.pay(waiting)
    found = box.ok("GET", "/v1/orders", params={"authorized": 1})
    assert [order["id"] for order in found["items"]] == [waiting["id"]]


def test_keys_cannot_see_each_others_objects(box: Box) -> None:
    order = box.order(receipt="mine")
    payment = box.pay(order)["razorpay_payment_id"]
    refund = box.ok("POST", f"/v1/payments/{payment}/refund", {})["id"]
    for path in (f"/v1/orders/{order['id']}", f"/v1/payments/{payment}", f"/v1/refunds/{refund}"):
        answer = box.other.get(path)
        assert answer.status_code == 400
        assert answer.json()["error"]["description"] == "The id provided does not exist"
    for path in ("/v1/orders", "/v1/orders?receipt=mine", "/v1/payments", "/v1/refunds"):
        assert box.other.get(path).json()["count"] == 0


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
def test_without_a_good_key_pair_nothing_opens(box: Box, header: str | None) -> None:
    headers = {"authorization": header} if header else {}
    answer = box.stranger.get("/v1/orders", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "BAD_REQUEST_ERROR"
    crossed = box.stranger.get("/v1/orders", auth=(KEY[0], OTHER_KEY[1]))
    assert crossed.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/orders"),
        ("GET", "/v1"),
        ("POST", "/v1/orders/x/y/z"),
    ],
)
def test_an_unknown_route_is_a_bad_request(box: Box, method: str, path: str) -> None:
    error = box.error(method, path)
    assert error["description"] == "The requested URL was not found on the server."


@pytest.mark.parametrize(
    "order_id", ["order_1", "pay_KpSandbox00001", "ORDER_KpSandbox00001", "%00"]
)
def test_a_malformed_id_is_named(box: Box, order_id: str) -> None:
    assert "is not a valid id" in box.error("GET", f"/v1/orders/{order_id}")["description"]


def test_an_order_can_be_sent_as_a_form(box: Box) -> None:
    answer = box.api.post(
        "/v1/orders", data={"amount": "50000", "currency": "INR", "notes[a]": "b"}
    )
    assert answer.status_code == 200
    assert answer.json()["notes"] == {"a": "b"}


def test_an_order_older_than_180_days_is_out_of_reach(box: Box) -> None:
    order = box.order()
    box.advance(181 * 86_400)
    assert "180 days" in box.error("GET", f"/v1/orders/{order['id']}")["description"]
