"""The fields that are read of Razorpay's events about disputes.

The payment in them is not read: Razorpay's own samples show it authorised and not captured.
"""

from typing import Any

import msgspec

from kernapay.gateway.base import GatewayDispute
from kernapay.gateway.decoding import read_entity, read_json
from kernapay.payments.disputes.news import EVENT_PREFIX
from kernapay.webhooks.dtos import Wrapped


class DisputePayload(msgspec.Struct, frozen=True):
    dispute: Wrapped[GatewayDispute]


class DisputeEvent(msgspec.Struct, frozen=True):
    payload: DisputePayload
    created_at: Any = None


def is_dispute_event(name: str | None) -> bool:
    return (name or "").startswith(EVENT_PREFIX)


def read_dispute(body: bytes) -> tuple[GatewayDispute, int | None]:
    """Return the dispute, and the gateway's time of the event in Unix seconds, None where it is not readable.

    Raises Unreadable.
    """
    event = read_entity(read_json(body), DisputeEvent)
    # Without a time, the gateway is asked instead.
    return event.payload.dispute.entity, read_seconds(event.created_at)


def read_seconds(value: object) -> int | None:
    """Return the time of an event in Unix seconds, None where it is not readable."""
    try:
        return msgspec.convert(value, int | None, strict=False)
    except msgspec.ValidationError:
        return None
