"""The queries of the dispatcher. It writes in groups: a write for each delivery costs mongod six times as much."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo import ASCENDING, UpdateMany, UpdateOne

from kernapay.core.clock import Clock, now
from kernapay.deliveries.dispatch.rows import (
    DispatchEndpoint,
    DueRow,
    EventAge,
    Health,
    Note,
    Predecessor,
    StoredEvent,
)
from kernapay.deliveries.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    OutgoingEvent,
)
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import ReadOnlyRepository, Repository, Row

_LOGGED: Final = 12
_MAX_TIME_MS: Final = 8_000
_MOST_COUNTED: Final = 10_000
# MongoDB merges the index entries of up to 200 values. For more, it would read and sort all that is due.
_ENDPOINTS_IN_ORDER: Final = 150
_DUE: Final = "due"
"""The index."""
_IS_FREE: Final = {"$or": [{"$not": ["$lease"]}, {"$lte": ["$lease.until", "$$NOW"]}]}


class DispatchEndpointRepository(Repository[Endpoint]):
    """The leases and the health of endpoints. Leases are timed by the database's clock."""

    model = Endpoint

    async def extend(self, worker: str, endpoint_ids: Iterable[str], lasts: timedelta) -> None:
        """Extend the leases of this worker, and take those that are free."""
        ids = [ObjectId(each) for each in endpoint_ids]
        may_take = {"$or": [{"$eq": ["$lease.owner", worker]}, _IS_FREE]}
        until = {"$add": ["$$NOW", int(lasts.total_seconds() * 1000)]}

        def extend() -> None:
            self._collection.update_many(
                {"_id": {"$in": ids}, "$expr": may_take},
                [{"$set": {"lease": {"owner": worker, "until": until}}}],
            )

        if ids:
            await self._run(extend)

    async def release(self, worker: str, endpoint_ids: Iterable[str]) -> None:
        """End the leases of these endpoints, so that another worker can take them."""
        ids = [ObjectId(each) for each in endpoint_ids]
        await self._run(
            lambda: self._collection.update_many(
                {"_id": {"$in": ids}, "$expr": {"$eq": ["$lease.owner", worker]}},
                {"$unset": {"lease": True}},
            )
        )

    async def list_on(self) -> list[DispatchEndpoint]:
        """Return every endpoint that is on, with its lease."""
        columns = {**self._columns(DispatchEndpoint), "free": _IS_FREE}

        def read() -> list[DispatchEndpoint]:
            rows = self._collection.find(
                {"state": EndpointState.ON.value}, columns, max_time_ms=_MAX_TIME_MS
            )
            # Row by row: one that cannot be read must not stop the others.
            return self._convert_all(
                ({**row, "_id": str(row["_id"])} for row in rows), DispatchEndpoint
            )

        return await self._run(read)

    async def note_health(self, changes: Sequence[Health]) -> None:
        def statement(health: Health) -> UpdateOne:
            change: dict[str, Any] = {}
            if health.last_success_at is not None:
                change["$set"] = {"lastSuccessAt": health.last_success_at}
            if health.failing_since is None:
                change["$unset"] = {"failingSince": True}
            else:
                change.setdefault("$set", {})["failingSince"] = health.failing_since
            return UpdateOne({"_id": ObjectId(health.endpoint)}, change)

        statements = [statement(each) for each in changes]
        if statements:
            await self._run(lambda: self._collection.bulk_write(statements, ordered=False))

    async def disable(self, endpoint_id: str, reason: str) -> bool:
        """Disable an endpoint, and have its owner mailed. Return False if it is disabled already."""
        at = self.clock()
        disabled = await self.update_where(
            {"id": endpoint_id, "state": EndpointState.ON},
            set__state=EndpointState.DISABLED,
            set__reason=reason,
            set__notice_at=at,
        )
        return disabled is not None


class DueRepository(Repository[Delivery]):
    model = Delivery

    def __init__(
        self, mongo: Mongo, keep: timedelta, keep_done: timedelta, clock: Clock = now
    ) -> None:
        super().__init__(mongo, clock)
        self._kept = {DeliveryState.DONE: keep_done, DeliveryState.FAILED: keep}

    async def list_due(self, endpoint_ids: Sequence[str], count: int) -> list[DueRow]:
        """Return due deliveries to these endpoints, the longest due first: up to `count` for each 150 endpoints."""
        columns = self._columns(DueRow)

        def read() -> list[DueRow]:
            found = (self._find_due(where, columns, count) for where in self._due_for(endpoint_ids))
            return [row for rows in found for row in self._convert_all(rows, DueRow)]

        return await self._run(read)

    async def predecessors(self, delivery_ids: Sequence[str]) -> dict[str, Predecessor]:
        if not delivery_ids:
            return {}
        found = await self.select(Predecessor, id__in=list(delivery_ids))
        return {each.id: each for each in found}

    async def put_off(self, groups: Mapping[datetime, Sequence[str]]) -> None:
        """Make deliveries due at a later time. `groups` has their ids by that time."""
        statements = [
            UpdateMany({"_id": {"$in": list(ids)}}, {"$set": {"nextAt": until}})
            for until, ids in groups.items()
        ]
        if statements:
            await self._run(lambda: self._collection.bulk_write(statements, ordered=False))

    async def note(self, notes: Sequence[Note]) -> None:
        """Write the outcomes of many deliveries in one statement. Those no longer pending stay unchanged."""
        changes = {each.row.id: self._change_of(each) for each in notes}
        entries = {each.row.id: each.entry() for each in notes}
        log = {"$concatArrays": [{"$ifNull": ["$log", []]}, [_own(entries)]]}
        pipeline: list[dict[str, Any]] = [
            {"$replaceWith": {"$mergeObjects": ["$$ROOT", _own(changes)]}},
            {"$set": {"log": {"$slice": [log, -_LOGGED]}}},
        ]
        where = {
            "_id": {"$in": list(changes)},
            "$expr": {"$eq": ["$state", DeliveryState.PENDING.value]},
        }
        await self._run(lambda: self._collection.update_many(where, pipeline))

    def _change_of(self, note: Note) -> dict[str, Any]:
        change: dict[str, Any] = {"state": note.state.value, "attempts": note.attempts}
        if note.state is DeliveryState.PENDING:
            return {**change, "nextAt": note.next_at}
        return {**change, "doneAt": note.at, "expiresAt": note.at + self._kept[note.state]}

    async def depth(self, endpoint_ids: Sequence[str]) -> tuple[int, datetime | None]:
        """Count the due deliveries to these endpoints, up to 10,000. Return also since when the oldest is due."""

        def read() -> tuple[int, datetime | None]:
            count, since = 0, []
            for where in self._due_for(endpoint_ids):
                for row in self._find_due(where, {"nextAt": 1}, 1):
                    since.append(row["nextAt"])
                    count += self._collection.count_documents(
                        where, limit=_MOST_COUNTED, hint=_DUE, maxTimeMS=_MAX_TIME_MS
                    )
            return min(count, _MOST_COUNTED), min(since, default=None)

        return await self._run(read)

    def _find_due(self, where: Row, columns: Row, count: int) -> Iterable[Row]:
        # Of few rows, MongoDB would rather sort all that are due than merge the index entries of many endpoints.
        return self._collection.find(
            where,
            columns,
            sort=[("nextAt", ASCENDING), ("seq", ASCENDING)],
            limit=count,
            hint=_DUE,
            max_time_ms=_MAX_TIME_MS,
        )

    def _due_for(self, endpoint_ids: Sequence[str]) -> Iterator[Row]:
        """Yield conditions, each for as many endpoints as MongoDB can merge in the order of the index."""
        at = self.clock()
        for start in range(0, len(endpoint_ids), _ENDPOINTS_IN_ORDER):
            yield {
                "endpoint": {"$in": list(endpoint_ids[start : start + _ENDPOINTS_IN_ORDER])},
                "state": DeliveryState.PENDING.value,
                "nextAt": {"$lte": at},
            }


def _own(by_id: dict[str, Any]) -> dict[str, Any]:
    """Return the expression for the value of a mapping at the row's id. MongoDB searches constant lists by hash."""
    place = {"$indexOfArray": [{"$literal": list(by_id)}, "$_id"]}
    return {"$arrayElemAt": [{"$literal": list(by_id.values())}, place]}


class BodyRepository(ReadOnlyRepository[OutgoingEvent]):
    model = OutgoingEvent

    async def read(self, event_ids: Iterable[str]) -> dict[str, StoredEvent]:
        ids = sorted(set(event_ids))
        if not ids:
            return {}
        return {each.id: each for each in await self.select(StoredEvent, id__in=ids)}

    async def ages(self, event_ids: Iterable[str]) -> dict[str, datetime]:
        """Return when each of these events was stored."""
        ids = sorted(set(event_ids))
        if not ids:
            return {}
        return {each.id: each.created_at for each in await self.select(EventAge, id__in=ids)}
