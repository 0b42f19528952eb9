"""An event before it is stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from kernapay.core.text import show_controls_in_json
from kernapay.deliveries.models import EventType
from kernapay.deliveries.payloads import Envelope


@dataclass(frozen=True, slots=True)
class Mark:
    """The facts that decide which endpoints get an event, and in which order."""

    id: str
    type: EventType
    at: datetime
    seq: int
    subject: str
    shop_id: str | None = None
    provider_id: str | None = None
    service_type: str | None = None
    livemode: bool | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An event with its data, and with the events of its subject before it, oldest first."""

    mark: Mark
    data: msgspec.Struct
    before: tuple[Mark, ...] = ()


def _encode_first(draft: Draft) -> bytes:
    envelope = Envelope(draft.mark.type, draft.mark.at, draft.data)
    return show_controls_in_json(msgspec.json.encode(envelope))


VERSION: Final = 1
"""The version of the payload that new endpoints get."""
_ENCODERS: Final[Mapping[int, Callable[[Draft], bytes]]] = {1: _encode_first}
VERSIONS: Final = tuple(_ENCODERS)
"""Those that are still written: an endpoint keeps the one that it was made with."""


def encode_body(draft: Draft, version: int) -> bytes:
    """Return the body in a version of the payload. It is encoded once: all endpoints and retries get these bytes.

    It is UTF-8, with controls shown as in the API's answers.
    """
    return _ENCODERS[version](draft)
