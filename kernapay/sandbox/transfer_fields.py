"""What a client says of a transfer (Route), in an order, for a payment, or by itself."""

from typing import Final

from msgspec import Struct

from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.fields import MAX_TIME, MIN_TIME, Fields
from kernapay.sandbox.ids import ID_PATTERN

MIN_AMOUNT: Final = 100
"""In paise, of a transfer that no order makes."""


class TransferTerms(Struct, kw_only=True, frozen=True):
    """A transfer to make. The amount is in paise, the moment in Unix seconds."""

    recipient: str
    amount: int
    currency: str
    notes: dict[str, str]
    linked_account_notes: list[str]
    on_hold: bool
    on_hold_until: int | None


def read_transfers(fields: Fields) -> list[TransferTerms]:
    return [read_terms(item) for item in fields.objects("transfers") or ()]


def read_terms(fields: Fields) -> TransferTerms:
    """Return the terms. Raise RazorpayError if a field is invalid or unknown."""
    terms = TransferTerms(
        recipient=fields.require_text("account"),
        amount=fields.require_integer("amount"),
        currency=fields.require_text("currency"),
        notes=fields.notes() or {},
        linked_account_notes=fields.texts("linked_account_notes") or [],
        on_hold=fields.flag("on_hold") or False,
        on_hold_until=read_hold_end(fields),
    )
    fields.reject_unread()
    if not (terms.recipient.startswith("acc_") and ID_PATTERN.fullmatch(terms.recipient)):
        raise bad_request(f"{terms.recipient[:100]} is an invalid account_code.", "account")
    if terms.currency != "INR":
        raise bad_request("The currency should be INR for transfers", "currency")
    check_shown_notes(terms.linked_account_notes, terms.notes)
    return terms


def read_hold_end(fields: Fields) -> int | None:
    until = fields.integer("on_hold_until")
    if until is not None and not MIN_TIME <= until <= MAX_TIME:
        raise bad_request(
            f"on_hold_until must be between {MIN_TIME} and {MAX_TIME}", "on_hold_until"
        )
    return until


def check_shown_notes(names: list[str], notes: dict[str, str]) -> None:
    if not set(names) <= set(notes):
        raise bad_request(
            "Keys sent in linked_account_notes must exist in notes", "linked_account_notes"
        )
