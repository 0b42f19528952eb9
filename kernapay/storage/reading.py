"""Repositories that read: SQL verbs over one MongoEngine collection."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from bson.codec_options import CodecOptions
from mongoengine.errors import MongoEngineException
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from kernapay.core.clock import Clock, now
from kernapay.core.errors import NotFound, Unavailable
from kernapay.storage.codecs import VIEW_CODEC
from kernapay.storage.filters import Filter, LimitOffset, Query
from kernapay.storage.keywords import query_of
from kernapay.storage.lookups import Condition, Lookups, Reader, condition_of
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.unreadable import UNREADABLE, Misfit, UnreadableRow, report_unreadable

DocumentT = TypeVar("DocumentT", bound=Record)
ViewT = TypeVar("ViewT", bound=msgspec.Struct)
T = TypeVar("T")

Where = Mapping[str, Any]
Row = dict[str, Any]
Rows = list  # inside the class, `list` is a method

_STREAM_BATCH: Final = 500
# The driver stops waiting after ten seconds. The server must stop before it.
MAX_TIME_MS: Final = 8_000
_UNREADABLE: Final = (MongoEngineException, ValueError, TypeError, AttributeError)


@lru_cache
def _projection(view: type[msgspec.Struct]) -> dict[str, int]:
    names = [field.encode_name for field in msgspec.structs.fields(view)]
    return {"_id": int("_id" in names), **dict.fromkeys((n for n in names if n != "_id"), 1)}


class ReadOnlyRepository(Generic[DocumentT]):
    """SQL verbs that read one collection. Conditions are MongoEngine keywords, such as `status__in`."""

    model: ClassVar[type[Record]]

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        self._mongo = mongo
        self._run = mongo.run
        self._lookups = Lookups(mongo.run)
        self.clock = clock
        UNREADABLE.labels(self.model._get_collection_name())  # it exists at zero

    @property
    def _collection(self) -> Collection[Row]:
        """The driver's collection. Use it only in a pool thread: its calls block."""
        collection: Collection[Row] = self.model._get_collection()
        return collection

    async def get(self, **where: Any) -> DocumentT:
        """SELECT one row. Raises NotFound if no row matches, UnreadableRow."""
        document = await self.get_one_or_none(**where)
        if document is None:
            raise NotFound(f"No such {self.model.__name__.lower()}.")
        return document

    async def get_one_or_none(self, **where: Any) -> DocumentT | None:
        """SELECT one row, None if no row matches. Raises UnreadableRow."""
        condition = self._condition_of(where)
        if condition is not None:
            return await self._lookups.find(condition, None, self._document_reader)
        return await self._run(
            lambda: self._document(self._collection.find_one(self._where(where)))
        )

    async def confirm_absence(self, **where: Any) -> None:
        """Raise Unavailable if the primary has a row that a majority is not known to have.

        Reads see what a majority has. Just after an election the new primary has every acknowledged row, but does not
        know yet that a majority has it: call this before "no such row" is the answer.
        """

        def look() -> bool:
            rows = self._collection.with_options(read_concern=ReadConcern("local"))
            found = rows.find_one(self._where(where), {"_id": 1}, max_time_ms=MAX_TIME_MS)
            return found is not None

        if await self._run(look):
            raise Unavailable(
                "What an earlier request stored is being confirmed. Repeat the call in a second.",
                retry_after=1,
            )

    async def list(self, *filters: Filter, **where: Any) -> Rows[DocumentT]:
        """SELECT rows. Those that cannot be read are left out, counted and logged."""
        return (await self.list_with_unreadable(*filters, **where))[0]

    async def list_with_unreadable(
        self, *filters: Filter, **where: Any
    ) -> tuple[Rows[DocumentT], Rows[Any]]:
        """SELECT rows. Return also the ids of those that cannot be read."""
        query = self._query(filters, where)

        def read() -> tuple[Rows[DocumentT], Rows[Any]]:
            unreadable: Rows[Any] = []
            rows = self._find(query, max_time_ms=MAX_TIME_MS)
            return _read_all(rows, self._hydrate, unreadable), unreadable

        return await self._run(read)

    async def count(self, *filters: Filter, **where: Any) -> int:
        """SELECT COUNT(*), up to the limit of a LimitOffset.

        Without conditions, return MongoDB's estimate of the whole collection.
        """
        query = self._query(filters, where)
        if not query.where:
            return await self._run(self._collection.estimated_document_count)
        options: dict[str, Any] = {"limit": query.limit} if query.limit else {}
        return await self._run(
            lambda: self._collection.count_documents(
                self._where(query.where), maxTimeMS=MAX_TIME_MS, **options
            )
        )

    async def exists(self, **where: Any) -> bool:
        return await self._run(
            lambda: self._collection.find_one(self._where(where), {"_id": 1}) is not None
        )

    async def select(self, view: type[ViewT], *filters: Filter, **where: Any) -> Rows[ViewT]:
        """SELECT columns: decode rows directly into structs, without building documents.

        Rows that cannot be read are left out, counted and logged.
        """
        query = self._query(filters, where)
        return await self._run(
            lambda: self._convert_all(
                self._find(query, self._columns(view), VIEW_CODEC, MAX_TIME_MS), view
            )
        )

    async def select_one(self, view: type[ViewT], **where: Any) -> ViewT | None:
        """SELECT columns of one row, None if no row matches. Raises UnreadableRow."""
        condition = self._condition_of(where)
        if condition is not None:
            read = partial(self._view_reader, view, condition.column)
            return await self._lookups.find(condition, view, read)
        query = self._query([LimitOffset(1)], where)

        def select() -> ViewT | None:
            found = self._find(query, self._columns(view), VIEW_CODEC, MAX_TIME_MS)
            return next((self._convert(row, view) for row in found), None)

        return await self._run(select)

    async def stream(self, *filters: Filter, **where: Any) -> AsyncIterator[DocumentT]:
        """SELECT any number of rows. They are fetched in batches, in the pool."""
        query = self._query(filters, where)
        cursor = await self._run(lambda: self._find(query).batch_size(_STREAM_BATCH))
        try:
            while batch := await self._run(lambda: cursor.to_list(_STREAM_BATCH)):
                for document in _read_all(batch, self._hydrate):
                    yield document
        finally:
            await self._run(cursor.close)

    async def batches(
        self, view: type[ViewT], *filters: Filter, **where: Any
    ) -> AsyncIterator[Rows[ViewT]]:
        """SELECT columns of any number of rows: yield batches of structs, decoded in the pool."""
        query = self._query(filters, where)
        cursor = await self._run(
            lambda: self._find(query, self._columns(view), VIEW_CODEC).batch_size(_STREAM_BATCH)
        )

        def fetch() -> Rows[ViewT] | None:
            rows = cursor.to_list(_STREAM_BATCH)
            return self._convert_all(rows, view) if rows else None

        try:
            while (batch := await self._run(fetch)) is not None:
                yield batch
        finally:
            await self._run(cursor.close)

    def _condition_of(self, where: Where) -> Condition | None:
        return condition_of(self.model._fields, self.model.unique_fields, where)

    def _document_reader(self) -> Reader[DocumentT]:
        def find(where: Row, count: int) -> Iterable[Row]:
            return self._collection.find(where, limit=count, max_time_ms=MAX_TIME_MS)

        return Reader(find, self._hydrate)

    def _view_reader(self, view: type[ViewT], column: str) -> Reader[ViewT]:
        columns = {**self._columns(view), column: 1}

        def find(where: Row, count: int) -> Iterable[Row]:
            rows = self._collection.with_options(codec_options=VIEW_CODEC)
            return rows.find(where, columns, limit=count, max_time_ms=MAX_TIME_MS)

        return Reader(find, lambda row: self._convert(row, view))

    def _query(self, filters: Sequence[Filter], where: Where) -> Query:
        query = Query(dict(where))
        for each in filters:
            each.apply(query)
        return query

    def _find(
        self,
        query: Query,
        columns: dict[str, int] | None = None,
        codec: CodecOptions[Row] | None = None,
        max_time_ms: int | None = None,
    ) -> Any:
        # Without a codec, the collection keeps its own.
        rows = self._collection.with_options(codec_options=codec)
        order = [(self._column(name), direction) for name, direction in query.order]
        return rows.find(
            self._where(query.where),
            columns,
            skip=query.skip,
            limit=query.limit,
            sort=order or None,
            max_time_ms=max_time_ms,
        )

    def _column(self, name: str) -> str:
        return "_id" if name in ("id", "pk") else str(self.model._fields[name].db_field)

    def _where(self, where: Where) -> Row:
        # MongoEngine would run a mapping as an operator: {"$ne": ""} would match every row.
        if any(isinstance(value, Mapping) for name, value in where.items() if name != "__raw__"):
            raise TypeError("The value of a condition must not be a mapping.")
        return query_of(self.model, where)

    def _document(self, row: Row | None) -> DocumentT | None:
        return None if row is None else self._hydrate(row)

    def _hydrate(self, row: Row) -> DocumentT:
        """Return the row as a document. Raises UnreadableRow."""
        try:
            document: DocumentT = self.model._from_son(self.model.in_shape(row))
        except _UNREADABLE as error:
            raise report_unreadable(self._collection.name, row, _explain(error)) from error
        return document

    def _columns(self, view: type[msgspec.Struct]) -> dict[str, int]:
        return _projection(view)

    def _convert(self, row: Row, view: type[ViewT]) -> ViewT:
        """Return the row as a view. Raises UnreadableRow."""
        try:
            return msgspec.convert(row, view)
        except msgspec.ValidationError:
            try:
                return msgspec.convert(self.model.repair(row), view)
            except _UNREADABLE as error:
                raise report_unreadable(self._collection.name, row, _explain(error)) from error

    def _convert_all(self, rows: Iterable[Row], view: type[ViewT]) -> Rows[ViewT]:
        return _read_all(rows, lambda row: self._convert(row, view))


def _read_all(
    rows: Iterable[Row], read: Callable[[Row], T], unreadable: Rows[Any] | None = None
) -> Rows[T]:
    """Return what can be read. The reader has counted and logged the rest, whose ids go into `unreadable`."""
    result: Rows[T] = []
    for row in rows:
        try:
            result.append(read(row))
        except UnreadableRow as error:
            if unreadable is not None:
                unreadable.append(error.row_id)
    return result


def _explain(error: Exception) -> str:
    # The messages of the readers name the field and the type, but some of MongoEngine's quote the value.
    return (
        str(error) if isinstance(error, msgspec.ValidationError | Misfit) else type(error).__name__
    )
