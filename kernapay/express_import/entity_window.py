"""Orders and payments from the gateway's lists, for the period that an import has reached. Each period is read once."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from kernapay.gateway.base import GatewayPayment, OddEntity, Order, PaymentGateway
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace

EntityT = TypeVar("EntityT", Order, GatewayPayment)


class TooManyEntities(Exception):
    """The lists hold so many other entities that asking for each order costs fewer calls."""


class EntityWindow(Generic[EntityT]):
    """The entities of one kind that were created in a window of time, by order id. The window moves with the import."""

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
        # How many seconds of the gateway's list fill one page; None until a list was read.
        self._length: int | None = None

    def of(self, order_id: str) -> list[EntityT]:
        return self._entities.get(order_id, [])

    async def move_to(self, after: datetime, before: datetime, limit: int) -> None:
        """Move the window: drop what is outside, and read only what is not held yet.

        Raises TooManyEntities if more than `limit` entities have to be read, GatewayError. The window is empty then.
        """
        start, end = self._window or (before, after)
        self._window = None
        if not start <= after <= end:
            self._entities.clear()
            end = after
        self._drop_before(after)
        try:
            if end < before:
                await self._read(end, before, limit)
        except BaseException:
            self._entities.clear()
            raise
        self._window = (after, max(end, before))

    def _drop_before(self, after: datetime) -> None:
        oldest = int(after.timestamp()) - 1
        for order_id, entities in list(self._entities.items()):
            if all(each.created_at < oldest for each in entities):
                del self._entities[order_id]

    async def _read(self, after: datetime, before: datetime, limit: int) -> None:
        count = 0
        held = {each.id for entities in self._entities.values() for each in entities}
        listing = Listing(self._gateway, self._pace, self._entity, self._length)
        async for entity in listing.read(after, before):
            count += 1
            if count > limit:
                raise TooManyEntities
            self._length = listing.length
            if isinstance(entity, OddEntity) or entity.id in held:
                continue
            if order_id := self._order_of(entity):
                self._entities[order_id].append(entity)
