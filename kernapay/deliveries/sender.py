"""One attempt to deliver an event: sign it, post it, judge the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from time import perf_counter
from typing import Final

from kernapay import __version__
from kernapay.core.clock import Clock
from kernapay.core.text import show_controls
from kernapay.deliveries.addresses import Target
from kernapay.deliveries.signing import sign
from kernapay.deliveries.transport import Answer, NoAnswer, Transport

_LONGEST_NUMBER: Final = 10
_FIXED_HEADERS: Final = {
    "content-type": "application/json",
    "user-agent": f"KernaPay/{__version__}",
    "accept-encoding": "identity",
}


class Verdict(StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"
    """To be tried again."""
    REFUSED = "refused"
    """The endpoint will never take this one."""
    GONE = "gone"
    """The endpoint asks for no more events."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt. Without a `code` there was no answer, and `excerpt` says why."""

    verdict: Verdict
    at: datetime
    milliseconds: int
    code: int | None = None
    excerpt: str | None = None
    wish: timedelta | None = None
    """The `Retry-After` of a failure."""


class Sender:
    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    async def attempt(
        self,
        target: Target,
        keys: Sequence[bytes],
        headers: Mapping[str, str],
        event_id: str,
        body: bytes,
    ) -> Outcome:
        """Post an event once. `headers` are those of the endpoint; ours come first."""
        at = self._clock()
        proof = sign(keys, event_id, int(at.timestamp()), body)
        begin = perf_counter()
        try:
            answer = await self._transport.post(
                target, {**headers, **_FIXED_HEADERS, **proof}, body
            )
        except NoAnswer as error:
            return Outcome(Verdict.FAILED, at, _since(begin), excerpt=str(error))
        return judge(answer, at, _since(begin))


def _since(begin: float) -> int:
    return round((perf_counter() - begin) * 1000)


def judge(answer: Answer, at: datetime, milliseconds: int) -> Outcome:
    """Return the verdict on an answer. Only a 2xx means that the event has arrived."""
    verdict = Verdict.FAILED
    match answer.code:
        case code if 200 <= code < 300:
            verdict = Verdict.DELIVERED
        case HTTPStatus.GONE:
            verdict = Verdict.GONE
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            # The body is the same at every attempt.
            verdict = Verdict.REFUSED
    text = show_controls(answer.excerpt.decode("utf-8", "replace").replace("\0", " ")).strip()
    return Outcome(
        verdict,
        at,
        milliseconds,
        answer.code,
        text or None,
        read_retry_after(answer.retry_after, at) if verdict is Verdict.FAILED else None,
    )


def read_retry_after(text: str | None, at: datetime) -> timedelta | None:
    """Return the pause that a `Retry-After` asks for: seconds, or a date. None for anything else."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text)) if len(text) <= _LONGEST_NUMBER else None
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(date - at, timedelta(0))
