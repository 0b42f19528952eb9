"""Rows as the service wrote them, copied: each copy has ids and times of its own."""

import random
import secrets
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from bson import ObjectId

from kernapay.payments.dtos import PaymentCreate
from kernapay.payments.idempotency import fingerprint
from kernapay.payments.lifetimes import LATE_AUTHORIZATION
from kernapay.payments.models import Payout
from kernapay.payments.note_hashes import hash_note
from kernapay.payments.references import make_receipt, make_refund_receipt, new_reference_id
from kernapay.settlements.models import SettlementRow
from tests.aliases import Json
from tests.factories import payment_body, without

ORDER_NUMBER: Final = "orderNumber"
"""The note that each payment has, with a value of its own."""
# Razorpay: two business days after the payment, in the morning.
_SETTLED_AFTER: Final = timedelta(days=2)
# The default of PAYMENT_EXPIRY.
_OPEN_FOR: Final = timedelta(days=7)
# The worker asks the gateway about what is not paid: until it has ended, and some days more.
_CHECKED_FOR: Final = _OPEN_FOR + LATE_AUTHORIZATION
# Nothing comes due while the measuring lasts.
_LATER: Final = timedelta(days=1)
_SHARES: Final = {"webhook": 0.45, "verified": 0.40, "refunded": 0.03, "unpaid": 0.12}


def order_body(number: str, payee: object = None) -> Json:
    """Return what creates such a payment, without its key."""
    body = {**without(payment_body(), "idempotencyKey"), "notes": {ORDER_NUMBER: number}}
    return {**body, "providerId": str(payee)} if payee else without(body, "providerId")


class Parties(NamedTuple):
    """The payer, and the provider who is paid."""

    payer: ObjectId
    payee: ObjectId | None


class Made(NamedTuple):
    """The row of a payment, and that of its settlement once it is settled."""

    payment: Json
    settled: Json | None


class Templates(NamedTuple):
    """A payment in each state, as the service left it."""

    pending: Json
    failed: Json
    cancelled: Json
    webhook: Json
    verified: Json
    refunded: Json


class PaymentRows:
    """Makes the rows of payments from the templates. The same seed makes the same choices."""

    def __init__(self, templates: Templates, now: datetime, seed: int = 1) -> None:
        self._templates = templates
        self._now = now
        self._random = random.Random(seed)
        self._kinds = list(_SHARES)
        self._weights = list(_SHARES.values())
        self._payouts = {
            kind: (_payout(row), _settlement_row(row))
            for kind, row in templates._asdict().items()
            if row["status"] in ("success", "refunded")
        }

    def make(self, at: datetime, parties: Parties) -> Made:
        """Return the rows of a payment that was created at a time."""
        kind = self._choose(at)
        template = getattr(self._templates, kind)
        changes, later = _changes(template, at, parties), at - template["createdAt"]
        row: Json = _change(template, changes, later)
        if parties.payee is None:
            row.pop("payeeId", None)
            row.pop("providerId", None)
        else:
            row["payeeId"], row["providerId"] = parties.payee, str(parties.payee)
        settled_at = settled_at_of(at)
        if kind not in self._payouts or settled_at > self._now:
            if self._now - at < _CHECKED_FOR:
                row["checkAt"] = self._now + _LATER
            return Made(row, None)
        facts = {
            "settlementId": settlement_id_of(settled_at),
            "settledAt": settled_at,
            "utr": utr_of(settled_at),
        }
        payout, settled = self._payouts[kind]
        row["settledAt"] = settled_at
        row["settlements"] = [{**_change(payout, changes, later), **facts}]
        stored = {"_id": _new_id(at), **_change(settled, changes, later), **facts}
        stored["createdAt"] = stored["updatedAt"] = stored["enteredInPaymentAt"] = settled_at
        return Made(row, stored)

    def _choose(self, at: datetime) -> str:
        (kind,) = self._random.choices(self._kinds, self._weights)
        if kind != "unpaid":
            return kind
        if self._now - at > _OPEN_FOR - _LATER:
            return "cancelled"
        return self._random.choice(("pending", "failed"))


def _changes(template: Json, at: datetime, parties: Parties) -> dict[Any, Any]:
    """Return the ids of a template, each with the one that takes its place."""
    own_id = _new_id(at)
    payer, number = str(parties.payer), f"ORD-{secrets.token_hex(6)}"
    changes: dict[Any, Any] = {
        template["_id"]: own_id,
        template["userId"]: parties.payer,
        str(template["userId"]): payer,
        template["referenceId"]: new_reference_id(payer, at),
        template["receipt"]: make_receipt(own_id),
        template["idempotencyKey"]: f"key-{secrets.token_hex(8)}",
        template["orderId"]: f"order_{secrets.token_hex(7)}",
        template["notes"][ORDER_NUMBER]: number,
        template["noteHashes"][0]: hash_note(number),
        template["fingerprint"]: fingerprint(
            msgspec.convert(order_body(number, parties.payee), PaymentCreate)
        ),
    }
    if paid := template.get("razorpayPaymentId"):
        changes[paid] = f"pay_{secrets.token_hex(7)}"
    if signature := template.get("razorpaySignature"):
        changes[signature] = secrets.token_hex(32)
    for step in template["history"]:
        if event := step.get("eventId"):
            changes[event] = f"evt_{secrets.token_hex(8)}"
    for refund in template.get("refunds", ()):
        key = f"refund-{secrets.token_hex(8)}"
        changes[refund["key"]] = key
        changes[refund["receipt"]] = make_refund_receipt(own_id, key)
        changes[refund["refundId"]] = f"rfnd_{secrets.token_hex(7)}"
    return changes


def _change(value: Any, changes: Mapping[Any, Any], later: timedelta) -> Any:
    """Return a copy with other ids, and with every time so much later."""
    kind = type(value)
    if kind is str or kind is ObjectId:
        return changes.get(value, value)
    if kind is datetime:
        return value + later
    if kind is dict:
        return {name: _change(each, changes, later) for name, each in value.items()}
    if kind is list:
        return [_change(each, changes, later) for each in value]
    return value


def _new_id(at: datetime) -> ObjectId:
    return ObjectId(struct.pack(">I", int(at.timestamp())) + secrets.token_bytes(8))


def settled_at_of(created_at: datetime) -> datetime:
    """Return when a payment is settled that was paid at once."""
    morning = created_at.replace(hour=5, minute=30, second=0, microsecond=0)
    return morning + _SETTLED_AFTER


def settlement_id_of(settled_at: datetime) -> str:
    return f"setl_{settled_at:%Y%m%d}"


def utr_of(settled_at: datetime) -> str:
    return f"UTIB{settled_at:%Y%m%d}0001"


def _payout(row: Json) -> Json:
    """Return what a settlement enters into a payment, without what belongs to the settlement."""
    fee = row.get("fee") or 0
    entered: Json = Payout(
        settlement_id="",
        entity_id=row["razorpayPaymentId"],
        type="payment",
        credit=row["amountPaid"] - fee,
        debit=0,
        fee=fee,
        tax=row.get("tax") or 0,
    ).to_mongo()
    return dict(entered)


def _settlement_row(row: Json) -> Json:
    """Return the row of the feed, without what belongs to the settlement."""
    fee = row.get("fee") or 0
    stored: Json = SettlementRow(
        entity_id=row["razorpayPaymentId"],
        type="payment",
        credit=row["amountPaid"] - fee,
        debit=0,
        amount=row["amountPaid"],
        currency=row["currency"],
        fee=fee,
        tax=row.get("tax") or 0,
        entered_at=row["paidAt"],
        payment_id=row["razorpayPaymentId"],
        order_id=row["orderId"],
        order_receipt=row["receipt"],
        method=row["paymentMethod"],
        on_hold=False,
        reference_id=row["referenceId"],
    ).to_mongo()
    return dict(stored)
