"""The queries on reconciliation reports and findings."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.core.errors import NotFound
from kernapay.reconciliation.dtos import FindingView, NightView, ReportView
from kernapay.reconciliation.models import Finding, Kind, Report, ReportState
from kernapay.storage.announcing import MarkedRows
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.queue import Queue, Rules
from kernapay.storage.repository import DuplicateRow, Repository
from kernapay.storage.updates import RowGone

_LEASE: Final = timedelta(hours=1)
_PAUSE: Final = timedelta(minutes=10)
_ATTEMPT_LIMIT: Final = 6
# What could not be compared is counted in full, and named up to this number.
_NAMED: Final = 100
_MOST_COUNTED: Final = 10_000


class ReportRepository(MarkedRows[Report]):
    model = Report

    def __init__(self, mongo: Mongo, clock: Clock = now, lease: timedelta = _LEASE) -> None:
        """`lease` is how long a report stays with a worker that does not extend its lease."""
        super().__init__(mongo, clock)
        self._lease = lease
        self.queue = Queue(
            "reports",
            self,
            Rules(
                # A report that is running after its lease has ended belongs to a worker that died.
                waiting=lambda _: {"state__in": [ReportState.REQUESTED, ReportState.RUNNING]},
                due="lease_until",
                attempts="attempts",
                leases=(lease,),
                backoff=(_PAUSE,),
                limit=_ATTEMPT_LIMIT,
                claimed={"set__state": ReportState.RUNNING},
                parked=lambda at: {"set__state": ReportState.FAILED, "set__finished_at": at},
                is_parked={"state": ReportState.FAILED},
                renews=True,
            ),
        )

    async def request(
        self, after: datetime, before: datetime, requested_by: str, *, is_claimed: bool = False
    ) -> Report:
        """Insert a report of a window, due at once. If `is_claimed`, the caller makes it instead of a worker."""
        return await self.add(
            Report(
                window_from=after,
                window_to=before,
                requested_by=requested_by,
                state=ReportState.RUNNING if is_claimed else ReportState.REQUESTED,
                lease_until=self.clock() + (self._lease if is_claimed else timedelta(0)),
            )
        )

    async def request_night(
        self, night: str, after: datetime, before: datetime, due: datetime | None = None
    ) -> bool:
        """Insert the report of a night, due at once by default. Return False when it exists."""
        # The index refuses a second one of two workers at once. All others see it here, whatever the index does.
        if await self.exists(night=night):
            return False
        report = Report(
            window_from=after,
            window_to=before,
            requested_by="nightly",
            lease_until=due or self.clock(),
            night=night,
        )
        try:
            await self.add(report)
        except DuplicateRow:
            return False
        return True

    async def repeat_night(
        self, row: NightView, after: datetime, before: datetime, due: datetime
    ) -> bool:
        """Request the report of a night again. Return False if somebody else has."""
        unchanged = {
            "id": row.id,
            "night": row.night,
            "state": row.state,
            "finished_at": row.finished_at,
        }
        repeated = await self.update_where(
            unchanged,
            set__window_from=after,
            set__window_to=before,
            set__state=ReportState.REQUESTED,
            set__lease_until=due,
            set__attempts=0,
            set__finished_at=None,
        )
        return repeated is not None

    async def nights(self, first: str) -> dict[str, NightView]:
        """Return the nightly reports by their day, from a first one on."""
        rows = await self.select(NightView, night__gte=first)
        return {row.night: row for row in rows}

    async def finish(
        self,
        report: Report,
        totals: dict[str, int],
        money: dict[str, dict[str, int]],
        unchecked: Sequence[str],
    ) -> None:
        """Store what a report found, and mark it for the relay. It is complete if nothing is `unchecked`."""
        at = self.clock()
        await self.queue.finish(
            report,
            set__state=ReportState.DONE,
            set__totals={**totals, "unchecked": len(unchecked)},
            set__money=money,
            set__unchecked=list(unchecked[:_NAMED]),
            set__is_complete=not unchecked,
            set__error=None,
            set__finished_at=at,
            set__announce=at,
        )

    async def newest(self, count: int, skip: int) -> list[ReportView]:
        """Return a page of the reports, newest first."""
        newest = OrderBy("created_at", descending=True)
        return await self.select(ReportView, newest, LimitOffset(count, skip))

    async def view(self, report_id: str) -> ReportView | None:
        return await self.select_one(ReportView, id=report_id)


class _Summary(msgspec.Struct, rename="camel"):
    id: str = msgspec.field(name="_id")
    outcome: str | None = None
    repaired_at: datetime | None = None


class _KindOnly(msgspec.Struct):
    kind: Kind


class FindingRepository(Repository[Finding]):
    model = Finding

    async def of_report(self, report_id: str, count: int, skip: int) -> list[FindingView]:
        """Return a page of a report's findings, by kind."""
        return await self.select(
            FindingView,
            OrderBy("kind"),
            OrderBy("id"),
            LimitOffset(count, skip),
            report_id=report_id,
        )

    def batches_of_report(self, report_id: str) -> AsyncIterator[list[FindingView]]:
        """Yield a report's findings, by kind, in batches."""
        return self.batches(FindingView, OrderBy("kind"), OrderBy("id"), report_id=report_id)

    async def put(self, finding: Finding) -> ObjectId:
        """Store a finding under an id that follows from what it says. Return the id.

        So a repeated report stores the same findings. A repaired finding that is found again is open again.
        """
        finding_id = _id_of(finding)
        finding.pk = finding_id
        try:
            await self.add(finding)
        except DuplicateRow:
            row = await self.update_where(
                {"id": finding_id},
                set__ours=finding.ours,
                set__theirs=finding.theirs,
                set__repaired_at=None,
            )
            if row is None:
                raise RowGone from None
        return finding_id

    async def drop_others(self, report_id: ObjectId, found: Collection[ObjectId]) -> None:
        """Delete findings that an earlier run of this report found and this one did not, unless they were worked on."""
        gone = [
            row.id
            for row in await self._summaries(report_id)
            if ObjectId(row.id) not in found and row.outcome is None
        ]
        for finding_id in gone:
            # Somebody may have worked on it since it was read.
            await self.delete_where(id=finding_id, outcome=None)

    async def open_ids(self, report_id: str) -> list[str]:
        """Return the ids of a report's findings that are not repaired, by kind."""
        rows = await self._summaries(ObjectId(report_id))
        return [row.id for row in rows if row.repaired_at is None]

    async def open_of(self, report_id: str, kinds: Collection[Kind]) -> list[Finding]:
        """Return a report's findings of some kinds that are not repaired."""
        order = (OrderBy("kind"), OrderBy("id"))
        found = await self.list(*order, report_id=report_id, kind__in=list(kinds))
        return [each for each in found if each.repaired_at is None]

    async def count_open(self) -> Counter[Kind]:
        """Count the findings of all reports that are not repaired, by kind, up to 10,000 in all."""
        rows = await self.select(_KindOnly, LimitOffset(_MOST_COUNTED), repaired_at=None)
        return Counter(row.kind for row in rows)

    async def _summaries(self, report_id: ObjectId) -> "list[_Summary]":
        order = (OrderBy("kind"), OrderBy("id"))
        return [
            row
            async for batch in self.batches(_Summary, *order, report_id=report_id)
            for row in batch
        ]

    async def record_repair(
        self, finding: Finding, repaired_by: str, outcome: str, *, is_repaired: bool
    ) -> None:
        """Store the outcome of a repair. `is_repaired` says that the difference is gone.

        Raises NotFound if the report was made again meanwhile and no longer has the finding.
        """
        updated = await self.update_where(
            {"id": finding.pk},
            set__repaired_at=self.clock() if is_repaired else None,
            set__repaired_by=repaired_by,
            set__outcome=outcome,
        )
        if updated is None:
            raise NotFound("The finding is gone: its report was made again.")


def _id_of(finding: Finding) -> ObjectId:
    parts = [
        str(finding.report_id),
        finding.kind.value,
        finding.reference_id,
        finding.order_id,
        finding.razorpay_payment_id,
        finding.dispute_id,
        # Of what cannot be read, the ids may be missing.
        finding.theirs if finding.kind is Kind.UNREADABLE else None,
        finding.ours if finding.kind is Kind.UNREADABLE else None,
    ]
    return ObjectId(hashlib.sha256(msgspec.json.encode(parts)).digest()[:12])
