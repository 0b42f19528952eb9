"""Decode the gateway's settlements and their rows, each by itself, so that an unreadable row affects no other."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from kernapay.settlements.models import BankSettlement, SettlementRow

Raw = Mapping[str, Any]

# MongoDB: the largest integer that it stores.
_LARGEST: Final = 2**63 - 1
_LONGEST_ID: Final = 64
_LONGEST_TEXT: Final = 512
# Razorpay: times lie between 2000 and 2120, in Unix seconds.
_FIRST_TIME: Final = 946_684_800
_LAST_TIME: Final = 4_765_046_400


class Odd(ValueError):
    """A value of an unknown form. The text names the column, not the value."""


def read_row(raw: object) -> SettlementRow:
    """Return a row of the feed. A row that cannot be read has a `flaw`, and its amounts are 0."""
    if not isinstance(raw, Mapping):
        return _flawed({}, raw, "not an object")
    try:
        return _row(raw)
    except Odd as odd:
        return _flawed(raw, raw, str(odd))


def _row(raw: Raw) -> SettlementRow:
    entity_id, kind = _text(raw, "entity_id"), _text(raw, "type")
    if not entity_id or not kind:
        raise Odd("entity_id or type is missing")
    return SettlementRow(
        **_facts(raw),
        entity_id=entity_id,
        type=kind,
        credit=_required(raw, "credit"),
        debit=_required(raw, "debit"),
        amount=_money(raw, "amount") or 0,
        fee=_money(raw, "fee") or 0,
        tax=_money(raw, "tax") or 0,
    )


def _flawed(columns: Raw, raw: object, flaw: str) -> SettlementRow:
    # Of the whole row, so that a repeat of it has the same id, in whatever order its columns come.
    digest = hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()
    return SettlementRow(
        **_facts(columns),
        entity_id=_id(columns, "entity_id") or f"unreadable-{digest[:32]}",
        type=_id(columns, "type") or "unreadable",
        **dict.fromkeys(("credit", "debit", "amount", "fee", "tax"), 0),
        flaw=flaw,
    )


def _facts(raw: Raw) -> dict[str, Any]:
    """Return the columns that are no amounts. A column that cannot be read is None."""
    return {
        "settlement_id": _id(raw, "settlement_id"),
        "currency": _id(raw, "currency"),
        "entered_at": _time(raw, "created_at"),
        "settled_at": _time(raw, "settled_at"),
        "utr": _id(raw, "settlement_utr"),
        "payment_id": _id(raw, "payment_id"),
        "order_id": _id(raw, "order_id"),
        "order_receipt": _id(raw, "order_receipt"),
        "dispute_id": _id(raw, "dispute_id"),
        "method": _id(raw, "method"),
        "credit_type": _id(raw, "credit_type"),
        "description": _shortened(raw, "description"),
        "on_hold": raw.get("on_hold") if isinstance(raw.get("on_hold"), bool) else None,
    }


def read_settlement(raw: object, at: datetime) -> BankSettlement | None:
    """Return a settlement of the gateway, None if it cannot be read. `at` is used if its time is missing."""
    if not isinstance(raw, Mapping) or not (settlement_id := _id(raw, "id")):
        return None
    try:
        amount = _required(raw, "amount")
        fees, tax = (_money(raw, name) or 0 for name in ("fees", "tax"))
    except Odd:
        amount, fees, tax = None, 0, 0
    return BankSettlement(
        settlement_id=settlement_id,
        status=_id(raw, "status") or "unknown",
        amount=amount,
        fees=fees,
        tax=tax,
        utr=_id(raw, "utr"),
        settled_at=_time(raw, "created_at") or at,
    )


def _required(raw: Raw, name: str) -> int:
    value = _money(raw, name)
    if value is None:
        raise Odd(f"{name} is missing")
    return value


def _money(raw: Raw, name: str) -> int | None:
    """Return an amount in minor units: 118, 118.0 and "118" are one. Raises Odd rather than round."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            raise Odd(f"{name} is not an amount") from None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise Odd(f"{name} is not an amount")
    return value


def _text(raw: Raw, name: str) -> str | None:
    value = raw.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_ID or not _is_storable(value):
        raise Odd(f"{name} is not an id")
    return value


def _id(raw: Raw, name: str) -> str | None:
    try:
        return _text(raw, name)
    except Odd:
        return None


def _shortened(raw: Raw, name: str) -> str | None:
    value = raw.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) and _is_storable(value) else None


def _is_storable(text: str) -> bool:
    # BSON: half of a surrogate pair cannot be stored.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _time(raw: Raw, name: str) -> datetime | None:
    try:
        seconds = _money(raw, name)
    except Odd:
        return None
    if seconds is None or not _FIRST_TIME <= seconds <= _LAST_TIME:
        return None
    return datetime.fromtimestamp(seconds, UTC)
