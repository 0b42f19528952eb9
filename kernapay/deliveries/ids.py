"""The ids of events. They are computed from the change: two processes that find the same one make the same event."""

import hashlib
from typing import Final

from kernapay.core.patterns import explain
from kernapay.deliveries.models import EventType

# At most a row id of 24 characters, a place and a hash: far from what any header allows.
EVENT_ID_EXAMPLE: Final = "evt_66b1f0c2a7d4e5f601234567_1_5d41402a"
EVENT_ID_PATTERN: Final = explain(
    r"^evt_[0-9a-f]{24}_[0-9]{1,9}_[0-9a-f]{8}$", f"the id of an event, such as {EVENT_ID_EXAMPLE}"
)


def make_event_id(
    row_id: str, sequence: int, event_type: EventType, part: str | None = None
) -> str:
    """Return the id of the event of a row. It has no dot: Standard Webhooks forbids one.

    `part` names what of the row it is about, such as a refund. After a restore from a backup, something else may have
    happened at the same place. Then the id differs, and receivers do not take it for a repeat.
    """
    digest = hashlib.sha256(f"{event_type.value} {part or ''}".encode()).hexdigest()
    return f"evt_{row_id}_{sequence}_{digest[:8]}"


def make_row_id(name: str) -> str:
    """Return the part of event ids that stands for a row, made from the gateway's name of it.

    A row that is read from the gateway again after a restore has another id of its own.
    """
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def make_delivery_id(event_id: str, endpoint_id: str) -> str:
    return f"{event_id}:{endpoint_id}"


def event_ids_of_row(row_id: str) -> str:
    """Return the prefix of the ids of a row's events and of their deliveries."""
    return f"evt_{row_id}_"
