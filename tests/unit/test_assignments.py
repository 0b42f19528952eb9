"""Assignments under way together are one write; who cannot be told that his was made looks for himself."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from mongoengine import LongField, StringField
from pymongo import WriteConcern

from kernapay.core.errors import Unavailable
from kernapay.storage.assignments import Assignment, assign_all
from kernapay.storage.group_commit import GroupCommit
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.repository import DuplicateRow, Repository
from tests.aliases import Store

pytestmark = pytest.mark.anyio
COUNT = 50


class Desk(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "unit_desks"}

    number: int = LongField()
    owner: str | None = StringField()
    badge: str | None = StringField()


class Desks(Repository[Desk]):
    model = Desk


@pytest.fixture
def room(store: Store) -> Iterator[Store]:
    store.unit_desks.drop()
    store.unit_desks.create_index(
        "badge", unique=True, partialFilterExpression={"badge": {"$gt": ""}}
    )
    store.unit_desks.insert_many([{"number": number} for number in range(COUNT)])
    yield store
    store.unit_desks.drop()


@pytest.fixture
def desks(mongo: Mongo, room: Store) -> Desks:
    return Desks(mongo)


async def owners_of(room: Store) -> list[str | None]:
    rows = await asyncio.to_thread(lambda: list(room.unit_desks.find().sort("number")))
    return [row.get("owner") for row in rows]


async def take(desks: Desks, number: int, owner: str) -> bool | None:
    return await desks.assign({"number": number, "owner": None}, set__owner=owner)


async def test_many_at_once_are_few_writes(desks: Desks, room: Store) -> None:
    def writes() -> int:
        return int(room.command("serverStatus")["metrics"]["commands"]["update"]["total"])

    before = await asyncio.to_thread(writes)
    made = await asyncio.gather(*(take(desks, number, f"o{number}") for number in range(COUNT)))
    assert all(made)
    assert await asyncio.to_thread(writes) - before <= 3
    assert await owners_of(room) == [f"o{number}" for number in range(COUNT)]


async def test_a_condition_that_does_not_hold_changes_nothing_and_nobody_is_told_it_did(
    desks: Desks, room: Store
) -> None:
    assert await take(desks, 0, "first")
    made = await asyncio.gather(take(desks, 0, "second"), take(desks, 1, "third"))
    assert not made[0]
    assert (await owners_of(room))[:2] == ["first", "third"]
    assert await take(desks, 0, "second") is False, "alone, it is known"


async def test_of_two_for_one_row_it_is_known_which_was_made(desks: Desks, room: Store) -> None:
    rows = await desks.list()
    first, other = (row.pk for row in rows[:2])

    async def claim(row_id: object, owner: str) -> bool | None:
        return await desks.assign({"id": row_id, "owner": None}, set__owner=owner)

    made = tuple(await asyncio.gather(claim(first, "a"), claim(other, "b"), claim(first, "c")))
    assert made == (True, True, False)
    assert (await owners_of(room))[:2] == ["a", "b"]


async def test_a_value_that_is_taken_fails_its_own_caller(desks: Desks, room: Store) -> None:
    assert await desks.assign({"number": 0}, set__badge="b")
    made = await asyncio.gather(
        desks.assign({"number": 1}, set__badge="b"),
        desks.assign({"number": 2}, set__badge="c"),
        return_exceptions=True,
    )
    assert isinstance(made[0], DuplicateRow)
    assert made[1] is None  # made, but MongoDB only says how many
    assert await desks.exists(number=2, badge="c")
    with pytest.raises(DuplicateRow):
        await desks.assign({"number": 1}, set__badge="b")


async def test_a_value_that_cannot_be_stored_fails_alone(desks: Desks, room: Store) -> None:
    made = await asyncio.gather(
        take(desks, 0, "first"),
        desks.assign({"number": 1}, set__number=2**70),
        take(desks, 2, "third"),
        return_exceptions=True,
    )
    assert made[0] is made[2] is True
    assert isinstance(made[1], OverflowError)
    assert (await owners_of(room))[:3] == ["first", None, "third"]


async def test_fields_are_unset_too(desks: Desks, room: Store) -> None:
    assert await take(desks, 0, "first")
    assert await desks.assign({"number": 0}, unset__owner=True)
    assert (await owners_of(room))[0] is None


async def test_what_no_majority_confirms_is_unknown(mongo: Mongo, room: Store) -> None:
    lonely = room.unit_desks.with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    assignments = GroupCommit(mongo.run, lambda: lonely, assign_all, "assignments")

    async def assign(number: int) -> bool | None:
        change = {"$set": {"owner": "x"}}
        return await assignments.commit(lambda: Assignment({"number": number}, change))

    outcomes = await asyncio.gather(*map(assign, range(3)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {Unavailable}
