"""Read all of the gateway's entities of a window, each once, while new ones come in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, Generic

from kernapay.gateway.base import EARLIEST, EntityT, OddEntity, PaymentGateway
from kernapay.reconciliation.pacing import Pace

# Razorpay: the largest page.
_PAGE: Final = 100
# A window that is not split further: `from` and `to` count seconds, and neighbours share one.
_SHORTEST_SECONDS: Final = 2
# The next window is as long as it took for so many rows, which leaves room below a page, and at most so much longer.
_WANTED: Final = 70
_GROWTH: Final = 4


class Listing(Generic[EntityT]):
    """The entities of one kind in a window.

    Razorpay: lists are sorted newest first, so a new row shifts all later pages of a list. A window that holds more
    than one page is halved instead, and only the rows of two seconds are read page by page.
    """

    def __init__(
        self, gateway: PaymentGateway, pace: Pace, entity: type[EntityT], length: int | None = None
    ) -> None:
        """`length` is how many seconds to ask for first. Without it, the whole window."""
        self.length = length
        self._gateway = gateway
        self._pace = pace
        self._entity = entity
        self._seen: set[str] = set()

    async def read(self, after: datetime, before: datetime) -> AsyncIterator[EntityT | OddEntity]:
        """Yield each entity created in the window once, and perhaps a few created a second beside it.

        Razorpay does not say whether `from` and `to` belong to the window, so neighbours overlap. Raises GatewayError.
        """
        first = max(int(after.timestamp()) - 1, int(EARLIEST.timestamp()))
        last = int(before.timestamp()) + 1
        # Before that, there are only rows of ours whose time is wrong.
        begin = first
        self.length = self.length or max(last - first, _SHORTEST_SECONDS)
        while begin < last:
            end = min(begin + self.length, last)
            page = await self._page(begin, end, 0)
            if len(page) >= _PAGE and end - begin > _SHORTEST_SECONDS:
                self.length = (end - begin + 1) // 2
                continue
            expected = (end - begin) * _WANTED // max(len(page), 1)
            self.length = max(_SHORTEST_SECONDS, min(expected, (end - begin) * _GROWTH))
            skip = 0
            shown: set[str | None] = set()
            # A list that ignores `skip` gives the same page for ever.
            while not shown.issuperset(ids := set(map(_id_of, page))):
                shown |= ids
                for item in page:
                    if self._is_new(item):
                        yield item
                skip += len(page)
                page = await self._page(begin, end, skip) if len(page) >= _PAGE else []
            begin = end if end == last else end - 1

    async def _page(self, start: int, end: int, skip: int) -> list[EntityT | OddEntity]:
        after, before = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        page = await self._pace.call(
            lambda: self._gateway.list_entities(self._entity, after, before, skip=skip, count=_PAGE)
        )
        return list(page)

    def _is_new(self, item: EntityT | OddEntity) -> bool:
        # One without an id cannot be told apart from others, so each counts.
        identifier = _id_of(item)
        if identifier is None:
            return True
        is_new = identifier not in self._seen
        self._seen.add(identifier)
        return is_new


def _id_of(item: object) -> str | None:
    identifier: str | None = getattr(item, "id", None)
    return identifier
