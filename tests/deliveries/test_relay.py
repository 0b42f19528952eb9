"""The relay: every change is told of once, whoever dies, repeats or comes in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import Decimal128, ObjectId

from kernapay.core.business_days import BusinessDays
from kernapay.deliveries.sources import Change, Changes, PaymentSource
from kernapay.deliveries.untold import UntoldSteps
from kernapay.payments.documents.buyers import Buyer
from kernapay.payments.documents.papers import Papers, Seller
from kernapay.payments.documents.repository import PaidPaymentRepository, PaperRepository
from kernapay.payments.models import Payment
from kernapay.payments.states import DisputeStatus, Event
from kernapay.storage.mongo import Mongo
from kernapay.storage.relay_notes import RelayNotes
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import ORIGIN, Desk, gateway_refund, open_desk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


async def test_a_step_of_an_import_is_told_to_nobody_also_if_its_marker_was_left(
    desk: Desk,
) -> None:
    """A run that is killed between the gateway's word and its own note leaves the step untold."""
    payment = await desk.paid()
    imported = {"$set": {"history.0.event": "imported", "history.1.event": "imported"}}
    await desk.do(lambda store: store.payments.update_one({"_id": payment.pk}, imported))
    desk.clock.advance(seconds=2)
    await desk.relay().sweep()
    assert (await desk.types(payment), await desk.marked()) == ([], 0)


class Died(Exception):
    """The relay was killed here."""


class Interrupted(PaymentSource):
    """A source with which something happens between the reading of rows and the end of their markers."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.ledger, desk.notes.events_since)

    async def between(self) -> None:
        """Do nothing: for subclasses."""

    async def end(self, changes: Sequence[Change]) -> None:
        await self.between()
        await super().end(changes)


class TestARace:
    async def test_a_step_that_comes_after_the_reading_is_told_of_next(self, desk: Desk) -> None:
        payment = await desk.create()

        class Paid(Interrupted):
            async def between(self) -> None:
                await desk.move(payment, Event.CAPTURED)

        desk.clock.advance(seconds=2)
        await desk.relay(Paid(desk)).sweep()
        assert await desk.marked() == 1
        assert await desk.types(payment) == [(0, "payment.created"), (1, "payment.succeeded")]
        await desk.check()

    async def test_two_relays_on_the_same_rows_store_each_event_once(self, desk: Desk) -> None:
        payments = [await desk.paid() for _ in range(20)]
        endpoint = await desk.endpoint(since=payments[0].created_at)
        barrier = asyncio.Barrier(2)

        class Together(Interrupted):
            async def read(self, at: datetime, count: int) -> Changes:
                changes = await super().read(at, count)
                await barrier.wait()
                return changes

        desk.clock.advance(seconds=2)
        await asyncio.gather(*(desk.relay(Together(desk)).sweep() for _ in range(2)))
        await desk.check()
        assert len(await desk.deliveries(endpoint)) == 40

    async def test_a_relay_that_comes_late_with_an_old_row_harms_nothing(self, desk: Desk) -> None:
        payment = await desk.create()

        class Late(Interrupted):
            async def between(self) -> None:
                await desk.move(payment, Event.CAPTURED)
                await desk.tell()

        desk.clock.advance(seconds=2)
        await desk.relay(Late(desk)).sweep()
        await desk.check()
        assert await desk.types(payment) == [(0, "payment.created"), (1, "payment.succeeded")]

    async def test_an_endpoint_made_between_gets_what_happens_after_it(self, desk: Desk) -> None:
        payment = await desk.create()
        desk.clock.advance(seconds=5)
        endpoint = await desk.endpoint()
        await desk.move(payment, Event.CAPTURED)
        await desk.tell()
        assert [row["type"] for row in await desk.deliveries(endpoint)] == ["payment.succeeded"]
        # What it did not get, it does not wait for.
        assert "after" not in (await desk.deliveries(endpoint))[0]


class TestADeath:
    @pytest.mark.parametrize("survives", ["nothing", "events", "half of the deliveries"])
    async def test_what_was_not_stored_is_stored_by_the_next_one(
        self, desk: Desk, survives: str
    ) -> None:
        payments = [await desk.paid() for _ in range(5)]
        await desk.endpoint(since=payments[0].created_at)

        class Dying(Interrupted):
            async def between(self) -> None:
                raise Died

        desk.clock.advance(seconds=2)
        with pytest.raises(Died):
            await desk.relay(Dying(desk)).sweep()
        assert await desk.marked() == 5
        if survives != "events":
            await desk.do(
                lambda store: store.events.delete_many({}) if survives == "nothing" else None
            )
        odd = {"seq": 1} if survives == "half of the deliveries" else {}
        await desk.do(lambda store: store.deliveries.delete_many(odd))
        await desk.tell()
        await desk.check()

    async def test_a_delivery_is_deleted_in_the_end_although_nobody_fetches_it(
        self, desk: Desk
    ) -> None:
        """As those of an endpoint that stays off."""
        payment = await desk.create()
        endpoint = await desk.endpoint(since=payment.created_at)
        await desk.tell()
        (row,) = await desk.deliveries(endpoint)
        assert (row["state"], row["expiresAt"] - row["createdAt"]) == (
            "pending",
            timedelta(days=30),
        )

    async def test_a_repeat_leaves_deliveries_as_they_are(self, desk: Desk) -> None:
        payment = await desk.create()
        endpoint = await desk.endpoint(since=payment.created_at)
        await desk.tell()
        await desk.do(lambda store: store.deliveries.update_many({}, {"$set": {"state": "done"}}))
        await desk.do(
            lambda store: store.payments.update_many(
                {}, {"$set": {"announce": payment.created_at, "announced": 0}}
            )
        )
        await desk.tell()
        assert [row["state"] for row in await desk.deliveries(endpoint)] == ["done"]


class TestWhoGetsWhat:
    async def test_filters_narrow_and_owners_are_apart(self, desk: Desk) -> None:
        start = desk.clock()
        ours = await desk.paid(service_type="LAB", provider_id="p1")
        theirs = await desk.paid()
        wanted: dict[str, tuple[dict[str, Any], int]] = {
            "all": ({}, 4),
            "shop": ({"owner": str(ours.user_id)}, 2),
            "stranger": ({"owner": "66b1f0c2a7d4e5f601234567"}, 0),
            "type": ({"types": ["payment.succeeded"]}, 2),
            "service": ({"serviceTypes": ["LAB", "OTHER"]}, 2),
            "provider": ({"providers": ["p1"]}, 2),
            "both": ({"providers": ["p1"], "serviceTypes": ["CONSULTATION"]}, 0),
            "off": ({"state": "off"}, 0),
            "disabled": ({"state": "disabled"}, 0),
        }
        endpoints = {
            name: await desk.endpoint(since=start, **changes)
            for name, (changes, _) in wanted.items()
        }
        await desk.tell()
        got = {name: len(await desk.deliveries(each)) for name, each in endpoints.items()}
        assert got == {name: number for name, (_, number) in wanted.items()}
        assert len(await desk.told(ours.reference_id, theirs.reference_id)) == 4

    async def test_each_waits_for_the_one_before_that_it_gets_too(self, desk: Desk) -> None:
        start = desk.clock()
        payment = await desk.paid()
        refund = await desk.reserve(payment)
        await desk.tell()
        every = await desk.endpoint(since=start)
        few = await desk.endpoint(since=start, types=["payment.created", "refund.processed"])
        await desk.record(payment, gateway_refund(payment, refund, "processed"))
        await desk.tell()
        created, paid, requested, processed = await desk.told(payment.reference_id)
        assert [row["after"] for row in await desk.deliveries(every)] == [requested.id]
        assert [row["after"] for row in await desk.deliveries(few)] == [created.id]
        assert (paid.seq, processed.seq) == (1, 3)

    async def test_what_waits_since_before_an_endpoint_was_off_comes_first(
        self, desk: Desk
    ) -> None:
        start = desk.clock()
        payment = await desk.create()
        endpoint = await desk.endpoint(since=start, createdAt=start)
        await desk.tell()
        # Switched off and on again.
        desk.clock.advance(minutes=1)
        since = {"$set": {"since": desk.clock()}}
        await desk.do(lambda store: store.endpoints.update_one({}, since))
        await desk.move(payment, Event.CAPTURED)
        await desk.tell()
        created, paid = await desk.deliveries(endpoint)
        assert (created["state"], paid["after"]) == ("pending", created["event"])

    async def test_without_endpoints_nothing_is_stored_and_nothing_told_later(
        self, desk: Desk
    ) -> None:
        payment = await desk.create()
        await desk.tell(desk.relay(always_stores=False))
        assert (await desk.told(), await desk.marked()) == ([], 0)
        desk.clock.advance(seconds=5)
        await desk.endpoint()
        await desk.move(payment, Event.CAPTURED)
        await desk.tell(desk.relay(always_stores=False))
        assert [each.type for each in await desk.told()] == ["payment.succeeded"]

    @pytest.mark.parametrize("state", ["off", "disabled", "removed"])
    async def test_while_an_endpoint_is_off_its_events_are_stored_for_a_replay(
        self, desk: Desk, state: str
    ) -> None:
        await desk.endpoint(state=state)
        payment = await desk.paid()
        await desk.tell(desk.relay(always_stores=False))
        told = [each.type for each in await desk.told(payment.reference_id)]
        wanted = ["payment.created", "payment.succeeded"]
        assert (told, await desk.marked()) == ([] if state == "removed" else wanted, 0)

    async def test_an_endpoint_that_names_a_type_of_a_later_version_gets_the_others(
        self, desk: Desk
    ) -> None:
        """As one that is made during an upgrade, while a worker of this version tells of changes."""
        endpoint = await desk.endpoint(types=["payment.succeeded", "payment.dreamt_of"])
        await desk.paid()
        await desk.tell()
        assert [row["type"] for row in await desk.deliveries(endpoint)] == ["payment.succeeded"]


class TestRowsFromBefore:
    async def test_their_old_steps_are_not_told_of(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.do(_forget_markers)
        desk.clock.advance(hours=1)
        since = await _set_since(desk)
        desk.clock.advance(hours=1)
        await desk.move(payment, Event.CAPTURED)
        assert await desk.types(payment) == [(1, "payment.succeeded")]
        assert payment.created_at < since

    async def test_a_step_without_a_marker_is_found_within_the_hour(self, desk: Desk) -> None:
        """As one that an older version adds, which runs beside this one during an upgrade."""
        since = await _set_since(desk)
        payment = await desk.create()
        await desk.move(payment, Event.CAPTURED)
        await desk.do(lambda store: store.payments.update_many({}, {"$unset": {"announce": ""}}))
        untold = UntoldSteps(desk.ledger, RelayNotes(desk.mongo, desk.clock), desk.clock)
        desk.clock.advance(minutes=59)
        assert not await untold.sweep()
        desk.clock.advance(minutes=7)
        assert await untold.sweep()
        assert await desk.types(payment) == [(0, "payment.created"), (1, "payment.succeeded")]
        assert not await untold.sweep()
        # What is told of stays as it is.
        desk.clock.advance(hours=1)
        assert await untold.sweep()
        assert await desk.marked() == 0
        assert since < payment.created_at + timedelta(seconds=1)

    async def test_an_old_row_that_changed_without_a_marker_tells_of_that_only(
        self, desk: Desk
    ) -> None:
        payment = await desk.create()
        desk.clock.advance(hours=1)
        await _set_since(desk)
        desk.clock.advance(minutes=1)
        await desk.move(payment, Event.CAPTURED)
        await desk.do(_forget_markers)
        untold = UntoldSteps(desk.ledger, RelayNotes(desk.mongo, desk.clock), desk.clock)
        desk.clock.advance(hours=2)
        assert await untold.sweep()
        assert await desk.types(payment) == [(1, "payment.succeeded")]

    async def test_steps_that_name_their_refund_or_dispute_in_words_are_understood(
        self, desk: Desk
    ) -> None:
        """As far as the payment still has it as it was then."""
        payment = await desk.paid()
        first, second = await desk.reserve(payment), await desk.reserve(payment)
        row = await desk.record(payment, gateway_refund(payment, first, "processed"))
        await desk.ledger.refuse_refund(row, second, "No balance", ORIGIN)
        _, known = await desk.dispute(payment, None, DisputeStatus.OPEN)
        await desk.dispute(payment, known, DisputeStatus.LOST, lost=400)
        words = {
            "history.$[].refund": "",
            "history.$[].dispute": "",
            "history.$[].refundStatus": "",
        }
        reasons = {
            f"history.{place}.reason": f"dispute disp_1 {status}: chargeback, 1000"
            for place, status in ((6, "open"), (7, "lost"))
        }
        await desk.do(lambda store: store.payments.update_many({}, {"$unset": words}))
        await desk.do(lambda store: store.payments.update_many({}, {"$set": reasons}))
        assert await desk.types(payment) == [
            (0, "payment.created"),
            (1, "payment.succeeded"),
            (2, "refund.requested"),
            (3, "refund.requested"),
            (4, "refund.processed"),
            (5, "refund.failed"),
            # That it was opened before is gone.
            (7, "dispute.lost"),
        ]
        told = await desk.told(payment.reference_id)
        assert [each.data["amountRefunded"] for each in told[2:6]] == [0, 0, 400, 400]
        assert told[5].data["failure"] == "No balance"
        assert told[6].data["lost"] == 400


class TestOddRows:
    @pytest.mark.parametrize(
        "change",
        [
            {"amount": "a lot"},
            {"history.0.status": "unheard of"},
            {"metadata": {"a": Decimal128("1")}},
        ],
        ids=["amount", "status", "metadata"],
    )
    async def test_one_that_cannot_be_told_of_is_in_nobodys_way(
        self, desk: Desk, change: dict[str, Any]
    ) -> None:
        odd, other = await desk.create(), await desk.create()
        await desk.do(lambda store: store.payments.update_one({"_id": odd.pk}, {"$set": change}))
        await desk.tell()
        told = {each.data["referenceId"] for each in await desk.told()}
        assert told == {other.reference_id}
        row = await desk.do(lambda store: store.payments.find_one({"_id": odd.pk}))
        assert row is not None
        assert row["announce"] > desk.clock() + timedelta(minutes=9)
        good = {
            "amount": 1000,
            "history.0.status": "pending",
            "metadata": {},
        }
        await desk.do(lambda store: store.payments.update_one({"_id": odd.pk}, {"$set": good}))
        desk.clock.advance(minutes=11)
        await desk.tell()
        assert odd.reference_id in {each.data["referenceId"] for each in await desk.told()}

    @pytest.mark.parametrize("change", [{}, {"amount": "a lot"}], ids=["readable", "unreadable"])
    async def test_one_whose_id_is_text_is_in_nobodys_way(
        self, desk: Desk, change: dict[str, Any]
    ) -> None:
        """As another system may have written it: it looks like an id of the service, and is none."""
        payment = await desk.create()
        await desk.tell()

        def copy(store: Store) -> None:
            row = store.payments.find_one({"_id": payment.pk})
            assert row is not None
            names = ("referenceId", "idempotencyKey", "orderId", "razorpayOrderId")
            odd = {"_id": str(ObjectId()), **dict.fromkeys(names, "odd")}
            marked = {"announce": row["createdAt"], "announced": 0}
            store.payments.insert_one({**row, **odd, **marked, **change})

        await desk.do(copy)
        await desk.relay().sweep()
        due = {"announce": {"$lte": desk.clock()}}
        assert await desk.do(lambda store: store.payments.count_documents(due)) == 0

    @pytest.mark.parametrize(
        "odd_id", ["legacy-17", 17, str(ObjectId())], ids=["word", "number", "text"]
    )
    async def test_one_whose_id_is_none_of_ours_stops_neither_receipts_nor_events(
        self, desk: Desk, odd_id: object
    ) -> None:
        """As another system may have written it, with no more than the money in it."""
        payment = await desk.paid()

        def insert(store: Store) -> None:
            row = store.payments.find_one({"_id": payment.pk})
            assert row is not None
            names = ("status", "amount", "currency", "history", "userId", "createdAt", "updatedAt")
            odd = {
                **{name: row[name] for name in (*names, "paidAt")},
                **dict.fromkeys(("referenceId", "idempotencyKey", "orderId"), f"odd {odd_id}"),
                "announce": row["createdAt"],
                "announced": 0,
            }
            store.payments.insert_one({"_id": odd_id, **odd})

        await desk.do(insert)
        papers = PaperRepository(desk.mongo, desk.clock)
        issued = Papers(
            papers,
            PaidPaymentRepository(desk.mongo, desk.clock),
            _nobody,
            Seller("Shop", (), None, "KP", {}, False),
            BusinessDays(ZoneInfo("Asia/Kolkata")),
            desk.clock,
        )
        source = PaymentSource(desk.ledger, desk.notes.events_since, issued.issue)
        await desk.tell(desk.relay(source))
        due = {"announce": {"$lte": desk.clock()}}
        assert await desk.do(lambda store: store.payments.count_documents(due)) == 0
        assert [each.type for each in await desk.told(payment.reference_id)] == [
            "payment.created",
            "payment.succeeded",
        ]
        assert [each.pk for each in await papers.of_payments([payment.pk])] == [str(payment.pk)]


async def test_ids_have_no_dot_and_follow_from_what_happened(desk: Desk) -> None:
    payments: list[Payment] = [await desk.paid() for _ in range(3)]
    await desk.tell()
    first = await desk.told()
    await desk.do(lambda store: store.events.delete_many({}))
    await desk.do(
        lambda store: store.payments.update_many(
            {}, {"$set": {"announce": payments[0].created_at, "announced": 0}}
        )
    )
    await desk.tell()
    assert await desk.told() == first
    assert [each.id for each in first if "." in each.id] == []
    assert len({each.id for each in first}) == 6


async def _nobody(payment: Payment) -> Buyer:
    return Buyer()


def _forget_markers(store: Store) -> None:
    store.payments.update_many({}, {"$unset": {"announce": "", "announced": ""}})


async def _set_since(desk: Desk) -> datetime:
    """Let the upgrade to this version have been now."""
    at = desk.clock()
    note = {"$set": {"eventsSince": at}, "$unset": {"lookedUntil": ""}}
    await desk.do(lambda store: store.relay.update_one({"_id": "events"}, note, upsert=True))
    desk.notes = RelayNotes(desk.mongo, desk.clock)
    return at
