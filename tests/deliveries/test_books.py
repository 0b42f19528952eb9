"""Settlements and findings are told of as payments are: by the row that changes, once, to administrators."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from bson import ObjectId

from kernapay.deliveries.events.repository import EventRepository
from kernapay.deliveries.relay import Relay
from kernapay.deliveries.sources import FindingSource, SettlementSource
from kernapay.reconciliation.models import Finding, Kind, Report
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.settlements.models import BankSettlement
from kernapay.settlements.repository import SettlementRepository
from kernapay.settlements.rows import Sums
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Row
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import Desk, open_desk

pytestmark = pytest.mark.anyio


class Books:
    """Settlements, reports, and a relay that tells of both."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.settlements = SettlementRepository(desk.mongo, desk.clock)
        self.reports = ReportRepository(desk.mongo, desk.clock)
        self.findings = FindingRepository(desk.mongo, desk.clock)

    @property
    def relay(self) -> Relay:
        return self.desk.relay(
            SettlementSource(self.settlements),
            FindingSource(self.reports, self.findings.batches_of_report),
        )

    async def settle(self, status: str = "processed") -> BankSettlement:
        found = BankSettlement(
            settlement_id=f"setl_{ObjectId()}",
            status=status,
            amount=900,
            utr="UTR1",
            settled_at=self.desk.clock(),
        )
        await self.settlements.keep(found, is_current=True)
        return found

    async def add_up(self, settlement: BankSettlement) -> None:
        stored = await self.settlements.get(settlement_id=settlement.settlement_id)
        await self.settlements.record_sums(stored, Sums(rows=1, credit=900, fee=20), [])

    async def report(self, count: int) -> Report:
        at = self.desk.clock()
        self.desk.clock.advance(minutes=1)
        report = await self.reports.request(at, self.desk.clock(), "test")
        await self.make(report, count)
        return report

    async def make(self, report: Report, count: int) -> None:
        for number in range(count):
            await self.findings.put(
                Finding(
                    report_id=report.pk,
                    kind=Kind.AMOUNT,
                    order_id=f"order_{number}",
                    ours="1000",
                    theirs="900",
                )
            )
        await self.reports.finish(report, {"findings": count}, {}, [])

    async def tell(self) -> list[str]:
        """Let the relay work, and return the types of all events."""
        await self.desk.tell(self.relay)
        return [each.type for each in await self.desk.told()]


@pytest.fixture
async def books(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Books]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        names = ("settlements", "reconciliation_reports", "reconciliation_findings")
        await desk.do(lambda store: [store[name].delete_many({}) for name in names])
        yield Books(desk)


class TestSettlements:
    async def test_one_is_told_of_when_its_rows_are_added_up(self, books: Books) -> None:
        settlement = await books.settle()
        assert await books.tell() == []
        await books.add_up(settlement)
        assert await books.tell() == ["settlement.processed"]
        (told,) = await books.desk.told()
        assert told.data == {
            **told.data,
            "settlementId": settlement.settlement_id,
            "status": "processed",
            "amount": 900,
            "utr": "UTR1",
            "credit": 900,
            "rows": 1,
            "difference": 0,
            "sequence": 0,
        }

    async def test_once_however_often_its_day_is_read(self, books: Books) -> None:
        settlement = await books.settle()
        for _ in range(3):
            await books.add_up(settlement)
            assert await books.tell() == ["settlement.processed"]

    async def test_not_before_the_gateway_has_processed_it(self, books: Books) -> None:
        settlement = await books.settle("created")
        await books.add_up(settlement)
        assert await books.tell() == []
        again = BankSettlement(
            settlement_id=settlement.settlement_id,
            status="processed",
            amount=900,
            utr="UTR1",
            settled_at=settlement.settled_at,
        )
        await books.settlements.keep(again, is_current=True)
        await books.add_up(settlement)
        assert await books.tell() == ["settlement.processed"]

    async def test_those_from_before_the_upgrade_are_not(self, books: Books) -> None:
        settlement = await books.settle()
        await books.desk.do(
            lambda store: store.settlements.update_many({}, {"$unset": {"announced": ""}})
        )
        await books.add_up(settlement)
        assert await books.tell() == []

    async def test_one_that_a_restored_copy_lacks_is_told_of_under_the_same_id(
        self, books: Books
    ) -> None:
        settlement = await books.settle()
        await books.add_up(settlement)
        await books.tell()
        (before,) = await books.desk.told()
        # The copy is from before the settlement, which is read from the gateway again.
        names = ("settlements", "events")
        await books.desk.do(lambda store: [store[name].delete_many({}) for name in names])
        await books.settlements.keep(
            BankSettlement(
                settlement_id=settlement.settlement_id,
                status="processed",
                amount=900,
                utr="UTR1",
                settled_at=settlement.settled_at,
            ),
            is_current=True,
        )
        await books.add_up(settlement)
        await books.tell()
        (after,) = await books.desk.told()
        assert after.id == before.id

    async def test_no_shop_hears_of_them(self, books: Books) -> None:
        start = books.desk.clock()
        shop = await books.desk.endpoint(since=start, owner="66b1f0c2a7d4e5f601234567")
        staff = await books.desk.endpoint(since=start)
        await books.add_up(await books.settle())
        await books.report(1)
        assert sorted(await books.tell()) == ["reconciliation.finding", "settlement.processed"]
        assert await books.desk.deliveries(shop) == []
        assert len(await books.desk.deliveries(staff)) == 2


class CountingEvents(EventRepository):
    """Notes how many rows each call stores."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.mongo, timedelta(days=30), desk.clock)
        self.counts: list[int] = []

    async def store(self, events: Sequence[Row], deliveries: Sequence[Row]) -> None:
        self.counts.append(len(events) + len(deliveries))
        await super().store(events, deliveries)


class TestFindings:
    async def test_a_long_report_for_many_endpoints_is_stored_in_parts(self, books: Books) -> None:
        start = books.desk.clock()
        endpoints = [await books.desk.endpoint(since=start) for _ in range(25)]
        books.desk.events = events = CountingEvents(books.desk)
        await books.report(100)
        assert await books.tell() == ["reconciliation.finding"] * 100
        assert sum(events.counts) == 100 + 25 * 100
        assert max(events.counts) < 1100
        assert len(await books.desk.deliveries(endpoints[-1])) == 100

    async def test_each_one_of_a_report_is_an_event(self, books: Books) -> None:
        report = await books.report(3)
        assert await books.tell() == ["reconciliation.finding"] * 3
        told = await books.desk.told(str(report.pk))
        assert {each.data["orderId"] for each in told} == {"order_0", "order_1", "order_2"}
        assert {each.data["reportId"] for each in told} == {str(report.pk)}

    async def test_a_report_that_is_made_again_tells_of_what_is_new(self, books: Books) -> None:
        report = await books.report(2)
        await books.tell()
        books.desk.clock.advance(hours=1)
        await books.make(report, 3)
        assert await books.tell() == ["reconciliation.finding"] * 3

    async def test_a_report_without_findings_tells_of_nothing(self, books: Books) -> None:
        await books.report(0)
        assert await books.tell() == []

    async def test_one_that_is_made_again_meanwhile_keeps_its_marker(self, books: Books) -> None:
        report = await books.report(1)
        first = books.desk.clock()
        books.desk.clock.advance(hours=1)
        await books.make(report, 2)
        assert await books.reports.end_announcement([str(report.pk)], first) == 0
        assert await books.tell() == ["reconciliation.finding"] * 2
