"""The inbox of webhooks: store an event, process it at once, and leave it to the worker if that fails."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from kernapay.audit.repository import AuditLog
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import KernaPayError, NotFound
from kernapay.core.patterns import DECODE_ERRORS
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.settlement import Settlement, UnknownOrder
from kernapay.payments.states import Event, Source
from kernapay.security.principal import Actor
from kernapay.settlements.service import SettlementReader
from kernapay.storage.cache import Cache
from kernapay.webhooks.dtos import EventName, GatewayEvent, SettlementEvent
from kernapay.webhooks.metrics import WEBHOOKS
from kernapay.webhooks.models import EventStatus, WebhookEvent
from kernapay.webhooks.repository import WebhookRepository

_log = structlog.get_logger("kernapay.webhooks")
# Razorpay: it retries a delivery for 24 hours. The mark saves these repeats a query.
_MARK_TTL: Final = timedelta(hours=24)
_REPLAY_LIMIT: Final = 100

_EVENTS: Final = {
    "payment.authorized": Event.AUTHORIZED,
    "payment.captured": Event.CAPTURED,
    "order.paid": Event.CAPTURED,
    "payment.failed": Event.DECLINED,
}

_name_decoder = msgspec.json.Decoder(EventName)
_settlement_decoder = msgspec.json.Decoder(SettlementEvent)
_event_decoder = msgspec.json.Decoder(GatewayEvent)


class Unreadable(ValueError):
    """The event concerns a payment, but its body does not have the form we expect."""


class WebhookInbox:
    def __init__(
        self,
        events: WebhookRepository,
        settlement: Settlement,
        settlement_reader: SettlementReader,
        cache: Cache,
        audit: AuditLog,
        deadline: timedelta,
    ) -> None:
        self._events = events
        self._settlement = settlement
        self._settlement_reader = settlement_reader
        self._cache = cache
        self._audit = audit
        self._deadline = deadline.total_seconds()

    async def receive(self, body: bytes, event_id: str | None) -> None:
        """Store a signed event, then try to process it. Raises Unavailable when it could not be stored."""
        body_hash = hashlib.sha256(body).hexdigest()
        event_id = event_id or f"sha256-{body_hash}"
        if await self._cache.is_marked(_mark_key(event_id)):
            WEBHOOKS.labels("repeated").inc()
            return
        event = WebhookEvent(
            event_id=event_id,
            body_hash=body_hash,
            body=body,
            event=_read_name(body),
        )
        crash_point("webhook.received")
        if not await self._events.store(event):
            # Razorpay does not sign the event id, so a repeat may have the same body under a new id.
            WEBHOOKS.labels("repeated").inc()
            return
        crash_point("webhook.stored")
        await self.process(event)

    async def process(self, event: WebhookEvent) -> None:
        """Process a stored event under the deadline. On any error, leave it to the worker and raise nothing.

        Razorpay: an endpoint that keeps failing is disabled, so an event that is stored is always answered with 200.
        """
        try:
            async with asyncio.timeout(self._deadline):
                status, outcome = await self._settle(event)
                crash_point("webhook.handled")
                await self._events.finish(event, status, outcome)
            crash_point("webhook.processed")
            await self._cache.mark(_mark_key(event.event_id), _MARK_TTL)
            WEBHOOKS.labels(status.value).inc()
        except Exception as error:
            await self._record_failure(event, error)

    async def sweep(self) -> bool:
        """Process one event that is due. Return False when none is."""
        return await self._events.queue.sweep(self.process)

    async def replay(self, actor: Actor, event_id: str) -> None:
        """Process a stored event again, whatever its status. Raises NotFound, Unavailable."""
        if not await self._events.exists(event_id=event_id):
            raise _no_such_event()
        async with self._audit.action(actor, "webhook.replay", f"event:{event_id}"):
            await self._replay(event_id)

    async def replay_all(
        self, actor: Actor, status: EventStatus, limit: int = _REPLAY_LIMIT
    ) -> int:
        """Replay the oldest events of a status. Return how many were replayed."""
        async with self._audit.action(actor, "webhook.replay_all", after={"status": status.value}):
            event_ids = await self._events.oldest_ids(status, limit)
            for event_id in event_ids:
                await self._replay(event_id)
            return len(event_ids)

    async def _replay(self, event_id: str) -> None:
        event = await self._events.replay(event_id)
        if event is None:
            raise _no_such_event()
        await self.process(event)

    async def _settle(self, event: WebhookEvent) -> tuple[EventStatus, str]:
        if (event.event or "").startswith("settlement."):
            return await self._note_settlement(event)
        payment_event = _EVENTS.get(event.event)
        if payment_event is None and not (event.event or "").startswith("refund."):
            return EventStatus.IGNORED, "KernaPay does not use this event."
        try:
            gateway_event = _event_decoder.decode(event.body)
        except DECODE_ERRORS as error:
            raise Unreadable(str(error)) from error
        payment, refund = gateway_event.payload.payment, gateway_event.payload.refund
        if payment is None or (payment_event is None and refund is None):
            raise Unreadable(f"The payload of {event.event} lacks the entity of that event.")
        evidence = Evidence(
            Origin(Source.WEBHOOK, event.event, event_id=event.event_id),
            payment.entity,
            refund=refund.entity if payment_event is None and refund else None,
        )
        try:
            result = await self._settlement.settle(payment_event, evidence)
        except UnknownOrder as error:
            return EventStatus.IGNORED, error.detail
        return EventStatus.PROCESSED, result.outcome.name.lower()

    async def _note_settlement(self, event: WebhookEvent) -> tuple[EventStatus, str]:
        try:
            found = _settlement_decoder.decode(event.body)
        except DECODE_ERRORS as error:
            raise Unreadable(str(error)) from error
        if not await self._settlement_reader.note(found.payload.settlement.entity):
            raise Unreadable(f"The payload of {event.event} has no readable settlement.")
        return EventStatus.PROCESSED, "noted"

    async def _record_failure(self, event: WebhookEvent, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:500]
        is_expected = isinstance(error, KernaPayError | TimeoutError | Unreadable)
        _log.warning(
            "webhook_kept",
            event_id=event.event_id,
            webhook=event.event,
            reason=reason,
            exc_info=None if is_expected else error,
        )
        WEBHOOKS.labels("kept").inc()
        try:
            await self._events.queue.fail(event, reason, hopeless=isinstance(error, Unreadable))
        except KernaPayError:
            # The event is stored. The worker claims it when its lease ends, even without this update.
            _log.warning("webhook_note_lost", event_id=event.event_id)


def _no_such_event() -> NotFound:
    return NotFound("No event has this id.", field="eventId")


def _mark_key(event_id: str) -> str:
    return f"webhook_event:{event_id}"


def _read_name(body: bytes) -> str:
    try:
        return _name_decoder.decode(body).event[:100]
    except DECODE_ERRORS:
        return "unreadable"
