"""Erase the texts of businesses, which may name a buyer, from stored events and deliveries."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.core.text import show_controls_in_json
from kernapay.deliveries.events.repository import EventRepository
from kernapay.deliveries.repository import DeliveryRepository

# By what a type begins with. What the bank or the gateway says stays.
_TEXTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "payment": {"description": None, "notes": {}, "metadata": {}},
    "refund": {"reason": None},
}


class EventTextErasure:
    def __init__(self, events: EventRepository, deliveries: DeliveryRepository) -> None:
        self._events = events
        self._deliveries = deliveries

    async def forget(self, references: Sequence[str]) -> None:
        """Clear the texts in all events of these payments, and the answers of endpoints to them. Raises Unavailable.

        Later attempts send the events without these texts.
        """
        found = await self._events.of_subjects(references)
        for event in found:
            bodies = {version: clear_texts(body) for version, body in event.bodies.items()}
            if bodies != event.bodies:
                await self._events.replace_bodies(event.id, bodies)
        await self._deliveries.forget_answers([event.id for event in found])


def clear_texts(body: bytes) -> bytes:
    """Return the body of an event without the texts that its business wrote. One that cannot be read stays."""
    try:
        event = msgspec.json.decode(body)
        texts = _TEXTS.get(event["type"].partition(".")[0], {})
        data = event["data"]
        changes = {name: empty for name, empty in texts.items() if data.get(name) != empty}
    except (*DECODE_ERRORS, TypeError, KeyError, AttributeError):
        return body
    if not changes:
        return body
    data.update(changes)
    return show_controls_in_json(msgspec.json.encode(event))
