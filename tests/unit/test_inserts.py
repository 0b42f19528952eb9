"""Inserts under way together are one write. Each caller gets its own outcome, and what is unknown is unknown to all."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from bson.errors import InvalidDocument
from mongoengine import StringField
from mongoengine.errors import ValidationError
from pymongo import WriteConcern

from kernapay.core.errors import Unavailable
from kernapay.storage.documents import Mapping
from kernapay.storage.group_commit import GroupCommit
from kernapay.storage.inserts import insert_all
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.repository import DuplicateRow, Repository
from tests.aliases import Store

pytestmark = pytest.mark.anyio
COUNT = 50


class Ticket(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "unit_tickets"}

    seat: str = StringField(required=True)
    notes: dict[str, Any] = Mapping()


class Tickets(Repository[Ticket]):
    model = Ticket


@pytest.fixture
def box(store: Store) -> Iterator[Store]:
    store.unit_tickets.drop()
    store.unit_tickets.create_index("seat", unique=True)
    yield store
    store.unit_tickets.drop()


@pytest.fixture
def tickets(mongo: Mongo, box: Store) -> Tickets:
    return Tickets(mongo)


async def rows_of(box: Store) -> list[str]:
    found = await asyncio.to_thread(lambda: list(box.unit_tickets.find().sort("seat")))
    return [row["seat"] for row in found]


async def test_many_at_once_are_few_writes(tickets: Tickets, box: Store) -> None:
    def writes() -> int:
        metrics = box.command("serverStatus")["metrics"]["commands"]["insert"]
        return int(metrics["total"])

    before = await asyncio.to_thread(writes)
    added = await asyncio.gather(*(tickets.add(Ticket(seat=f"{n:02}")) for n in range(COUNT)))
    assert await asyncio.to_thread(writes) - before <= 3
    assert await rows_of(box) == [f"{n:02}" for n in range(COUNT)]
    assert len({ticket.pk for ticket in added}) == COUNT


async def test_a_conflict_is_its_own_callers(tickets: Tickets, box: Store) -> None:
    seats = ["a", "b", "a", "c"]
    added = await asyncio.gather(
        *(tickets.add(Ticket(seat=seat)) for seat in seats), return_exceptions=True
    )
    assert [type(each) for each in added] == [Ticket, Ticket, DuplicateRow, Ticket]
    assert isinstance(added[2], DuplicateRow)
    assert added[2].index_fields == ("seat",)
    assert await rows_of(box) == ["a", "b", "c"]


async def test_a_row_that_cannot_be_stored_fails_alone(tickets: Tickets, box: Store) -> None:
    odd = [
        Ticket(seat="a"),
        Ticket(seat=None),
        Ticket(seat="b", notes={"x": object()}),
        Ticket(seat="c", notes={"x": 2**70}),
        Ticket(seat="d"),
    ]
    added = await asyncio.gather(*map(tickets.add, odd), return_exceptions=True)
    kinds = [type(each) for each in added]
    assert kinds == [Ticket, ValidationError, InvalidDocument, OverflowError, Ticket]
    assert await rows_of(box) == ["a", "d"]


async def test_what_no_majority_confirms_is_unknown_to_each_but_the_refused(
    mongo: Mongo, box: Store
) -> None:
    lonely = box.unit_tickets.with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    inserts = GroupCommit(mongo.run, lambda: lonely, insert_all, "inserts")
    seats = ["a", "b", "a"]

    async def insert(seat: str) -> Any:
        return await inserts.commit(lambda: {"seat": seat})

    outcomes = await asyncio.gather(*map(insert, seats), return_exceptions=True)
    assert [type(each) for each in outcomes] == [Unavailable, Unavailable, DuplicateRow]


async def test_ten_thousand_callers_at_once_are_served(tickets: Tickets, box: Store) -> None:
    calls = [tickets.add(Ticket(seat=f"{number:05}")) for number in range(10_000)]
    await asyncio.gather(*calls)
    assert len(await rows_of(box)) == 10_000
