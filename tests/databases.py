"""Databases that tests open, look into and watch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.collection import Collection

from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database
from tests.aliases import Json, Store
from tests.query_recorder import FILTER, PROFILE

FRESH = "fresh_"
"""How the names of databases begin that live as long as one test."""


@contextmanager
def open_store(url: str) -> Iterator[Store]:
    """Open a database as it is."""
    client, database = open_database(url)
    try:
        yield database
    finally:
        client.close()


@contextmanager
def open_migrated_store(url: str) -> Iterator[Store]:
    """Open a database with every migration applied."""
    with open_store(url) as database:
        Migrator(database).up()
        yield database


def row_of(collection: Collection[Json], **where: Any) -> Json:
    """Return the only row that fits."""
    rows = list(collection.find(where).limit(2))
    assert len(rows) == 1, f"{len(rows)} rows of {collection.name} fit {where}"
    return rows[0]


def forget_payments(store: Store) -> None:
    """Delete payments whose orders this worker's sandbox does not know: the next API would report another account."""
    store.payments.delete_many({})


def receipt_of(row: Mapping[str, Any]) -> str:
    """Return the receipt under which the gateway has the order of a payment's row."""
    return str(row["receipt"])


@contextmanager
def profiled(store: Store, collection: str) -> Iterator[list[Json]]:
    """Collect what the database's profiler notes on a collection; it is there when the block ends."""
    entries: list[Json] = []
    start = store.command("hello")["localTime"]
    store.command("profile", 2, filter="unset")
    try:
        yield entries
    finally:
        # As it was: the session's recorder needs what is noted.
        store.command("profile", 1, filter=FILTER)
        where = {"ns": f"{store.name}.{collection}", "ts": {"$gte": start}}
        entries += store[PROFILE].find(where)
