"""Read and advance the checkpoints of imports."""

from datetime import datetime

from kernapay.express_import.checkpoints.models import ImportCheckpoint
from kernapay.storage.repository import Repository


class CheckpointRepository(Repository[ImportCheckpoint]):
    model = ImportCheckpoint

    async def find(self, name: str) -> ImportCheckpoint | None:
        """Return the checkpoint of a database. Raises Unavailable."""
        return await self.get_one_or_none(id=name)

    async def begin(self, name: str, at: datetime) -> None:
        """Set the checkpoint of a first import. An existing one stays as it is. Raises Unavailable."""
        await self.add_or_get(ImportCheckpoint(id=name, since=at), "id")

    async def finish(self, name: str, at: datetime) -> bool:
        """Move the checkpoint to the start of an import that has finished. Return False if there is none."""
        row = await self.update_where({"id": name}, set__since=at, set__is_complete=True)
        return row is not None
