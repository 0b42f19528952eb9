"""The answers of the routes for events."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.deliveries.ids import EVENT_ID_EXAMPLE
from kernapay.deliveries.models import EventType
from kernapay.payments.references import REFERENCE_EXAMPLE

EventId = Annotated[str, Meta(examples=[EVENT_ID_EXAMPLE])]
Type = Annotated[EventType, Meta(examples=["payment.succeeded"])]
Subject = Annotated[
    str,
    Meta(
        description="What it is about: the reference of a payment, the id of a settlement, a report or an endpoint.",
        examples=[REFERENCE_EXAMPLE],
    ),
]
Sequence = Annotated[int, Meta(examples=[1])]


class EventHead(Struct, rename="camel"):
    """An event without its data."""

    id: EventId = field(name="_id")
    type: Type
    timestamp: Instant = field(name="at")
    subject: Subject
    sequence: Sequence = field(name="seq")


class EventView(Struct, rename="camel"):
    """An event. `type`, `timestamp` and `data` are what endpoints get, in the newest version of the payload."""

    id: EventId = field(name="_id")
    type: Type
    timestamp: Instant
    subject: Subject
    sequence: Sequence
    data: Annotated[
        dict[str, Any],
        Meta(
            description="By type: see the webhooks of this document.",
            examples=[{"referenceId": REFERENCE_EXAMPLE, "status": "success", "sequence": 1}],
        ),
    ]
