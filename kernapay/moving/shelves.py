"""What the gateway lists of the time in which an import is, read along with the rows: each time once."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from kernapay.gateway.base import GatewayPayment, OddEntity, Order, PaymentGateway
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace

EntityT = TypeVar("EntityT", Order, GatewayPayment)


class TooMany(Exception):
    """The gateway's account has so many entities of others that questions cost less than its lists."""


class Shelf(Generic[EntityT]):
    """Entities of one kind by the id of their order, for a window that moves on with the rows."""

    def __init__(
        self,
        gateway: PaymentGateway,
        pace: Pace,
        entity: type[EntityT],
        order_of: Callable[[EntityT], str | None],
    ) -> None:
        self._gateway = gateway
        self._pace = pace
        self._entity: type[EntityT] = entity
        self._order_of: Callable[[EntityT], str | None] = order_of
        self._entities: dict[str, list[EntityT]] = defaultdict(list)
        self._window: tuple[datetime, datetime] | None = None
        # How many seconds of the gateway's list fit into a page, as far as is known.
        self._length: int | None = None

    def of(self, order_id: str) -> list[EntityT]:
        return self._entities.get(order_id, [])

    async def move(self, after: datetime, before: datetime, most: int) -> None:
        """Hold what was created in this window, and nothing else. What is held already is not read again.

        Raises TooMany if that means to read more than `most` entities, GatewayError. The shelf is empty then.
        """
        start, end = self._window or (before, after)
        self._window = None
        if not start <= after <= end:
            self._entities.clear()
            end = after
        self._drop_before(after)
        try:
            if end < before:
                await self._read(end, before, most)
        except BaseException:
            self._entities.clear()
            raise
        self._window = (after, max(end, before))

    def _drop_before(self, after: datetime) -> None:
        oldest = int(after.timestamp()) - 1
        for order_id, entities in list(self._entities.items()):
            if all(each.created_at < oldest for each in entities):
                del self._entities[order_id]

    async def _read(self, after: datetime, before: datetime, most: int) -> None:
        count = 0
        held = {each.id for entities in self._entities.values() for each in entities}
        listing = Listing(self._gateway, self._pace, self._entity, self._length)
        async for entity in listing.read(after, before):
            count += 1
            if count > most:
                raise TooMany
            self._length = listing.length
            if isinstance(entity, OddEntity) or entity.id in held:
                continue
            if order_id := self._order_of(entity):
                self._entities[order_id].append(entity)
