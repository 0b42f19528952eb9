"""The SQL verbs against a real mongod."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

import msgspec
import pytest
from bson import ObjectId
from mongoengine import (
    DateTimeField,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    EnumField,
    LongField,
    ObjectIdField,
    StringField,
)
from mongoengine.errors import InvalidQueryError, ValidationError
from pymongo.collection import Collection

from kernapay.core.errors import Conflict, NotFound, Unavailable
from kernapay.storage.filters import (
    BeforeAfter,
    LimitOffset,
    OrderBy,
)
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.repository import DuplicateRow, Repository
from tests.aliases import Json, Store
from tests.clocks import FrozenClock

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Mark(EmbeddedDocument):  # type: ignore[misc]
    at: datetime = DateTimeField(db_field="madeAt", required=True)
    colour: Colour = EnumField(Colour)


class Thing(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "unit_things"}

    owner_id: str = ObjectIdField(db_field="ownerId")
    name: str = StringField(required=True)
    serial: int = LongField(db_field="serialNumber", required=True)
    colour: Colour = EnumField(Colour, default=Colour.RED)
    marks: list[Mark] = EmbeddedDocumentListField(Mark)


class MarkView(msgspec.Struct, rename="camel"):
    made_at: datetime
    colour: Colour | None = None


class ThingView(msgspec.Struct, rename="camel"):
    id: str = msgspec.field(name="_id")
    name: str
    serial_number: int
    colour: Colour
    created_at: datetime
    owner_id: str | None = None
    marks: list[MarkView] = []


class NameView(msgspec.Struct):
    name: str


class Things(Repository[Thing]):
    model = Thing


@pytest.fixture
def rows(store: Store) -> Iterator[Collection[Json]]:
    """The collection, as it really is."""
    store.unit_things.drop()
    store.unit_things.create_index("serialNumber", unique=True)
    yield store.unit_things
    store.unit_things.drop()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def things(mongo: Mongo, rows: Collection[Json], clock: FrozenClock) -> Things:
    return Things(mongo, clock)


@pytest.fixture
async def filled(things: Things, clock: FrozenClock) -> Things:
    """Six things, an hour apart: a1 red, a2 blue, a3 red, b1 blue, b2 red, b3 blue."""
    for number, name in enumerate(("a1", "a2", "a3", "b1", "b2", "b3")):
        clock.now = NOON + timedelta(hours=number)
        colour = (Colour.RED, Colour.BLUE)[number % 2]
        await things.add(Thing(name=name, serial=number, colour=colour))
    return things


def names(found: Sequence[Thing]) -> list[str]:
    return [thing.name for thing in found]


async def test_add_stores_a_row_with_its_times(things: Things, rows: Collection[Json]) -> None:
    owner = ObjectId()
    added = await things.add(Thing(name="lamp", serial=1, owner_id=owner))
    row = await asyncio.to_thread(rows.find_one)
    assert row == {
        "_id": added.pk,
        "ownerId": owner,
        "name": "lamp",
        "serialNumber": 1,
        "colour": "red",
        "marks": [],
        "createdAt": NOON,
        "updatedAt": NOON,
    }


async def test_add_checks_the_document(things: Things, rows: Collection[Json]) -> None:
    with pytest.raises(ValidationError):
        await things.add(Thing(serial=1))
    assert await asyncio.to_thread(rows.count_documents, {}) == 0


async def test_a_unique_index_refuses_a_second_row_by_name(things: Things) -> None:
    await things.add(Thing(name="lamp", serial=1))
    with pytest.raises(DuplicateRow) as caught:
        await things.add(Thing(name="other", serial=1))
    assert caught.value.index_fields == ("serialNumber",)
    assert isinstance(caught.value, Conflict)


async def test_add_or_get_gives_the_row_that_was_there(things: Things) -> None:
    first, new = await things.add_or_get(Thing(name="lamp", serial=1), "serial")
    assert new
    again, new = await things.add_or_get(Thing(name="other", serial=1), "serial")
    assert not new
    assert (again.pk, again.name) == (first.pk, "lamp")


async def test_add_or_get_does_not_take_a_conflict_on_another_index_for_its_own(
    things: Things,
) -> None:
    await things.add(Thing(name="lamp", serial=1))
    with pytest.raises(DuplicateRow):
        await things.add_or_get(Thing(name="other", serial=1), "name")


async def test_of_twenty_simultaneous_add_or_get_one_adds(things: Things) -> None:
    outcomes = await asyncio.gather(
        *(things.add_or_get(Thing(name=f"n{n}", serial=1), "serial") for n in range(20))
    )
    assert sum(new for _, new in outcomes) == 1
    assert len({thing.pk for thing, _ in outcomes}) == 1


async def test_get_gives_the_whole_document(things: Things) -> None:
    mark = Mark(at=NOON, colour=Colour.BLUE)
    added = await things.add(Thing(name="lamp", serial=1, marks=[mark]))
    found = await things.get(id=added.pk)
    assert (found.name, found.serial, found.colour) == ("lamp", 1, Colour.RED)
    assert (found.marks[0].at, found.marks[0].colour) == (NOON, Colour.BLUE)
    assert (found.created_at, found.created_at.utcoffset()) == (NOON, timedelta(0))


async def test_get_names_what_is_not_there(things: Things) -> None:
    with pytest.raises(NotFound, match="No such thing"):
        await things.get(name="nothing")
    assert await things.get_one_or_none(name="nothing") is None


async def test_list_takes_conditions_in_the_style_of_the_models(filled: Things) -> None:
    assert names(await filled.list(OrderBy("name"), colour=Colour.BLUE)) == ["a2", "b1", "b3"]
    assert names(await filled.list(OrderBy("name"), serial__gte=4)) == ["b2", "b3"]
    assert names(await filled.list(serial__in=[])) == []


async def test_filters_apply_themselves_together(filled: Things) -> None:
    window = BeforeAfter("created_at", before=NOON + timedelta(hours=5), after=NOON)
    newest = OrderBy("created_at", descending=True)
    assert names(await filled.list(window, newest)) == ["b2", "b1", "a3", "a2", "a1"]
    assert names(await filled.list(newest, LimitOffset(2, 1))) == ["b2", "b1"]


async def test_a_window_is_closed_at_its_start_and_open_at_its_end(filled: Things) -> None:
    hour = BeforeAfter(
        "created_at", after=NOON + timedelta(hours=1), before=NOON + timedelta(hours=2)
    )
    assert names(await filled.list(hour)) == ["a2"]


async def test_order_may_have_several_columns(filled: Things) -> None:
    found = await filled.list(OrderBy("colour"), OrderBy("serial", descending=True))
    assert names(found) == ["b3", "b1", "a2", "b2", "a3", "a1"]


async def test_count_and_exists(filled: Things) -> None:
    assert await filled.count() == 6
    assert await filled.count(colour=Colour.RED) == 3
    assert await filled.count(BeforeAfter("created_at", before=NOON)) == 0
    assert await filled.exists(name="a1")
    assert not await filled.exists(name="a9")


async def test_update_where_gives_the_changed_row(filled: Things, clock: FrozenClock) -> None:
    clock.advance(days=1)
    later = clock.now
    changed = await filled.update_where(
        {"name": "a1", "colour": Colour.RED}, set__colour=Colour.BLUE
    )
    assert changed is not None
    assert (changed.colour, changed.updated_at, changed.created_at) == (Colour.BLUE, later, NOON)
    assert await filled.update_where({"name": "a1", "colour": Colour.RED}, set__name="x") is None


async def test_of_twenty_conditional_updates_one_wins(filled: Things) -> None:
    results = await asyncio.gather(
        *(
            filled.update_where({"name": "a1", "serial": 0}, set__serial=100 + number)
            for number in range(20)
        )
    )
    assert sum(result is not None for result in results) == 1


async def test_update_where_may_push_embedded_documents(filled: Things) -> None:
    changed = await filled.update_where({"name": "a1"}, push__marks=Mark(at=NOON))
    assert changed is not None
    assert [mark.at for mark in changed.marks] == [NOON]


async def test_an_update_that_breaks_a_unique_index_is_refused(filled: Things) -> None:
    with pytest.raises(DuplicateRow):
        await filled.update_where({"name": "a1"}, set__serial=5)
    assert (await filled.get(name="a1")).serial == 0


async def test_select_reads_rows_straight_into_structs(things: Things) -> None:
    owner = ObjectId()
    mark = Mark(at=NOON, colour=Colour.BLUE)
    added = await things.add(Thing(name="lamp", serial=1, owner_id=owner, marks=[mark]))
    assert await things.select(ThingView) == [
        ThingView(
            id=str(added.pk),
            name="lamp",
            serial_number=1,
            colour=Colour.RED,
            created_at=NOON,
            owner_id=str(owner),
            marks=[MarkView(NOON, Colour.BLUE)],
        )
    ]


async def test_select_takes_filters_and_conditions(filled: Things) -> None:
    newest = OrderBy("created_at", descending=True)
    found = await filled.select(NameView, newest, LimitOffset(2), colour=Colour.RED)
    assert found == [NameView("b2"), NameView("a3")]
    assert await filled.select_one(NameView, name="a2") == NameView("a2")
    assert await filled.select_one(NameView, name="none") is None


async def test_select_asks_for_its_columns_only(things: Things, rows: Collection[Json]) -> None:
    """A column of another form than the struct's would break it, were it read."""
    row = {"name": "lamp", "serialNumber": "not a number", "createdAt": NOON, "updatedAt": NOON}
    await asyncio.to_thread(rows.insert_one, row)
    assert await things.select(NameView) == [NameView("lamp")]


async def test_delete_where_tells_how_many_went(filled: Things) -> None:
    assert await filled.delete_where(colour=Colour.RED) == 3
    assert names(await filled.list(OrderBy("name"))) == ["a2", "b1", "b3"]
    assert await filled.delete_where(name="a1") == 0


async def test_stream_gives_every_row_over_many_batches(
    things: Things, rows: Collection[Json]
) -> None:
    many = [
        {"name": f"n{n:04}", "serialNumber": n, "createdAt": NOON, "updatedAt": NOON}
        for n in range(1203)
    ]
    await asyncio.to_thread(rows.insert_many, many)
    seen = [thing.serial async for thing in things.stream(OrderBy("serial"))]
    assert seen == list(range(1203))


async def test_an_abandoned_stream_ends_its_cursor(filled: Things) -> None:
    stream = filled.stream(OrderBy("serial"))
    async for thing in stream:
        assert thing.name == "a1"
        break
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "poison", [{"$ne": ""}, {"$gt": ""}, {"$regex": ".*"}, {"$where": "1"}, {}]
)
async def test_an_operator_is_never_a_value(filled: Things, poison: Any) -> None:
    """What reaches a condition comes from validated structs; should one slip through, nothing is run."""
    with pytest.raises(TypeError):
        await filled.list(name=poison)
    with pytest.raises(TypeError):
        await filled.update_where({"name": poison}, set__serial=99)
    with pytest.raises(TypeError):
        await filled.delete_where(name=poison)
    assert await filled.count() == 6


@pytest.mark.parametrize("poison", [{"$ne": None}, {"$gt": ""}, "not an id", "0" * 23])
async def test_an_id_is_an_id(filled: Things, poison: Any) -> None:
    with pytest.raises((ValidationError, InvalidQueryError, TypeError)):
        await filled.list(owner_id=poison)


async def test_an_unknown_column_is_a_mistake_not_an_empty_answer(filled: Things) -> None:
    with pytest.raises(InvalidQueryError):
        await filled.list(naem="a1")


async def test_rows_of_a_newer_version_can_be_read(things: Things, rows: Collection[Json]) -> None:
    row = {"name": "lamp", "serialNumber": 1, "createdAt": NOON, "updatedAt": NOON, "later": 1}
    await asyncio.to_thread(rows.insert_one, row)
    assert names(await things.list()) == ["lamp"]


async def test_a_mongodb_that_is_away_is_unavailable_not_a_bug(mongo: Mongo) -> None:
    mongo.close()
    away = Mongo("mongodb://127.0.0.1:1/away?serverSelectionTimeoutMS=200", threads=2)
    away.connect()
    try:
        with pytest.raises(Unavailable):
            await Things(away).count()
    finally:
        away.close()
