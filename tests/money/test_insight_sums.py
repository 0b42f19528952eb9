"""The sums that the worker stores are those of the payments, whatever became of these and whoever died when."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.core.business_days import BusinessDays
from kernapay.deliveries.relay import Relay
from kernapay.deliveries.sources import PaymentSource
from kernapay.payments.evidence import IMPORTED, Origin
from kernapay.payments.insights.repository import SUMS, InsightRepository
from kernapay.payments.insights.sums.changes import Changing, InsightChanges
from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.keeper import Few, InsightKeeper
from kernapay.payments.insights.sums.progress.repository import ProgressRepository
from kernapay.payments.insights.sums.reading.repository import InsightReader
from kernapay.payments.insights.sums.repository import InsightSumRepository
from kernapay.payments.insights.sums.spans import (
    ALL,
    By,
    Kind,
    Period,
    Place,
    Span,
    Sum,
    day_span,
    hours_of,
)
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.states import DisputeStatus, Event, Source
from kernapay.storage.mongo import Mongo, QueryTooSlow
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import Desk, gateway_payment, gateway_refund, open_desk
from tests.money.desk import counted

pytestmark = [pytest.mark.anyio, pytest.mark.long]

ZONE = "Asia/Kolkata"
DAYS = BusinessDays(ZoneInfo(ZONE))
NOON = DAYS.start_of(date(2031, 3, 10)) + timedelta(hours=12, minutes=20)
MONTH = (NOON - timedelta(days=4), NOON + timedelta(days=1))
PAYEES = [str(ObjectId()) for _ in range(2)]
ALL_STORED = Few(0, 0, 0, 0)
NONE_OF_ACCOUNTS = Few(0, 0, 1000, 1000)
WRONG = "kernapay_insight_sums_wrong_total"
COLLECTIONS = ("insight_sums", "insight_holds", "insight_progress")


class Books:
    """Payments with the sums that are kept of them, and everybody who works on both."""

    def __init__(self, desk: Desk, store: Store, clock: FrozenClock) -> None:
        self.desk = desk
        self.store = store
        self.clock = clock
        mongo = desk.mongo
        self.rows = InsightRepository(mongo, clock)
        self.holds = HoldRepository(mongo, self.rows, clock)
        self.reader = InsightReader(mongo, self.rows, self.holds)
        self.sums = InsightSumRepository(mongo, self.rows, self.holds, clock)
        self.changes = InsightChanges(self.sums, self.holds)

    def keeper(self, few: Few = ALL_STORED) -> InsightKeeper:
        progress = ProgressRepository(self.desk.mongo, self.clock)
        return InsightKeeper(
            self.sums, self.reader, self.rows, progress, DAYS, self.clock, few=few, rest=0
        )

    def relay(self) -> Relay:
        source = PaymentSource(
            self.desk.ledger, self.desk.notes.events_since, note_changes=self.changes.note
        )
        return self.desk.relay(source)

    async def settle(self, few: Few = NONE_OF_ACCOUNTS) -> None:
        """Let the relay and the keeper work until nothing is due."""
        relay, keeper = self.relay(), self.keeper(few)
        # A new payment is told of a second later.
        self.clock.advance(seconds=2)
        while await relay.sweep():
            pass
        self.clock.advance(seconds=61)
        while await keeper.sweep():
            pass

    async def read(self, scope: str = ALL, by: By = By.HOUR) -> dict[Any, dict[str, Any]]:
        (found,) = await self.reader.read(Period(*MONTH, ZONE, scope), [by])
        return added_up(found)

    async def current(self, day: Span) -> set[str]:
        return await self.reader.current(Period(day.start, day.end, ZONE, ALL))

    async def compare(self) -> None:
        """What is read is what the payments add up to at this moment, to the paisa."""
        for scope in (ALL, *PAYEES):
            found = await self.reader.read(Period(*MONTH, ZONE, scope), list(By))
            for by, sums in zip(By, found, strict=True):
                direct = await self.rows.sums(by, ZONE, *MONTH, scope)
                assert added_up(sums) == added_up(direct), (scope, by)

    async def spoil(self, by: int = 1) -> int:
        """Change the stored sums behind everybody's back. Return how many there were."""

        def change() -> int:
            counts = {"$inc": {"sums.$[].created": by}}
            where = {"sums.0": {"$exists": True}}
            return self.store.insight_sums.update_many(where, counts).modified_count

        return await asyncio.to_thread(change)


def added_up(rows: Iterable[Json]) -> dict[Any, dict[str, Any]]:
    """Return the sums by their keys. A key may be there twice: as stored, and of what is added up now."""
    found: dict[Any, dict[str, Any]] = {}
    for row in rows:
        sums = found.setdefault(tuple(sorted(row["_id"].items())), dict.fromkeys(SUMS, 0))
        for name in SUMS:
            sums[name] += row[name]
    return found


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_url, threads=8)
    mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
async def books(
    mongo: Mongo, store: Store, redis_url: str, clock: FrozenClock
) -> AsyncIterator[Books]:
    async with open_desk(mongo, store, redis_url, clock) as desk:
        await asyncio.to_thread(clear, store)
        yield Books(desk, store, clock)
        await asyncio.to_thread(clear, store)


def clear(store: Store) -> None:
    for name in COLLECTIONS:
        store[name].delete_many({})


class Killed(Exception):
    """Ends an import in the middle of its writes."""


@dataclass
class History:
    """Lets payments live through what may happen to them, at random."""

    books: Books
    random: random.Random
    payments: list[Payment] = field(default_factory=list)

    async def go_on(self) -> None:
        made = self.random.random() < 0.35 or not self.payments
        if made:
            await self._create()
            return
        place = self.random.randrange(len(self.payments))
        act = self.random.choice((self._capture, self._decline, self._expire, *2 * (self._refund,)))
        if self.random.random() < 0.2:
            act = self._dispute
        changed = await act(self.payments[place])
        self.payments[place] = changed or await self._row(self.payments[place])

    async def _row(self, payment: Payment) -> Payment:
        return await self.books.desk.ledger.get(id=payment.pk)

    async def _create(self) -> None:
        # A process whose clock is wrong, or a payment that was rebuilt, may come into any hour.
        at = NOON - timedelta(minutes=self.random.choice((0, 5, 50, 200, 3000)))
        payee = self.random.choice((None, *PAYEES))
        facts: Json = {"payee_id": payee, "provider_id": payee} if payee else {}
        self.payments.append(
            await self.books.desk.create(
                created_at=at - timedelta(seconds=self.random.randrange(600)),
                amount=self.random.randrange(100, 10_000),
                currency=self.random.choice(("INR", "INR", "USD")),
                service_type=self.random.choice(("CONSULTATION", "LAB")),
                **facts,
            )
        )

    async def _capture(self, payment: Payment) -> Payment | None:
        paid = gateway_payment(payment, method=self.random.choice(("upi", "card")))
        paid = replace(paid, amount=payment.amount + self.random.choice((0, 0, 18)))
        return await self._move(payment, Event.CAPTURED, paid)

    async def _decline(self, payment: Payment) -> Payment | None:
        return await self._move(payment, Event.DECLINED, gateway_payment(payment, method="card"))

    async def _expire(self, payment: Payment) -> Payment | None:
        return await self._move(payment, Event.EXPIRED, None)

    async def _move(self, payment: Payment, event: Event, paid: Any) -> Payment | None:
        origin = Origin(Source.WEBHOOK, "test")
        return await self.books.desk.ledger.move(event, payment, origin, paid)

    async def _refund(self, payment: Payment) -> Payment | None:
        if not payment.status.is_paid:
            return None
        if payment.refunds and self.random.random() < 0.3:
            # The bank returns it.
            known = payment.refunds[0]
            failed = replace(gateway_refund(payment, None, "failed"), id=str(known.refund_id))
            return await self._record(payment, replace(failed, amount=known.amount))
        left = payment.amount_captured - payment.amount_refunded
        amount = self.random.choice((left, max(1, left // 3)))
        if left <= 0:
            return None
        new = replace(gateway_refund(payment, None, "processed"), id=f"rfnd_{ObjectId()}")
        return await self._record(payment, replace(new, amount=amount))

    async def _record(self, payment: Payment, refund: Any) -> Payment:
        origin = Origin(Source.WEBHOOK, "test")
        return await self.books.desk.ledger.record_refund(payment, refund, origin)

    async def _dispute(self, payment: Payment) -> Payment | None:
        if not payment.status.is_paid or payment.disputes:
            return None
        at = self.books.clock()
        dispute = Dispute(
            dispute_id=f"disp_{ObjectId()}",
            payment_id=payment.razorpay_payment_id,
            amount=100,
            currency="INR",
            phase="chargeback",
            status=DisputeStatus.OPEN,
            source=Source.WEBHOOK,
            created_at=at,
            updated_at=at,
        )
        origin = Origin(Source.WEBHOOK, "test")
        return await self.books.desk.ledger.record_dispute(payment, None, dispute, origin, "test")


async def killed(work: Any, turns: int) -> None:
    """Run a piece of work for so many turns of the loop, and kill it if it has not ended by then."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0.0005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def live(books: Books, seed: int, steps: int) -> None:
    chance = random.Random(seed)
    history = History(books, chance)
    for _ in range(10):
        await history.go_on()
    # From here on, there is something that may become wrong.
    await books.settle(ALL_STORED)
    relay, keeper = books.relay(), books.keeper()
    for _ in range(steps):
        await history.go_on()
        for _ in range(chance.randrange(3)):
            books.clock.advance(seconds=chance.choice((0, 1, 6, 60)))
            work = chance.choice((relay.sweep, keeper.sweep))
            if chance.random() < 0.3:
                await killed(work(), chance.randrange(12))
                relay, keeper = books.relay(), books.keeper()
            else:
                await work()
        if chance.random() < 0.4:
            await books.compare()
    await books.compare()
    await books.settle(ALL_STORED)
    await books.compare()


@pytest.mark.parametrize("seed", [1])
async def test_sums_are_those_of_the_payments_after_each_step_of_a_random_history(
    books: Books, seed: int
) -> None:
    await live(books, seed, 25)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
async def test_sums_are_those_of_the_payments_after_each_step_of_long_histories(
    books: Books, seed: int
) -> None:
    await live(books, seed, 150)


async def some_payments(books: Books, count: int = 10) -> History:
    history = History(books, random.Random(7))
    for _ in range(count):
        await history.go_on()
    return history


async def test_what_is_stored_is_read_and_not_added_up_again(books: Books) -> None:
    at, payee = NOON - timedelta(days=2), PAYEES[0]
    await books.desk.create(created_at=at, payee_id=payee, provider_id=payee)
    before = [await books.read(scope) for scope in (ALL, payee)]
    await books.settle(ALL_STORED)
    assert [await books.read(scope) for scope in (ALL, payee)] == before
    await books.spoil()
    for scope, sums in zip((ALL, payee), before, strict=True):
        assert sum(each["created"] for each in sums.values()) == 1
        assert sum(each["created"] for each in (await books.read(scope)).values()) == 2


async def test_a_change_shows_at_once_while_the_relay_and_the_keeper_stand_still(
    books: Books,
) -> None:
    await some_payments(books)
    await books.settle()
    payment = await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    await books.compare()
    await books.desk.move(payment, Event.CAPTURED)
    await books.compare()
    # Its marker goes. The keeper has not begun.
    relay = books.relay()
    books.clock.advance(seconds=2)
    while await relay.sweep():
        pass
    assert await books.desk.marked() == 0
    await books.compare()


async def test_a_marker_that_goes_while_a_period_is_read_hides_no_change(books: Books) -> None:
    """The relay counts up and takes the marker away, just before the reader looks for it."""
    await some_payments(books)
    payment = await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    await books.settle()
    await books.desk.move(payment, Event.CAPTURED)
    right = await books.rows.sums(By.HOUR, ZONE, *MONTH, ALL)
    loop = asyncio.get_running_loop()

    class Overtaken(HoldRepository):
        def moving(self, *arguments: Any) -> list[datetime] | None:
            asyncio.run_coroutine_threadsafe(self._tell(), loop).result()
            return super().moving(*arguments)

        async def _tell(self) -> None:
            relay = books.relay()
            while await relay.sweep():
                pass
            assert await books.desk.marked() == 0

    mongo = books.desk.mongo
    reader = InsightReader(mongo, books.rows, Overtaken(mongo, books.rows))
    (found,) = await reader.read(Period(*MONTH, ZONE, ALL), [By.HOUR])
    assert added_up(found) == added_up(right)


async def test_only_what_a_change_concerns_is_added_up_again(books: Books) -> None:
    at, payee = NOON - timedelta(days=2), PAYEES[0]
    await books.desk.create(created_at=at)
    await books.desk.create(created_at=at, payee_id=payee, provider_id=payee)
    await books.settle(ALL_STORED)

    def due() -> int:
        return books.store.insight_sums.count_documents({"dueAt": {"$exists": True}})

    assert await asyncio.to_thread(due) == 0
    # Its hour and its day, of administrators, by each kind.
    await books.changes.note([(at, None)])
    assert await asyncio.to_thread(due) == 2 * len(By)
    await books.changes.note([(at, PAYEES[1])])
    assert await asyncio.to_thread(due) == 2 * len(By)
    await books.changes.note([(at, payee)])
    assert await asyncio.to_thread(due) == 4 * len(By)


async def test_sums_that_were_counted_up_meanwhile_stay_due(books: Books) -> None:
    """A change may come while its hour is added up: the sums are of before it, or not."""
    await some_payments(books)
    await books.settle()
    day = day_span(DAYS, DAYS.day_of(NOON - timedelta(days=2)))
    wanted = Sum(ZONE, ALL, By.METHOD, day)

    class Late(InsightRepository):
        def add_up(self, *arguments: Any, **options: Any) -> list[Json]:
            found = super().add_up(*arguments, **options)
            store = books.store
            store.insight_sums.update_many({}, {"$inc": {"changes": 1}, "$set": {"dueAt": NOON}})
            return found

    await books.changes.note([(day.start, None)])
    late = InsightSumRepository(books.desk.mongo, Late(books.desk.mongo), books.holds, books.clock)
    await late.recount([wanted])
    assert wanted.id not in await books.current(day)
    books.clock.advance(seconds=11)
    assert wanted in await books.sums.due(1000)
    await books.sums.recount([wanted])
    assert wanted.id in await books.current(day)


async def test_a_keeper_that_was_suspended_stores_nothing_over_what_is_newer(books: Books) -> None:
    await some_payments(books)
    day = day_span(DAYS, DAYS.day_of(NOON - timedelta(days=2)))
    wanted = Sum(ZONE, ALL, By.METHOD, day)
    newer = books.sums

    class Suspended(InsightRepository):
        """Reads, and goes on after another keeper has seen a later change."""

        def add_up(self, *arguments: Any, **options: Any) -> list[Json]:
            found = super().add_up(*arguments, **options)
            asyncio.run_coroutine_threadsafe(self._meanwhile(), loop).result()
            return found

        async def _meanwhile(self) -> None:
            payment = await books.desk.create(created_at=day.start, amount=5)
            await books.desk.move(payment, Event.CAPTURED)
            books.clock.advance(seconds=2)
            relay = books.relay()
            while await relay.sweep():
                pass
            await newer.recount([wanted])

    loop = asyncio.get_running_loop()
    mongo = books.desk.mongo
    await InsightSumRepository(mongo, Suspended(mongo), books.holds, books.clock).recount([wanted])
    assert wanted.id in await books.current(day)
    await books.compare()


async def test_wrong_sums_are_found_counted_and_made_right(books: Books) -> None:
    """Such as after a restore of one collection, or a change by hand."""
    await some_payments(books)
    await books.settle()
    stored = await books.spoil()
    before, keeper = counted(WRONG), books.keeper()
    names = await asyncio.to_thread(books.store.insight_sums.distinct, "_id")
    for _ in names:
        books.clock.advance(seconds=1)
        await keeper.check()
    assert counted(WRONG) == before + stored
    await books.settle()
    await books.compare()
    for _ in names:
        books.clock.advance(seconds=1)
        await keeper.check()
    assert counted(WRONG) == before + stored


async def test_a_change_under_way_is_no_fault_of_the_sums(books: Books) -> None:
    await some_payments(books)
    await books.settle()
    before, keeper = counted(WRONG), books.keeper()
    await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    for _ in range(await asyncio.to_thread(books.store.insight_sums.count_documents, {})):
        books.clock.advance(seconds=1)
        await keeper.check()
    assert counted(WRONG) == before


async def test_what_an_older_version_changed_is_found_within_two_hours(books: Books) -> None:
    """Its relay takes the marker away, and knows of no sums."""
    await some_payments(books)
    payment = await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    await books.settle()
    before = await books.read()
    await books.desk.move(payment, Event.CAPTURED)
    await books.desk.tell()
    assert await books.desk.marked() == 0
    assert await books.read() == before
    books.clock.advance(hours=2)
    await books.settle()
    assert await books.read() != before
    await books.compare()


async def test_an_hour_with_too_many_changes_is_looked_through_in_parts(books: Books) -> None:
    await some_payments(books)
    payment = await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    await books.settle()
    await books.desk.move(payment, Event.CAPTURED)
    await books.desk.tell()

    class Busy(InsightRepository):
        async def changed(self, after: datetime, before: datetime) -> list[tuple[Any, Any]]:
            if before - after > timedelta(minutes=20):
                raise QueryTooSlow("The database took too long.")
            return await super().changed(after, before)

    books.rows = Busy(books.desk.mongo, books.clock)
    books.clock.advance(hours=2)
    await books.settle()
    await books.compare()


async def test_all_sums_are_made_again_on_request(books: Books) -> None:
    await some_payments(books)
    await books.settle()
    await books.spoil()
    assert await books.sums.note_all_changed() > 0
    await books.compare()
    await books.settle()
    await books.compare()


async def test_of_few_payments_no_sums_are_stored(books: Books) -> None:
    await some_payments(books)
    await books.settle(Few())
    assert await asyncio.to_thread(books.store.insight_sums.count_documents, {}) == 0
    await books.compare()


async def test_accounts_with_few_payments_have_no_sums_of_their_own(books: Books) -> None:
    await some_payments(books, 20)
    await books.settle()
    assert await asyncio.to_thread(books.store.insight_sums.distinct, "scope") == [ALL]
    await books.compare()


async def test_while_a_payment_is_imported_no_sums_of_its_time_are_used(books: Books) -> None:
    """The relay is not told of an import. Its payments are held from before the first write to after the last."""
    await some_payments(books)
    await books.settle()
    at, payee = NOON - timedelta(days=2), PAYEES[0]
    origin = Origin(Source.RECONCILIATION, IMPORTED)
    former = Payment(
        id=ObjectId(),
        user_id=ObjectId(),
        amount=900,
        currency="INR",
        reference_id=f"PAY_{ObjectId()}",
        service_type="CONSULTATION",
        payee_id=payee,
        provider_id=payee,
        created_at=at,
    )
    async with books.changes.holding([Changing(str(former.pk), at, payee)]):
        entered = await books.desk.ledger.enter_imported(former, origin, "imported")
        await books.compare()
        await books.settle()
        await books.compare()
        await books.desk.ledger.move(Event.CAPTURED, entered, origin, gateway_payment(entered))
        assert await books.desk.marked() == 0
        await books.compare()
    await books.compare()
    await books.settle()
    await books.compare()
    assert await asyncio.to_thread(books.store.insight_holds.count_documents, {}) == 0


@pytest.mark.parametrize("spell", [str, str.upper])
async def test_an_import_reaches_the_sums_of_an_account_however_its_id_is_written(
    books: Books, spell: Callable[[str], str]
) -> None:
    at, payee = NOON - timedelta(days=2), str(ObjectId("66b1f0c2a7d4e5f60123abcd"))
    payment = await books.desk.create(created_at=at, payee_id=payee, provider_id=payee)
    await books.settle(ALL_STORED)
    before = await books.read(payee)
    origin = Origin(Source.RECONCILIATION, IMPORTED)
    async with books.changes.holding([Changing(str(payment.pk), at, spell(payee))]):
        await books.desk.ledger.move(Event.CAPTURED, payment, origin, gateway_payment(payment))
    assert await books.desk.marked() == 0
    assert await books.read(payee) != before


async def test_a_payment_of_the_first_year_holds_nobody_up(books: Books) -> None:
    """Some systems write that for "no time"."""
    payment = await books.desk.create(created_at=datetime(1, 1, 1, tzinfo=UTC))
    await books.desk.move(payment, Event.CAPTURED)
    await books.settle()
    assert await books.desk.marked() == 0
    # An hour later, the changes are looked through once more.
    books.clock.advance(hours=2)
    await books.settle()


async def test_the_next_import_ends_what_a_killed_one_held(books: Books) -> None:
    ours, other = "66b1f0c2a7d4e5f601234567", "66b1f0c2a7d4e5f601234568"
    with suppress(Killed):
        async with books.changes.holding([Changing(each, NOON, None) for each in (ours, other)]):
            raise Killed
    books.clock.advance(hours=2)
    async with books.changes.holding([Changing(ours, NOON, None)]):
        pass
    left = await asyncio.to_thread(books.store.insight_holds.distinct, "paymentId")
    assert left == [other]


@pytest.mark.parametrize("is_repeated", [False, True])
async def test_what_a_killed_import_held_ends_by_itself(books: Books, is_repeated: bool) -> None:
    """An import that is repeated within the hour leaves it: the first one may still be at work."""
    at, payee = NOON - timedelta(days=2), PAYEES[0]
    payment = await books.desk.create(created_at=at, payee_id=payee, provider_id=payee)
    await books.settle(ALL_STORED)
    changing = [Changing(str(payment.pk), at, payee)]
    with suppress(Killed):
        async with books.changes.holding(changing):
            origin = Origin(Source.RECONCILIATION, IMPORTED)
            await books.desk.ledger.move(Event.CAPTURED, payment, origin, gateway_payment(payment))
            raise Killed
    if is_repeated:
        async with books.changes.holding(changing):
            pass
    await books.settle(ALL_STORED)
    assert await asyncio.to_thread(books.store.insight_holds.count_documents, {}) == 1
    await books.compare()
    books.clock.advance(hours=3)
    await books.keeper().sweep()
    assert await asyncio.to_thread(books.store.insight_holds.count_documents, {}) == 0
    await books.compare()


async def test_payments_are_counted_while_everybody_works_at_once(books: Books) -> None:
    """A reader sees all that was acknowledged before it asked, and nothing that had not begun when it was answered."""
    begun = acknowledged = 0
    is_over = asyncio.Event()

    async def pay(number: int) -> None:
        nonlocal begun, acknowledged
        chance = random.Random(number)
        for _ in range(12):
            at = NOON - timedelta(minutes=chance.choice((100, 200, 3000)))
            payment = await books.desk.create(created_at=at, amount=100)
            begun += 100
            origin = Origin(Source.WEBHOOK, "test")
            paid = gateway_payment(payment)
            await books.desk.ledger.move(Event.CAPTURED, payment, origin, paid)
            acknowledged += 100

    async def repeat(work: Any) -> None:
        while not is_over.is_set():
            await work()
            books.clock.advance(seconds=1)
            await asyncio.sleep(0)

    async def look() -> None:
        least = acknowledged
        found = await books.read()
        paid = sum(
            sums["amountPaid"] for key, sums in found.items() if ("status", "success") in key
        )
        assert least <= paid <= begun

    async def everybody() -> None:
        try:
            await asyncio.gather(*(pay(number) for number in range(4)))
        finally:
            is_over.set()

    keepers = [books.keeper() for _ in range(2)]
    relays = [books.relay() for _ in range(2)]
    sweeps = [*(each.sweep for each in keepers), *(each.sweep for each in relays)]
    workers = [repeat(sweep) for sweep in sweeps]
    await asyncio.gather(everybody(), repeat(look), *workers)
    await books.settle()
    await books.compare()
    assert sum(each["created"] for each in (await books.read()).values()) == 48


async def test_too_many_changes_to_know_let_all_be_added_up(books: Books) -> None:
    class Swamped(InsightRepository):
        def marked(self, *_: Any) -> list[datetime]:
            return [NOON] * 10_000

    await some_payments(books)
    await books.settle()
    before = await books.read()
    await books.spoil()
    mongo = books.desk.mongo
    rows = Swamped(mongo)
    reader = InsightReader(mongo, rows, HoldRepository(mongo, rows))
    (found,) = await reader.read(Period(*MONTH, ZONE, ALL), [By.HOUR])
    assert added_up(found) == before


async def test_amounts_that_are_not_whole_are_never_stored(books: Books) -> None:
    payment = await books.desk.create(created_at=NOON - timedelta(days=2), amount=77)
    change = {"$set": {"amount": 0.5}}
    await asyncio.to_thread(books.store.payments.update_one, {"_id": payment.pk}, change)
    await books.settle()
    day = day_span(DAYS, DAYS.day_of(payment.created_at))
    hour = next(each for each in hours_of(day) if each.end > payment.created_at)
    current = await books.current(day)
    for span in (day, hour):
        assert Sum(ZONE, ALL, By.HOUR, span).id not in current
    assert len(current) > 50
    await books.compare()


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)
async def test_the_hours_of_a_day_are_without_gap_and_begin_where_those_of_mongodb_do(
    zone: str, books: Books
) -> None:
    days = BusinessDays(ZoneInfo(zone))
    chance = random.Random(zone)
    times = [
        datetime.fromtimestamp(chance.randrange(1_000_000_000, 1_900_000_000), UTC)
        for _ in range(200)
    ]
    for at in times:
        day = day_span(days, days.day_of(at))
        hours = list(hours_of(day))
        assert (hours[0].start, hours[-1].end) == (day.start, day.end)
        assert all(one.end == two.start for one, two in pairwise(hours))
        assert {each.kind for each in hours} == {Kind.HOUR}

    # The day of an hour's start is the day of all its payments, whenever clocks change.
    def start(unit: str, of: object) -> Json:
        return {"$dateTrunc": {"date": of, "unit": unit, "timezone": zone}}

    pipeline: list[Json] = [
        {"$documents": [{"at": at} for at in times]},
        {"$project": {"day": start("day", "$at"), "of_hour": start("day", start("hour", "$at"))}},
    ]
    found = await asyncio.to_thread(lambda: list(books.store.aggregate(pipeline)))
    assert all(row["day"] == row["of_hour"] for row in found)


async def test_marks_reach_whatever_contains_a_payment(books: Books) -> None:
    """Also sums of another zone, from before the setting was changed."""
    at = datetime(2031, 3, 8, 20, 29, 59, 999000, tzinfo=UTC)
    spans = {
        "hour before": Span(Kind.HOUR, at - timedelta(hours=1), at),
        "hour": Span(
            Kind.HOUR, at - timedelta(hours=1, milliseconds=-1), at + timedelta.resolution * 1000
        ),
        "next": Span(Kind.HOUR, at + timedelta(milliseconds=1), at + timedelta(hours=1)),
        "from": Span(Kind.HOUR, at, at + timedelta(hours=1)),
        "long day": Span(Kind.DAY, at - timedelta(hours=25), at + timedelta(milliseconds=1)),
        "day before": Span(Kind.DAY, at - timedelta(hours=24), at),
    }
    for name, span in spans.items():
        await books.sums.recount([Sum(name, ALL, By.HOUR, span)])
    await books.sums.note_changes([Place(at)])
    changed = await asyncio.to_thread(
        books.store.insight_sums.distinct, "zone", {"changes": {"$gt": 0}}
    )
    assert sorted(changed) == ["from", "hour", "long day"]
