"""Rows of an Express service, and what is read from them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import bson
import msgspec
import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernapay.compat.bodies import payment
from kernapay.express_import.account_rows import email_of, read_user, seen_of
from kernapay.express_import.amounts import Unit, convert
from kernapay.express_import.payment_rows import OldPayment, draft_of, hash_of_row, read_payment
from kernapay.express_import.row_values import CannotMove
from kernapay.payments.imported.models import Former

AT = datetime(2026, 6, 1, tzinfo=UTC)
CODEC: bson.CodecOptions[dict[str, Any]] = bson.CodecOptions(
    tz_aware=True, datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_CLAMP
)
HASH = "$2b$10$" + "abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"[:53]

TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        *("", " ", "500", "1,00,000.00", "NaN", "2026-01-01", "yesterday", "=cmd|' /C calc'!A0"),
        *("&lt;script>", "\u202etxt.exe", "\x00", "order_AAAA", "PAY_x_1_2", "../../etc/passwd"),
        *("x" * 5000, "success", "USER", "ADMIN", "+91", "a@example.com", HASH),
    ]
)
NUMBERS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.sampled_from([0, 1, 500, 499.5, 100.1, 1e20, -0.0, 2.0**53, 2**53, Int64(500)])
    | st.sampled_from(
        ["0", "500", "499.50", "-1", "1E+20", "1E+6144", "1E-6176", "NaN", "sNaN", "Infinity"]
    ).map(Decimal128)
)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.binary(max_size=9)
    | st.integers(-(2**63), 2**63 - 1).map(DatetimeMS)
    | st.sampled_from([MinKey(), MaxKey(), Regex("^a"), Timestamp(1, 1), ObjectId()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("$ne"), inner, max_size=1),
    max_leaves=3,
)
NOTHING = object()


def rows_of(usual: Mapping[str, object]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows of which a few fields are odd or missing, as MongoDB gives them."""
    changes = st.dictionaries(st.sampled_from(sorted(usual)), ODD | st.just(NOTHING), max_size=3)
    ids = st.integers(0, 2**32 - 1).map(lambda s: ObjectId(s.to_bytes(4, "big") + bytes(8)))

    def stored(row: dict[str, Any]) -> dict[str, Any]:
        there = {name: value for name, value in row.items() if value is not NOTHING}
        return bson.decode(bson.encode(there), CODEC)

    return st.builds(lambda row_id, odd: stored({"_id": row_id, **usual, **odd}), ids, changes)


PAYMENTS = rows_of(
    {
        "userId": "5f1b0c2a7d4e5f6012345678",
        "orderId": "order_A",
        "razorpayOrderId": "order_A",
        "amount": 500,
        "currency": "INR",
        "status": "success",
        "providerId": "clinic-7",
        "referenceId": "PAY_5f1b0c2a7d4e5f6012345678_1760000000000_7",
        "serviceType": "CONSULTATION",
        "notes": "A visit",
        "idempotencyKey": "order_1",
        "history": [{"_id": ObjectId(), "status": "pending"}],
        "createdAt": AT,
    }
)
USERS = rows_of(
    {
        "email": "Asha@Example.com",
        "mobileNumber": 9876543210.0,
        "countryCode": "+91",
        "password": HASH,
        "name": "Asha",
        "type": "USER",
        "status": "ACTIVE",
        "isEmailVerified": True,
        "createdAt": AT,
    }
)


def check_payment(row: dict[str, Any]) -> None:
    """A payment is refused, or everything of it can be stored, and its amount is exact."""
    try:
        old = read_payment(row, AT)
    except CannotMove:
        return
    assert hash_of_row(old)
    assert isinstance(old, OldPayment)
    assert old.amount.is_finite()
    assert old.amount > 0
    assert AT - timedelta(days=20_000) < old.created_at <= AT + timedelta(days=1)
    for unit, factor in ((Unit.RUPEES, 100), (Unit.PAISE, 1)):
        try:
            amount = convert(old.amount, old.currency, unit)
        except CannotMove:
            continue
        assert Decimal(amount) == old.amount * factor
        former = Former(
            service="express",
            reference=old.reference,
            status=old.status,
            amount=str(old.amount),
            unit=unit.value,
            proof="operator",
        )
        draft = draft_of(old, old.user_id, amount, former, None, live=False)
        draft.updated_at = draft.created_at
        draft.validate()
        written = bson.decode(bson.encode(draft.to_mongo()))
        assert len(bson.encode(written)) < 10_000
        for name in ("description", "providerId", "serviceType"):
            assert not re.search("[\x00-\x1f\u202e]", written.get(name) or "")


def check_user(row: dict[str, Any]) -> None:
    """An account is refused, or can be stored, without a right and without a proof."""
    assert seen_of(row)
    email = email_of(row, production=True)
    if email is None:
        return
    try:
        user = read_user(row, email, AT).user
    except CannotMove:
        return
    user.updated_at = user.created_at
    user.validate()
    assert bson.encode(user.to_mongo())
    assert user.type in ("USER", "PROVIDER")
    assert not user.is_email_verified
    assert user.email == user.email.lower()
    assert len(user.name) <= 100


@pytest.mark.parametrize(
    ("rows", "check"), [(PAYMENTS, check_payment), (USERS, check_user)], ids=["payments", "users"]
)
@pytest.mark.parametrize(
    "examples", [60, pytest.param(3_000, marks=pytest.mark.soak)], ids=["some", "many"]
)
def test_any_row_is_refused_or_read_so_that_it_can_be_stored(
    rows: st.SearchStrategy[dict[str, Any]],
    check: Callable[[dict[str, Any]], None],
    examples: int,
) -> None:
    bounded = settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck)
    )
    bounded(given(rows)(check))()


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
