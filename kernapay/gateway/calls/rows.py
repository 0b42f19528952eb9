"""Make rows of calls to the gateway, without secrets and personal data.

The rows contain only listed fields, and only numbers, flags and fixed words of the gateway: no text that a person could
have written. So new fields in the gateway's answers cannot get in.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from kernapay.gateway.connections import Request
from kernapay.gateway.decoding import Unreadable, read_json
from kernapay.gateway.metrics import outcome_of
from kernapay.gateway.refusals import judge, read_refusal
from kernapay.gateway.transport import template_of

Row = dict[str, Any]

_SENT: Final = (
    *("amount", "currency", "receipt", "payment_capture", "speed"),
    *("count", "skip"),
)
_ANSWERED: Final = (
    *("id", "entity", "amount", "amount_paid", "amount_due", "amount_refunded", "currency"),
    *("status", "receipt", "attempts", "captured", "method", "order_id", "payment_id"),
    *("refund_status", "fee", "tax", "error_code", "error_reason", "error_source", "error_step"),
    *("speed_requested", "speed_processed", "phase", "amount_deducted", "reason_code"),
    *("respond_by", "created_at"),
)
_MOST_ITEMS: Final = 10
# Ids, states and codes. Whatever else a text is, it is not kept.
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_ID: Final = re.compile(r"(?:order|pay)_[A-Za-z0-9]{1,32}")
_LARGEST: Final = 2**63


class Call(NamedTuple):
    """A call as it was noted when it ended. Its headers, which have our keys, are left out."""

    ended_at: datetime
    method: str
    url: str
    sent: str | None
    status: int | None
    answer: bytes
    seconds: float
    request_id: str | None


def row_of(call: Call, process: str) -> Row | None:
    """Return the row of a call, or None when it names no payment."""
    url = urlsplit(call.url)
    sent = _chosen(_read(call.sent.encode()) if call.sent else dict(parse_qsl(url.query)), _SENT)
    answer = _read(call.answer)
    subjects = _subjects_of(url.path, sent, answer)
    if not subjects:
        return None
    row: Row = {
        "createdAt": call.ended_at - timedelta(seconds=call.seconds),
        "subjects": subjects,
        "call": template_of(Request(call.method, call.url, {}, None)),
        "path": url.path.strip("/").partition("/")[2],
        "outcome": outcome_of(call.status),
        "ms": round(call.seconds * 1000),
        "process": process,
        "sent": sent,
        "answered": _answered(answer),
    }
    if call.status is not None:
        row["status"] = call.status
        if not 200 <= call.status < 300:
            row |= _refused(call.status, call.answer, is_change=call.method != "GET")
    if call.request_id is not None:
        row["requestId"] = call.request_id
    return row


def _subjects_of(path: str, sent: Mapping[str, Any], answer: Any) -> list[str]:
    if isinstance(receipt := sent.get("receipt"), str) and not _ID.search(path):
        # It has the payment's id, also where several orders were made under it.
        return [receipt]
    named = _ID.findall(path)
    if isinstance(answer, dict):
        others = (answer.get(name) for name in ("id", "order_id", "payment_id"))
        named += [each for each in others if isinstance(each, str) and _ID.fullmatch(each)]
    return list(dict.fromkeys(named))


def _answered(answer: Any) -> Row:
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return _chosen(answer, _ANSWERED)
    return {
        "count": len(items),
        "items": [_chosen(item, _ANSWERED) for item in items[:_MOST_ITEMS]],
    }


def _refused(status: int, body: bytes, *, is_change: bool) -> Row:
    refusal = read_refusal(status, body)
    texts = {
        "code": refusal.code,
        "reason": refusal.reason,
        "gatewayField": refusal.field,
        "judged": judge(refusal, is_change=is_change).code,
    }
    return dict(_clean(texts.items()))


def _read(body: bytes) -> Any:
    try:
        return read_json(body) if body else None
    except Unreadable:
        return None


def _chosen(document: Any, names: tuple[str, ...]) -> Row:
    if not isinstance(document, dict):
        return {}
    return dict(_clean((name, document[name]) for name in names if name in document))


def _clean(values: Any) -> Iterator[tuple[str, Any]]:
    for name, value in values:
        match value:
            case bool():
                yield name, value
            case int() if -_LARGEST <= value < _LARGEST:
                yield name, value
            case str() if _WORD.fullmatch(value):
                yield name, value
