"""Inserts under way together are one write. Each caller gets its own outcome, and what is unknown is unknown to all."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from bson import ObjectId
from bson.errors import InvalidDocument
from mongoengine import StringField
from mongoengine.errors import ValidationError
from pymongo import WriteConcern
from pymongo.errors import WriteError

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


async def test_a_row_alone_is_written_under_its_own_id_and_refused_like_others(
    tickets: Tickets, box: Store
) -> None:
    own = ObjectId()
    ticket = await tickets.add(Ticket(id=own, seat="a", notes={"a.b": {"c": 1}}))
    assert ticket.pk == own
    rows = await asyncio.to_thread(lambda: list(box.unit_tickets.find()))
    assert [(row["_id"], row["notes"]) for row in rows] == [(own, {"a.b": {"c": 1}})]
    with pytest.raises(DuplicateRow) as refused:
        await tickets.add(Ticket(seat="a"))
    assert refused.value.index_fields == ("seat",)
    assert refused.value.detail == "A record with the same key exists already."


async def test_a_refusal_that_is_no_conflict_has_the_servers_words(
    mongo: Mongo, box: Store
) -> None:
    rule = {"collMod": "unit_tickets", "validator": {"seat": {"$ne": "broken"}}}
    await asyncio.to_thread(lambda: box.command(rule))
    inserts = GroupCommit(mongo.run, lambda: box.unit_tickets, insert_all, "inserts")
    seats = ["a", "broken"]

    async def insert(seat: str) -> Any:
        return await inserts.commit(lambda: {"seat": seat})

    _, refused = await asyncio.gather(*map(insert, seats), return_exceptions=True)
    assert isinstance(refused, WriteError)
    assert refused.code == 121, "MongoDB: DocumentValidationFailure"
    assert "failed validation" in str(refused)
    assert refused.details is not None
    assert refused.details["index"] == 1


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
