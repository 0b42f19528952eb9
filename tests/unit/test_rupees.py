"""Amounts of the Express service's contract: nothing is rounded, in either direction."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernapay.compat.answers import encode
from kernapay.compat.rupees import in_rupees, to_paise, to_rupees
from kernapay.payments.currencies import amount_problem


@given(st.integers(1, 10**15 - 1))
def test_an_amount_that_was_sent_out_comes_back_as_the_same_paise(paise: int) -> None:
    text = encode({"amount": to_rupees(paise, "INR")})
    assert to_paise(msgspec.json.decode(text, type=dict[str, msgspec.Raw])["amount"]) == paise


def test_one_decimal_is_ten_paise() -> None:
    assert to_paise(msgspec.Raw(b"499.5")) == 49_950


@pytest.mark.parametrize(
    ("amount", "currency", "whole"),
    [
        (50_000, "INR", 500),
        (29, "INR", Decimal("0.29")),
        (500, "JPY", 500),
        (1_230, "KWD", Decimal("1.23")),
        (0, "INR", 0),
        (-150, "INR", Decimal("-1.5")),
    ],
)
def test_an_answer_has_whole_units_of_its_currency(
    amount: int, currency: str, whole: int | Decimal
) -> None:
    assert to_rupees(amount, currency) == whole


def test_kernapays_sentences_about_amounts_speak_of_rupees() -> None:
    assert in_rupees(amount_problem(50, "INR", 10**6) or "") == "Must be at least ₹1.00."
    text = (
        "Must be at least 100000 paise (₹1,000.00) for the service type X."
        " Amounts are in paise: for ₹50,000.00, send 5000000."
    )
    assert in_rupees(text) == "Must be at least ₹1,000.00 for the service type X."
