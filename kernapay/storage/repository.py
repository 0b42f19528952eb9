"""Repositories: SQL verbs over one MongoEngine collection."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from bson import ObjectId
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from mongoengine.queryset import transform
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, NotFound, Unavailable
from kernapay.storage.filters import Filter, LimitOffset, Query
from kernapay.storage.mongo import Mongo, Record

DocumentT = TypeVar("DocumentT", bound=Record)
ViewT = TypeVar("ViewT", bound=msgspec.Struct)

Where = Mapping[str, Any]
Row = dict[str, Any]
Rows = list  # inside the class, `list` is a method

_STREAM_BATCH: Final = 500
# The driver stops waiting after ten seconds. The server must stop before it.
_MAX_TIME_MS: Final = 8_000


class DuplicateRow(Conflict):
    """A unique index refused the row. `index_fields` are the names of its fields in the database."""

    code = "duplicate"

    def __init__(self, index_fields: Sequence[str]) -> None:
        super().__init__("A record with the same key exists already.")
        self.index_fields = tuple(index_fields)


class _ObjectIdAsText(TypeDecoder):
    """Decode ids as text, as the views have them. That saves a pass over every row."""

    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


_VIEW_CODEC: Final = CodecOptions[Row](
    tz_aware=True, type_registry=TypeRegistry([_ObjectIdAsText()])
)


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
        self.clock = clock

    @property
    def _collection(self) -> Collection[Row]:
        """The driver's collection. Use it only in a pool thread: its calls block."""
        collection: Collection[Row] = self.model._get_collection()
        return collection

    async def get(self, **where: Any) -> DocumentT:
        """SELECT one row. Raises NotFound if no row matches."""
        document = await self.get_one_or_none(**where)
        if document is None:
            raise NotFound(f"No such {self.model.__name__.lower()}.")
        return document

    async def get_one_or_none(self, **where: Any) -> DocumentT | None:
        return await self._run(
            lambda: self._document(self._collection.find_one(self._where(where)))
        )

    async def list(self, *filters: Filter, **where: Any) -> Rows[DocumentT]:
        query = self._query(filters, where)
        return await self._run(
            lambda: [self._hydrate(row) for row in self._find(query, max_time_ms=_MAX_TIME_MS)]
        )

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
                self._where(query.where), maxTimeMS=_MAX_TIME_MS, **options
            )
        )

    async def exists(self, **where: Any) -> bool:
        return await self._run(
            lambda: self._collection.find_one(self._where(where), {"_id": 1}) is not None
        )

    async def select(self, view: type[ViewT], *filters: Filter, **where: Any) -> Rows[ViewT]:
        """SELECT columns: decode rows directly into structs, without building documents."""
        query = self._query(filters, where)
        return await self._run(
            lambda: [
                msgspec.convert(row, view)
                for row in self._find(query, _projection(view), _VIEW_CODEC, _MAX_TIME_MS)
            ]
        )

    async def select_one(self, view: type[ViewT], **where: Any) -> ViewT | None:
        rows = await self.select(view, LimitOffset(1), **where)
        return rows[0] if rows else None

    async def stream(self, *filters: Filter, **where: Any) -> AsyncIterator[DocumentT]:
        """SELECT any number of rows. They are fetched in batches, in the pool."""
        query = self._query(filters, where)
        cursor = await self._run(lambda: self._find(query).batch_size(_STREAM_BATCH))
        try:
            while batch := await self._run(lambda: cursor.to_list(_STREAM_BATCH)):
                for row in batch:
                    yield self._hydrate(row)
        finally:
            await self._run(cursor.close)

    async def batches(
        self, view: type[ViewT], *filters: Filter, **where: Any
    ) -> AsyncIterator[Rows[ViewT]]:
        """SELECT columns of any number of rows: yield batches of structs, decoded in the pool."""
        query = self._query(filters, where)
        cursor = await self._run(
            lambda: self._find(query, _projection(view), _VIEW_CODEC).batch_size(_STREAM_BATCH)
        )

        def fetch() -> Rows[ViewT]:
            return [msgspec.convert(row, view) for row in cursor.to_list(_STREAM_BATCH)]

        try:
            while batch := await self._run(fetch):
                yield batch
        finally:
            await self._run(cursor.close)

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
        rows = (
            self._collection
            if codec is None
            else self._collection.with_options(codec_options=codec)
        )
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
        condition: Row = transform.query(self.model, **where)
        return condition

    def _document(self, row: Row | None) -> DocumentT | None:
        return None if row is None else self._hydrate(row)

    def _hydrate(self, row: Row) -> DocumentT:
        document: DocumentT = self.model._from_son(row)
        return document


class Repository(ReadOnlyRepository[DocumentT]):
    """SQL verbs that read and write one collection. Changes are MongoEngine keywords, such as `set__status`."""

    async def add(self, document: DocumentT) -> DocumentT:
        """INSERT. Raises DuplicateRow if a unique index refuses the row."""

        def insert() -> DocumentT:
            document.created_at = document.created_at or self.clock()
            document.updated_at = document.created_at
            document.validate()
            row = document.to_mongo()
            try:
                document.pk = self._collection.insert_one(row).inserted_id
            except DuplicateKeyError as error:
                raise DuplicateRow(list((error.details or {}).get("keyPattern", ()))) from error
            return document

        return await self._run(insert)

    async def add_or_get(self, document: DocumentT, *on: str) -> tuple[DocumentT, bool]:
        """INSERT ... ON CONFLICT DO NOTHING RETURNING: return the row, and whether it is new.

        `on` names the fields of the unique index. A conflict on another index raises DuplicateRow.
        """
        where = {name: getattr(document, name) for name in on}
        columns = [self.model._fields[name].db_field for name in on]
        try:
            return await self.add(document), True
        except DuplicateRow as error:
            if sorted(error.index_fields) != sorted(columns):
                raise
        existing = await self.get_one_or_none(**where)
        if existing is None:
            # The row is on the primary but not yet on a majority, so it may still be rolled back.
            raise Unavailable(
                "An earlier request with the same key is not stored safely yet. Repeat the call in a second.",
                retry_after=1,
            )
        return existing, False

    async def update_where(self, where: Where, **change: Any) -> DocumentT | None:
        """UPDATE one ... WHERE ... RETURNING: return the changed row, None if no row matches."""

        def update() -> DocumentT | None:
            changes = self._change(change)
            try:
                row = self._collection.find_one_and_update(
                    self._where(where), changes, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError as error:
                raise DuplicateRow(list((error.details or {}).get("keyPattern", ()))) from error
            return self._document(row)

        return await self._run(update)

    async def delete_where(self, **where: Any) -> int:
        """DELETE ... WHERE: return the number of deleted rows."""
        return await self._run(
            lambda: self._collection.delete_many(self._where(where)).deleted_count
        )

    def _change(self, change: Mapping[str, Any]) -> Row:
        changes: Row = transform.update(self.model, set__updated_at=self.clock(), **change)
        return changes
