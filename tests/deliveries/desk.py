"""Payments that change through the ledger, and a relay that tells of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from bson import ObjectId

from kernapay.deliveries.drafts import Draft, encode_body
from kernapay.deliveries.events.repository import EventRepository, ListenerRepository
from kernapay.deliveries.ids import make_delivery_id
from kernapay.deliveries.matching import match
from kernapay.deliveries.payment_events import PaymentRow, draft_events
from kernapay.deliveries.relay import Relay
from kernapay.deliveries.sources import PaymentSource, Source
from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Dispute, Payment, Refund
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import DisputeStatus, Event, RefundState
from kernapay.payments.states import Source as Where
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from kernapay.storage.relay_notes import RelayNotes
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.live.noted_signals import NotedSignals

T = TypeVar("T")
ORIGIN = Origin(Where.WEBHOOK, "test")
COLLECTIONS = ("payments", "events", "deliveries", "endpoints")


@dataclass(frozen=True)
class Told:
    """An event as it is stored."""

    id: str
    type: str
    seq: int
    data: Json


class Desk:
    def __init__(self, mongo: Mongo, store: Store, cache: Cache, clock: FrozenClock) -> None:
        self.clock = clock
        self.mongo = mongo
        self.notes = RelayNotes(mongo, clock)
        self._store = store
        payments = PaymentRepository(mongo, cache, clock)
        lifetimes = Lifetimes(timedelta(minutes=15), timedelta(days=7))
        self.ledger = PaymentLedger(mongo, payments, lifetimes, NotedSignals())
        self.events = EventRepository(mongo, timedelta(days=30), clock)
        self.listeners = ListenerRepository(mongo, clock)

    def relay(self, *sources: Source, always_stores: bool = True) -> Relay:
        return Relay(
            sources or (PaymentSource(self.ledger, self.notes.events_since),),
            self.events,
            self.listeners,
            self.clock,
            always_stores=always_stores,
        )

    async def do(self, call: Callable[[Store], T]) -> T:
        return await asyncio.to_thread(call, self._store)

    async def clear(self) -> None:
        await self.do(lambda store: [store[name].delete_many({}) for name in COLLECTIONS])

    async def create(self, **changes: Any) -> Payment:
        order = f"order_{ObjectId()}"
        facts = {
            "user_id": ObjectId(),
            "amount": 1000,
            "currency": "INR",
            "reference_id": f"PAY_{ObjectId()}",
            "service_type": "CONSULTATION",
            "idempotency_key": str(ObjectId()),
            "created_at": self.clock(),
        }
        payment, _ = await self.ledger.claim(Payment(**{**facts, **changes}), ORIGIN)
        return await self.ledger.attach_order(payment, order)

    async def move(self, payment: Payment, event: Event, **options: Any) -> Payment:
        self.clock.advance(seconds=1)
        paid = gateway_payment(payment) if event in (Event.CAPTURED, Event.DECLINED) else None
        moved = await self.ledger.move(event, payment, ORIGIN, paid, **options)
        assert moved is not None
        return moved

    async def paid(self, **changes: Any) -> Payment:
        return await self.move(await self.create(**changes), Event.CAPTURED)

    async def reserve(self, payment: Payment, amount: int = 400) -> Refund:
        self.clock.advance(seconds=1)
        refund = Refund(
            receipt=f"KPR_{ObjectId()}",
            key=str(ObjectId()),
            amount=amount,
            status=RefundState.REQUESTED,
            source=Where.API,
            reason="Appointment cancelled",
            created_at=self.clock(),
            updated_at=self.clock(),
        )
        assert await self.ledger.reserve_refund(payment, refund, 30) is not None
        return refund

    async def record(self, payment: Payment, refund: GatewayRefund) -> Payment:
        self.clock.advance(seconds=1)
        return await self.ledger.record_refund(payment, refund, ORIGIN)

    async def dispute(
        self, payment: Payment, known: Dispute | None, status: DisputeStatus, **facts: Any
    ) -> tuple[Payment, Dispute]:
        self.clock.advance(seconds=1)
        at = self.clock()
        dispute = Dispute(
            **{
                "dispute_id": "disp_1",
                "payment_id": payment.razorpay_payment_id,
                "amount": 1000,
                "currency": "INR",
                "phase": "chargeback",
                "status": status,
                "source": Where.WEBHOOK,
                "revision": known.revision + 1 if known else 1,
                "created_at": at,
                "updated_at": at,
                **facts,
            }
        )
        row = await self.ledger.record_dispute(payment, known, dispute, ORIGIN, "dispute")
        assert row is not None
        return row, dispute

    async def endpoint(self, **changes: Any) -> str:
        row = {"_id": ObjectId(), "state": "on", "since": self.clock(), "version": 1, **changes}
        await self.do(lambda store: store.endpoints.insert_one(row))
        return str(row["_id"])

    async def tell(self, relay: Relay | None = None) -> None:
        """Let the relay work until nothing is due."""
        self.clock.advance(seconds=2)
        relay = relay or self.relay()
        while await relay.sweep():
            pass

    async def told(self, *references: str) -> list[Told]:
        """Return the events of some payments, or of all, by subject and place."""
        where = {"subject": {"$in": references}} if references else {}
        rows = await self.do(
            lambda store: list(store.events.find(where).sort([("subject", 1), ("seq", 1)]))
        )
        return [
            Told(
                row["_id"], row["type"], row["seq"], msgspec.json.decode(row["bodies"]["1"])["data"]
            )
            for row in rows
        ]

    async def types(self, payment: Payment) -> list[tuple[int, str]]:
        """Let the relay work, and return the place and the type of each event of a payment."""
        await self.tell()
        return [(each.seq, each.type) for each in await self.told(payment.reference_id)]

    async def deliveries(self, endpoint_id: str) -> list[Json]:
        return await self.do(
            lambda store: list(store.deliveries.find({"endpoint": endpoint_id}).sort("seq", 1))
        )

    async def check(self) -> None:
        """Events are what the rows make of them, deliveries are what endpoints want of those, and no marker is left."""
        rows = await self.do(lambda store: list(store.payments.find()))
        stored = {each.id: each for each in await self.told()}
        assert await self.marked() == 0
        drafts: list[Draft] = []
        for row in rows:
            # All over again, from the first step on.
            view = await self.ledger.select_one(PaymentRow, id=row["_id"])
            assert view is not None
            drafts += draft_events(view, 0)
        assert sorted(stored) == sorted(draft.mark.id for draft in drafts)
        for draft in drafts:
            body = msgspec.json.decode(encode_body(draft, 1))
            assert body["data"] == stored[draft.mark.id].data
        listeners = await self.listeners.listening()
        wanted = {
            make_delivery_id(draft.mark.id, each.id): after
            for draft in drafts
            for each, after in match(draft, listeners)
        }
        sent = await self.do(lambda store: list(store.deliveries.find()))
        assert {row["_id"]: row.get("after") for row in sent} == wanted

    async def marked(self) -> int:
        return await self.do(
            lambda store: store.payments.count_documents({"announce": {"$exists": True}})
        )


def gateway_payment(payment: Payment, **facts: Any) -> GatewayPayment:
    values = {
        "id": f"pay_{payment.pk}",
        "order_id": payment.razorpay_order_id,
        "amount": payment.amount,
        "currency": payment.currency,
        "status": "captured",
        "method": "upi",
        "error_reason": "insufficient_funds",
    }
    return GatewayPayment(**{**values, **facts})


def gateway_refund(
    payment: Payment, refund: Refund | None, status: str, **facts: Any
) -> GatewayRefund:
    values = {
        "id": "rfnd_1",
        "payment_id": payment.razorpay_payment_id,
        "amount": refund.amount if refund else 400,
        "currency": payment.currency,
        "status": status,
        "receipt": refund.receipt if refund else None,
    }
    return GatewayRefund(**{**values, **facts})


@asynccontextmanager
async def open_desk(
    mongo: Mongo, store: Store, redis_url: str, clock: FrozenClock, *, empty: bool = True
) -> AsyncIterator[Desk]:
    redis = RedisStore(redis_url)
    cache = Cache(redis, MongoPendingEvictions(mongo))
    await cache.start()
    try:
        desk = Desk(mongo, store, cache, clock)
        if empty:
            await desk.clear()
        yield desk
    finally:
        if empty:
            # Also of its endpoints: a worker would call what lacks a URL unreadable.
            for name in COLLECTIONS:
                await asyncio.to_thread(store[name].delete_many, {})
        await cache.close()
        await redis.close()
