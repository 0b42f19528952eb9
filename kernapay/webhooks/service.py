"""The durable inbox: stored before it is acknowledged, handled at once, kept for the worker when that fails."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from kernapay.core.crash_points import crash_point
from kernapay.core.errors import KernaPayError, NotFound
from kernapay.core.patterns import DECODE_ERRORS
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.settlement import Settlement, UnknownOrder
from kernapay.payments.states import Event, Source
from kernapay.storage.cache import Cache
from kernapay.webhooks.dtos import EventName, GatewayEvent
from kernapay.webhooks.metrics import WEBHOOKS
from kernapay.webhooks.models import EventStatus, WebhookEvent
from kernapay.webhooks.repository import WebhookRepository

_log = structlog.get_logger("kernapay.webhooks")
_MARK_TTL: Final = timedelta(hours=24)
_REPLAYED_AT_ONCE: Final = 100

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
    ) -> None:
        self._events = events
        self._settlement = settlement
        self._cache = cache
        self._deadline = deadline.total_seconds()

    async def receive(self, body: bytes, event_id: str | None) -> None:
        """Store a signed event and try to handle it. Raises Unavailable when it could not be stored."""
        body_hash = hashlib.sha256(body).hexdigest()
        event_id = event_id or f"sha256-{body_hash}"
        if await self._cache.is_marked(_mark(event_id)):
            WEBHOOKS.labels("repeated").inc()
            return
        event = WebhookEvent(
            event_id=event_id,
            body_hash=body_hash,
            body=body,
            event=_name_of(body),
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
        return await self._events.queue.sweep(self.process)

    async def replay(self, event_id: str) -> None:
        """Handle a stored event again, whatever became of it before. Raises NotFound, Unavailable."""
        event = await self._events.replay(event_id)
        if event is None:
            raise NotFound("There is no such event.", field="eventId")
        await self.process(event)

    async def replay_all(self, status: EventStatus, most: int = _REPLAYED_AT_ONCE) -> int:
        """Handle the oldest events of a status again; return how many."""
        event_ids = await self._events.oldest_ids(status, most)
        for event_id in event_ids:
            await self.replay(event_id)
        return len(event_ids)

    async def _handle(self, event: WebhookEvent) -> tuple[EventStatus, str]:
        kind = _EVENTS.get(event.event)
        if kind is None and not (event.event or "").startswith("refund."):
            return EventStatus.IGNORED, "not an event of ours"
        try:
            facts = _event.decode(event.body)
        except DECODE_ERRORS as error:
            raise Unreadable(str(error)) from error
        payment, refund = facts.payload.payment, facts.payload.refund
        if payment is None or (kind is None and refund is None):
            raise Unreadable(f"{event.event} came without its entity")
        evidence = Evidence(
            Origin(Source.WEBHOOK, event.event, event_id=event.event_id),
            payment.entity,
            refund=refund.entity if kind is None and refund else None,
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
            await self._events.queue.fail(event, reason, hopeless=isinstance(error, Unreadable))
        except KernaPayError:
            # The row is stored and its lease runs out: the worker finds it without this note.
            _log.warning("webhook_note_lost", event_id=event.event_id)


def _mark(event_id: str) -> str:
    return f"webhook_event:{event_id}"


def _name_of(body: bytes) -> str:
    try:
        return _name.decode(body).event[:100]
    except DECODE_ERRORS:
        return "unreadable"
