"""Ids, money, text, addresses and numbers: small functions that everything relies on."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest
from bson import ObjectId
from hypothesis import example, given
from hypothesis import strategies as st

from kernapay.core.clock import now
from kernapay.core.errors import InvalidInput
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import Identifier, Label, Line
from kernapay.payments.currencies import amount_problem, exponent
from kernapay.payments.dtos import PaymentCreate, RefundCreate
from kernapay.payments.idempotency import fingerprint
from kernapay.payments.references import (
    REFERENCE_PATTERN,
    make_receipt,
    new_reference_id,
    payment_id_of,
    prefix_of,
)
from kernapay.users.contacts import check_phone, normalise_email, normalise_new_email

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MAXIMUM = 50_000_000


def test_now_is_what_mongodb_would_give_back() -> None:
    at = now()
    assert at.utcoffset() == timedelta(0)
    assert at.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=5)


def test_a_reference_names_user_and_time_and_cannot_be_guessed() -> None:
    user = str(ObjectId())
    references = {new_reference_id(user, NOON) for _ in range(1000)}
    assert len(references) == 1000
    for reference in references:
        assert re.fullmatch(REFERENCE_PATTERN, reference)
        assert reference.startswith(f"PAY_{user}_{int(NOON.timestamp() * 1000)}_")
        # 22 characters of 6 bits: at least the 96 bits that make `status` safe.
        assert len(reference.split("_", 3)[3]) == 22


@given(st.binary(min_size=12, max_size=12).map(ObjectId))
def test_a_receipt_fits_the_gateway_and_leads_back_to_its_payment(payment_id: ObjectId) -> None:
    for prefix in ("KP", "K", "KERNAPAY99"):
        receipt = make_receipt(payment_id, prefix)
        assert len(receipt) <= 40
        assert (prefix_of(receipt), payment_id_of(receipt)) == (prefix, payment_id)


@pytest.mark.parametrize(
    "receipt",
    [
        None,
        "",
        7,
        "KP_",
        "KP_" + "0" * 23,
        "KP_" + "0" * 25,
        "kp_" + "0" * 24,
        "KP_" + "g" * 24,
        ["KP"],
    ],
)
def test_a_receipt_of_somebody_else_leads_nowhere(receipt: Any) -> None:
    assert payment_id_of(receipt) is None
    assert prefix_of(receipt) is None


@given(st.text())
@example("KP_" + "0" * 24 + "\n")
def test_only_whole_receipts_are_ours(text: str) -> None:
    found = payment_id_of(text)
    assert found is None or make_receipt(found, str(prefix_of(text))) == text


@pytest.mark.parametrize("pattern", [REFERENCE_PATTERN, OBJECT_ID_PATTERN])
def test_patterns_take_nothing_after_their_end(pattern: str) -> None:
    decoder = msgspec.json.Decoder(text_of(pattern))
    good = new_reference_id("0" * 24, NOON) if pattern == REFERENCE_PATTERN else "0" * 24
    assert decoder.decode(msgspec.json.encode(good)) == good
    for bad in (good + "\n", "\n" + good, good + "x\n", good.upper() + "!"):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(msgspec.json.encode(bad))


def text_of(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=pattern)]


@pytest.mark.parametrize(
    ("currency", "places"), [("INR", 2), ("USD", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("BHD", 3)]
)
def test_currencies_have_their_decimals(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize(
    ("amount", "currency", "fits"),
    [
        (100, "INR", True),
        (99, "INR", False),
        (1, "JPY", True),
        (0, "JPY", False),
        (1000, "KWD", True),
        (999, "KWD", False),
        (1010, "KWD", True),
        (1001, "KWD", False),
        (MAXIMUM, "INR", True),
        (MAXIMUM + 1, "INR", False),
        (-100, "INR", False),
    ],
)
def test_an_amount_can_be_charged_or_it_is_said_why_not(
    amount: int, currency: str, fits: bool
) -> None:
    assert (amount_problem(amount, currency, MAXIMUM) is None) is fits


@given(st.integers(), st.sampled_from(["INR", "JPY", "KWD", "USD"]))
def test_no_amount_outside_the_bounds_is_chargeable(amount: int, currency: str) -> None:
    if amount_problem(amount, currency, MAXIMUM) is None:
        assert 10 ** exponent(currency) <= amount <= MAXIMUM
        assert currency != "KWD" or amount % 10 == 0


class Texts(msgspec.Struct):
    line: Line | None = None
    label: Label | None = None
    identifier: Identifier | None = None


texts = msgspec.json.Decoder(Texts)


def accepted(**fields: str) -> bool:
    # Python's own encoder: it lets lone surrogates through, as an attacker would.
    try:
        texts.decode(json.dumps(fields).encode())
    except msgspec.MsgspecError:
        return False
    return True


any_text = st.text(st.characters(codec=None, categories=None), max_size=300)


@given(any_text)
@example("a\x00b")
@example("\x7f")
@example("\ud800")
@example("line\nline")
def test_no_control_character_and_no_half_character_gets_in(text: str) -> None:
    harmful = any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in text)
    for field in ("line", "label", "identifier"):
        if accepted(**{field: text}):
            assert not harmful
            text.encode()


@given(any_text)
@example(" ")
@example(" ")
@example("  x  ")
def test_a_line_says_something(text: str) -> None:
    if accepted(line=text):
        assert text.strip()
        assert len(text) <= 100


@pytest.mark.parametrize("text", ["Asha Rao", "Zoë", "आशा", "李", "O'Neil-Ní", "🙂", "x" * 100])
def test_names_of_people_are_lines(text: str) -> None:
    assert accepted(line=text)


@pytest.mark.parametrize("text", ["", "x" * 101, "\t", "a\r"])
def test_what_is_no_line_is_refused(text: str) -> None:
    assert not accepted(line=text)


@pytest.mark.parametrize("text", ["$ne", "a b", "ü", "x" * 65, "", "a/b", "a\n"])
def test_what_no_program_would_write_is_no_identifier(text: str) -> None:
    assert not accepted(identifier=text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Asha@Example.COM", "asha@example.com"),
        ("  asha@example.com ", "asha@example.com"),
        ("asha+shop@example.com", "asha+shop@example.com"),
        ("ASHA@BÜCHER.example.com", "asha@bücher.example.com"),
    ],
)
def test_an_address_has_one_form(text: str, stored: str) -> None:
    assert normalise_email(text, production=False) == stored
    assert normalise_email(stored, production=False) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "asha",
        "asha@",
        "@example.com",
        "a@b",
        "a b@example.com",
        "a@example.com\x00",
        "a@@b.com",
        "a@[::1]",
        "\ud800@x.com",
    ],
)
def test_what_is_no_address_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise_email(text, production=True)
    assert caught.value.field == "email"


@pytest.mark.parametrize("domain", ["mailinator.com", "MAILINATOR.com", "sub.mailinator.com"])
def test_disposable_addresses_are_refused(domain: str) -> None:
    with pytest.raises(InvalidInput, match="Disposable"):
        normalise_new_email(f"asha@{domain}", production=True)
    # Whoever has an account keeps it, should their domain be listed later.
    assert normalise_email(f"asha@{domain}", production=True) == f"asha@{domain.lower()}"


@pytest.mark.parametrize(
    ("code", "number"),
    [("+91", 9876543210), ("+91", "9876543210"), ("+1", 2025550123), ("+49", 15112345678)],
)
def test_a_valid_number_is_taken_as_number_or_text(code: str, number: int | str) -> None:
    assert check_phone(code, number) == (code, int(number))


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("+91", 123),
        ("+91", 1000000000),
        ("+999", 9876543210),
        ("+91", "99999999999999"),
        ("+1", 9876543210),
    ],
)
def test_a_number_that_nobody_has_is_refused_by_its_field(code: str, number: int | str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_phone(code, number)
    assert caught.value.field == "mobileNumber"


BODY = PaymentCreate(
    amount=50_000, currency="INR", service_type="CONSULTATION", notes={"cart": "42"}
)
FIRST_FINGERPRINT = "4b18f0827ef71d9ddb15a7a3553acb9f0f83cd6415372b7f4d3b1eb6623c30ab"


def test_the_fingerprint_of_a_body_never_changes() -> None:
    """Keys that were used with an earlier version are repeated with this one."""
    assert fingerprint(BODY) == FIRST_FINGERPRINT


def test_a_field_that_is_added_breaks_no_key_in_flight() -> None:
    class Later(PaymentCreate, rename="camel"):
        customer_id: str | None = None
        tags: list[str] = msgspec.field(default_factory=list)

    body = msgspec.convert(msgspec.to_builtins(BODY), Later)
    assert fingerprint(body) == FIRST_FINGERPRINT
    assert fingerprint(msgspec.structs.replace(body, customer_id="c")) != FIRST_FINGERPRINT
    assert fingerprint(msgspec.structs.replace(body, tags=["x"])) != FIRST_FINGERPRINT


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 50_001},
        {"currency": "USD"},
        {"service_type": "LAB"},
        {"description": ""},
        {"provider_id": "p"},
        {"notes": {}},
        {"metadata": {"a": None}},
    ],
    ids=str,
)
def test_other_content_has_another_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(msgspec.structs.replace(BODY, **change)) != FIRST_FINGERPRINT


def test_the_key_is_no_content() -> None:
    assert fingerprint(msgspec.structs.replace(BODY, idempotency_key="k")) == FIRST_FINGERPRINT
    refund = RefundCreate(amount=100)
    with_key = msgspec.structs.replace(refund, idempotency_key="k")
    assert fingerprint(with_key) == fingerprint(refund) != fingerprint(RefundCreate())
