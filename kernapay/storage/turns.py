"""Turns among the owners of due rows: an owner of thousands holds up another one by a single row."""

from typing import Any, Final, Generic

from kernapay.storage.filters import Filter
from kernapay.storage.repository import DocumentT, ReadOnlyRepository

# More owners in a round would make its query too long.
_MAX_SERVED: Final = 500
# When nobody else had a due row, look for others after this many claims: it means to pass over all rows of the one.
_CLAIMS_ALONE: Final = 8


class Turns(Generic[DocumentT]):
    """List due rows in rounds, in each of which an owner has one claim. Each process has its own rounds."""

    def __init__(self, rows: ReadOnlyRepository[DocumentT], owner: str | None) -> None:
        """`owner` is the field with a row's owner. Without one, rows have no owners and their order is kept."""
        self._rows = rows
        self._owner = owner
        self._served: set[Any] = set()
        self._claims_alone = 0

    async def list_due(self, *filters: Filter, **where: Any) -> tuple[list[DocumentT], list[Any]]:
        """Return rows of owners that were not served in this round, one of each owner first.

        Return also the ids of rows that cannot be read, which would stay at the head of the queue.
        """
        if self._served and self._claims_alone == 0:
            others = {f"{self._owner}__nin": list(self._served)}
            due, unreadable = await self._rows.list_with_unreadable(*filters, **where, **others)
            if due or unreadable:
                return self._mix(due), unreadable
            self._claims_alone = _CLAIMS_ALONE if len(self._served) == 1 else 0
            self._served.clear()
        due, unreadable = await self._rows.list_with_unreadable(*filters, **where)
        return self._mix(due), unreadable

    def record(self, row: DocumentT) -> None:
        """Record that a row was claimed."""
        if self._owner is None:
            return
        self._claims_alone = max(0, self._claims_alone - 1)
        if len(self._served) >= _MAX_SERVED:
            self._served.clear()
        self._served.add(getattr(row, self._owner))

    def _mix(self, due: list[DocumentT]) -> list[DocumentT]:
        if self._owner is None:
            return due
        first = {getattr(row, self._owner): row for row in reversed(due)}
        return sorted(due, key=lambda row: first[getattr(row, str(self._owner))] is not row)
