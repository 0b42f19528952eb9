"""The queries on calls to the gateway."""

from collections.abc import Callable, Sequence
from typing import Final

from pymongo import WriteConcern

from kernapay.gateway.calls.dtos import GatewayCallView
from kernapay.gateway.calls.models import GatewayCall
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import Repository, Row

# Nothing depends on these rows. After a crash of MongoDB, those of the last tenth of a second may be missing.
_UNJOURNALED: Final = WriteConcern(w=1, j=False)


class GatewayCallRepository(Repository[GatewayCall]):
    model = GatewayCall

    async def keep(self, make_rows: Callable[[], Sequence[Row]]) -> None:
        """Insert rows, which are built in the pool, without waiting for the disk or for other members.

        Raises Unavailable.
        """

        def insert() -> None:
            if rows := make_rows():
                target = self._collection.with_options(write_concern=_UNJOURNALED)
                target.insert_many(rows, ordered=False)

        await self._run(insert)

    async def about(self, subjects: Sequence[str], count: int) -> list[GatewayCallView]:
        """Return the newest calls about a payment, found by its receipt and its ids at the gateway."""
        newest = (OrderBy("created_at", descending=True), LimitOffset(count))
        return await self.select(GatewayCallView, *newest, subjects__in=list(subjects))

    async def forget(self, subjects: Sequence[str]) -> None:
        """Delete all calls about payments. Raises Unavailable."""
        await self.delete_where(subjects__in=list(subjects))
