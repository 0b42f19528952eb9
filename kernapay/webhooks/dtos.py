"""A Razorpay event, as much of it as we read. Unknown fields and events pass."""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.webhooks.models import EventStatus

EntityT = TypeVar("EntityT")


class Wrapped(Struct, Generic[EntityT], frozen=True):
    entity: EntityT


class EventName(Struct, frozen=True):
    """The least an event has: its name."""

    event: str = ""


class Payload(Struct, frozen=True):
    payment: Wrapped[GatewayPayment] | None = None
    refund: Wrapped[GatewayRefund] | None = None


class GatewayEvent(Struct, frozen=True):
    event: str
    payload: Payload


class WebhookEventView(Struct, rename="camel"):
    """A stored event and what became of it."""

    event_id: str
    event: str
    status: EventStatus
    created_at: datetime
    attempts: int = 0
    next_at: datetime | None = None
    processed_at: datetime | None = None
    outcome: str | None = None
    error: str | None = None


class WebhookEventDetail(Struct, rename="camel"):
    """With the body as it came."""

    event: WebhookEventView
    body: str


class ReplayRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """Which events to handle again; the oldest hundred of them."""

    status: Literal["parked", "pending"] = "parked"


class Replayed(Struct, rename="camel"):
    count: int
    success: bool = True


class Received(Struct, frozen=True):
    """What the gateway is told; it reads the status code only."""

    received: bool = True
