"""Translate KernaPay's answers into those of the Express contract.

Each answer contains listed fields only, so that no amount passes untranslated.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from kernapay.compat.roles import to_theirs
from kernapay.compat.rupees import in_rupees, to_rupees
from kernapay.core.text import show_controls_in_json

Json = dict[str, Any]
_AMOUNTS: Final = ("amount", "amountPaid", "amountRefunded")
_TIMES: Final = ("createdAt", "updatedAt")
_CREATED: Final = (
    *("orderId", "amount", "currency", "referenceId", "status"),
    *("livemode", "payableUntil", "name"),
)
_SHOWN: Final = (
    *("_id", "userId", "providerId", "serviceType", "amount", "currency", "paymentGateway"),
    *("paymentMethod", "createdAt", "updatedAt", "status", "referenceId", "orderId"),
    *("razorpayOrderId", "razorpayPaymentId", "refundStatus", "amountRefunded", "amountPaid"),
    *("livemode", "payableUntil", "final"),
)
_LISTED: Final = (
    *("referenceId", "status", "createdAt", "razorpayOrderId", "amount", "currency", "serviceType"),
    *("paymentMethod", "refundStatus", "amountRefunded", "amountPaid", "livemode", "final"),
)
_UNPAID: Final = "Payment Not Done"
_REPEATED: Final = "Payment already created with this idempotency key"
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode(answer: Json) -> bytes:
    """Return an answer as JSON with `&lt;` for every `<`, as the Express service stored it.

    Its pages insert names and errors into HTML without escaping.
    """
    return show_controls_in_json(_encoder.encode(answer)).replace(b"<", b"&lt;")


def signed_up(user: Json, status: int, key: str) -> Json:
    return {"success": True, **_account(user)}


def signed_in(answer: Json, status: int, key: str) -> Json:
    return {"success": True, **answer, "user": _account(answer["user"])}


def profile(user: Json, status: int, key: str) -> Json:
    return {"success": True, "message": "success", **_account(user)}


def updated(user: Json, status: int, key: str) -> Json:
    return {"success": True, "message": "User details updated successfully"}


def created(answer: Json, status: int, key: str) -> Json:
    """Return a new payment with Checkout's public key, or with `isDuplicate` if it was created before."""
    data = _pick(answer["data"], _CREATED) | {"razorpayKey": answer["data"]["key"]}
    if status == HTTPStatus.CREATED:
        return {"success": True, "data": {**data, "idempotencyKey": key}}
    repeat = {"isDuplicate": True, "message": _REPEATED}
    return {"success": True, "data": data | repeat, "message": _REPEATED}


def verified(answer: Json, status: int, key: str) -> Json:
    return _pick(answer, ("success", "message", "paymentMethod", "livemode"))


def shown(view: Json, status: int, key: str) -> Json:
    """Return one payment. In the Express contract, the description is `notes`."""
    data = _pick(view, _SHOWN) | {"notes": view["description"] or ""}
    return {"success": True, "data": data | {"paymentMethod": view["paymentMethod"] or _UNPAID}}


def listed(page: list[Json], status: int, key: str) -> Json:
    return {"success": True, "data": [_pick(row, _LISTED) for row in page]}


def received(answer: Json, status: int, key: str) -> Json:
    return {"success": True}


def ready(answer: Json, status: int, key: str) -> Json:
    return {**answer, "compat": "express", "amounts": "rupees"}


def problem(answer: Json, status: int, texts: Mapping[str, str]) -> Json:
    """Return a problem with `success`, `error` and `message` beside its own fields.

    `texts` has the Express service's messages by field or code.
    """
    errors = [{**each, "message": in_rupees(each["message"])} for each in answer["errors"]]
    detail = in_rupees(answer["detail"])
    names = (*(each["field"] for each in errors), answer["code"])
    text = next((texts[name] for name in names if name in texts), detail)
    old = {"success": False, "error": text, "message": text}
    return {**answer, "status": status, "detail": detail, "errors": errors, **old}


def _account(user: Json) -> Json:
    return {**user, "type": to_theirs(user["type"])}


def _pick(row: Json, names: tuple[str, ...]) -> Json:
    """Return these fields, with amounts in rupees, and times to the millisecond."""
    picked = {name: row[name] for name in names if name in row}
    for name in _AMOUNTS:
        if picked.get(name) is not None:
            picked[name] = to_rupees(picked[name], row["currency"])
    for name in _TIMES:
        if picked.get(name) is not None:
            seconds, _, fraction = picked[name].removesuffix("Z").partition(".")
            picked[name] = f"{seconds}.{fraction[:3]:0<3}Z"
    return picked
