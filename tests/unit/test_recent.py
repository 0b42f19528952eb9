"""The payments that a process remembers: those that cannot change, for ten minutes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from kernapay.payments.imported.models import Former
from kernapay.payments.models import Payment
from kernapay.payments.recent import RecentPayments

USER = str(ObjectId())


def payment(key: str = "a-key", **changes: Any) -> Payment:
    fields = {
        "id": ObjectId(),
        "user_id": USER,
        "amount": 50_000,
        "currency": "INR",
        "reference_id": "PAY_x",
        "idempotency_key": key,
        "razorpay_order_id": "order_x",
        "fingerprint": "f" * 64,
        "livemode": False,
        "checkout": True,
        "payable_until": datetime(2026, 12, 1, tzinfo=UTC),
    }
    return Payment(**fields | changes)


def test_a_payment_is_remembered_as_it_was_created_for_ten_minutes() -> None:
    at = 0.0
    recent = RecentPayments(timer=lambda: at)
    row = payment()
    recent.add(row)
    at = 599.0
    found = recent.find(USER, "a-key")
    assert found is not None
    for name in found.__struct_fields__:
        expected = getattr(row, name)
        if name in ("id", "user_id"):
            expected = str(expected)
        assert getattr(found, name) == expected, name
    assert recent.find(USER, "another-key") is None
    assert recent.find(str(ObjectId()), "a-key") is None
    at = 600.0
    assert recent.find(USER, "a-key") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"razorpay_order_id": None},
        {"customer_id": ObjectId()},
        {"former": Former()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_may_still_change_is_not_remembered(changes: dict[str, Any]) -> None:
    recent = RecentPayments()
    recent.add(payment(**changes))
    assert recent.find(USER, "a-key") is None


def test_the_oldest_are_forgotten_beyond_2048() -> None:
    recent = RecentPayments()
    for number in range(2_050):
        recent.add(payment(f"key-{number}"))
    assert [bool(recent.find(USER, f"key-{number}")) for number in (0, 1, 2, 2_049)] == [
        False,
        False,
        True,
        True,
    ]
