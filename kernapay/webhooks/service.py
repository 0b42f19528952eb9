"""The inbox of webhooks: store an event, process it at once, and leave it to the worker if that fails."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from kernapay.audit.repository import AuditLog
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import Conflict, KernaPayError, NotFound
from kernapay.core.metrics import GaugeMetricFamily
from kernapay.gateway.decoding import Unreadable, read_entity, read_json
from kernapay.payments.disputes.service import DisputeService
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.outcomes import EvidenceMismatch, UnknownOrder
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, Source
from kernapay.security.principal import Actor
from kernapay.settlements.service import SettlementReader
from kernapay.storage.cache import Cache
from kernapay.storage.cache_metrics import start_counting
from kernapay.webhooks.dispute_events import is_dispute_event, read_dispute, read_seconds
from kernapay.webhooks.dtos import GatewayEvent, SettlementEvent
from kernapay.webhooks.metrics import PROCESSED, RECEIVED, WEBHOOKS, observe_lag
from kernapay.webhooks.models import EventStatus, WebhookEvent
from kernapay.webhooks.personal import remove_personal
from kernapay.webhooks.repository import WebhookRepository

_log = structlog.get_logger("kernapay.webhooks")
# Razorpay: it retries a delivery for 24 hours. The mark saves these repeats a query.
_MARK_TTL: Final = timedelta(hours=24)
MARKS: Final = "webhook_event:"
"""How the keys of the marks begin."""
start_counting(MARKS)
_REPLAY_LIMIT: Final = 100
_MOST: Final = 10_000
# Each process call has a deadline of seconds. A few that wait for it do not hold up the others.
_CONCURRENCY: Final = 4

_EVENTS: Final = {
    "payment.authorized": Event.AUTHORIZED,
    "payment.captured": Event.CAPTURED,
    "order.paid": Event.CAPTURED,
    "payment.failed": Event.DECLINED,
}

_NO_NAME: Final = "unreadable"
"""The name of an event whose body is no JSON, or has no name."""


class _Result(NamedTuple):
    """What became of an event: `label` counts it in the metric."""

    status: EventStatus
    outcome: str
    label: str


class WebhookInbox:
    def __init__(
        self,
        events: WebhookRepository,
        settlement: Settlement,
        disputes: DisputeService,
        settlement_reader: SettlementReader,
        cache: Cache,
        audit: AuditLog,
        deadline: timedelta,
    ) -> None:
        self._events = events
        self._settlement = settlement
        self._disputes = disputes
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
            body=remove_personal(body),
            event=_read_name(body),
        )
        crash_point("webhook.received")
        if not await self._events.store(event):
            # Razorpay does not sign the event id, so a repeat may have the same body under a new id.
            WEBHOOKS.labels("repeated").inc()
            return
        observe_lag(RECEIVED, body, event.created_at)
        crash_point("webhook.stored")
        await self.process(event)

    async def process(self, event: WebhookEvent) -> None:
        """Process a stored event under the deadline. On any error, leave it to the worker and raise nothing.

        Razorpay: an endpoint that keeps failing is disabled, so an event that is stored is always answered with 200.
        """
        try:
            async with asyncio.timeout(self._deadline):
                result = await self._settle(event)
                crash_point("webhook.handled")
                await self._events.finish(event, result.status, result.outcome)
            crash_point("webhook.processed")
            await self._cache.mark(_mark_key(event.event_id), _MARK_TTL)
            WEBHOOKS.labels(result.label).inc()
            observe_lag(PROCESSED, event.body, self._events.clock())
        except Exception as error:
            await self._record_failure(event, error)

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return how many events are not done with. Raises Unavailable."""
        depth = GaugeMetricFamily(
            "kernapay_inbox_events",
            "Events that wait for their first or next attempt, or for a person, counted up to 10,000",
            labels=("status",),
        )
        for status in (EventStatus.PENDING, EventStatus.PARKED):
            depth.add_metric((status.value,), await self._events.count_up_to(_MOST, status))
        return [depth]

    async def sweep(self) -> bool:
        """Process some events that are due. Return False when none is."""
        return await self._events.queue.sweep(self.process, _CONCURRENCY)

    async def replay(self, actor: Actor, event_id: str) -> None:
        """Process a stored event again, whatever its status. Raises NotFound, Unavailable."""
        if not await self._events.exists(event_id=event_id):
            raise _no_such_event()
        async with self._audit.action(actor, "webhook.replay", f"event:{event_id}"):
            await self._replay(event_id)

    async def replay_all(
        self,
        actor: Actor,
        status: EventStatus,
        limit: int | None = _REPLAY_LIMIT,
        progress: Callable[[int, int], None] = lambda _, __: None,
    ) -> int:
        """Replay the events of a status once each. Return how many were replayed.

        First those that were not processed for the longest time, so that a repeat gets past the hopeless ones.
        `progress` gets the number replayed and the number of all.
        """
        async with self._audit.action(actor, "webhook.replay_all", after={"status": status.value}):
            event_ids = await self._events.ids_to_replay(status, limit)
            for number, event_id in enumerate(event_ids, 1):
                await self._replay(event_id)
                progress(number, len(event_ids))
            return len(event_ids)

    async def end(self, actor: Actor, event_id: str, reason: str) -> None:
        """End the wait of a parked event for good. Raises NotFound, Conflict if it is not parked, Unavailable."""
        if not await self._events.exists(event_id=event_id):
            raise _no_such_event()
        async with self._audit.action(
            actor, "webhook.end", f"event:{event_id}", after={"reason": reason}
        ):
            if not await self._events.end(event_id, f"ended by a person: {reason}"):
                raise Conflict("The event is not parked, so there is nothing to end.")

    async def _replay(self, event_id: str) -> None:
        event = await self._events.replay(event_id)
        if event is None:
            raise _no_such_event()
        await self.process(event)

    async def _settle(self, event: WebhookEvent) -> _Result:
        if event.event == _NO_NAME:
            # Signed by the gateway, so it may be about money: a person has to look at it.
            raise Unreadable("The body is not an event in JSON.")
        if is_dispute_event(event.event):
            return await self._apply_dispute(event)
        if (event.event or "").startswith("settlement."):
            return await self._note_settlement(event)
        payment_event = _EVENTS.get(event.event)
        if payment_event is None and not (event.event or "").startswith("refund."):
            return _Result(EventStatus.IGNORED, "KernaPay does not use this event.", "ignored")
        gateway_event = read_entity(read_json(event.body), GatewayEvent)
        payment, refund = gateway_event.payload.payment, gateway_event.payload.refund
        if payment is None or (payment_event is None and refund is None):
            raise Unreadable(f"The payload of {event.event} lacks the entity of that event.")
        evidence = Evidence(
            Origin(Source.WEBHOOK, event.event, event_id=event.event_id),
            payment.entity,
            refund=refund.entity if payment_event is None and refund else None,
            happened_at=read_seconds(gateway_event.created_at),
        )
        try:
            result = await self._settlement.settle(payment_event, evidence)
        except UnknownOrder as error:
            return _Result(EventStatus.IGNORED, error.detail, "foreign")
        except EvidenceMismatch:
            return _Result(EventStatus.PROCESSED, "mismatch", "mismatch")
        return _Result(EventStatus.PROCESSED, result.outcome.name.lower(), "processed")

    async def _apply_dispute(self, event: WebhookEvent) -> _Result:
        dispute, at = read_dispute(event.body)
        origin = Origin(Source.WEBHOOK, event.event, event_id=event.event_id)
        try:
            outcome = await self._disputes.apply_event(dispute, origin, at)
        except UnknownOrder as error:
            return _Result(EventStatus.IGNORED, error.detail, "foreign")
        return _Result(EventStatus.PROCESSED, outcome.name.lower(), "processed")

    async def _note_settlement(self, event: WebhookEvent) -> _Result:
        found = read_entity(read_json(event.body), SettlementEvent)
        if not await self._settlement_reader.note(found.payload.settlement.entity):
            raise Unreadable(f"The payload of {event.event} has no readable settlement.")
        return _Result(EventStatus.PROCESSED, "noted", "processed")

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
    return f"{MARKS}{event_id}"


def _read_name(body: bytes) -> str:
    try:
        document = read_json(body)
    except Unreadable:
        return _NO_NAME
    name = document.get("event") if isinstance(document, dict) else None
    return name[:100] if isinstance(name, str) and name else _NO_NAME
