"""The fields that are read of Razorpay's events, and the bodies and answers of the inbox routes.

Unknown fields and events are accepted: Razorpay adds new ones.
"""

from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.webhooks.models import EventStatus

EntityT = TypeVar("EntityT")
_EVENT_ID: Final = "evt_SxT5cQ2hVd7LrA"
_ERROR: Final = "GatewayUnknown: The payment gateway did not answer. Try again."
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


class Payload(Struct, frozen=True):
    payment: Wrapped[GatewayPayment] | None = None
    refund: Wrapped[GatewayRefund] | None = None


class GatewayEvent(Struct, frozen=True):
    """An event of the gateway. `payload` has the entities it concerns, in the form of the gateway's API."""

    event: Annotated[str, Meta(examples=["payment.captured"])]
    payload: Annotated[Payload, Meta(examples=[_PAYLOAD])]
    # Any: an event whose time is not readable is read all the same.
    created_at: Annotated[Any, Meta(examples=[1769854531])] = None


class SettlementPayload(Struct, frozen=True):
    settlement: Wrapped[dict[str, Any]]


class SettlementEvent(Struct, frozen=True):
    """An event about a settlement. The settlement is read leniently, so it is taken as it comes."""

    payload: SettlementPayload


class WebhookEventView(Struct, rename="camel"):
    """A stored event, and the result of processing it."""

    event_id: Annotated[str, Meta(examples=[_EVENT_ID])]
    event: Annotated[str, Meta(examples=["payment.captured"])]
    status: Annotated[EventStatus, Meta(examples=["parked"])]
    created_at: Instant
    attempts: Annotated[int, Meta(examples=[12])] = 0
    next_at: Instant | None = None
    processed_at: Instant | None = None
    outcome: Annotated[str, Meta(examples=["unchanged"])] | None = None
    error: Annotated[str, Meta(examples=[_ERROR])] | None = None


class EventId(Struct, rename="camel"):
    """The id of a stored event."""

    event_id: str


class WebhookEventDetail(Struct, rename="camel"):
    """A stored event with its body as it was received, except for what is personal and for texts, which are null.

    Of `notes`, what KernaPay wrote itself is left.
    """

    event: WebhookEventView
    body: Annotated[str, Meta(examples=['{"event":"payment.captured","payload":{}}'])]


class ReplayRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """The status of the events to replay. A hundred are replayed, first those that waited longest."""

    status: Literal["parked", "pending"] = "parked"


class Replayed(Struct, rename="camel"):
    """The number of events replayed."""

    count: Annotated[int, Meta(examples=[3])]
    success: bool = True


class Received(Struct, frozen=True):
    """The answer to the gateway, which reads only the status code."""

    received: bool = True
