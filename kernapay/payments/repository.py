"""The queries that read payments. `ledger.py` has the writes."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.payments.dtos import PaymentStatus, PaymentSummary, PaymentView
from kernapay.payments.models import Payment
from kernapay.payments.order_notes import hash_key
from kernapay.payments.pagination import NEWEST_FIRST, forms_of, in_bounds, of_payer, older_than
from kernapay.payments.references import (
    DEFAULT_RECEIPT_PREFIX,
    created_at_of,
    is_former,
    payment_id_of,
    prefix_of,
    receipt_of,
)
from kernapay.payments.states import PAID, UNDECIDED, RefundState, Status
from kernapay.storage.batching import Batcher
from kernapay.storage.cache import Cache, Room
from kernapay.storage.cached import NO_ENTRIES, Entries, cached
from kernapay.storage.codecs import VIEW_CODEC
from kernapay.storage.filters import BeforeAfter, Filter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.reading import ViewT
from kernapay.storage.repository import ReadOnlyRepository, Row, Where

# An account may ask for any page, and would fill Redis with them. So only pages of its newest payments are cached,
# and a quarter of a mebibyte of them: five of the largest pages, of a hundred payments.
_CACHED_PAYMENTS: Final = 100
_ROOM: Final = Room(fields=5, bytes_per_field=49_152)


_MOST_MISMATCHED: Final = 10_000
# MongoDB looks for every key of a query at every payer of it.
_KEYS_AT_ONCE: Final = 16
# The partial index has every later one.
_FIRST_TIME: Final = datetime.fromtimestamp(0, UTC)
# Unfinished refunds.
_OPEN: Final = [RefundState.REQUESTED.value, RefundState.PENDING.value]


class CreatedPayment(msgspec.Struct, rename="camel", frozen=True):
    """What a repeat of the call that created a payment is answered from. The amount is in minor units."""

    id: str = msgspec.field(name="_id")
    user_id: str
    amount: int
    currency: str
    reference_id: str
    idempotency_key: str | None = None
    key_hash: str | None = None
    razorpay_order_id: str | None = None
    fingerprint: str | None = None
    customer_id: str | None = None
    livemode: bool | None = None
    payable_until: datetime | None = None
    checkout: bool | None = None
    former: dict[str, Any] | None = None


class _RowId(msgspec.Struct):
    id: str = msgspec.field(name="_id")


class _Mismatch(msgspec.Struct, rename="camel"):
    reason: str = ""
    payment_id: str | None = None


class _Surplus(msgspec.Struct, rename="camel"):
    payment_id: str | None = None


class MismatchedPayment(msgspec.Struct, rename="camel"):
    """What says whether the mismatches of a payment are open."""

    status: str
    razorpay_payment_id: str | None = None
    mismatches: list[_Mismatch] = []
    surplus_payments: list[_Surplus] = []


def is_unpaid(_: datetime) -> Where:
    """Return the conditions for payments that may still be paid."""
    return {"status": Status.PENDING}


def has_open_refund(_: datetime) -> Where:
    """Return the conditions for payments with a refund that the gateway has not finished."""
    return {"__raw__": {"refunds.status": {"$in": _OPEN}}}


def is_late_payment_possible(oldest: datetime) -> Where:
    """Return the conditions for failed payments of which money may still come: those created after `oldest`."""
    # No check is due before its payment is created. Without the bound on `check_at`, each claim would read the index
    # entries of all payments that ever failed.
    return {"status": Status.FAILED, "created_at__gt": oldest, "check_at__gt": oldest}


class PaymentRepository(ReadOnlyRepository[Payment]):
    model = Payment

    def __init__(
        self,
        mongo: Mongo,
        cache: Cache,
        clock: Clock = now,
        receipt_prefix: str = DEFAULT_RECEIPT_PREFIX,
    ) -> None:
        """`receipt_prefix` tells the orders of this installation from those of others with the same account."""
        super().__init__(mongo, clock)
        self.cache = cache
        self.receipt_prefix = receipt_prefix
        self._known_keys = Batcher(self._find_created, "lookups", largest=_KEYS_AT_ONCE)

    @cached("payment_history:{user_id}", field="{skip}:{count}", ttl=timedelta(hours=2), room=_ROOM)
    async def history(self, *, user_id: str, skip: int, count: int) -> list[PaymentSummary]:
        """Return a page of the payments that a user created, newest first."""
        return await self._select_history(user_id, skip, count)

    async def history_page(
        self, user_id: str, skip: int, count: int, entries: Entries = NO_ENTRIES
    ) -> bytes:
        """Return a page as JSON, from the cache if it is one of the first. `entries` were read from it already."""
        if skip + count > _CACHED_PAYMENTS:
            return msgspec.json.encode(await self._select_history(user_id, skip, count))
        page = await self.history.encoded(entries, user_id=user_id, skip=skip, count=count)
        return page or b"[]"

    async def _select_history(self, user_id: str, skip: int, count: int) -> list[PaymentSummary]:
        return await self.select(
            PaymentSummary, *NEWEST_FIRST, LimitOffset(count, skip), __raw__=of_payer(user_id)
        )

    async def history_after(
        self, user_id: str, reference_id: str, count: int
    ) -> list[PaymentSummary]:
        """Return the page after a given payment. New payments do not shift it."""
        older = await self._find_older(of_payer(user_id), reference_id)
        return await self.select(PaymentSummary, *NEWEST_FIRST, LimitOffset(count), __raw__=older)

    async def received(
        self, payee_id: str, count: int, skip: int, cursor: str | None
    ) -> list[PaymentSummary]:
        """Return what was paid to a provider's account, newest first. With a `cursor`, start after that payment."""
        where: Row = {"payeeId": ObjectId(payee_id)}
        if cursor is not None:
            where = await self._find_older(where, cursor)
        return await self.select(
            PaymentSummary,
            *NEWEST_FIRST,
            LimitOffset(count, 0 if cursor else skip),
            status__in=PAID,
            __raw__=where,
        )

    async def _find_older(self, whose: Row, reference_id: str) -> Row:
        """Return the conditions for the rows of a list that come after the payment with this reference."""
        created_at = await self.time_of(whose, reference_id)
        return {**whose, **older_than(created_at, reference_id)}

    async def time_of(self, whose: Row, reference_id: str) -> Any:
        """Return what the row with this reference has as its time of creation.

        Without such a row, the time in the reference must do. A row of another list is not looked at: nobody can find
        out by this whether it exists.
        """
        where = {"referenceId": reference_id, **whose}

        def find() -> Row | None:
            rows = self._collection.with_options(codec_options=VIEW_CODEC)
            return rows.find_one(where, {"createdAt": 1})

        row = await self._run(find)
        return created_at_of(reference_id) if row is None else in_bounds(row.get("createdAt"))

    def _columns(self, view: type[msgspec.Struct]) -> dict[str, int]:
        # The id has the time of creation, for rows without one, and names a row that cannot be read.
        return {**super()._columns(view), "_id": 1}

    async def resolve(self, reference_id: str) -> str:
        """Return the present reference of an imported payment, by the one from before. Return any other as it is."""
        if not is_former(reference_id):
            return reference_id
        row = await self.select_one(PaymentStatus, __raw__={"former.reference": reference_id})
        return row.reference_id if row else reference_id

    async def by_reference(self, reference_id: str) -> Payment | None:
        """Return the payment. Raises Unavailable if it is not known whether there is one."""
        payment = await self.get_one_or_none(reference_id=reference_id)
        if payment is None:
            await self.confirm_absence(reference_id=reference_id)
        return payment

    async def by_order(self, order_id: str) -> Payment | None:
        """Return the payment of an order of the gateway. Raises Unavailable as `by_reference`."""
        payment = await self.get_one_or_none(razorpay_order_id=order_id)
        if payment is None:
            await self.confirm_absence(razorpay_order_id=order_id)
        return payment

    async def by_receipt(self, receipt: object) -> Payment | None:
        """Return the payment that made an order with this receipt, or None when no payment here did."""
        payment_id = payment_id_of(receipt)
        if payment_id is None:
            return None
        payment = await self.get_one_or_none(id=payment_id)
        if payment is None:
            await self.confirm_absence(id=payment_id)
        return payment if payment is not None and receipt_of(payment) == receipt else None

    def is_own_receipt(self, receipt: object) -> bool:
        """Return whether this installation makes receipts such as this one."""
        return prefix_of(receipt) == self.receipt_prefix

    async def find_created(self, user_id: str, key: str) -> CreatedPayment | None:
        """Return what a user's call with this idempotency key created, also if it was rebuilt since.

        Of two, it is the one that has the key: the other was rebuilt while the client bought again, and has its hash.
        """
        return await self._known_keys.request((user_id, key))

    async def _find_created(self, keys: Sequence[tuple[str, str]]) -> list[CreatedPayment | None]:
        hashes = [hash_key(user_id, key) for user_id, key in keys]
        payers = {"$in": [form for user_id in {u for u, _ in keys} for form in forms_of(user_id)]}
        by_key = {"userId": payers, "idempotencyKey": {"$in": [key for _, key in keys]}}
        rebuilt = {"userId": payers, "keyHash": {"$in": hashes}}
        rows = await self.select(CreatedPayment, __raw__={"$or": [by_key, rebuilt]})
        having_key = {(row.user_id, row.idempotency_key): row for row in rows}
        having_hash = {(row.user_id, row.key_hash): row for row in rows if row.key_hash}
        return [
            having_key.get((user_id, key)) or having_hash.get((user_id, key_hash))
            for (user_id, key), key_hash in zip(keys, hashes, strict=True)
        ]

    async def count_open_of(self, customer_ids: Sequence[str], most: int) -> int:
        """Count the sales to a shop's customers that have not ended, up to `most`."""
        return await self.count(
            LimitOffset(most), customer_id__in=customer_ids, ends_at__gt=_FIRST_TIME
        )

    async def view(self, reference_id: str) -> PaymentView | None:
        found = await self.select_one(PaymentView, reference_id=reference_id)
        if found is None:
            await self.confirm_absence(reference_id=reference_id)
        return found

    async def status(self, reference_id: str) -> PaymentStatus | None:
        found = await self.select_one(PaymentStatus, reference_id=reference_id)
        if found is None:
            await self.confirm_absence(reference_id=reference_id)
        return found

    async def newest(self, count: int) -> list[Payment]:
        return await self.list(OrderBy("created_at", descending=True), LimitOffset(count))

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

    def stream_undecided_disputes(self) -> AsyncIterator[Payment]:
        """Yield the payments with a dispute that waits for evidence or a decision."""
        return self.stream(disputes__status__in=list(UNDECIDED))

    def stream_settled_by(self, settlement_id: str) -> AsyncIterator[Payment]:
        """Yield the payments with a row of a settlement."""
        return self.stream(settlements__settlement_id=settlement_id)

    async def with_any(self, field: str, values: Sequence[object]) -> list[Payment]:
        """Return the payments that have one of the values in a field."""
        return await self.list(**{f"{field}__in": values})

    async def list_mismatched(self, view: type[ViewT]) -> list[ViewT]:
        """Return what is known of payments with a mismatch, up to 10,000 of them."""
        has_one = {"mismatches.paymentId": {"$exists": True}}
        return await self.select(view, LimitOffset(_MOST_MISMATCHED), __raw__=has_one)

    async def first_created_at(self) -> datetime | None:
        """Return the creation time of the oldest payment, or None without payments."""
        oldest = await self.list(OrderBy("created_at"), LimitOffset(1))
        return oldest[0].created_at if oldest else None
