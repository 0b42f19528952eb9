"""Read and move the marks of imports."""

from datetime import datetime

from kernapay.moving.marks.models import ImportMark
from kernapay.storage.repository import Repository


class ImportMarkRepository(Repository[ImportMark]):
    model = ImportMark

    async def find(self, name: str) -> ImportMark | None:
        """Return the mark of a database. Raises Unavailable."""
        return await self.get_one_or_none(id=name)

    async def begin(self, name: str, at: datetime) -> None:
        """Set the mark of a first import. That of an import that did not end stays. Raises Unavailable."""
        await self.add_or_get(ImportMark(id=name, since=at), "id")

    async def finish(self, name: str, at: datetime) -> bool:
        """Move the mark to the beginning of an import that has ended. Return whether there is one."""
        mark = await self.update_where({"id": name}, set__since=at, set__is_complete=True)
        return mark is not None
