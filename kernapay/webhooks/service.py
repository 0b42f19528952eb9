"""The durable inbox: stored before it is acknowledged, handled at once, kept for the worker when that fails."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from kernapay.core.cache import Cache
from kernapay.core.clock import Clock, now
from kernapay.core.crashpoints import crash_point
from kernapay.core.errors import KernaPayError, NotFound
from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.core.metrics import WEBHOOKS
from kernapay.core.text import UNREADABLE
from kernapay.payments.settlement import Evidence, Settlement, UnknownOrder
from kernapay.payments.states import Event, Source
from kernapay.webhooks.dtos import EventName, GatewayEvent
from kernapay.webhooks.models import EventStatus, WebhookEvent
from kernapay.webhooks.repository import WebhookRepository

_log = structlog.get_logger("kernapay.webhooks")
_MARK_TTL: Final = timedelta(hours=24)
_REPLAYED_AT_ONCE: Final = 100
# While the request that brought an event is at work on it, the worker leaves it alone.
_FIRST_LEASE: Final = timedelta(seconds=30)
_LEASE: Final = timedelta(minutes=2)
_BACKOFF: Final = tuple(
    timedelta(seconds=s) for s in (2, 5, 15, 60, 300, 900, 3600, 3600 * 4, 3600 * 12, 3600 * 24)
)

_EVENTS: Final = {
    "payment.authorized": Event.AUTHORIZED,
    "payment.captured": Event.CAPTURED,
    "order.paid": Event.CAPTURED,
    "payment.failed": Event.DECLINED,
}

_name = msgspec.json.Decoder(EventName)
_event = msgspec.json.Decoder(GatewayEvent)


class Unreadable(ValueError):
    """The event concerns us but has a form we do not know."""


class WebhookInbox:
    def __init__(
        self,
        events: WebhookRepository,
        settlement: Settlement,
        cache: Cache,
        deadline: timedelta,
        clock: Clock = now,
    ) -> None:
        self._events = events
        self._settlement = settlement
        self._cache = cache
        self._deadline = deadline.total_seconds()
        self._clock = clock

    async def receive(self, body: bytes, event_id: str | None) -> None:
        """Store a signed event and try to handle it. Raises Unavailable when it could not be stored."""
        body_hash = hashlib.sha256(body).hexdigest()
        event_id = event_id or f"sha256-{body_hash}"
        if await self._cache.marked(_mark(event_id)):
            WEBHOOKS.labels("repeated").inc()
            return
        event = WebhookEvent(
            event_id=event_id,
            body_hash=body_hash,
            body=body,
            event=_name_of(body),
            next_at=self._clock() + _FIRST_LEASE,
        )
        crash_point("webhook.received")
        if not await self._events.store(event):
            # Neither id nor time is signed: the same body under a new id is a replay.
            WEBHOOKS.labels("repeated").inc()
            return
        crash_point("webhook.stored")
        await self.process(event)

    async def process(self, event: WebhookEvent) -> None:
        """Handle a stored event under the deadline. Whatever goes wrong, it stays for the worker and nobody is told:
        the gateway switches an endpoint off that keeps failing.
        """
        try:
            async with asyncio.timeout(self._deadline):
                status, outcome = await self._handle(event)
                crash_point("webhook.handled")
                await self._events.finish(event, status, outcome)
            crash_point("webhook.processed")
            await self._cache.mark(_mark(event.event_id), _MARK_TTL)
            WEBHOOKS.labels(status.value).inc()
        except Exception as error:
            await self._keep(event, error)

    async def sweep(self) -> bool:
        """Handle one due event; False when none is due."""
        event = await self._events.claim_due(_LEASE)
        if event is None:
            return False
        await self.process(event)
        return True

    async def replay(self, event_id: str) -> None:
        """Handle a stored event again, whatever became of it before. Raises NotFound, Unavailable."""
        event = await self._events.reopen(_LEASE, event_id=event_id)
        if event is None:
            raise NotFound("There is no such event.", field="eventId")
        await self.process(event)

    async def replay_all(self, status: EventStatus, most: int = _REPLAYED_AT_ONCE) -> int:
        """Handle the oldest events of a status again; how many."""
        oldest = OrderBy("created_at")
        found = await self._events.list(oldest, LimitOffset(most), status=status)
        for event in found:
            await self.replay(event.event_id)
        return len(found)

    async def _handle(self, event: WebhookEvent) -> tuple[EventStatus, str]:
        kind = _EVENTS.get(event.event)
        if kind is None and not (event.event or "").startswith("refund."):
            return EventStatus.IGNORED, "not an event of ours"
        try:
            facts = _event.decode(event.body)
        except UNREADABLE as error:
            raise Unreadable(str(error)) from error
        payment, refund = facts.payload.payment, facts.payload.refund
        if payment is None or (kind is None and refund is None):
            raise Unreadable(f"{event.event} came without its entity")
        evidence = Evidence(
            Source.WEBHOOK,
            event.event,
            payment.entity,
            refund=refund.entity if kind is None and refund else None,
            event_id=event.event_id,
        )
        try:
            settled = await self._settlement.settle(kind, evidence)
        except UnknownOrder as error:
            return EventStatus.IGNORED, error.detail
        return EventStatus.PROCESSED, settled.outcome.name.lower()

    async def _keep(self, event: WebhookEvent, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:500]
        expected = isinstance(error, KernaPayError | TimeoutError | Unreadable)
        _log.warning(
            "webhook_kept",
            event_id=event.event_id,
            webhook=event.event,
            reason=reason,
            exc_info=None if expected else error,
        )
        WEBHOOKS.labels("kept").inc()
        try:
            if event.attempts >= len(_BACKOFF) or isinstance(error, Unreadable):
                await self._events.park(event, reason)
            else:
                later = self._clock() + _BACKOFF[event.attempts]
                await self._events.retry_later(event, later, reason)
        except KernaPayError:
            # The row is stored and its lease runs out: the worker finds it without this note.
            _log.warning("webhook_note_lost", event_id=event.event_id)


def _mark(event_id: str) -> str:
    return f"webhook_event:{event_id}"


def _name_of(body: bytes) -> str:
    try:
        return _name.decode(body).event[:100]
    except UNREADABLE:
        return "unreadable"
