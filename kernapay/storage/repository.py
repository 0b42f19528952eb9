"""Repositories that read and write: SQL verbs over one MongoEngine collection."""

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from kernapay.core.clock import Clock, now
from kernapay.core.errors import Unavailable
from kernapay.storage.assignments import Assignment, assign_all
from kernapay.storage.group_commit import GroupCommit
from kernapay.storage.inserts import DuplicateRow, insert_all
from kernapay.storage.keywords import update_of
from kernapay.storage.mongo import Mongo
from kernapay.storage.reading import (
    MAX_TIME_MS,
    DocumentT,
    ReadOnlyRepository,
    Row,
    Rows,
    Where,
)
from kernapay.storage.updates import Changed, Refused, RowGone

__all__ = ["DocumentT", "DuplicateRow", "ReadOnlyRepository", "Repository", "Row", "Rows", "Where"]


class Repository(ReadOnlyRepository[DocumentT]):
    """SQL verbs that read and write one collection. Changes are MongoEngine keywords, such as `set__status`."""

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        collection = lambda: self._collection  # noqa: E731
        self._inserts = GroupCommit(mongo.run, collection, insert_all, "inserts")
        self._assignments = GroupCommit(mongo.run, collection, assign_all, "assignments")

    async def add(self, document: DocumentT) -> DocumentT:
        """INSERT. Raises DuplicateRow if a unique index refuses the row."""

        def make_row() -> Row:
            document.created_at = document.created_at or self.clock()
            document.updated_at = document.created_at
            document.validate()
            row: Row = document.to_mongo()
            return row

        document.pk = await self._inserts.commit(make_row)
        return document

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

    async def update_where(
        self, where: Where, *, is_visible: bool = True, **change: Any
    ) -> DocumentT | None:
        """UPDATE one ... WHERE ... RETURNING: return the changed row, None if no row matches.

        None may mean that it was done before, that it is not allowed, or that the row is gone: use `update_if` unless
        the conditions leave one meaning. `updatedAt` moves if the change `is_visible` to clients.
        """

        changes = self._change(change, is_visible=is_visible)
        return await self._run(lambda: self._update_one(where, changes))

    async def update_if(
        self, key: Where, only_if: Where, *, is_visible: bool = True, **change: Any
    ) -> Changed[DocumentT] | Refused[DocumentT]:
        """UPDATE the row with this key, if it matches `only_if`. Raises RowGone, UnreadableRow.

        If it does not match, return the row as it is now.
        """
        changes = self._change(change, is_visible=is_visible)

        def update() -> Changed[DocumentT] | Refused[DocumentT]:
            # Reads see what a majority has, and the row may have changed a moment ago. In one session, the read waits
            # until a majority has what refused the update.
            with self._collection.database.client.start_session() as session:
                row = self._update_one({**key, **only_if}, changes, session)
                if row is not None:
                    return Changed(row)
                current = self._collection.find_one(
                    self._where(key), session=session, max_time_ms=MAX_TIME_MS
                )
            if current is None:
                raise RowGone
            return Refused(self._hydrate(current))

        return await self._run(update)

    async def assign(self, where: Where, *, is_visible: bool = True, **change: Any) -> bool | None:
        """UPDATE one ... SET ... WHERE ..., in one write with others under way. Return whether it was made.

        None means unknown: look at the row, or use another verb. The change only sets and unsets fields, or leaves a
        row that no longer fits. Raises DuplicateRow, Unavailable.
        """

        def make() -> Assignment:
            changes = self._change(change, is_visible=is_visible)
            return Assignment(self._where(where), changes)

        return await self._assignments.commit(make)

    async def set_aside(self, row_id: Any, **values: Any) -> bool:
        """Set fields of a row that may be unreadable, by their names. Return False if there is no such row."""
        change = {self._column(name): value for name, value in values.items()}
        return await self._run(
            lambda: (
                self._collection.update_one({"_id": row_id}, {"$set": change}).matched_count == 1
            )
        )

    async def delete_where(self, **where: Any) -> int:
        """DELETE ... WHERE: return the number of deleted rows."""
        return await self._run(
            lambda: self._collection.delete_many(self._where(where)).deleted_count
        )

    def _update_one(
        self, where: Where, changes: Row, session: ClientSession | None = None
    ) -> DocumentT | None:
        try:
            row = self._collection.find_one_and_update(
                self._where(where), changes, return_document=ReturnDocument.AFTER, session=session
            )
        except DuplicateKeyError as error:
            raise DuplicateRow(list((error.details or {}).get("keyPattern", ()))) from error
        return self._document(row)

    def _change(self, change: Mapping[str, Any], *, is_visible: bool) -> Row:
        moved = {"set__updated_at": self.clock()} if is_visible else {}
        return update_of(self.model, {**moved, **change})
