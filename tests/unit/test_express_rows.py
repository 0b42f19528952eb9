"""Rows of an Express service, and what is read from them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from bson import ObjectId

from kernapay.compat.bodies import payment
from kernapay.moving.payments import read_payment

AT = datetime(2026, 6, 1, tzinfo=UTC)


def payment_row(**changes: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "userId": str(ObjectId()),
        "amount": 500,
        "currency": "INR",
    } | changes


def test_an_old_client_finds_its_purchase_by_a_key_of_any_form() -> None:
    for key in ("order_1_2_abc", "with spaces ü", "a<b", "k" * 100, "\n"):
        row = payment_row(idempotencyKey=key.replace("<", "&lt;"))
        sent = {"amount": 500, "idempotencyKey": key}
        fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in sent.items()}
        translated = msgspec.json.decode(payment(fields, {})["idempotencyKey"])
        assert read_payment(row, AT).key == translated
        assert translated.isascii()
        assert len(translated) <= 128
    assert read_payment(payment_row(idempotencyKey="order_1_2_abc"), AT).key == "order_1_2_abc"


def test_a_provider_that_new_payments_cannot_name_is_reported() -> None:
    old = read_payment(payment_row(providerId="Dr. Mehta's clinic"), AT)
    assert old.provider_id == "Dr. Mehta's clinic"
    assert any("provider" in each for each in old.odd)
    assert not any(
        "provider" in e for e in read_payment(payment_row(providerId="clinic-7"), AT).odd
    )
