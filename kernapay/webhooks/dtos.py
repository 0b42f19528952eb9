"""A Razorpay event, as much of it as we read. Unknown fields and events pass."""

from typing import Annotated, Final, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.webhooks.models import EventStatus

EntityT = TypeVar("EntityT")
_EVENT_ID: Final = "evt_SxT5cQ2hVd7LrA"
_PAYLOAD: Final = {
    "payment": {
        "entity": {
            "id": "pay_SxT5bNn0uQa2Kc",
            "amount": 50000,
            "currency": "INR",
            "status": "captured",
            "order_id": "order_SxT4rqYwGZ8mLd",
            "method": "upi",
            "captured": True,
            "created_at": 1769854531,
        }
    }
}


class Wrapped(Struct, Generic[EntityT], frozen=True):
    entity: EntityT


class EventName(Struct, frozen=True):
    """The least an event has: its name."""

    event: str = ""


class Payload(Struct, frozen=True):
    payment: Wrapped[GatewayPayment] | None = None
    refund: Wrapped[GatewayRefund] | None = None


class GatewayEvent(Struct, frozen=True):
    """`payload` holds the entities that the event is about, each as the gateway's API shows it."""

    event: Annotated[str, Meta(examples=["payment.captured"])]
    payload: Annotated[Payload, Meta(examples=[_PAYLOAD])]


class WebhookEventView(Struct, rename="camel"):
    """A stored event and what became of it."""

    event_id: Annotated[str, Meta(examples=[_EVENT_ID])]
    event: Annotated[str, Meta(examples=["payment.captured"])]
    status: Annotated[EventStatus, Meta(examples=["parked"])]
    created_at: Instant
    attempts: Annotated[int, Meta(examples=[12])] = 0
    next_at: Instant | None = None
    processed_at: Instant | None = None
    outcome: Annotated[str, Meta(examples=["unchanged"])] | None = None
    error: Annotated[str, Meta(examples=["gateway_unavailable"])] | None = None


class WebhookEventDetail(Struct, rename="camel"):
    """With the body as it came."""

    event: WebhookEventView
    body: Annotated[str, Meta(examples=['{"event":"payment.captured","payload":{}}'])]


class ReplayRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """Which events to handle again; the oldest hundred of them."""

    status: Literal["parked", "pending"] = "parked"


class Replayed(Struct, rename="camel"):
    """How many were handled."""

    count: Annotated[int, Meta(examples=[3])]
    success: bool = True


class Received(Struct, frozen=True):
    """What the gateway is told; it reads the status code only."""

    received: bool = True
