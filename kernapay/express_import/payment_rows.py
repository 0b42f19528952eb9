"""Read payment rows of the Express service, and turn each into a payment to import."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from bson import ObjectId

from kernapay.core.patterns import NAME
from kernapay.express_import.row_values import (
    CannotMove,
    Row,
    hash_of,
    id_text,
    is_object_id,
    number_of,
    text_of,
    time_of,
    unescape,
)
from kernapay.payments.imported.keys import stored_key
from kernapay.payments.imported.models import Former
from kernapay.payments.models import Payment
from kernapay.payments.references import is_former, new_reference_id
from kernapay.payments.states import Status
from kernapay.storage.fields import TextId

SERVICE: Final = "express"
_ORDER: Final = re.compile(r"order_[A-Za-z0-9]{1,32}", re.ASCII)
_PROVIDER: Final = re.compile(NAME)
_CURRENCY: Final = re.compile("[A-Z]{3}", re.ASCII)
_LONGEST_LABEL: Final = 256
_WORDS: Final = frozenset(status.value for status in Status)


@dataclass(slots=True)
class OldPayment:
    """A payment as the Express service stored it. `odd` says which values were unusual, and how each was read."""

    id: ObjectId
    user_id: str
    order_id: str | None
    reference: str | None
    status: str | None
    amount: Decimal
    currency: str
    provider_id: str | None
    key: str | None
    description: str | None
    service_type: str
    created_at: datetime
    odd: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.reference or str(self.id)


def read_payment(row: Row, at: datetime) -> OldPayment:
    """Read a payment. `at` is the present time. Raises CannotMove."""
    odd: list[str] = []
    user_id = id_text(row.get("userId"))
    if user_id is None:
        raise CannotMove("its userId is no id")
    amount = number_of(row.get("amount"))
    if amount is None or amount <= 0:
        raise CannotMove("its amount is no number above 0")
    currency = text_of(row, "currency") or "INR"
    if not _CURRENCY.fullmatch(currency):
        raise CannotMove("its currency is no code of three letters")
    created_at, is_told = time_of(row, at)
    if not is_told:
        odd.append("createdAt is impossible: the time of its id")
    _note_forms(row, user_id, odd)
    return OldPayment(
        row["_id"],
        user_id,
        _order_of(row, odd),
        _reference_of(row, odd),
        _status_of(row, odd),
        amount,
        currency,
        _label(text_of(row, "providerId") or text_of(row, "doctorId")),
        _key_of(row, odd),
        _description_of(row, odd),
        _label(text_of(row, "serviceType")) or "CONSULTATION",
        created_at,
        odd,
    )


def hash_of_row(old: OldPayment) -> str:
    """Return a hash of the values of a row that an import decides by."""
    return hash_of([old.status, old.reference, str(old.amount), old.order_id, old.user_id])


def draft_of(
    old: OldPayment, payer: str, amount: int, former: Former, receipt: str | None, *, live: bool
) -> Payment:
    """Return the payment to enter. `payer` is the id of its account, `amount` is in minor units."""
    # The id of a payer that is no ObjectId does not fit into a reference.
    named = payer if is_object_id(payer) else str(old.id)
    return Payment(
        id=old.id,
        user_id=ObjectId(payer) if is_object_id(payer) else TextId(payer),
        reference_id=new_reference_id(named, old.created_at),
        provider_id=old.provider_id,
        order_id=old.order_id,
        razorpay_order_id=old.order_id,
        receipt=receipt,
        amount=amount,
        currency=old.currency,
        service_type=old.service_type,
        description=old.description,
        idempotency_key=old.key,
        former=former,
        livemode=live,
        created_at=old.created_at,
    )


def _order_of(row: Row, odd: list[str]) -> str | None:
    ids = {value for name in ("razorpayOrderId", "orderId") if (value := text_of(row, name))}
    if len(ids) > 1:
        raise CannotMove("its orderId and razorpayOrderId differ")
    order_id = ids.pop() if ids else None
    if order_id is None or _ORDER.fullmatch(order_id):
        return order_id
    odd.append("order id of another form than the gateway's: left out")
    return None


def _reference_of(row: Row, odd: list[str]) -> str | None:
    reference = text_of(row, "referenceId")
    if reference is not None and is_former(reference):
        return reference
    odd.append("without a reference of the usual form: none to find it by")
    return None


def _status_of(row: Row, odd: list[str]) -> str | None:
    status = text_of(row, "status")
    if status in _WORDS:
        return status
    odd.append("status of another word: kept as none")
    return None


def _key_of(row: Row, odd: list[str]) -> str | None:
    key = text_of(row, "idempotencyKey")
    if key is None:
        return None
    stored = stored_key(key)
    if stored != key:
        odd.append("idempotency key of another form than here: works where COMPAT=express is set")
    return stored


def _description_of(row: Row, odd: list[str]) -> str | None:
    text = text_of(row, "notes")
    if text is None:
        return None
    odd.append("notes as text: the description")
    if "&lt;" in text:
        odd.append("&lt; in the description: < again")
    return _label(" ".join(unescape(text).split()))


def _label(text: str | None) -> str | None:
    """Return a text without control characters, at most 256 characters; None if nothing is left."""
    if text is None:
        return None
    return "".join(each for each in text if each.isprintable())[:_LONGEST_LABEL] or None


def _note_forms(row: Row, user_id: str, odd: list[str]) -> None:
    if isinstance(row.get("userId"), str):
        odd.append(
            "userId as text: an ObjectId" if is_object_id(user_id) else "userId of another system"
        )
    history = row.get("history")
    if isinstance(history, list) and any(isinstance(e, dict) and "_id" in e for e in history):
        odd.append("_id in the history: left out, as is the history")
    provider = text_of(row, "providerId") or text_of(row, "doctorId")
    if provider is not None and not _PROVIDER.fullmatch(provider):
        odd.append("provider of a form that new payments may not name: kept")
    if isinstance(row.get("amount"), float):
        odd.append("amount as a double: an integer")
