"""What a stream shows when signals come late, twice or not at all."""

import asyncio
from collections.abc import Sequence

import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.core.errors import Unavailable
from kernapay.live.dtos import LivePayment
from kernapay.live.repository import LivePaymentRepository
from kernapay.live.watcher import Rhythm
from kernapay.security.authentication import Authenticator
from kernapay.security.principal import Principal
from kernapay.storage.mongo import database
from tests.actors import Actor
from tests.aliases import Store
from tests.clusters.proxy import Mode, Proxy
from tests.databases import row_of
from tests.live.conftest import FAST, OpenLive
from tests.live.payments import new_row, push, step
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.long]
SELDOM = FAST._replace(poll=3600, poll_in_doubt=3600)


class ChangedAfterReading(LivePaymentRepository):
    """Each payment that a stream opens with changes between the reading and the watching."""

    async def by_reference(self, reference_id: str) -> LivePayment | None:
        row = await super().by_reference(reference_id)
        await self._run(
            lambda: database()["payments"].update_one(
                {"referenceId": reference_id},
                {"$push": {"history": step(1, "failed")}, "$set": {"announce": now()}},
            )
        )
        return row


class CountedReads(LivePaymentRepository):
    """Counts the rows that were read for their changes."""

    reads = 0

    async def with_ids(self, ids: Sequence[str]) -> list[LivePayment]:
        type(self).reads += len(ids)
        return await super().with_ids(ids)


async def test_a_change_between_reading_and_watching_is_shown(
    open_live: OpenLive, store: Store
) -> None:
    first, row = [await asyncio.to_thread(new_row, store) for _ in range(2)]
    async with (
        open_live(rhythm=SELDOM, repository=ChangedAfterReading) as app,
        app.follow(first["referenceId"]),
    ):
        # The first stream connects to Redis, after which everything is looked at once.
        await until(lambda: app.services.payment_signals.is_connected)
        await asyncio.sleep(0.5)
        async with app.follow(row["referenceId"]) as stream:
            state, changed = await stream.until(2)
            assert (state.name, state.id, state.data["status"]) == ("state", 0, "pending")
            assert (changed.name, changed.id, changed.data["status"]) == ("step", 1, "failed")


async def test_a_change_that_nobody_announces_is_found_by_the_poll(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with open_live() as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        for number in (1, 2, 3):
            await asyncio.to_thread(push, store, row, number, "failed")
        messages = await stream.until(4)
        assert [each.id for each in messages] == [0, 1, 2, 3]


async def test_where_signals_may_have_been_lost_all_is_looked_at_at_once(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with open_live(rhythm=SELDOM) as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        await until(lambda: app.services.payment_signals.is_connected)
        await asyncio.sleep(0.5)  # the look after connecting
        await asyncio.to_thread(push, store, row, 1, "failed")
        await asyncio.sleep(0.5)
        assert len(stream.messages) == 1, "nobody knows yet"
        app.services.watcher.doubt()
        assert [each.id for each in await stream.until(2)] == [0, 1]


async def test_signals_that_come_again_show_nothing_twice(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with open_live(rhythm=SELDOM) as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        await asyncio.to_thread(push, store, row, 1, "failed")
        for _ in range(20):
            app.services.watcher.hear(str(row["_id"]))
            await asyncio.sleep(0.01)
        await asyncio.to_thread(push, store, row, 2)
        app.services.watcher.hear(str(row["_id"]))
        assert [each.id for each in await stream.until(3)] == [0, 1, 2]


async def test_many_streams_of_a_payment_cost_one_reading(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with open_live(rhythm=SELDOM, repository=CountedReads) as app:
        follow = app.follow(row["referenceId"])
        async with follow as first, app.follow(row["referenceId"]) as second:
            await first.until(1)
            await second.until(1)
            await asyncio.sleep(0.3)
            before = CountedReads.reads
            await asyncio.to_thread(push, store, row, 1)
            app.services.watcher.hear(str(row["_id"]))
            await first.until(2)
            await second.until(2)
            assert CountedReads.reads == before + 1


async def test_a_signal_about_what_nobody_watches_reads_nothing(
    open_live: OpenLive, store: Store
) -> None:
    row, other = [await asyncio.to_thread(new_row, store) for _ in range(2)]
    async with (
        open_live(rhythm=SELDOM, repository=CountedReads) as app,
        app.follow(row["referenceId"]) as stream,
    ):
        await stream.until(1)
        await asyncio.sleep(0.3)
        before = CountedReads.reads
        for name in (str(other["_id"]), "", "nobody"):
            app.services.watcher.hear(name)
        await asyncio.sleep(0.1)
        assert CountedReads.reads == before


async def test_a_history_that_was_rebuilt_is_shown_as_a_new_state(
    open_live: OpenLive, store: Store
) -> None:
    """After a restore from a backup it may be shorter."""
    row = await asyncio.to_thread(new_row, store, steps=4)
    async with open_live() as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        change = {"$set": {"history": [step(0), step(1, "failed")], "status": "failed"}}
        await asyncio.to_thread(store.payments.update_one, {"_id": row["_id"]}, change)
        first, again = await stream.until(2)
        assert (first.name, first.id) == ("state", 3)
        assert (again.name, again.id, again.data["status"]) == ("state", 1, "failed")


class Lagging(LivePaymentRepository):
    """Reads for changes see the first two steps only, as at a primary that is behind."""

    is_behind = True

    async def with_ids(self, ids: Sequence[str]) -> list[LivePayment]:
        rows = await super().with_ids(ids)
        if self.is_behind:
            for row in rows:
                row.history = row.history[:2]
        return rows


async def test_a_reading_that_is_behind_shows_nothing_old(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store, steps=3)
    patient = FAST._replace(patience=3600)
    async with (
        open_live(rhythm=patient, repository=Lagging) as app,
        app.follow(row["referenceId"]) as stream,
    ):
        await stream.until(1)
        await asyncio.to_thread(push, store, row, 3, "failed")
        await asyncio.sleep(1)
        assert [each.id for each in stream.messages] == [2]
        Lagging.is_behind = False
        messages = await stream.until(2)
        assert [(each.name, each.id) for each in messages] == [("state", 2), ("step", 3)]


class BehindWhenAsked(LivePaymentRepository):
    """Reads see the first two steps only, as at a new primary that does not know yet what a majority has."""

    is_behind = False
    looks = 0

    async def by_reference(self, reference_id: str) -> LivePayment | None:
        row = await super().by_reference(reference_id)
        return row and self._seen(row)

    async def with_ids(self, ids: Sequence[str]) -> list[LivePayment]:
        rows = [self._seen(row) for row in await super().with_ids(ids)]
        type(self).looks += 1
        return rows

    def _seen(self, row: LivePayment) -> LivePayment:
        row.history = row.history[:2] if self.is_behind else row.history
        return row


async def test_a_stream_that_opened_behind_another_one_catches_up(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store, steps=3)
    async with (
        open_live(repository=BehindWhenAsked) as app,
        app.follow(row["referenceId"]) as first,
    ):
        await until(lambda: BehindWhenAsked.looks == 1)
        BehindWhenAsked.is_behind = True
        async with app.follow(row["referenceId"]) as second:
            await until(lambda: BehindWhenAsked.looks >= 2)
            BehindWhenAsked.is_behind = False
            messages = await second.until(2, within=10)
            assert [(each.name, each.id) for each in messages] == [("state", 1), ("step", 2)]
        assert [each.id for each in first.messages] == [2]


async def test_a_row_with_an_odd_id_is_in_no_other_streams_way(
    open_live: OpenLive, store: Store
) -> None:
    row, odd = [await asyncio.to_thread(new_row, store, _id=each) for each in (ObjectId(), "odd")]
    follows = [each["referenceId"] for each in (row, odd)]
    try:
        async with (
            open_live() as app,
            app.follow(follows[0]) as stream,
            app.follow(follows[1]) as other,
        ):
            for opened in (stream, other):
                await opened.until(1)
            for each in (row, odd):
                await asyncio.to_thread(push, store, each, 1, "failed")
            for opened in (stream, other):
                assert [m.id for m in await opened.until(2, within=10)] == [0, 1]
    finally:
        await asyncio.to_thread(store.payments.delete_one, {"_id": "odd"})


async def test_a_change_during_an_outage_of_the_database_is_shown_after_it(
    open_live: OpenLive, store: Store, mongo_proxy: Proxy
) -> None:
    row = await asyncio.to_thread(new_row, store)
    url = mongo_proxy.mongodb_url(store.name)
    async with open_live(mongodb_url=url) as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        await asyncio.to_thread(mongo_proxy.set, Mode.CUT)
        await asyncio.to_thread(push, store, row, 1, "failed")
        app.services.watcher.hear(str(row["_id"]))
        beats = stream.heartbeats
        await until(lambda: stream.heartbeats > beats + 3)
        async with app.follow(row["referenceId"]) as refused:
            await asyncio.wait_for(refused.is_ended.wait(), 30)
            assert refused.status == 503
        await asyncio.to_thread(mongo_proxy.set, Mode.PASS)
        _, changed = await stream.until(2)
        assert (changed.name, changed.id) == ("step", 1)


async def test_an_idle_stream_has_heartbeats_and_ends_by_age(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    rhythm = Rhythm(heartbeat=0.2, poll=1, poll_in_doubt=1, lifetime=1)
    async with open_live(rhythm=rhythm) as app, app.follow(row["referenceId"]) as stream:
        await asyncio.wait_for(stream.is_ended.wait(), 30)
        assert stream.heartbeats >= 2
        assert [each.name for each in stream.messages] == ["state", "end"]
        assert stream.messages[-1].data == {"reason": "age"}


async def test_who_logs_out_sees_no_more_from_the_next_heartbeat_on(
    open_live: OpenLive, user: Actor
) -> None:
    payment = await asyncio.to_thread(user.new_payment)
    elsewhere = await asyncio.to_thread(user.device)
    async with open_live() as app:
        follow = app.follow(payment["referenceId"], token=user.token)
        stays = app.follow(payment["referenceId"], token=elsewhere.token)
        async with follow as stream, stays as other, app.follow(payment["referenceId"]) as bearer:
            await stream.until(1)
            await asyncio.to_thread(user.log_out)
            await asyncio.wait_for(stream.is_ended.wait(), 30)
            assert stream.messages[-1].data == {"reason": "access"}
            beats = other.heartbeats, bearer.heartbeats
            await until(lambda: other.heartbeats > beats[0] and bearer.heartbeats > beats[1])
            assert not other.is_ended.is_set()
            assert not bearer.is_ended.is_set()


class AwayAuthenticator(Authenticator):
    """Cannot reach the sessions while it is away, as when MongoDB goes after a row was read."""

    is_away = False

    async def __call__(self, token: str) -> Principal:
        if self.is_away:
            raise Unavailable("The database cannot be reached.")
        return await super().__call__(token)


async def test_a_change_is_held_back_while_nobody_knows_if_the_session_has_ended(
    open_live: OpenLive, user: Actor, store: Store
) -> None:
    payment = await asyncio.to_thread(user.new_payment)
    where = {"referenceId": payment["referenceId"]}
    row = await asyncio.to_thread(row_of, store.payments, **where)
    elsewhere = await asyncio.to_thread(user.device)
    async with open_live(authenticator=AwayAuthenticator) as app:
        follow = app.follow(payment["referenceId"], token=user.token)
        stays = app.follow(payment["referenceId"], token=elsewhere.token)
        async with follow as stream, stays as other:
            for each in (stream, other):
                await each.until(1)
            AwayAuthenticator.is_away = True
            await asyncio.to_thread(user.log_out)
            await asyncio.to_thread(push, store, row, 1, "failed")
            beats = other.heartbeats
            await until(lambda: other.heartbeats > beats + 3)
            assert [len(each.messages) for each in (stream, other)] == [1, 1]
            AwayAuthenticator.is_away = False
            await asyncio.wait_for(stream.is_ended.wait(), 30)
            assert [each.name for each in stream.messages] == ["state", "end"]
            assert [each.id for each in await other.until(2)] == [0, 1]


async def test_whoever_goes_away_is_forgotten_at_once(open_live: OpenLive, store: Store) -> None:
    rows = [await asyncio.to_thread(new_row, store) for _ in range(3)]
    async with open_live(live_streams=3) as app:
        for _ in range(5):
            follows = [app.follow(row["referenceId"]) for row in rows]
            for follow in follows:
                stream = await follow.__aenter__()
                await stream.until(1)
            async with app.follow(rows[0]["referenceId"]) as refused:
                await asyncio.wait_for(refused.is_ended.wait(), 30)
                assert refused.status == 429
            for follow in follows:
                await follow.__aexit__(None, None, None)


async def test_the_head_of_a_stream_ends_at_once(open_live: OpenLive, store: Store) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with (
        open_live(live_streams=1) as app,
        app.follow(row["referenceId"], method="HEAD") as head,
        app.follow(row["referenceId"]) as stream,
    ):
        await asyncio.wait_for(head.is_ended.wait(), 30)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        await stream.until(1)


async def test_streams_end_before_the_process_and_those_that_still_come_too(
    open_live: OpenLive, store: Store
) -> None:
    row = await asyncio.to_thread(new_row, store)
    async with open_live() as app, app.follow(row["referenceId"]) as stream:
        await stream.until(1)
        app.services.watcher.end_all()
        await asyncio.wait_for(stream.is_ended.wait(), 30)
        async with app.follow(row["referenceId"]) as late:
            await asyncio.wait_for(late.is_ended.wait(), 30)
        for each in (stream, late):
            assert [message.name for message in each.messages] == ["state", "end"]
            assert each.messages[-1].data == {"reason": "restart"}
