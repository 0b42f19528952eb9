"""Endpoints, events and deliveries as rows, and the dispatcher of a worker that send them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from bson import ObjectId

from kernapay.config.allowed_hosts import read_allowed_host
from kernapay.core.clock import Clock
from kernapay.core.keys import Sealer
from kernapay.deliveries.addresses import AddressRules
from kernapay.deliveries.dispatch.dispatcher import Dispatcher
from kernapay.deliveries.dispatch.feeder import Feeder
from kernapay.deliveries.dispatch.repository import (
    BodyRepository,
    DispatchEndpointRepository,
    DueRepository,
)
from kernapay.deliveries.sender import Sender
from kernapay.deliveries.signing import new_secret
from kernapay.deliveries.transport import Transport
from kernapay.storage.mongo import Mongo
from tests.aliases import Json, Store
from tests.stack import JWT_SECRET
from tests.threads import aside

RULES = AddressRules((443,), (read_allowed_host("127.0.0.1"),))
SEALER = Sealer([JWT_SECRET], "endpoint-secret")


R = TypeVar("R")


class Field:
    """What lies in the database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self.clock = clock

    @aside
    def do(self, call: Callable[[Store], R]) -> R:
        return call(self._store)

    @aside
    def clear(self) -> None:
        for name in ("endpoints", "events", "deliveries"):
            self._store[name].delete_many({})

    @aside
    def endpoint(self, url: str, secret: str | None = None, **changes: Any) -> str:
        at = self.clock()
        secrets = [{"sealed": SEALER.seal(secret or new_secret()), "at": at}]
        row = {
            "_id": ObjectId(),
            "keeper": str(ObjectId()),
            "url": url,
            "version": 1,
            "state": "on",
            "since": at,
            "secrets": secrets,
            "createdAt": at,
            "updatedAt": at,
        }
        self._store.endpoints.insert_one({**row, **changes})
        return str(row["_id"])

    @aside
    def events(self, count: int, **changes: Any) -> list[str]:
        """Insert events about one payment, and return their ids."""
        at = self.clock()
        source = ObjectId()
        ids = [f"evt_{source}_{seq}_0a1b2c3d" for seq in range(count)]
        rows = [
            {
                "_id": event_id,
                "type": "payment.succeeded",
                "at": at,
                "subject": f"PAY_{source}",
                "seq": seq,
                "bodies": {"1": f'{{"type":"payment.succeeded","n":{seq},"t":"₹ 😀"}}'.encode()},
                "createdAt": at,
                **changes,
            }
            for seq, event_id in enumerate(ids)
        ]
        self._store.events.insert_many(rows)
        return ids

    @aside
    def deliver(self, endpoint: str, event_ids: Sequence[str], **changes: Any) -> list[str]:
        """Insert deliveries of these events, each after the one before, and return their ids."""
        at = self.clock()
        rows = [
            {
                "_id": f"{event_id}:{endpoint}",
                "endpoint": endpoint,
                "event": event_id,
                "after": event_ids[place - 1] if place else None,
                "subject": "PAY_" + event_id.split("_")[1],
                "seq": place,
                "type": "payment.succeeded",
                "state": "pending",
                "nextAt": at,
                "attempts": 0,
                "createdAt": at,
                **changes,
            }
            for place, event_id in enumerate(event_ids)
        ]
        self._store.deliveries.insert_many(rows)
        return [row["_id"] for row in rows]

    def send(self, endpoint: str, count: int = 1) -> list[str]:
        """Insert events of one payment with their deliveries; return the ids of the events."""
        events = self.events(count)
        self.deliver(endpoint, events)
        return events

    @aside
    def send_many(self, endpoint: str, count: int) -> None:
        """Insert an event of each of so many payments, with its delivery."""
        at = self.clock()
        sources = [ObjectId() for _ in range(count)]
        common = {"type": "payment.succeeded", "seq": 0, "createdAt": at}
        events = [
            {**common, "_id": f"evt_{each}_0_0a1b2c3d", "subject": f"PAY_{each}", "at": at}
            for each in sources
        ]
        due = {"endpoint": endpoint, "state": "pending", "nextAt": at, "attempts": 0}
        deliveries = [
            {**common, **due, "_id": f"{each['_id']}:{endpoint}", "event": each["_id"]}
            | {"subject": each["subject"]}
            for each in events
        ]
        self._store.events.insert_many([{**each, "bodies": {"1": b"{}"}} for each in events])
        self._store.deliveries.insert_many(deliveries)

    @aside
    def delivery(self, event_id: str, endpoint: str) -> Json:
        row = self._store.deliveries.find_one({"_id": f"{event_id}:{endpoint}"})
        assert row is not None
        return row

    @aside
    def row(self, endpoint: str) -> Json:
        row = self._store.endpoints.find_one({"_id": ObjectId(endpoint)})
        assert row is not None
        return row

    @aside
    def switch(self, endpoint: str, state: str) -> None:
        self._store.endpoints.update_one({"_id": ObjectId(endpoint)}, {"$set": {"state": state}})

    @aside
    def body_of(self, event_id: str) -> bytes:
        row = self._store.events.find_one({"_id": event_id})
        assert row is not None
        return bytes(row["bodies"]["1"])

    @aside
    def end_pauses(self, endpoint: str) -> None:
        """Let the minutes pass that follow a second failure, also for those that wait behind it."""
        at = self.clock()
        late = {
            "endpoint": endpoint,
            "state": "pending",
            "nextAt": {"$gt": at + timedelta(seconds=10)},
        }
        self._store.deliveries.update_many(late, {"$set": {"nextAt": at}})

    @aside
    def states(self, endpoint: str) -> dict[str, int]:
        groups = self._store.deliveries.aggregate(
            [{"$match": {"endpoint": endpoint}}, {"$sortByCount": "$state"}]
        )
        return {group["_id"]: group["count"] for group in groups}

    @aside
    def unsent(self) -> list[Json]:
        """Return what has not been delivered, for who wants to know why."""
        return list(self._store.deliveries.find({"state": {"$ne": "done"}}))


class Bench:
    """Starts the dispatcher of workers."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._mongo = mongo
        self._clock = clock

    def dispatcher(
        self,
        *,
        seconds: float = 2.0,
        sealer: Sealer = SEALER,
        bodies: type[BodyRepository] = BodyRepository,
        **options: Any,
    ) -> tuple[Dispatcher, Transport]:
        transport = Transport(connections=500, seconds=seconds)
        due = DueRepository(self._mongo, timedelta(days=30), timedelta(days=7), self._clock)
        dispatcher = Dispatcher(
            DispatchEndpointRepository(self._mongo, self._clock),
            due,
            Feeder(due, bodies(self._mongo, self._clock), self._clock),
            Sender(transport, self._clock),
            RULES,
            sealer,
            self._clock,
            trusts_shops=True,
            jitter=lambda: 0.5,
            **options,
        )
        return dispatcher, transport

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Dispatcher]:
        dispatcher, transport = self.dispatcher(**options)

        async def work() -> None:
            while True:
                if not await dispatcher.sweep():
                    await asyncio.sleep(0.05)

        task = asyncio.get_running_loop().create_task(work())
        try:
            yield dispatcher
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            try:
                await dispatcher.close()
            finally:
                await transport.close()
            assert isinstance(ended, asyncio.CancelledError), ended
