"""Show deliveries, send events again, and send test events."""

import secrets
from datetime import datetime, timedelta
from typing import Final

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, in_utc, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.deliveries.drafts import Draft, Mark, encode_body
from kernapay.deliveries.dtos import DeliveriesReplayed, DeliveryDetail, DeliveryView, ReplayWindow
from kernapay.deliveries.endpoints.service import EndpointService
from kernapay.deliveries.events.repository import EventRepository
from kernapay.deliveries.ids import make_delivery_id, make_event_id
from kernapay.deliveries.matching import wants
from kernapay.deliveries.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    EventType,
    OutgoingEvent,
)
from kernapay.deliveries.payloads import EndpointTest
from kernapay.deliveries.repository import DeliveryRepository, PastEvent, PastEventRepository
from kernapay.security.principal import Principal

# One call takes less than a second for so many.
_MOST_REPLAYED: Final = 1000
_PRECISION: Final = timedelta(milliseconds=1)  # of MongoDB's times


class EndpointIsOff(Conflict):
    """Nothing is sent to an endpoint that is off or disabled."""

    code = "endpoint_is_off"
    title = "Endpoint is off"


class DeliveryService:
    def __init__(
        self,
        endpoints: EndpointService,
        deliveries: DeliveryRepository,
        past_events: PastEventRepository,
        events: EventRepository,
        audit: AuditLog,
        clock: Clock = now,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._past_events = past_events
        self._events = events
        self._audit = audit
        self._clock = clock

    async def page(
        self,
        actor: Principal,
        endpoint_id: str,
        state: DeliveryState | None,
        start: datetime | None,
        end: datetime | None,
        cursor: str | None,
        count: int,
    ) -> list[DeliveryView]:
        """Return a page of the deliveries to an endpoint. Raises NotFound."""
        await self._endpoints.find(actor, endpoint_id)
        after = None
        if cursor is not None:
            after = await self._deliveries.view(cursor)
            if after is None or after.endpoint != endpoint_id:
                raise NotFound("There is no delivery with this id.", field="cursor")
        return await self._deliveries.page(
            endpoint_id, state, in_utc(start, "from"), in_utc(end, "to"), after, count
        )

    async def detail(self, actor: Principal, delivery_id: str) -> DeliveryDetail:
        """Return a delivery with its attempts. Raises NotFound."""
        await self._require(actor, delivery_id)
        found = await self._deliveries.detail(delivery_id)
        if found is None:
            raise _not_found()
        return found

    async def resend(self, actor: Principal, delivery_id: str) -> DeliveryDetail:
        """Make a delivery due, whatever its state. Raises NotFound, EndpointIsOff."""
        endpoint = await self._require(actor, delivery_id)
        _require_on(endpoint)
        found = await self._deliveries.view(delivery_id)
        if found is None:
            raise _not_found()
        async with self._audit.action(actor, "delivery.resend", f"delivery:{delivery_id}"):
            await self._deliveries.replay([delivery_id])
            # Only now: until this one is due, the dispatcher would put them off again.
            events = await self._past_events.ids_of(found.subject)
            behind = [make_delivery_id(each, found.endpoint) for each in events]
            await self._deliveries.end_waiting(behind)
        return await self.detail(actor, delivery_id)

    async def replay(
        self, actor: Principal, endpoint_id: str, data: ReplayWindow
    ) -> DeliveriesReplayed:
        """Make deliveries of a time due again. Raises NotFound, InvalidInput, EndpointIsOff."""
        endpoint = await self._endpoints.find(actor, endpoint_id)
        _require_on(endpoint)
        start = in_utc(data.start, "from")
        end = in_utc(data.end, "to") or self._clock()
        if end < start:
            raise InvalidInput("Must not be before `from`.", field="to")
        facts = {"only": data.only, "from": start.isoformat(), "to": end.isoformat()}
        async with self._audit.action(
            actor, "endpoint.replay", f"endpoint:{endpoint_id}", after=facts
        ):
            if data.only == "failed":
                return await self._replay_failed(endpoint_id, start, end)
            return await self._replay_all(endpoint, start, end)

    async def send_test(self, actor: Principal, endpoint_id: str) -> str:
        """Send a test to an endpoint, and return the id of the delivery. Raises NotFound, EndpointIsOff."""
        endpoint = await self._endpoints.find(actor, endpoint_id)
        _require_on(endpoint)
        at = self._clock()
        part = secrets.token_hex(8)
        event_id = make_event_id(endpoint_id, 0, EventType.ENDPOINT_TEST, part)
        mark = Mark(
            event_id,
            EventType.ENDPOINT_TEST,
            at,
            seq=0,
            subject=endpoint_id,
            shop_id=endpoint.owner,
        )
        data = EndpointTest(endpoint_id=endpoint_id, url=endpoint.url)
        body = encode_body(Draft(mark, data), endpoint.version)
        event = OutgoingEvent(
            id=event_id,
            type=mark.type,
            at=at,
            subject=endpoint_id,
            seq=0,
            shop_id=endpoint.owner,
            bodies={str(endpoint.version): body},
        )
        delivery = _delivery_of(mark, endpoint, at, None)
        async with self._audit.action(actor, "endpoint.test", f"endpoint:{endpoint_id}"):
            await self._events.insert([event], [delivery])
        return str(delivery.id)

    async def _require(self, actor: Principal, delivery_id: str) -> Endpoint:
        """Return the endpoint of a delivery that the caller may see. Raises NotFound."""
        try:
            return await self._endpoints.find(actor, delivery_id.rpartition(":")[2])
        except NotFound as error:
            raise _not_found() from error

    async def _replay_failed(
        self, endpoint_id: str, start: datetime, end: datetime
    ) -> DeliveriesReplayed:
        found = await self._deliveries.failed_in(endpoint_id, start, end, _MOST_REPLAYED)
        replayed = await self._deliveries.replay([name for name, _ in found])
        return DeliveriesReplayed(replayed, found[-1][1] if len(found) == _MOST_REPLAYED else None)

    async def _replay_all(
        self, endpoint: Endpoint, start: datetime, end: datetime
    ) -> DeliveriesReplayed:
        types = endpoint.types or list(EventType)
        found = await self._past_events.happened(types, endpoint.owner, start, end, _MOST_REPLAYED)
        rest = found[-1].at if len(found) == _MOST_REPLAYED else None
        if rest is not None and rest == found[0].at:
            # All of one moment, as a report's findings are: the next call would begin with the same ones again.
            rest += _PRECISION
            found = await self._past_events.happened(types, endpoint.owner, found[0].at, rest, None)
        # Those of one moment in their order.
        wanted = [each for each in sorted(found, key=_order) if wants(endpoint, each)]
        at = self._clock()
        before: dict[str, str] = {}
        deliveries = []
        for event in wanted:
            deliveries.append(_delivery_of(event, endpoint, at, before.get(event.subject)))
            before[event.subject] = event.id
        await self._events.insert([], deliveries)
        await self._deliveries.replay([str(each.id) for each in deliveries])
        return DeliveriesReplayed(len(deliveries), rest)


def _delivery_of(
    event: PastEvent | Mark, endpoint: Endpoint, at: datetime, after: str | None
) -> Delivery:
    return Delivery(
        id=make_delivery_id(event.id, str(endpoint.pk)),
        endpoint_id=str(endpoint.pk),
        event_id=event.id,
        after=after,
        subject=event.subject,
        seq=event.seq,
        type=event.type,
        next_at=at,
        created_at=at,
    )


def _order(event: PastEvent) -> tuple[datetime, int]:
    return event.at, event.seq


def _require_on(endpoint: Endpoint) -> None:
    if endpoint.state is not EndpointState.ON:
        raise EndpointIsOff(
            "Switch the endpoint on first: POST /v1/api/endpoints/{endpointId}/enable"
        )


def _not_found() -> NotFound:
    return NotFound("There is no delivery with this id.", field="deliveryId")
