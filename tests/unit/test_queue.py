"""The queue of due rows, on a real mongod: whoever claims, fails, dies or hangs."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import structlog
from mongoengine import DateTimeField, IntField, StringField

from kernapay.core.errors import NotFound, Unavailable
from kernapay.health.gauges import queue_depths
from kernapay.reconciliation.repository import ReportRepository
from kernapay.storage.mongo import Mongo, Record
from kernapay.storage.queue import Depth, Queue, Rules
from kernapay.storage.queue_metrics import OUTCOMES
from kernapay.storage.repository import Repository, Where
from kernapay.storage.unreadable import Misfit
from kernapay.webhooks.models import WebhookEvent
from kernapay.webhooks.repository import WebhookRepository
from kernapay.worker import repeat
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.waiting import until

pytestmark = pytest.mark.anyio
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
BACKOFF = (timedelta(seconds=5), timedelta(minutes=1))


class Job(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "unit_jobs"}

    name: str = StringField(required=True)
    owner: str | None = StringField()
    state: str = StringField(default="waiting")
    due_at: datetime = DateTimeField(db_field="dueAt")
    attempts: int = IntField(default=0)
    error: str | None = StringField()

    @classmethod
    def in_shape(cls, row: dict[str, Any]) -> dict[str, Any]:
        if "marks" in row:
            raise Misfit("marks: unknown")
        return row


class Jobs(Repository[Job]):
    model = Job


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(START)


@pytest.fixture
def jobs(mongo: Mongo, store: Store, clock: FrozenClock) -> Iterator[Jobs]:
    store.unit_jobs.drop()
    yield Jobs(mongo, clock)
    store.unit_jobs.drop()


@pytest.fixture
def reports(mongo: Mongo, store: Store, clock: FrozenClock) -> Iterator[ReportRepository]:
    store.reconciliation_reports.delete_many({})
    yield ReportRepository(mongo, clock)
    store.reconciliation_reports.delete_many({})


@pytest.fixture
def events(mongo: Mongo, store: Store, clock: FrozenClock) -> Iterator[WebhookRepository]:
    store.webhook_events.delete_many({})
    yield WebhookRepository(mongo, clock)
    store.webhook_events.delete_many({})


def queue_of(jobs: Jobs, **changes: Any) -> Queue[Job]:
    rules: dict[str, Any] = {
        "waiting": lambda _: {"state": "waiting"},
        "due": "due_at",
        "attempts": "attempts",
        "leases": (LEASE,),
        "backoff": BACKOFF,
        "limit": 3,
        "parked": lambda at: {"set__state": "parked"},
        **changes,
    }
    return Queue("jobs", jobs, Rules(**rules))


async def add(jobs: Jobs, *names: str, due: timedelta = timedelta(0)) -> None:
    for number, name in enumerate(names):
        await jobs.add(Job(name=name, due_at=START + due + timedelta(seconds=number)))


async def names(queue: Queue[Job], count: int = 1) -> list[str]:
    return [job.name for job in await queue.claim(count)]


async def test_the_longest_due_row_comes_first_and_no_more_than_asked_for(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "first", "second", "third")
    await add(jobs, "tomorrow", due=timedelta(days=1))
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)
    assert await names(queue) == ["first"]
    assert await names(queue, 10) == ["second", "third"]
    assert await names(queue, 10) == []


async def test_a_claimed_row_goes_to_nobody_else_before_its_lease_ends(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, *(str(number) for number in range(20)))
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)

    async def claim_all() -> list[str]:
        claimed: list[str] = []
        while found := await names(queue):
            claimed += found
        return claimed

    claimed = await asyncio.gather(*(claim_all() for _ in range(8)))
    # A claimer that lost every race for the head of the queue leaves the rest due.
    together = [name for each in claimed for name in each] + await claim_all()
    assert sorted(together, key=int) == [str(number) for number in range(20)]
    clock.advance(LEASE)
    assert len(await names(queue, 20)) == 20


async def test_a_failed_row_waits_longer_each_time_and_is_parked_at_its_limit(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    for pause in BACKOFF:
        (job,) = await queue.claim()
        assert await queue.fail(job, "no luck")
        clock.advance(pause - timedelta(seconds=1))
        assert await names(queue) == []
        clock.advance(timedelta(seconds=1))
    (job,) = await queue.claim()
    assert not await queue.fail(job, "no luck again")
    clock.advance(timedelta(days=365))
    assert await names(queue) == []
    stored = await jobs.get(name="job")
    assert (stored.state, stored.attempts, stored.error) == ("parked", 3, "no luck again")


async def test_a_pause_that_was_asked_for_is_kept(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (job,) = await queue.claim()
    await queue.fail(job, "come back in an hour", at_least=timedelta(hours=1))
    clock.advance(timedelta(minutes=59))
    assert await names(queue) == []
    clock.advance(timedelta(minutes=1))
    assert await names(queue) == ["job"]


async def test_what_is_hopeless_is_parked_at_once(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (job,) = await queue.claim()
    assert not await queue.fail(job, "unreadable", hopeless=True)
    clock.advance(timedelta(days=1))
    assert await names(queue) == []


async def test_a_row_that_kills_its_workers_is_parked_in_the_end(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    for _ in range(3):
        assert await names(queue) == ["job"]
        clock.advance(LEASE)  # the worker was killed: nobody noted anything
    assert await names(queue) == []
    stored = await jobs.get(name="job")
    assert (stored.state, str(stored.error)[:20]) == ("parked", "no attempt ended: th")


async def test_what_is_parked_unheard_keeps_its_last_error(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs, limit=2)
    (job,) = await queue.claim()
    await queue.fail(job, "the gateway is down")
    for _ in range(2):
        clock.advance(LEASE)
        await queue.claim()
    stored = await jobs.get(name="job")
    assert (stored.state, stored.error) == ("parked", "the gateway is down")


class Contested(Jobs):
    """A collection of which another worker is always the first to take the row `theirs`."""

    async def update_where(
        self, where: Where, *, is_visible: bool = True, **change: Any
    ) -> Job | None:
        row = await self.get(id=where["id"])
        if row.name == "theirs":
            return None
        return await super().update_where(where, is_visible=is_visible, **change)


async def test_who_comes_second_takes_the_next_row_and_one_row_unless_asked_for_more(
    mongo: Mongo, jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "last", due=timedelta(seconds=9))
    await add(jobs, "theirs", "mine", "later")
    clock.advance(timedelta(minutes=1))
    queue = queue_of(Contested(mongo, clock))
    assert [job.name for job in await queue.claim()] == ["mine"]
    assert [job.name for job in await queue.claim(3)] == ["later", "last"]


async def test_where_only_failures_count_lost_claims_park_nothing(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs, counts_claims=False)
    for _ in range(20):
        assert await names(queue) == ["job"]
        clock.advance(LEASE)  # the answer to the claim was lost, or the worker killed
    for pause in BACKOFF:
        (job,) = await queue.claim()
        assert await queue.fail(job, "no luck")
        clock.advance(pause)
    (job,) = await queue.claim()
    assert not await queue.fail(job, "no luck again")
    stored = await jobs.get(name="job")
    assert (stored.state, stored.attempts) == ("parked", 3)


async def test_no_event_is_parked_that_was_never_processed(
    events: WebhookRepository, clock: FrozenClock
) -> None:
    event = WebhookEvent(event_id="evt_1", body_hash="0" * 64, body=b"{}", event="payment.captured")
    assert await events.store(event)
    for _ in range(20):
        clock.advance(minutes=2)
        assert [row.event_id for row in await events.queue.claim()] == ["evt_1"]


async def test_a_holder_whose_lease_has_ended_changes_nothing_of_the_next_one(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (late,) = await queue.claim()
    clock.advance(LEASE)
    (current,) = await queue.claim()
    await queue.fail(late, "too late")
    await queue.park(late, "too late")
    assert not await queue.extend(late)
    stored = await jobs.get(name="job")
    assert (stored.state, stored.error, stored.due_at) == ("waiting", None, current.due_at)
    assert await queue.extend(current)


async def test_an_extended_lease_holds_longer(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (job,) = await queue.claim()
    for _ in range(3):
        clock.advance(LEASE / 2)
        assert await queue.extend(job)
    assert await names(queue) == []
    await queue.finish(job, set__state="done")
    clock.advance(LEASE)
    assert await names(queue) == []


async def test_a_finished_row_stays_finished_whoever_fails_it_later(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (slow,) = await queue.claim()
    clock.advance(LEASE)
    (second,) = await queue.claim()
    await queue.finish(slow, set__state="done")
    await queue.fail(second, "somebody else was faster")
    stored = await jobs.get(name="job")
    assert (stored.state, stored.error) == ("done", None)


async def test_work_that_hangs_ends_with_its_lease(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "hanging", "quick")
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs, leases=(timedelta(milliseconds=300),))
    done: list[str] = []

    async def work(job: Job) -> None:
        if job.name == "hanging":
            await asyncio.Event().wait()
        done.append(job.name)

    with structlog.testing.capture_logs() as logs:
        assert await queue.sweep(work, 2)
    assert done == ["quick"]
    assert [entry["event"] for entry in logs] == ["work_expired"]
    assert (await jobs.get(name="hanging")).state == "waiting"


async def test_the_log_has_the_name_by_which_people_know_a_row(
    jobs: Jobs, clock: FrozenClock
) -> None:
    async def fail(job: Job) -> None:
        raise Unavailable("MongoDB is away.")

    await add(jobs, "PAY_1", "PAY_2")
    clock.advance(timedelta(minutes=1))
    with structlog.testing.capture_logs() as logs:
        await queue_of(jobs, reference="name").sweep(fail)
        await queue_of(jobs).sweep(fail)
    ids = {job.name: str(job.pk) for job in await jobs.list()}
    said = {"event": "work_interrupted", "queue": "jobs", "code": "unavailable"}
    assert [{**entry, "log_level": None} for entry in logs] == [
        {**said, "log_level": None, "reference": "PAY_1"},
        {**said, "log_level": None, "row": ids["PAY_2"]},
    ]


async def test_a_queue_that_renews_lets_long_work_end(jobs: Jobs, clock: FrozenClock) -> None:
    lease = timedelta(milliseconds=600)
    await add(jobs, "long")
    queue = queue_of(jobs, leases=(lease,), renews=True)

    async def work(job: Job) -> None:
        for _ in range(5):
            clock.advance(lease / 2)
            await until(lambda: job.due_at == clock.now + lease)
            assert await names(queue) == [], "nobody else may have it"
        await queue.finish(job, set__state="done")

    assert await queue.sweep(work)
    assert (await jobs.get(name="long")).state == "done"


async def test_a_renewal_holds_for_one_lease(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "long")
    queue = queue_of(jobs, leases=(timedelta(milliseconds=300),), renews=True)

    async def work(job: Job) -> None:
        clock.advance(timedelta(milliseconds=100))
        await until(lambda: job.due_at == clock.now + timedelta(milliseconds=300))
        await jobs.update_where({"id": job.pk}, set__due_at=clock.now)  # somebody else holds it now
        await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(30):
            assert await queue.sweep(work)
    assert [entry["event"] for entry in logs] == ["work_expired"]


def counted() -> Counter[str]:
    """Return how often each outcome was counted."""
    return Counter(
        {
            sample.labels["outcome"]: int(sample.value)
            for metric in OUTCOMES.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.labels["queue"] == "jobs"
        }
    )


async def test_each_outcome_is_counted(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "lost", "retried", "parked", "replayed", "finished")
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)
    before = counted()
    lost, retried, parked, replayed, finished = await queue.claim(5)
    await jobs.update_where({"id": lost.pk}, set__due_at=START)
    assert await queue.fail(lost, "somebody else holds it")
    await queue.park(lost, "somebody else holds it")
    await queue.fail(retried, "once more")
    await queue.park(parked, "hopeless")
    await queue.replay({"id": replayed.pk})
    await queue.finish(finished, set__state="done")
    assert counted() - before == {
        **{"claimed": 5, "lost": 2, "retried": 1, "parked": 1, "replayed": 1, "finished": 1}
    }


async def test_one_that_was_deleted_is_lost_and_the_others_of_its_batch_are_finished(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, *map(str, range(6)))
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)
    claimed = await queue.claim(6)
    assert await jobs.delete_where(name="4")
    before = counted()
    await asyncio.gather(*(queue.finish(job, set__state="done") for job in claimed))
    assert counted() - before == {"finished": 5, "lost": 1}


async def test_without_a_back_off_a_failed_row_is_due_at_once(jobs: Jobs) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs, backoff=())
    (job,) = await queue.claim()
    await queue.fail(job, "once more")
    assert await names(queue) == ["job"]


async def test_a_failure_during_a_renewal_is_recorded(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    for _ in range(20):
        clock.advance(LEASE)
        (job,) = await queue.claim()
        clock.advance(timedelta(seconds=1))
        extended, failed = await asyncio.gather(queue.extend(job), queue.fail(job, "no luck"))
        assert extended
        assert failed
        stored = await jobs.get(name="job")
        assert (stored.error, stored.due_at) == ("no luck", clock.now + BACKOFF[0])
        await jobs.update_where({"id": job.pk}, set__error=None, set__attempts=0)


@pytest.mark.parametrize("error", [Unavailable("no database"), ZeroDivisionError()])
async def test_one_row_that_breaks_leaves_the_others_alone(
    jobs: Jobs, clock: FrozenClock, error: Exception
) -> None:
    await add(jobs, "broken", "sound")
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)
    done: list[str] = []

    async def work(job: Job) -> None:
        if job.name == "broken":
            raise error
        done.append(job.name)

    assert await queue.sweep(work, 2)
    assert done == ["sound"]
    clock.advance(LEASE)
    assert await names(queue, 2) == ["broken", "sound"], "both are due again when the lease ends"


async def test_a_replay_begins_from_the_first_attempt(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs)
    (job,) = await queue.claim()
    await queue.fail(job, "hopeless", hopeless=True)
    replayed = await queue.replay({"name": "job"}, set__state="waiting")
    assert replayed is not None
    assert queue.attempt_of(replayed) == 1
    assert await names(queue) == [], "whoever replays it holds it"
    assert (await jobs.get(name="job")).attempts == 0, "one that never ends is not counted"
    await queue.fail(replayed, "once more")
    assert (await jobs.get(name="job")).attempts == 1
    clock.advance(BACKOFF[0])
    assert await names(queue) == ["job"]
    assert await queue.replay({"name": "unknown"}) is None


async def test_a_replayed_row_whose_worker_dies_is_due_when_its_lease_ends(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    queue = queue_of(jobs, offset=timedelta(minutes=5))
    assert await queue.replay({"name": "job"}) is not None
    clock.advance(LEASE - timedelta(seconds=1))
    assert await names(queue) == []
    clock.advance(timedelta(seconds=1))
    assert await names(queue) == ["job"]


async def test_the_depth_counts_what_is_due_and_how_long_it_has_been(
    jobs: Jobs, clock: FrozenClock
) -> None:
    queue = queue_of(jobs)
    assert (await queue.depth()).due == 0
    await add(jobs, "first", "second")
    await add(jobs, "later", due=timedelta(hours=1))
    clock.advance(timedelta(minutes=10))
    depth = await queue.depth()
    assert (depth.due, depth.oldest_seconds) == (2, 600)
    await queue.claim(10)
    assert await queue.depth() == Depth(0, 0.0)


async def test_a_row_with_an_offset_is_due_and_paused_from_its_end_on(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    pause = timedelta(minutes=10)
    queue = queue_of(jobs, offset=timedelta(minutes=5), pauses=(pause,))
    clock.advance(timedelta(minutes=6))
    assert await queue.depth() == Depth(1, 60.0)

    async def work(_: Job) -> None:
        return None

    assert await queue.sweep(work)
    clock.advance(pause - timedelta(seconds=1))
    assert await names(queue) == []
    clock.advance(timedelta(seconds=1))
    assert await names(queue) == ["job"]


async def test_the_depth_is_told_beside_rows_that_cannot_be_read(
    jobs: Jobs, clock: FrozenClock, store: Store
) -> None:
    bad = [{"name": f"bad{n}", "state": "waiting", "dueAt": START, "marks": 7} for n in range(3)]
    await asyncio.to_thread(store.unit_jobs.insert_many, bad)
    await add(jobs, "later", due=timedelta(minutes=5))
    await add(jobs, "first", "parked")
    await jobs.update_where({"name": "parked"}, set__state="parked")
    clock.advance(timedelta(minutes=10))
    depth = await queue_of(jobs, is_parked={"state": "parked"}).depth()
    assert (depth.oldest_seconds, depth.parked) == (600, 1)


async def test_a_queue_that_cannot_be_counted_hides_no_other(jobs: Jobs) -> None:
    broken = queue_of(jobs, waiting=lambda _: {"__raw__": {"$nonsense": 1}})
    with structlog.testing.capture_logs() as logs:
        due, oldest, _ = await queue_depths([broken, queue_of(jobs)])
    assert [entry["event"] for entry in logs] == ["queue_not_counted"]
    assert (len(due.samples), len(oldest.samples)) == (1, 1)


async def test_a_report_is_due_from_its_request(
    reports: ReportRepository, clock: FrozenClock
) -> None:
    await reports.request(START - timedelta(days=1), START, "finance")
    await reports.request_night("2026-01-30", START - timedelta(days=1), START)
    clock.advance(timedelta(seconds=20))
    depth = await reports.queue.depth()
    assert (depth.due, depth.oldest_seconds) == (2, 20)
    await reports.request(START - timedelta(days=1), START, "finance", is_claimed=True)
    assert len(await reports.queue.claim(3)) == 2


async def test_a_row_may_be_due_some_time_after_its_time(jobs: Jobs, clock: FrozenClock) -> None:
    await add(jobs, "job")
    leases = (timedelta(minutes=15), timedelta(hours=1))
    queue = queue_of(jobs, offset=timedelta(minutes=5), leases=leases, backoff=(), limit=None)
    clock.advance(timedelta(minutes=4))
    assert await names(queue) == []
    clock.advance(timedelta(minutes=1))
    assert await names(queue) == ["job"]
    for lease in (*leases, leases[-1]):
        clock.advance(lease - timedelta(seconds=1))
        assert await names(queue) == []
        clock.advance(timedelta(seconds=1))
        assert await names(queue) == ["job"]


async def test_a_long_queue_does_not_hold_up_a_short_one(jobs: Jobs, clock: FrozenClock) -> None:
    """Each queue has a loop of its own: one row of the short one waits for one of the long one at most."""
    await add(jobs, *(f"long {number}" for number in range(50)))
    await jobs.add(Job(name="short", state="other", due_at=START + timedelta(minutes=1)))
    clock.advance(timedelta(hours=1))
    long, short = queue_of(jobs), queue_of(jobs, waiting=lambda _: {"state": "other"})
    done: list[str] = []
    stop = asyncio.Event()

    async def work(job: Job) -> None:
        done.append(job.name)
        await asyncio.sleep(0)
        if job.name == "short":
            stop.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(repeat("long", lambda: long.sweep(work), stop))
        group.create_task(repeat("short", lambda: short.sweep(work), stop))
    assert "short" in done
    assert len(done) < 10


async def test_owners_take_turns_whoever_has_most_rows(jobs: Jobs, clock: FrozenClock) -> None:
    rows = [("busy", f"busy {n}") for n in range(60)]
    rows += [("other", f"other {n}") for n in range(3)] + [("late", "late")]
    for number, (owner, name) in enumerate(rows):
        due = START + timedelta(milliseconds=number)
        await jobs.add(Job(name=name, owner=owner, due_at=due))
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs, owner="owner")
    claimed = [name for _ in rows for name in await names(queue)]
    assert claimed[:7] == [
        *("busy 0", "other 0", "late"),
        *("busy 1", "other 1", "busy 2", "other 2"),
    ]
    assert sorted(claimed) == sorted(name for _, name in rows), "each one once"
    of_busy = [name for name in claimed if name.startswith("busy")]
    assert of_busy == [f"busy {n}" for n in range(60)], "an owner's rows keep their order"


async def test_who_comes_after_the_rows_of_one_owner_waits_for_few_of_them(
    jobs: Jobs, clock: FrozenClock
) -> None:
    for number in range(40):
        await jobs.add(Job(name=str(number), owner="busy", due_at=START))
    queue = queue_of(jobs, owner="owner")
    for _ in range(12):
        assert len(await names(queue)) == 1
    await jobs.add(Job(name="new", owner="new", due_at=START))
    claimed = [name for _ in range(10) for name in await names(queue)]
    assert "new" in claimed


async def test_a_claim_of_many_rows_starts_with_one_of_each_owner(
    jobs: Jobs, clock: FrozenClock
) -> None:
    for number, owner in enumerate("aaaabc"):
        due = START + timedelta(milliseconds=number)
        await jobs.add(Job(name=f"{owner}{number}", owner=owner, due_at=due))
    clock.advance(timedelta(minutes=1))
    assert await names(queue_of(jobs, owner="owner"), 4) == ["a0", "b4", "c5", "a1"]


async def test_rows_that_cannot_be_read_do_not_fill_the_head_of_the_queue(
    jobs: Jobs, clock: FrozenClock, store: Store
) -> None:
    bad = [{"name": f"bad{n}", "state": "waiting", "dueAt": START, "marks": 7} for n in range(20)]
    await asyncio.to_thread(store.unit_jobs.insert_many, bad)
    await add(jobs, "sound", due=timedelta(seconds=1))
    clock.advance(timedelta(minutes=1))
    queue = queue_of(jobs)
    with structlog.testing.capture_logs() as logs:
        assert await names(queue) == ["sound"]
        assert await names(queue) == []
    unreadable = [entry for entry in logs if entry["event"] == "row_unreadable"]
    assert len(unreadable) == 20, "each is named once, and then rests"
    clock.advance(timedelta(hours=1))
    with structlog.testing.capture_logs() as logs:
        assert await names(queue) == ["sound"]
    assert "row_unreadable" in {entry["event"] for entry in logs}, "they are tried again"


PAUSES = (timedelta(minutes=15), timedelta(hours=1))


async def pausing(jobs: Jobs, **changes: Any) -> Queue[Job]:
    await add(jobs, "job")
    return queue_of(jobs, limit=None, pauses=PAUSES, counts_claims=False, **changes)


async def test_work_that_ended_pauses_its_row_longer_each_time(
    jobs: Jobs, clock: FrozenClock
) -> None:
    queue = await pausing(jobs)

    async def work(_: Job) -> None:
        return None

    for pause in (*PAUSES, PAUSES[-1]):
        assert await queue.sweep(work)
        clock.advance(pause - timedelta(seconds=1))
        assert await names(queue) == []
        clock.advance(timedelta(seconds=1))


@pytest.mark.parametrize(
    ("error", "pause", "attempts"),
    [
        (Unavailable("no answer"), LEASE, 0),
        (NotFound("no such order"), PAUSES[0], 1),
        (ZeroDivisionError(), PAUSES[0], 1),
    ],
)
async def test_only_an_error_of_the_row_itself_pauses_it(
    jobs: Jobs, clock: FrozenClock, error: Exception, pause: timedelta, attempts: int
) -> None:
    """After an outage everything is due again when its lease ends."""
    queue = await pausing(jobs)

    async def work(_: Job) -> None:
        raise error

    assert await queue.sweep(work)
    stored = await jobs.get(name="job")
    assert (stored.due_at - clock.now, stored.attempts) == (pause, attempts)


async def test_a_due_time_that_the_work_itself_sets_is_kept(jobs: Jobs, clock: FrozenClock) -> None:
    queue = await pausing(jobs)
    at_once = clock.now + timedelta(seconds=1)

    async def work(job: Job) -> None:
        await jobs.update_where({"id": job.pk}, set__due_at=at_once)

    before = counted()
    assert await queue.sweep(work)
    assert (await jobs.get(name="job")).due_at == at_once
    assert counted() - before == {"claimed": 1, "moved": 1}


async def test_how_work_ended_is_counted(jobs: Jobs, clock: FrozenClock) -> None:
    queue = await pausing(jobs)
    await add(jobs, "outage", "bug", "hanging")
    clock.advance(timedelta(minutes=1))
    errors = {"outage": Unavailable("MongoDB is away."), "bug": ZeroDivisionError()}

    async def work(job: Job) -> None:
        if job.name in errors:
            raise errors[job.name]
        if job.name == "hanging":
            raise TimeoutError

    before = counted()
    assert await queue.sweep(work, 4)
    ended = {"claimed": 4, "interrupted": 1, "broken": 1, "expired": 1}
    assert counted() - before == {**ended, "paused": 2}, "what ended, and the bug"


async def test_changes_of_a_queue_move_updated_at_only_if_clients_see_them(
    jobs: Jobs, clock: FrozenClock
) -> None:
    await add(jobs, "job")
    clock.advance(timedelta(minutes=1))
    await queue_of(jobs, is_visible=False).claim()
    assert (await jobs.get(name="job")).updated_at == START
    clock.advance(LEASE)
    (job,) = await queue_of(jobs, is_visible=False).claim()
    await queue_of(jobs, is_visible=False).finish(job, set__error="none of the clients' concern")
    assert (await jobs.get(name="job")).updated_at == START
    clock.advance(LEASE)
    await queue_of(jobs).claim()
    assert (await jobs.get(name="job")).updated_at == clock.now


async def test_parked_rows_are_counted(jobs: Jobs) -> None:
    await add(jobs, "job", "other")
    queue = queue_of(jobs, is_parked={"state": "parked"})
    (job,) = await queue.claim()
    await queue.park(job, "hopeless")
    assert (await queue.depth()).parked == 1
    _, _, parked = await queue_depths([queue])
    assert [sample.value for sample in parked.samples] == [1]
