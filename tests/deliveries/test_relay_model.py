"""Payments change at random while relays work side by side and die anywhere: nothing is lost or made up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from kernapay.core.errors import KernaPayError
from kernapay.deliveries.events.repository import EventRepository
from kernapay.deliveries.relay import Relay
from kernapay.deliveries.sources import Change, PaymentSource
from kernapay.payments.models import Payment
from kernapay.payments.states import DisputeStatus, Event
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Row
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import ORIGIN, Desk, gateway_payment, gateway_refund, open_desk

pytestmark = [pytest.mark.anyio, pytest.mark.long]
TURNS = 60


class Died(Exception):
    """A relay was killed here."""


class MortalEvents(EventRepository):
    """Sometimes dies with a part of the rows stored."""

    def __init__(self, desk: Desk, random: Random) -> None:
        super().__init__(desk.mongo, timedelta(days=30), desk.clock)
        self._random = random

    async def store(self, events: Sequence[Row], deliveries: Sequence[Row]) -> None:
        match self._random.randrange(5):
            case 0:
                raise Died
            case 1:
                await super().store(events[: len(events) // 2], [])
                raise Died
            case 2:
                await super().store(events, deliveries[: len(deliveries) // 2])
                raise Died
            case _:
                await super().store(events, deliveries)


class MortalPayments(PaymentSource):
    """Sometimes dies before the markers end, and sometimes a payment changes just then."""

    def __init__(self, desk: Desk, random: Random, people: "People") -> None:
        super().__init__(desk.ledger, desk.notes.events_since)
        self._random = random
        self._people = people

    async def end(self, changes: Sequence[Change]) -> None:
        if self._random.random() < 0.2:
            raise Died
        if self._random.random() < 0.5:
            await self._people.act()
        await super().end(changes)


class People:
    """Those who change payments."""

    def __init__(self, desk: Desk, random: Random) -> None:
        self._desk = desk
        self._random = random
        self._ids: list[object] = []

    async def act(self) -> None:
        """Do something that may be refused."""
        self._desk.clock.advance(milliseconds=self._random.randrange(1, 2000))
        if not self._ids or self._random.random() < 0.2:
            made = await self._desk.create(
                service_type=self._random.choice(["LAB", "CONSULTATION"]), provider_id="p1"
            )
            self._ids.append(made.pk)
            return
        payment = await self._desk.ledger.get(id=self._random.choice(self._ids))
        deed = self._random.choice([self._move, self._move, self._refund, self._dispute])
        with suppress(KernaPayError, AssertionError):
            await deed(payment)

    async def _move(self, payment: Payment) -> None:
        event = self._random.choice([*Event][1:])
        paid = gateway_payment(payment) if event in (Event.CAPTURED, Event.DECLINED) else None
        await self._desk.ledger.move(
            event, payment, ORIGIN, paid, late=bool(payment.final) and event is Event.CAPTURED
        )

    async def _refund(self, payment: Payment) -> None:
        if not payment.status.is_paid:
            return
        if not payment.refunds or self._random.random() < 0.4:
            await self._desk.reserve(payment, self._random.randrange(1, 600))
            return
        refund = self._random.choice(payment.refunds)
        status = self._random.choice(["pending", "processed", "processed", "failed"])
        found = gateway_refund(payment, refund, status, id=f"rfnd_{refund.receipt}")
        await self._desk.record(payment, found)

    async def _dispute(self, payment: Payment) -> None:
        if payment.status.is_paid:
            known = payment.disputes[0] if payment.disputes else None
            lost = self._random.randrange(2) * 100
            status = self._random.choice(list(DisputeStatus))
            await self._desk.dispute(payment, known, status, lost=lost, held=lost)


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


@pytest.mark.parametrize("seed", range(5))
async def test_events_are_what_happened_and_deliveries_what_is_wanted(
    desk: Desk, seed: int
) -> None:
    random = Random(seed)
    people = People(desk, random)
    start = desk.clock()
    await desk.endpoint(since=start)
    await desk.endpoint(since=start, serviceTypes=["LAB"])
    await desk.endpoint(since=start, types=["payment.succeeded", "refund.processed"])
    deaths = 0

    async def work() -> None:
        nonlocal deaths
        relay = Relay(
            (MortalPayments(desk, random, people),),
            MortalEvents(desk, random),
            desk.listeners,
            desk.clock,
        )
        try:
            await relay.sweep()
        except Died:
            deaths += 1

    for turn in range(TURNS):
        if turn == TURNS // 2:
            desk.clock.advance(seconds=1)
            await desk.endpoint(providers=["p1"])
        await asyncio.gather(people.act(), work(), work())
    await desk.tell()
    await desk.check()
    # How they meet is not the same twice, but in no run does little happen.
    assert deaths > TURNS // 20
    assert len(await desk.told()) > TURNS // 5
