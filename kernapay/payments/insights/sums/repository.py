"""The queries for stored sums.

Whether sums are current is never a matter of clocks. Each update that changes what a payment adds up to also marks the
payment for the relay (`announce`). The relay counts up `changes` of the sums that contain the payment, and only then
takes the marker away. Sums are added up after `changes` was read. So whoever looks first for marked payments, and then
for sums whose `counted` equals `changes`, misses none: a change is still marked, or counted up, or in the sums.

Each such sequence is one session of the driver: what was seen before an election is seen after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import bson
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, ExecutionTimeout

from kernapay.core.clock import Clock, now
from kernapay.payments.insights.repository import (
    MAX_TIME_MS,
    SUMS,
    InsightRepository,
    key_of,
)
from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.models import InsightSum
from kernapay.payments.insights.sums.spans import (
    ALL,
    EARLIEST,
    HOUR,
    LONGEST_DAY,
    By,
    Kind,
    Place,
    Span,
    Sum,
)
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository, Row

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

# How long changed sums wait before they are added up again, as more may change. A day takes longer than an hour, and
# its other hours are read meanwhile.
_RESTS: Final = {Kind.HOUR: timedelta(seconds=10), Kind.DAY: timedelta(minutes=1)}
# How long those wait that took too long.
_TOO_SLOW: Final = timedelta(hours=1)
# MongoDB uses a partial index only where the query proves the index's filter.
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_NAME: Final = dict.fromkeys(("zone", "scope", "by", "kind", "start", "end"), 1)
_NEVER: Final = -1
_DUPLICATE: Final = 11000
# MongoDB: a document has at most 16 MB.
_MOST_BYTES: Final = 12_000_000
# Together in one statement of the relay.
_CELL: Final = timedelta(minutes=15)


class InsightSumRepository(Repository[InsightSum]):
    model = InsightSum

    def __init__(
        self,
        mongo: Mongo,
        rows: InsightRepository,
        holds: HoldRepository,
        clock: Clock = now,
    ) -> None:
        super().__init__(mongo, clock)
        self._rows = rows
        self._holds = holds

    async def note_changes(
        self, places: Iterable[Place], counted_before: datetime | None = None
    ) -> None:
        """Count a change in the sums with these payments, or only in those of an earlier time.

        Raises Unavailable.
        """
        at = self.clock()
        earlier = {"countedAt": {"$lt": counted_before}} if counted_before else {}
        writes = [
            UpdateMany(
                {**where, **earlier},
                {"$inc": {"changes": 1}, "$min": {"dueAt": at + _RESTS[where["kind"]]}},
            )
            for where in _containing(places)
        ]
        if writes:
            await self._run(lambda: self._collection.bulk_write(writes, ordered=False))

    async def end_abandoned_holds(self) -> None:
        """Count a change in the sums that killed imports may have changed, and end their holds. Raises Unavailable."""
        for hold in await self._holds.abandoned():
            payee = await self._rows.payee_of(hold.payment_id)
            await self.note_changes([Place(hold.at, payee or ALL)])
            await self._holds.release([hold])

    async def note_all_changed(self) -> int:
        """Have all sums recomputed, as after a partial restore of the database. Return how many."""
        marks = {"$inc": {"changes": 1}, "$min": {"dueAt": self.clock()}}
        every = {"_id": {"$gt": ""}}
        return await self._run(lambda: self._collection.update_many(every, marks).matched_count)

    async def recount(self, wanted: Sequence[Sum]) -> None:
        """Add up spans and store the sums, unless that was done since their last change. Raises Unavailable."""
        at = self.clock()
        await self._run(lambda: self._recount(wanted, at))

    async def check(self, wanted: Sum) -> bool:
        """Compare current sums with the payments. Return False if they differ, and have them recomputed."""
        at = self.clock()
        return await self._run(lambda: self._check(wanted, at))

    async def due(self, count: int) -> list[Sum]:
        """Return sums that are to be added up again, those that wait longest first."""
        where = {"dueAt": {"$gt": _EPOCH, "$lte": self.clock()}}

        def find() -> list[Sum]:
            rows = self._collection.find(where, _NAME, sort=[("dueAt", 1)], limit=count)
            return [_sum_of(row) for row in rows]

        return await self._run(find)

    async def longest_unchecked(self) -> Sum | None:
        """Return the sums that were compared with the payments the longest time ago, None if there are none."""

        def find() -> Sum | None:
            row = self._collection.find_one({}, _NAME, sort=[("checkedAt", 1)])
            return _sum_of(row) if row else None

        return await self._run(find)

    async def groups(self, wanted: Sum) -> list[Row]:
        """Return stored sums, none if they are not there."""
        row = await self._run(lambda: self._collection.find_one({"_id": wanted.id}, {"sums": 1}))
        sums: list[Row] = (row or {}).get("sums", [])
        return sums

    def _recount(self, wanted: Sequence[Sum], at: datetime) -> None:
        with self._collection.database.client.start_session() as session:
            writes: list[UpdateOne] = []
            for each, changes, counted in self._begin(wanted, at, session):
                key = {"_id": each.id}
                if counted < changes:
                    try:
                        sums = self._add_up(each, session)
                    except ExecutionTimeout:
                        writes.append(UpdateOne(key, {"$set": {"dueAt": at + _TOO_SLOW}}))
                        continue
                    # What cannot be added up once for all is added up when it is asked for, which says why.
                    if _is_storable(sums):
                        new = {"counted": changes, "sums": sums, "countedAt": at, "checkedAt": at}
                        older = {**key, "counted": {"$lt": changes}}
                        writes.append(UpdateOne(older, {"$set": new}))
                # If it has changed meanwhile, it stays due.
                writes.append(UpdateOne({**key, "changes": changes}, {"$unset": {"dueAt": ""}}))
            self._collection.bulk_write(writes, session=session)

    def _begin(
        self, wanted: Sequence[Sum], at: datetime, session: "ClientSession"
    ) -> Iterator[tuple[Sum, int, int]]:
        """Yield how many changes sums have seen, and of how many they are. They are there from now on."""
        writes = [UpdateOne({"_id": each.id}, _new(each, at), upsert=True) for each in wanted]
        try:
            self._collection.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            # Another keeper may insert the same ones.
            if any(each["code"] != _DUPLICATE for each in error.details["writeErrors"]):
                raise
        ids = {"_id": {"$in": [each.id for each in wanted]}}
        found = self._collection.find(ids, {"changes": 1, "counted": 1}, session=session)
        heads = {row["_id"]: row for row in found}
        for each in wanted:
            head = heads[each.id]
            yield each, head["changes"], head["counted"]

    def _check(self, wanted: Sum, at: datetime) -> bool:
        with self._collection.database.client.start_session() as session:
            row = self._collection.find_one_and_update(
                {"_id": wanted.id}, {"$set": {"checkedAt": at}}, session=session
            )
            if row is None or row["changes"] != row["counted"]:
                return True
            sums = self._add_up(wanted, session)
            if _is_same(sums, row["sums"]) and _is_storable(sums):
                return True
            # What changed meanwhile is no fault: it is still marked, or was counted up.
            _, start, end = wanted.span
            if self._holds.moving(start, end, wanted.scope, session) != []:
                return True
            repaired = self._collection.update_one(
                {"_id": wanted.id, "changes": row["changes"]},
                {"$inc": {"changes": 1}, "$set": {"dueAt": at}},
                session=session,
            )
            return repaired.matched_count == 0

    def _add_up(self, wanted: Sum, session: "ClientSession") -> list[Row]:
        _, start, end = wanted.span
        key = key_of(wanted.by, wanted.zone)
        return self._rows.add_up(key, start, end, wanted.scope, MAX_TIME_MS, session)


def _new(wanted: Sum, at: datetime) -> Row:
    kind, start, end = wanted.span
    names = {"zone": wanted.zone, "scope": wanted.scope, "by": wanted.by.value}
    row = {**names, "kind": kind.value, "start": start, "end": end, "checkedAt": at}
    return {"$setOnInsert": {**row, "changes": 0, "counted": _NEVER}}


def _sum_of(row: Row) -> Sum:
    span = Span(Kind(row["kind"]), row["start"], row["end"])
    return Sum(row["zone"], row["scope"], By(row["by"]), span)


def _containing(places: Iterable[Place]) -> Iterator[Row]:
    """Yield the conditions for the sums that contain these payments, of those of a quarter of an hour together."""
    cells: dict[int, list[Place]] = {}
    for place in places:
        # Of earlier ones, no sums are stored. Nor is there a day before the first of the calendar.
        if place.at < EARLIEST - LONGEST_DAY:
            continue
        cells.setdefault(int(place.at.timestamp() // _CELL.total_seconds()), []).append(place)
    for cell in cells.values():
        first, last = min(each.at for each in cell), max(each.at for each in cell)
        scopes = {"$in": [ALL, *sorted({each.scope for each in cell if each.scope != ALL})]}
        for kind, longest in ((Kind.HOUR, HOUR), (Kind.DAY, LONGEST_DAY)):
            yield {
                "scope": scopes,
                "kind": kind.value,
                "start": {"$gt": first - longest, "$lte": last},
                "end": {"$gt": first},
            }


def _is_storable(sums: list[Row]) -> bool:
    """Return whether all amounts are whole, as sums of such may be added up in any order, and fit into a document."""
    is_whole = all(
        isinstance(row[name], int) or (isinstance(row[name], float) and row[name].is_integer())
        for row in sums
        for name in SUMS
    )
    return is_whole and len(bson.encode({"sums": sums})) < _MOST_BYTES


def _is_same(left: list[Row], right: list[Row]) -> bool:
    def ordered(rows: list[Row]) -> list[tuple[bytes, list[float]]]:
        return sorted((bson.encode(row["_id"]), [row[name] for name in SUMS]) for row in rows)

    return ordered(left) == ordered(right)
