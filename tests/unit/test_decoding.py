"""What the gateway sends is read leniently, and its amounts are never guessed."""

from typing import Any

import pytest

from kernapay.gateway.base import GatewayPayment
from kernapay.gateway.decoding import Unreadable, read_entity, read_json
from tests.factories import gateway_payment


def read(**changes: Any) -> GatewayPayment:
    return read_entity({**gateway_payment("order_1"), **changes}, GatewayPayment)


@pytest.mark.parametrize(
    ("given", "amount"), [(118, 118), (118.0, 118), ("118", 118), (0, 0), (2**53, 2**53)]
)
def test_an_amount_is_taken_when_it_is_certain(given: object, amount: int) -> None:
    payment = read(amount=given, fee=given)
    assert (payment.amount, payment.fee) == (amount, amount)
    assert type(payment.amount) is type(payment.fee) is int


@pytest.mark.parametrize(
    "given", [118.5, "118.0", "118.5", "1,180", "", "-", True, [], {}, 1e300, 10**30, "9" * 18]
)
@pytest.mark.parametrize("name", ["amount", "fee", "tax", "amount_refunded"])
def test_an_amount_that_is_not_certain_is_refused(name: str, given: object) -> None:
    with pytest.raises(Unreadable):
        read(**{name: given})


@pytest.mark.parametrize("name", ["id", "amount", "currency", "status"])
def test_what_every_payment_has_is_required(name: str) -> None:
    entity = gateway_payment("order_1")
    del entity[name]
    for broken in (entity, {**entity, name: None}, {**entity, name: {}}):
        with pytest.raises(Unreadable):
            read_entity(broken, GatewayPayment)


@pytest.mark.parametrize(
    ("given", "captured"),
    [("1", True), (1, True), ("true", True), ("0", False), (0, False), (None, False)],
)
def test_a_flag_may_be_a_number_or_text(given: object, captured: bool) -> None:
    assert read(captured=given).captured is captured


@pytest.mark.parametrize("given", ["yes", 2, [], 1.5])
def test_a_flag_that_is_neither_is_refused(given: object) -> None:
    with pytest.raises(Unreadable):
        read(captured=given)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1_769_854_531, 1_769_854_531),
        (1_769_854_531.0, 1_769_854_531),
        ("1769854531", 1_769_854_531),
        ("2026-01-31T10:15:31Z", 1_769_854_531),
        ("2026-01-31T15:45:31+05:30", 1_769_854_531),
        # Unknown, rather than wrong by a time zone or a factor of a thousand.
        ("2026-01-31T10:15:31", 0),
        (1_769_854_531_000, 0),
        (None, 0),
        ("soon", 0),
        ([], 0),
        (True, 0),
    ],
)
def test_a_time_that_cannot_be_read_is_unknown(given: object, seconds: int) -> None:
    assert read(created_at=given).created_at == seconds


def test_texts_that_decide_nothing_may_have_any_form() -> None:
    payment = read(method=[], error_code=False, error_reason={"a": 1}, refund_status=5)
    assert (payment.method, payment.error_code, payment.error_reason) == (None, None, None)


def test_an_order_id_that_is_not_certain_is_refused_and_not_taken_for_none() -> None:
    nothing: tuple[object, ...] = (None, [], False)
    for none in nothing:
        assert read(order_id=none).order_id is None
    for given in (5, {"id": "order_1"}, ["order_1"]):
        with pytest.raises(Unreadable):
            read(order_id=given)


def test_unknown_fields_are_no_matter() -> None:
    assert read(added_later={"deep": [1, {}]}).amount == 50_000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'["\ud83d"]', "\ufffd"),
        (rb'["a\udc00b"]', "a\ufffdb"),
        (rb'["\ud83d\ude00"]', "\U0001f600"),
        (b'["\xff"]', "\ufffd"),
        (b'\xef\xbb\xbf["a"]', "a"),
    ],
)
def test_text_that_is_broken_is_still_read(body: bytes, text: str) -> None:
    assert read_json(body) == [text]


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": 1', b"no", b"[" * 100_000, b"<html>"])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_json(body)
