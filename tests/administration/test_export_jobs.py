"""Exports that a worker makes, and that are fetched later."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.core.errors import Unavailable
from kernapay.payments.exports.jobs.service import ExportJobs
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, Line, Lines, Money
from tests.actors import EXPORTS, Actor, assert_problem
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.in_process import InProcess, InProcessClient

EVER = {"from": "2020-01-01", "to": "2099-01-01"}


@pytest.fixture(autouse=True)
def _nothing_else_is_due(store: Store) -> None:
    store.exports.delete_many({})


def requested(admin: Actor, **more: Any) -> Json:
    answer = admin.call("POST", EXPORTS, json={**EVER, **more})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def seen(admin: Actor, export: Json) -> Json:
    answer = admin.call("GET", f"{EXPORTS}/{export['_id']}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.anyio
async def test_a_worker_makes_it_and_it_is_fetched_later(
    in_process: InProcess, admin: Actor, user: Actor
) -> None:
    payment = user.new_payment(amount=50_005)
    export = requested(admin, rows="payments", unit="major", totals=True)
    assert (export["state"], export["lines"], export["finishedAt"]) == ("requested", 0, None)
    path = f"{EXPORTS}/{export['_id']}/link"
    assert assert_problem(admin.call("POST", path), 409)["code"] == "export_not_done"

    async with in_process() as client:
        assert await client.services.export_jobs.sweep()
        assert not await client.services.export_jobs.sweep()

    done = seen(admin, export)
    assert (done["state"], done["error"]) == ("done", None)
    assert done["finishedAt"] is not None
    (listed, *_) = admin.call("GET", EXPORTS).json()
    assert listed == done
    link = admin.call("POST", path)
    assert link.status_code == 201, link.text
    rows = list(csv.DictReader(io.StringIO(admin.call("GET", link.json()["url"]).text)))
    assert done["lines"] == len([row for row in rows if row["referenceId"] != "TOTAL"])
    (own,) = [row for row in rows if row["referenceId"] == payment["referenceId"]]
    assert own["amount"] == "500.05"


class Many:
    """A table of 12,000 lines that may break off, or stop half-way until somebody has looked."""

    name = "payments"
    columns = ("referenceId", "amount")
    times = (By.CREATED,)

    def __init__(self, look: Any = None, *, breaks: bool = False) -> None:
        self._look = look
        self._breaks = breaks

    def tally(self) -> Tally:
        return Tally(self.columns, (), ("amount",))

    async def batches(self, *_: object) -> AsyncIterator[Lines]:
        for number in range(24):
            if number == 12 and self._look:
                await self._look()
            if number == 12 and self._breaks:
                raise Unavailable("The database is away.")
            yield map(self._line, range(number * 500, number * 500 + 500))

    def _line(self, number: int) -> Line:
        return (f"PAY_{number}", Money(number, "INR"))


def jobs_of(client: InProcessClient, table: Many) -> ExportJobs:
    services = client.services
    files, audit = services.file_store, services.audit_log
    pool, days = services.file_pool, services.business_days
    exports = ExportService({None: table}, files, audit, pool, days)
    return ExportJobs(services.export_job_repository, exports, files, audit)


@pytest.mark.anyio
async def test_its_progress_can_be_seen(in_process: InProcess, admin: Actor) -> None:
    export = requested(admin)
    found: list[tuple[str, int]] = []

    async with in_process() as client:
        jobs = client.services.export_job_repository

        async def look() -> None:
            view = await jobs.view(export["_id"])
            assert view is not None
            found.append((view.state, view.lines))

        assert await jobs_of(client, Many(look)).sweep()
    assert found == [("running", 5_000)]
    assert (seen(admin, export)["state"], seen(admin, export)["lines"]) == ("done", 12_000)


@pytest.mark.anyio
async def test_one_that_breaks_off_is_made_again_and_given_up_in_the_end(
    in_process: InProcess, admin: Actor
) -> None:
    export = requested(admin)
    clock = FrozenClock(datetime.fromisoformat(export["createdAt"]) + timedelta(minutes=1))
    async with in_process(clock=clock) as client:
        jobs = jobs_of(client, Many(breaks=True))
        for _ in range(5):
            assert seen(admin, export)["state"] in ("requested", "running")
            assert await jobs.sweep()
            assert not await jobs.sweep()
            clock.advance(minutes=1)
        failed = seen(admin, export)
        assert (failed["state"], failed["error"]) == ("failed", "The database is away.")
        assert not await jobs_of(client, Many()).sweep()
    assert_problem(admin.call("POST", f"{EXPORTS}/{export['_id']}/link"), 409)


@pytest.mark.anyio
async def test_another_worker_makes_it_after_one_that_died_and_leaves_one_file(
    in_process: InProcess, admin: Actor
) -> None:
    export = requested(admin)
    clock = FrozenClock(datetime.fromisoformat(export["createdAt"]) + timedelta(minutes=1))
    async with in_process(clock=clock) as client:
        queue = client.services.export_job_repository.queue
        (claimed,) = await queue.claim()
        jobs = jobs_of(client, Many())
        assert not await jobs.sweep()
        clock.advance(minutes=5)
        assert await jobs.sweep()
    done = seen(admin, export)
    assert (done["state"], done["lines"]) == ("done", 12_000)
    link = admin.call("POST", f"{EXPORTS}/{export['_id']}/link").json()
    assert link["name"] == claimed.file_name


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("to", {"to": "2020-01-01"}),
        ("from", {"from": "2026-13-01"}),
        ("by", {"rows": "disputes", "by": "settled"}),
        ("format", {"format": "pdf"}),
    ],
)
def test_what_does_not_go_is_refused_at_once(
    admin: Actor, store: Store, field: str, query: dict[str, Any]
) -> None:
    assert_problem(admin.call("POST", EXPORTS, json={**EVER, **query}), 400, field=field)
    assert store.exports.count_documents({}) == 0


def test_one_that_is_not_there_is_not_found(admin: Actor) -> None:
    for method, path in (("GET", ""), ("POST", "/link")):
        assert_problem(admin.call(method, f"{EXPORTS}/{ObjectId()}{path}"), 404)
