"""Request and response structs of deliveries."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from kernapay.core.clock import INSTANT_EXAMPLE, Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import explain
from kernapay.deliveries.ids import EVENT_ID_EXAMPLE
from kernapay.deliveries.models import DeliveryState, EventType

DELIVERY_ID_EXAMPLE: Final = f"{EVENT_ID_EXAMPLE}:{OBJECT_ID_EXAMPLE}"
DELIVERY_ID_PATTERN: Final = explain(
    r"^evt_[0-9a-f]{24}_[0-9]{1,9}_[0-9a-f]{8}:[0-9a-f]{24}$",
    f"the id of a delivery, such as {DELIVERY_ID_EXAMPLE}",
)


class AttemptView(Struct, rename="camel"):
    """One attempt. Without a `code` there was no answer, and `excerpt` says why; else it is the answer's beginning."""

    at: Instant
    ms: Annotated[int, Meta(examples=[38])]
    code: Annotated[int | None, Meta(examples=[200])] = None
    excerpt: Annotated[str | None, Meta(examples=["ok"])] = None


class DeliveryView(Struct, rename="camel", kw_only=True):
    """One event for one endpoint.

    `state` is `pending` until a 2xx makes it `done`; `failed` says that it was given up. `nextAt` is when a pending one
    is tried next, unless it waits for an earlier event of the same subject.
    """

    id: Annotated[str, Meta(examples=[DELIVERY_ID_EXAMPLE])] = field(name="_id")
    endpoint: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    event: Annotated[str, Meta(examples=[EVENT_ID_EXAMPLE])]
    type: Annotated[EventType, Meta(examples=["payment.succeeded"])]
    subject: str
    state: Annotated[DeliveryState, Meta(examples=["done"])]
    attempts: Annotated[int, Meta(examples=[1])] = 0
    next_at: Instant
    created_at: Instant
    replayed_at: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
    done_at: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None


class DeliveryDetail(DeliveryView, rename="camel", kw_only=True):
    """A delivery with its newest attempts, oldest first."""

    log: list[AttemptView] = []


class ReplayWindow(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Which deliveries of an endpoint to send again.

    `failed` are those that were given up, stored in this time. `all` are all events that happened in this time and pass
    the endpoint's filters, also those from before the endpoint existed. `from` is inclusive, `to` is not.
    """

    only: Annotated[Literal["failed", "all"], Meta(examples=["failed"])] = "failed"
    start: Annotated[Instant, Meta(examples=["2026-01-31T00:00:00Z"])] = field(name="from")
    end: Annotated[Instant | None, Meta(examples=["2026-02-01T00:00:00Z"])] = field(
        name="to", default=None
    )


class DeliveriesReplayed(Struct, rename="camel"):
    """How many deliveries were made due. If there are more, repeat the call with `resumeFrom` as `from`."""

    replayed: Annotated[int, Meta(examples=[12])]
    resume_from: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
