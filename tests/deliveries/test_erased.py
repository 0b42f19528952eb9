"""What is told of payments of people who were erased, also if that comes while the relay works on them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from bson import ObjectId

from kernapay.customers.repository import CustomerRepository
from kernapay.deliveries.erased import ErasedBuyers
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.deliveries.sources import Change, Changes, PaymentSource
from kernapay.deliveries.text_erasure import EventTextErasure
from kernapay.payments.models import Payment
from kernapay.payments.states import Event
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from kernapay.users.repository import UserRepository
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import Desk, open_desk

pytestmark = pytest.mark.anyio
TEXTS: Final[dict[str, Any]] = {
    "description": "For Asha",
    "notes": {"for": "Asha"},
    "metadata": {"for": "Asha"},
}
WITHOUT: Final[Json] = {"description": None, "notes": {}, "metadata": {}}


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


@pytest.fixture
async def copies(mongo: Mongo, desk: Desk) -> EventTextErasure:
    deliveries = DeliveryRepository(mongo, timedelta(days=30), desk.clock)
    return EventTextErasure(desk.events, deliveries)


@pytest.fixture
async def buyers(
    mongo: Mongo, redis_url: str, desk: Desk, copies: EventTextErasure
) -> AsyncIterator[ErasedBuyers]:
    redis = RedisStore(redis_url)
    cache = Cache(redis, MongoPendingEvictions(mongo))
    users = UserRepository(mongo, cache, desk.clock)
    yield ErasedBuyers(CustomerRepository(mongo, desk.clock), users, copies)
    await redis.close()


async def erase(desk: Desk, payment: Payment) -> None:
    """Enter the buyer of a payment as erased: the shop's customer or, without one, the account."""
    name = "users" if payment.customer_id is None else "customers"
    row = {"_id": ObjectId(payment.customer_id or payment.user_id), "erasedAt": desk.clock()}
    if name == "users":
        row["email"] = f"{row['_id']}@erased.invalid"
    await desk.do(lambda store: store[name].insert_one(row))


async def texts_told(desk: Desk, payment: Payment) -> list[Json]:
    told = await desk.told(payment.reference_id)
    return [{name: each.data[name] for name in WITHOUT} for each in told]


class ErasedMeanwhile(PaymentSource):
    """A source whose payments' buyers are erased once their rows are read: the erasure finds no event of theirs yet."""

    def __init__(self, desk: Desk, buyers: ErasedBuyers, payments: Sequence[Payment]) -> None:
        super().__init__(desk.ledger, desk.notes.events_since, erased_buyers=buyers)
        self._desk = desk
        self._payments = [*payments]

    async def read(self, at: datetime, count: int) -> Changes:
        changes = await super().read(at, count)
        while self._payments:
            await erase(self._desk, self._payments.pop())
        return changes


class DiedBeforeTheEnd(ErasedMeanwhile):
    async def end(self, changes: Sequence[Change]) -> None:
        raise RuntimeError("killed")


@pytest.mark.parametrize("is_sold", [False, True], ids=["account", "customer"])
class TestAnErasure:
    async def test_before_a_change_leaves_no_text_in_its_event(
        self, desk: Desk, buyers: ErasedBuyers, is_sold: bool
    ) -> None:
        source = PaymentSource(desk.ledger, desk.notes.events_since, erased_buyers=buyers)
        payment = await desk.create(customer_id=ObjectId() if is_sold else None, **TEXTS)
        other = await desk.create(customer_id=ObjectId() if is_sold else None, **TEXTS)
        await desk.tell(desk.relay(source))
        assert await texts_told(desk, payment) == [TEXTS]
        await erase(desk, payment)
        for each in (payment, other):
            await desk.move(each, Event.CAPTURED)
        await desk.tell(desk.relay(source))
        assert (await texts_told(desk, payment))[1:] == [WITHOUT]
        assert await texts_told(desk, other) == [TEXTS, TEXTS]

    async def test_before_a_change_lets_no_text_be_stored_for_a_moment(
        self, desk: Desk, buyers: ErasedBuyers, is_sold: bool
    ) -> None:
        payment = await desk.create(customer_id=ObjectId() if is_sold else None, **TEXTS)
        await erase(desk, payment)
        with pytest.raises(RuntimeError, match="killed"):
            await desk.tell(desk.relay(DiedBeforeTheEnd(desk, buyers, [])))
        assert await texts_told(desk, payment) == [WITHOUT]

    async def test_while_the_relay_works_leaves_none_either(
        self, desk: Desk, buyers: ErasedBuyers, is_sold: bool
    ) -> None:
        payment = await desk.create(customer_id=ObjectId() if is_sold else None, **TEXTS)
        await desk.tell(desk.relay(ErasedMeanwhile(desk, buyers, [payment])))
        assert await texts_told(desk, payment) == [WITHOUT]
        assert await desk.marked() == 0

    async def test_and_a_relay_that_dies_leave_none_to_the_next_one(
        self, desk: Desk, buyers: ErasedBuyers, is_sold: bool
    ) -> None:
        payment = await desk.create(customer_id=ObjectId() if is_sold else None, **TEXTS)
        with pytest.raises(RuntimeError, match="killed"):
            await desk.tell(desk.relay(DiedBeforeTheEnd(desk, buyers, [payment])))
        assert await texts_told(desk, payment) == [TEXTS]
        source = PaymentSource(desk.ledger, desk.notes.events_since, erased_buyers=buyers)
        await desk.tell(desk.relay(source))
        assert await texts_told(desk, payment) == [WITHOUT]


async def test_ids_of_other_systems_are_nobodys(desk: Desk, buyers: ErasedBuyers) -> None:
    payment = await desk.create(**TEXTS)
    text = {"$set": {"userId": "5f0c"}}
    await desk.do(lambda store: store.payments.update_one({"_id": payment.pk}, text))
    source = PaymentSource(desk.ledger, desk.notes.events_since, erased_buyers=buyers)
    await desk.tell(desk.relay(source))
    assert await texts_told(desk, payment) == [TEXTS]


async def test_who_became_a_part_of_an_erased_customer_is_erased(mongo: Mongo, desk: Desk) -> None:
    """Also if rows that were written by hand lead round in a circle."""
    customers = CustomerRepository(mongo, desk.clock)
    first, second, erased, *circle = [ObjectId() for _ in range(5)]
    at = desk.clock()
    rows: list[Json] = [
        {"_id": first, "mergedInto": second},
        {"_id": second, "mergedInto": erased},
        {"_id": erased, "erasedAt": at},
        {"_id": circle[0], "mergedInto": circle[1]},
        {"_id": circle[1], "mergedInto": circle[0]},
    ]
    await desk.do(lambda store: store.customers.insert_many(rows))
    asked = {str(row["_id"]) for row in rows}
    async with asyncio.timeout(20):
        found = await customers.erased_among({*asked, "of-another-system"})
    assert found == {str(first), str(second), str(erased)}
