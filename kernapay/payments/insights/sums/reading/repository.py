"""Add up a period from stored sums and from the payments that these do not cover."""

import asyncio
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from kernapay.payments.insights.repository import MAX_TIME_MS, SUMS, InsightRepository, key_of
from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.models import InsightSum
from kernapay.payments.insights.sums.spans import By, Gap, Head, Kind, Period, Plan, plan_of
from kernapay.storage.mongo import Mongo, QueryTooSlow
from kernapay.storage.reading import ReadOnlyRepository, Row

if TYPE_CHECKING:
    from pymongo.client_session import ClientSession

_HEAD: Final = dict.fromkeys(("by", "start", "end", "changes", "counted"), 1)
# Beyond that, one query for all of a period is less work than one for each gap.
_MOST_GAPS: Final = 20


class InsightReader(ReadOnlyRepository[InsightSum]):
    model = InsightSum

    def __init__(self, mongo: Mongo, rows: InsightRepository, holds: HoldRepository) -> None:
        super().__init__(mongo)
        self._rows = rows
        self._holds = holds

    async def read(self, period: Period, bys: Sequence[By]) -> list[list[Row]]:
        """Return the sums of a period by each, as they are at this moment.

        Raises QueryTooSlow if what has to be added up is too much.
        """
        until = monotonic() + MAX_TIME_MS / 1000
        plans, seen_at = await self._run(lambda: self._plan(period, bys))
        return await asyncio.gather(
            *(self._run(self._put_together, plans[by], period, by, until, seen_at) for by in bys)
        )

    async def current(self, period: Period) -> set[str]:
        """Return the ids of the current sums in a period."""
        gaps = [(period.after, period.before)]

        def find() -> set[str]:
            heads = [
                each
                for kind in Kind
                for every in self._heads(period, list(By), kind, gaps, None).values()
                for each in every
            ]
            return {each.id for each in heads if each.is_current}

        return await self._run(find)

    def _plan(self, period: Period, bys: Sequence[By]) -> tuple[dict[By, Plan], Any]:
        """Return the plan of the period for each kind, and the database's time at which it was right."""
        after, before = period.after, period.before
        whole = [(after, before)]
        with self._collection.database.client.start_session() as session:
            moving = self._holds.moving(after, before, period.scope, session)
            if moving is None:
                return dict.fromkeys(bys, Plan([], whole)), session.operation_time
            # Only now: what has lost its marker before that, is counted up.
            days = self._heads(period, bys, Kind.DAY, whole, session)
            plans = {by: plan_of(days[by], moving, after, before) for by in bys}
            gaps = sorted({gap for plan in plans.values() for gap in plan.gaps})
            if len(gaps) <= _MOST_GAPS:
                hours = self._heads(period, bys, Kind.HOUR, gaps, session)
                plans = {by: plan_of([*days[by], *hours[by]], moving, after, before) for by in bys}
            return plans, session.operation_time

    def _heads(
        self,
        period: Period,
        bys: Iterable[By],
        kind: Kind,
        gaps: Iterable[Gap],
        session: "ClientSession | None",
    ) -> dict[By, list[Head]]:
        found: dict[By, list[Head]] = {by: [] for by in bys}
        for after, before in gaps:
            where = {
                "zone": period.zone,
                "scope": period.scope,
                "by": {"$in": [by.value for by in found]},
                "kind": kind.value,
                "start": {"$gte": after, "$lt": before},
                "end": {"$lte": before},
            }
            for row in self._collection.find(where, _HEAD, session=session):
                is_current = row["changes"] == row["counted"]
                head = Head(row["_id"], row["start"], row["end"], is_current)
                found[By(row["by"])].append(head)
        return found

    def _put_together(
        self, plan: Plan, period: Period, by: By, until: float, seen_at: Any
    ) -> list[Row]:
        rows: list[Row] = []
        with self._collection.database.client.start_session() as session:
            if seen_at is not None:
                session.advance_operation_time(seen_at)
            if plan.ids:
                pipeline = _pipeline_of(plan.ids)
                found = self._collection.aggregate(pipeline, maxTimeMS=MAX_TIME_MS, session=session)
                rows += found
            key = key_of(by, period.zone)
            for after, before in plan.gaps:
                rest = int((until - monotonic()) * 1000)
                if rest <= 0:
                    raise QueryTooSlow(
                        "The database took too long. Repeat the call in a few seconds."
                    )
                rows += self._rows.add_up(key, after, before, period.scope, rest, session)
        return rows


def _pipeline_of(ids: list[str]) -> list[dict[str, Any]]:
    """Return the pipeline that adds up stored sums by the keys that they have."""
    totals = {name: {"$sum": f"$sums.{name}"} for name in SUMS}
    return [
        {"$match": {"_id": {"$in": ids}}},
        {"$unwind": "$sums"},
        {"$group": {"_id": "$sums._id", **totals}},
    ]
