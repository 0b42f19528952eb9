"""The stored sums of settlement rows are those of the rows, whoever stored which of them when."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernapay.bootstrap.services import Services
from kernapay.settlements.feed import read_row
from kernapay.settlements.models import BankSettlement
from kernapay.settlements.repository import SettlementRowRepository
from kernapay.settlements.rows import Group, Sums
from kernapay.settlements.sums.repository import SettlementSumRepository
from kernapay.storage.migration_files import read_migrations
from kernapay.storage.updates import RowChanged
from tests.actors import Actor
from tests.aliases import Json
from tests.money.books import read, settle
from tests.money.shop import Shop

MIGRATION = "0030_settlement_sums"
FIRST = datetime(2026, 3, 1, 10, 7, tzinfo=UTC)


def raw_row(number: int, at: datetime | None = FIRST, **changes: Any) -> Json:
    return {
        "entity_id": f"row_{number}",
        "type": "payment",
        "credit": 100 + number,
        "debit": 0,
        "fee": 2,
        "tax": 1,
        "settlement_id": "setl_one",
        "created_at": at and int(at.timestamp()),
        **changes,
    }


def sums_of(shop: Shop) -> list[Json]:
    """Return the stored sums without what no sum consists of."""
    hidden = {"_id": 0, "createdAt": 0, "updatedAt": 0}
    order = [("settlementId", 1), ("type", 1), ("quarter", 1)]
    return list(shop.store.settlement_sums.find({}, hidden).sort(order))


class LateRows(SettlementRowRepository):
    """Lets another worker store a row, and what it then adds up to, after each of the first times rows are added up."""

    def __init__(self, services: Services, times: int) -> None:
        super().__init__(services.mongo)
        self._sums = services.settlement_sum_repository
        self._late = [raw_row(100 + number) for number in range(times)]

    async def sums_of(self, settlement_ids: Iterable[str]) -> dict[Group, Sums]:
        ids = sorted(settlement_ids)
        found = await super().sums_of(ids)
        if self._late:
            await self.keep([read_row(self._late.pop())])
            await self._sums.replace(ids, await super().sums_of(ids))
        return found


class OvertakenSums(SettlementSumRepository):
    """Lets another worker read the day to its end, once all sums are stored and before they are recorded."""

    def __init__(self, services: Services, other: Callable[[], Awaitable[object]]) -> None:
        super().__init__(services.mongo)
        self._other: list[Callable[[], Awaitable[object]]] = [other]

    async def replace(self, settlement_ids: Iterable[str], sums: Mapping[Group, Sums]) -> bool:
        has_changed = await super().replace(settlement_ids, sums)
        if not has_changed and self._other:
            await self._other.pop()()
        return has_changed


def test_rows_are_added_up_by_type_and_quarter_of_an_hour(shop: Shop) -> None:
    raws = [
        raw_row(1),
        raw_row(2, FIRST + timedelta(minutes=5)),
        raw_row(3, FIRST + timedelta(minutes=8)),
        raw_row(4, type="refund", credit=0, debit=7),
        raw_row(5, None),
        raw_row(6, settlement_id=None),
    ]

    async def add_up(services: Services) -> None:
        await services.settlement_row_repository.keep([read_row(raw) for raw in raws])
        await services.settlement_reader.add_up({"setl_one"})

    shop.work(add_up)

    found = {(each["type"], each["quarter"]): each for each in sums_of(shop)}
    ten = FIRST.replace(minute=0)
    assert found.keys() == {
        ("payment", ten),
        ("payment", ten + timedelta(minutes=15)),
        ("payment", None),
        ("refund", ten),
    }
    first = found["payment", ten]
    assert (first["rows"], first["credit"], first["fee"], first["tax"]) == (2, 203, 4, 2)
    assert found["refund", ten]["debit"] == 7


def test_a_row_that_tells_its_time_later_is_in_one_sum_only(shop: Shop) -> None:
    async def add_up(services: Services) -> None:
        for raw in (raw_row(1, None), raw_row(1)):
            await services.settlement_row_repository.keep([read_row(raw)])
            await services.settlement_reader.add_up({"setl_one"})

    shop.work(add_up)
    (only,) = sums_of(shop)
    assert (only["quarter"], only["rows"]) == (FIRST.replace(minute=0), 1)


def test_rows_that_another_worker_stores_meanwhile_are_in_the_sums(shop: Shop) -> None:
    async def add_up(services: Services) -> None:
        vars(services)["settlement_row_repository"] = rows = LateRows(services, times=3)
        await rows.keep([read_row(raw_row(1))])
        await services.settlement_reader.add_up({"setl_one"})

    shop.work(add_up)
    assert sum(each["rows"] for each in sums_of(shop)) == 4
    assert sum(each["credit"] for each in sums_of(shop)) == 101 + 200 + 201 + 202


def test_a_reader_that_others_overtake_again_and_again_gives_up_for_now(shop: Shop) -> None:
    async def add_up(services: Services) -> None:
        vars(services)["settlement_row_repository"] = rows = LateRows(services, times=50)
        await rows.keep([read_row(raw_row(1))])
        with pytest.raises(RowChanged):
            await services.settlement_reader.add_up({"setl_one"})

    shop.work(add_up)


def test_a_reader_that_is_overtaken_records_no_older_sums(shop: Shop) -> None:
    settlement = BankSettlement(
        settlement_id="setl_one", status="processed", amount=203, settled_at=FIRST
    )

    async def add_up(services: Services) -> None:
        rows, other = services.settlement_row_repository, services.settlement_reader

        async def finish() -> None:
            await rows.keep([read_row(raw_row(2))])
            await other.add_up({"setl_one"})

        del vars(services)["settlement_reader"]
        vars(services)["settlement_sum_repository"] = OvertakenSums(services, finish)
        await services.settlement_repository.keep(settlement, is_current=True)
        await rows.keep([read_row(raw_row(1))])
        with pytest.raises(RowChanged):
            await services.settlement_reader.add_up({"setl_one"})

    shop.work(add_up)
    found = shop.store.settlements.find_one({"settlementId": "setl_one"})
    assert found is not None
    assert (found["rows"], found["credit"], found["difference"]) == (2, 203, 0)
    assert not found["hasProblem"]


def test_reading_a_day_again_writes_no_sum(shop: Shop, user: Actor) -> None:
    user.buy(shop.sandbox)
    settle(shop)
    read(shop)
    before = list(shop.store.settlement_sums.find())
    assert before
    read(shop, timedelta(hours=2))
    assert list(shop.store.settlement_sums.find()) == before


def test_the_migration_makes_the_sums_that_the_reader_makes(shop: Shop, user: Actor) -> None:
    for _ in range(2):
        user.buy(shop.sandbox)
        user.buy(shop.sandbox)
        settle(shop)
        shop.sandbox.advance(86_400)
    read(shop, timedelta(days=3))
    made = sums_of(shop)
    assert len({each["settlementId"] for each in made}) == 2
    (migration,) = [each for each in read_migrations() if each.name == MIGRATION]
    shop.store.settlement_sums.delete_many({})
    for _ in range(2):  # the second time as after a run that was killed
        migration.load().up(shop.store)
        assert sums_of(shop) == made
