"""Look-ups of one turn of the event loop share a query, and each caller gets its own answer."""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import pytest
from bson import ObjectId
from mongoengine import LongField, StringField

from kernapay.storage.documents import Mapping
from kernapay.storage.lookups import Condition, condition_of
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.reading import ReadOnlyRepository
from kernapay.storage.unreadable import UnreadableRow
from tests.aliases import Store

pytestmark = pytest.mark.anyio
COUNT = 40


class Book(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "unit_books"}
    unique_fields = frozenset({"id", "isbn"})

    isbn: str = StringField()
    title: str = StringField()
    pages: int = LongField()
    marks: dict[str, Any] = Mapping()


class BookView(msgspec.Struct, rename="camel"):
    title: str
    pages: int


def queries(store: Store) -> int:
    """Return how many queries the server has answered."""
    return int(store.command("serverStatus")["opcounters"]["query"])


class Books(ReadOnlyRepository[Book]):
    model = Book


@pytest.fixture
def shelf(store: Store) -> Iterator[Store]:
    books = store.unit_books
    books.delete_many({})
    books.create_index("isbn", name="isbn", partialFilterExpression={"isbn": {"$gt": ""}})
    rows = [{"isbn": f"isbn-{n}", "title": f"Title {n}", "pages": n} for n in range(COUNT)]
    books.insert_many([{"_id": ObjectId(), "marks": {"n": {"deep": 0}}, **row} for row in rows])
    yield store
    books.drop()


@pytest.fixture
def books(mongo: Mongo, shelf: Store) -> Books:
    return Books(mongo)


async def test_many_at_once_get_their_own_rows_by_few_queries(books: Books, shelf: Store) -> None:
    before = await asyncio.to_thread(queries, shelf)
    views = await asyncio.gather(
        *(books.select_one(BookView, isbn=f"isbn-{n}") for n in range(COUNT))
    )
    asked = await asyncio.to_thread(queries, shelf) - before
    assert [view and view.pages for view in views] == list(range(COUNT))
    assert asked < COUNT / 2


async def test_a_missing_row_is_none_for_its_caller_only(books: Books) -> None:
    found = await asyncio.gather(
        *(books.get_one_or_none(isbn=isbn) for isbn in ("isbn-1", "no such", "isbn-2"))
    )
    assert [book and book.pages for book in found] == [1, None, 2]


async def test_those_that_are_missing_are_not_asked_for_again(books: Books, shelf: Store) -> None:
    before = await asyncio.to_thread(queries, shelf)
    found = await asyncio.gather(*(books.get_one_or_none(isbn=f"no-{n}") for n in range(COUNT)))
    assert set(found) == {None}
    assert await asyncio.to_thread(queries, shelf) - before < COUNT / 2


class Column:
    """What a look-up knows of a field. One may look for several values at once."""

    def __init__(self, db_field: str, *, several: bool = False) -> None:
        self.db_field = db_field
        self._several = several

    def prepare_query_value(self, _: object, value: str) -> object:
        return [value] if self._several else value


def test_only_one_value_of_one_unique_field_shares_a_query() -> None:
    fields = {"place": Column("spot"), "room": Column("room", several=True), "title": Column("t")}

    def condition(**where: object) -> Condition | None:
        return condition_of(fields, frozenset({"place", "room"}), where)

    assert condition(place="a1") == Condition("spot", "a1")
    assert condition(title="a1") is None, "others may have it too"
    assert condition(place=5) is None
    assert condition(place="a1", title="x") is None
    assert condition(room="a") is None


async def test_an_unreadable_row_is_its_own_callers_error(books: Books, shelf: Store) -> None:
    odd = {"$set": {"pages": {"of": "another system"}}}
    await asyncio.to_thread(shelf.unit_books.update_one, {"isbn": "isbn-3"}, odd)
    asked = (books.select_one(BookView, isbn=f"isbn-{n}") for n in (2, 3, 4))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [BookView, UnreadableRow, BookView]


async def test_callers_of_the_same_row_do_not_share_a_document(books: Books) -> None:
    one, other, _ = await asyncio.gather(
        *(books.get(isbn=isbn) for isbn in ("isbn-5", "isbn-5", "isbn-6"))
    )
    one.marks["n"]["deep"] = 1
    assert other.marks == {"n": {"deep": 0}}


async def test_ids_are_found_as_text_and_as_objects(books: Books, shelf: Store) -> None:
    ids = [row["_id"] for row in await asyncio.to_thread(lambda: list(shelf.unit_books.find()))]
    texts = await asyncio.gather(*(books.get(id=str(each)) for each in ids))
    objects = await asyncio.gather(*(books.get(id=each) for each in ids))
    views = await asyncio.gather(*(books.select_one(BookView, id=each) for each in ids))
    assert [book.pk for book in texts] == [book.pk for book in objects] == ids
    assert all(views)


async def test_two_rows_with_one_value_hide_no_other_row(books: Books, shelf: Store) -> None:
    """As on a sharded set-up, which gives up some uniqueness."""
    copy = {"isbn": "isbn-0", "title": "A copy", "pages": 0}
    await asyncio.to_thread(shelf.unit_books.insert_one, copy)
    found = await asyncio.gather(*(books.get_one_or_none(isbn=f"isbn-{n}") for n in range(5)))
    assert [book and book.pages for book in found] == list(range(5))


async def test_a_value_of_another_shape_is_in_nobodys_way(books: Books, shelf: Store) -> None:
    odd = {"isbn": ["isbn-odd", "another"], "title": "Of another system", "pages": 77}
    await asyncio.to_thread(shelf.unit_books.insert_one, odd)
    asked = ("isbn-odd", "isbn-1", "no such")
    alone = await books.select_one(BookView, isbn="isbn-odd")
    found = await asyncio.gather(*(books.select_one(BookView, isbn=isbn) for isbn in asked))
    assert [view and view.pages for view in found] == [77, 1, None]
    assert found[0] == alone


async def test_a_shared_query_uses_a_partial_index(shelf: Store) -> None:
    rows = shelf.unit_books.find({"isbn": {"$in": ["isbn-1", "isbn-2"]}})
    plan = await asyncio.to_thread(rows.explain)
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
