"""The queries that read payments. `ledger.py` has the writes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.payments.dtos import PaymentStatus, PaymentSummary, PaymentView
from kernapay.payments.lifetimes import LATE_AUTHORIZATION
from kernapay.payments.models import Payment
from kernapay.payments.order_notes import hash_key
from kernapay.payments.references import created_at_of
from kernapay.payments.states import PAID, Status
from kernapay.storage.cache import Cache, Room
from kernapay.storage.cached import cached
from kernapay.storage.filters import BeforeAfter, Filter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import ReadOnlyRepository, Where

_NEWEST_FIRST = (
    OrderBy("created_at", descending=True),
    OrderBy("reference_id", descending=True),
)

# An account may ask for any page, and would fill Redis with them. So only pages of its newest payments are cached,
# and a quarter of a mebibyte of them: five of the largest pages, of a hundred payments.
_CACHED_PAYMENTS: Final = 100
_ROOM: Final = Room(fields=5, bytes_per_field=49_152)


class _RowId(msgspec.Struct):
    id: str = msgspec.field(name="_id")


def is_late_payment_possible(at: datetime) -> Where:
    """Return the conditions for failed payments that may still be authorised at a given time."""
    oldest = at - LATE_AUTHORIZATION
    # No check is due before its payment is created. Without the bound on `check_at`, each claim would read the index
    # entries of all payments that ever failed.
    return {"status": Status.FAILED, "created_at__gt": oldest, "check_at__gt": oldest}


class PaymentRepository(ReadOnlyRepository[Payment]):
    model = Payment

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("payment_history:{user_id}", field="{skip}:{count}", ttl=timedelta(hours=2), room=_ROOM)
    async def history(self, *, user_id: str, skip: int, count: int) -> list[PaymentSummary]:
        """Return a page of the payments that a user created, newest first."""
        return await self._select_history(user_id, skip, count)

    async def history_page(self, user_id: str, skip: int, count: int) -> bytes:
        """Return a page as JSON, from the cache if it is one of the first."""
        if skip + count > _CACHED_PAYMENTS:
            return msgspec.json.encode(await self._select_history(user_id, skip, count))
        page = await self.history.encoded(user_id=user_id, skip=skip, count=count)
        return page or b"[]"

    async def _select_history(self, user_id: str, skip: int, count: int) -> list[PaymentSummary]:
        return await self.select(
            PaymentSummary, *_NEWEST_FIRST, LimitOffset(count, skip), user_id=user_id
        )

    async def history_after(
        self, user_id: str, reference_id: str, count: int
    ) -> list[PaymentSummary]:
        """Return the page after a given payment. New payments do not shift it."""
        return await self.select(
            PaymentSummary,
            *_NEWEST_FIRST,
            LimitOffset(count),
            user_id=user_id,
            __raw__=_older_than(reference_id),
        )

    async def received(
        self, payee_id: str, count: int, skip: int, cursor: str | None
    ) -> list[PaymentSummary]:
        """Return what was paid to a provider's account, newest first. With a `cursor`, start after that payment."""
        where: dict[str, Any] = {} if cursor is None else {"__raw__": _older_than(cursor)}
        return await self.select(
            PaymentSummary,
            *_NEWEST_FIRST,
            LimitOffset(count, 0 if cursor else skip),
            payee_id=payee_id,
            status__in=PAID,
            **where,
        )

    async def by_reference(self, reference_id: str) -> Payment | None:
        return await self.get_one_or_none(reference_id=reference_id)

    async def has_key(self, user_id: str, key: str, fingerprint: str) -> bool:
        """Return whether the user created a payment with this idempotency key and this content."""
        if await self.exists(user_id=user_id, idempotency_key=key, fingerprint=fingerprint):
            return True
        rebuilt = await self.get_one_or_none(user_id=user_id, key_hash=hash_key(user_id, key))
        return rebuilt is not None and rebuilt.fingerprint == fingerprint

    async def view(self, reference_id: str) -> PaymentView | None:
        return await self.select_one(PaymentView, reference_id=reference_id)

    async def status(self, reference_id: str) -> PaymentStatus | None:
        return await self.select_one(PaymentStatus, reference_id=reference_id)

    async def ids_created(self, after: datetime, before: datetime) -> AsyncIterator[ObjectId]:
        """Yield the ids of the payments created in a window, oldest first. Rows of any form have one."""
        window = BeforeAfter("created_at", before=before, after=after)
        async for each in self._ids(window, OrderBy("created_at")):
            yield each

    async def ids_paid(self, after: datetime, before: datetime) -> AsyncIterator[ObjectId]:
        """Yield the ids of the paid payments whose last change was in a window."""
        window = BeforeAfter("updated_at", before=before, after=after)
        async for each in self._ids(window, status__in=PAID):
            yield each

    async def _ids(self, *filters: Filter, **where: Any) -> AsyncIterator[ObjectId]:
        async for batch in self.batches(_RowId, *filters, **where):
            for row in batch:
                yield ObjectId(row.id)

    async def first_created_at(self) -> datetime | None:
        """Return the creation time of the oldest payment, or None without payments."""
        oldest = await self.list(OrderBy("created_at"), LimitOffset(1))
        return oldest[0].created_at if oldest else None


def _older_than(reference_id: str) -> dict[str, Any]:
    # The reference contains the time of creation, so a cursor needs no query.
    at = created_at_of(reference_id)
    return {
        # The bound of the index: without it, MongoDB would read every newer payment first.
        "createdAt": {"$lte": at},
        "$or": [{"createdAt": {"$lt": at}}, {"referenceId": {"$lt": reference_id}}],
    }
