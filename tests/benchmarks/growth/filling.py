"""Fill a database with payments, from templates that the service made."""

import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from bson import ObjectId
from pymongo import IndexModel, WriteConcern

from kernapay.settlements.models import BankSettlement
from kernapay.storage.migration_files import read_migrations
from tests.aliases import Json
from tests.benchmarks.api import machine
from tests.benchmarks.growth.payments import (
    Made,
    Parties,
    PaymentRows,
    settlement_id_of,
    utr_of,
)
from tests.benchmarks.growth.site import Site
from tests.benchmarks.growth.templates import make_templates
from tests.waiting import eventually

SPAN: Final = timedelta(days=365)
"""The payments are spread evenly over so long a time, up to now."""
_KEPT_EVENTS: Final = timedelta(days=45)
_BATCH: Final = 1000
# One batch is made while one is inserted.
_WRITERS: Final = 2
# Of the payer and of the provider, in a database that is large enough.
_OF_PAYER: Final = 100_000
_TO_PROVIDER: Final = 500_000
_PAYER_SHARE: Final = 0.1
_PROVIDER_SHARE: Final = 0.5
_PAYMENTS_EACH: Final = 50
_PROVIDERS: Final = 200
# Some payments are for nobody but the business itself.
_OWN_SHARE: Final = 0.4
_COLLECTIONS: Final = ("payments", "settlement_rows", "webhook_events")
# For all indexes of a collection together, which are sorted on disk beyond it.
_BUILD: Final = {"maxIndexBuildMemoryUsageMegabytes": 1000}
_SUMS: Final = "0030_settlement_sums"
_FAST: Final = WriteConcern(w=1, j=False)


class _People:
    """Chooses who pays whom."""

    def __init__(self, site: Site) -> None:
        self._random = random.Random(1)
        self._payer, self._provider = ObjectId(site.payer.id), ObjectId(site.provider.id)
        self._payer_share = min(_PAYER_SHARE, _OF_PAYER / site.payments)
        self._provider_share = min(_PROVIDER_SHARE, _TO_PROVIDER / site.payments)
        count = max(1, site.payments // _PAYMENTS_EACH)
        self._payers = [ObjectId() for _ in range(count)]
        self._providers = [ObjectId() for _ in range(_PROVIDERS)]

    def choose(self) -> Parties:
        draw = self._random.random
        payer = self._payer if draw() < self._payer_share else self._random.choice(self._payers)
        if draw() < self._provider_share:
            return Parties(payer, self._provider)
        if draw() < _OWN_SHARE:
            return Parties(payer, None)
        return Parties(payer, self._random.choice(self._providers))


class _Batch(NamedTuple):
    payments: list[Json]
    settled: list[Json]
    events: list[Json]


def fill(site: Site, advance: Callable[[int], None], span: timedelta = SPAN) -> None:
    """Insert the payments, with the rows of their settlements and their events. `advance` is told how many."""
    templates = make_templates(site)
    event = site.store.webhook_events.find_one({"status": "processed"})
    assert event is not None
    now = datetime.now(UTC)
    made = _make(site, PaymentRows(templates, now), now, span)
    sums: dict[datetime, Counter[str]] = {}
    with _on_all_cores(site), _without_indexes(site):
        for batch in _insert_all(site, _batches(made, event, now)):
            for row in batch.settled:
                _count(sums.setdefault(row["settledAt"], Counter()), row)
            advance(len(batch.payments))
    if sums:
        site.store.settlements.insert_many([_settlement(at, sums[at]) for at in sorted(sums)])
        # It makes the sums of what is stored already.
        (migration,) = [each for each in read_migrations() if each.name == _SUMS]
        migration.load().up(site.store)
    # A checkpoint, so that the measuring does not begin with one.
    site.store.client.admin.command("fsync")
    # The API serves nothing while it lacks an index, and looks again every few seconds.
    eventually(lambda: site.client.get("/health/ready").is_success, 60)
    site.note_filled()


@contextmanager
def _on_all_cores(site: Site) -> Iterator[None]:
    machine.pin([os.getpid(), site.mongod], site.servers.cores.all)
    yield
    machine.pin([os.getpid(), site.mongod], site.servers.cores.others)


@contextmanager
def _without_indexes(site: Site) -> Iterator[None]:
    """Make the indexes when the rows are there, which takes a fraction of the time."""
    database = site.store
    models = {name: _models(database[name].index_information()) for name in _COLLECTIONS}
    for name in _COLLECTIONS:
        database[name].drop_indexes()
    yield
    database.client.admin.command({"setParameter": 1, **_BUILD})
    for name in _COLLECTIONS:
        database[name].create_indexes(models[name])


def _models(indexes: Mapping[str, Any]) -> list[IndexModel]:
    own = {name: dict(index) for name, index in indexes.items() if name != "_id_"}
    return [
        IndexModel(index.pop("key"), name=name, **{k: v for k, v in index.items() if k != "v"})
        for name, index in own.items()
    ]


def _insert_all(site: Site, batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Insert the batches, and yield each once it is on its way."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        waiting: list[Future[None]] = []
        for batch in batches:
            if len(waiting) == _WRITERS:
                waiting.pop(0).result()
            waiting.append(writers.submit(_insert, site, batch))
            yield batch
        for each in waiting:
            each.result()


def _make(site: Site, rows: PaymentRows, now: datetime, span: timedelta) -> Iterator[Made]:
    people = _People(site)
    for number in range(site.payments):
        yield rows.make(now - span * (1 - number / site.payments), people.choose())


def _batches(made: Iterator[Made], event: Json, now: datetime) -> Iterator[_Batch]:
    batch = _Batch([], [], [])
    for each in made:
        batch.payments.append(each.payment)
        if each.settled is not None:
            batch.settled.append(each.settled)
        at = each.payment["createdAt"]
        if each.payment.get("razorpayPaymentId") and now - at < _KEPT_EVENTS:
            batch.events.append(_copy_event(event, at))
        if len(batch.payments) == _BATCH:
            yield batch
            batch = _Batch([], [], [])
    if batch.payments:
        yield batch


def _copy_event(event: Json, at: datetime) -> Json:
    times = {name: at for name, value in event.items() if isinstance(value, datetime)}
    ids = {"eventId": f"evt_{secrets.token_hex(8)}", "bodyHash": secrets.token_hex(32)}
    return {**event, **times, **ids, "_id": ObjectId()}


def _insert(site: Site, batch: _Batch) -> None:
    for name, rows in zip(_COLLECTIONS, batch, strict=True):
        if rows:
            collection = site.store.get_collection(name, write_concern=_FAST)
            collection.insert_many(rows, ordered=False)


def _count(sums: Counter[str], row: Json) -> None:
    sums["rows"] += 1
    for name in ("credit", "fee", "tax"):
        sums[name] += row[name]


def _settlement(settled_at: datetime, sums: Counter[str]) -> Json:
    stored: Json = BankSettlement(
        settlement_id=settlement_id_of(settled_at),
        status="processed",
        amount=sums["credit"],
        utr=utr_of(settled_at),
        settled_at=settled_at,
        rows=sums["rows"],
        credit=sums["credit"],
        row_fee=sums["fee"],
        row_tax=sums["tax"],
        difference=0,
        created_at=settled_at,
        updated_at=settled_at,
    ).to_mongo()
    return dict(stored)
