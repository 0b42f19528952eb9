"""The messages of a stream, as server-sent events (WHATWG HTML, section 9.2)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import randrange
from typing import Final

import msgspec

from kernapay.core.text import show_controls_in_json
from kernapay.live.dtos import EventName, LivePayment, PublicStep
from kernapay.live.watches import Ending
from kernapay.payments.dtos import PaymentStatus, StepView
from kernapay.payments.visibility import is_of_dispute

HEARTBEAT: Final = b": still here\n\n"
# The time after which a browser connects again, in milliseconds.
RETRY: Final = b"retry: 2000\n\n"
# After a restart all clients come back: they should not do so at the same moment.
_RESTART_RETRY: Final = (1_000, 10_000)
# The place before the first step.
_NO_STEP: Final = -1
_INDEX: Final = re.compile(f"{_NO_STEP}|[0-9]{{1,6}}")


@dataclass(frozen=True, slots=True)
class Sight:
    """How much of a payment a stream shows. Who only knows the reference sees nothing personal."""

    in_full: bool = False
    disputes: bool = False


BEARER: Final = Sight()


def index_of(last_event_id: str | None, row: LivePayment) -> int | None:
    """Return the step that the client has, or None if the stream has to begin with the present state.

    That is so without an id, and with one that this history does not have.
    """
    if last_event_id is None or not _INDEX.fullmatch(last_event_id):
        return None
    index = int(last_event_id)
    return index if index < len(row.history) else None


def news(row: LivePayment, known: int | None, sight: Sight) -> bytes:
    """Return the steps after a known one. The present state instead, if none is known or the history is another one."""
    if known is None or known >= len(row.history):
        return _state(row, sight)
    return b"".join(
        _message(EventName.STEP, index, step if sight.in_full else _public(step))
        for index, step in _visible(row, sight)
        if index > known
    )


def end(ending: Ending) -> bytes:
    """Return the last message of a stream."""
    retry = b"retry: %d\n" % randrange(*_RESTART_RETRY) if ending is Ending.RESTART else b""  # noqa: S311
    return b'%sevent: %s\ndata: {"reason":"%s"}\n\n' % (
        retry,
        EventName.END.encode(),
        ending.encode(),
    )


def _state(row: LivePayment, sight: Sight) -> bytes:
    # Not the first place: who comes back with that would never get the first step.
    index = max((index for index, _ in _visible(row, sight)), default=_NO_STEP)
    return _message(
        EventName.STATE, index, msgspec.convert(row, PaymentStatus, from_attributes=True)
    )


def _visible(row: LivePayment, sight: Sight) -> Iterator[tuple[int, StepView]]:
    return (
        (index, step)
        for index, step in enumerate(row.history)
        if sight.disputes or not is_of_dispute(step)
    )


def _public(step: StepView) -> PublicStep:
    return msgspec.convert(step, PublicStep, from_attributes=True)


def _message(name: EventName, index: int, data: msgspec.Struct) -> bytes:
    # Encoded JSON has no line breaks, which would begin another field.
    body = show_controls_in_json(msgspec.json.encode(data))
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (index, name.encode(), body)
