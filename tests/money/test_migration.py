"""Migrations 0015 and 0036: earlier payments get what was paid and the end of their sale, however often it is begun."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.storage.migrations import Migrator
from tests.aliases import Json, Store

pytestmark = pytest.mark.soak

NOW = datetime.now(UTC).replace(microsecond=0)
NAME = "0015_what_was_paid"


def payment(status: str, age: timedelta, number: int = 0, **more: Any) -> Json:
    at = NOW - age
    history = [{"status": "pending", "updatedAt": at, "source": "api", "event": "created"}]
    return {
        "_id": ObjectId(),
        "userId": ObjectId(),
        "referenceId": f"PAY_{status}_{age.days}_{number}",
        "amount": 50_000,
        "currency": "INR",
        "status": status,
        "createdAt": at,
        "updatedAt": at,
        "history": history,
        **more,
    }


@pytest.fixture
def old(empty_database: Store) -> Store:
    """A database of the version before."""
    migrator = Migrator(empty_database)
    migrator.up()
    while NAME not in migrator.down():
        pass
    return empty_database


def migrated(old: Store, row: Json) -> Json:
    old.payments.insert_one(row)
    Migrator(old).up()
    found = old.payments.find_one({"_id": row["_id"]})
    assert found is not None
    return dict(found)


@pytest.mark.parametrize("status", ["success", "refunded"])
def test_a_paid_one_has_ended_with_what_was_ordered(old: Store, status: str) -> None:
    row = payment(status, timedelta(days=1))
    found = migrated(old, row)
    assert (found["amountPaid"], found["final"], "endsAt" in found) == (50_000, True, False)
    assert found["history"] == row["history"]


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_an_unpaid_one_ends_by_the_worker_which_asks_first(old: Store, status: str) -> None:
    row = payment(status, timedelta(days=9))
    found = migrated(old, row)
    assert found["endsAt"] == found["payableUntil"] == row["createdAt"] + timedelta(days=7)
    assert (found["status"], found.get("final")) == (status, None)
    assert found["history"] == row["history"]


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_one_of_which_no_money_can_come_has_ended_and_says_so(old: Store, status: str) -> None:
    found = migrated(old, payment(status, timedelta(days=400)))
    assert (found["status"], found["final"], "endsAt" in found) == ("failed", True, False)
    last = found["history"][-1]
    assert (last["status"], last["event"], last["final"]) == ("failed", "expired", True)
    assert len(found["history"]) == 2


def test_a_row_without_a_time_is_left_alone(old: Store) -> None:
    row = payment("pending", timedelta(days=1))
    del row["createdAt"]
    judged = {"payableUntil", "endsAt", "final", "amountPaid"}
    found = migrated(old, row)
    assert found.keys() & judged == set()
    assert found["history"] == row["history"]


@pytest.mark.parametrize("other", [str, int])
def test_ids_of_other_types_keep_no_row_from_it(old: Store, other: type) -> None:
    """A whole batch of them: MongoDB sorts numbers, then texts, then the ids of the service."""
    others = [{**payment("pending", timedelta(days=1), n), "_id": other(n)} for n in range(1_000)]
    rows = [payment("success", timedelta(days=1), 1_000 + number) for number in range(3)]
    old.payments.insert_many(others + rows)

    Migrator(old).up()

    assert old.payments.count_documents({"payableUntil": {"$exists": False}}) == 0


def test_a_sale_that_0036_ends_is_told_of(old: Store) -> None:
    """Endpoints may have been there for long."""
    others = [{**payment("success", timedelta(days=1), n), "_id": str(n)} for n in range(1_000)]
    row = payment("pending", timedelta(days=400), 1_000)
    old.payments.insert_many([*others, row])

    Migrator(old).up()

    found = old.payments.find_one({"_id": row["_id"]})
    assert found is not None
    assert found["announce"] == found["history"][-1]["updatedAt"]


def test_a_run_that_was_killed_goes_on_and_writes_no_step_twice(old: Store) -> None:
    rows = [payment("failed", timedelta(days=400), number) for number in range(20)]
    old.payments.insert_many(rows)
    Migrator(old).up()
    new = [payment("failed", timedelta(days=400), 100 + number) for number in range(20)]
    old.payments.insert_many(new)
    # The process died before the migration was entered.
    old.migrations.delete_one({"_id": NAME})

    Migrator(old).up()

    assert {len(row["history"]) for row in old.payments.find()} == {2}


@pytest.mark.parametrize(("rows", "seconds"), [(5_000, 20), (100_000, 120)])
def test_many_rows_take_seconds(old: Store, rows: int, seconds: int) -> None:
    """More rows than one batch of the migration has."""
    kinds = ("success", "failed", "pending", "refunded")
    for start in range(0, rows, 5_000):
        old.payments.insert_many(
            payment(kinds[number % 4], timedelta(days=number % 100), number)
            for number in range(start, start + 5_000)
        )
    started = time.monotonic()
    Migrator(old).up()
    assert time.monotonic() - started < seconds
    assert old.payments.count_documents({"payableUntil": {"$exists": False}}) == 0
    unpaid = {"status": {"$in": ["pending", "failed"]}, "final": {"$ne": True}}
    assert old.payments.count_documents({**unpaid, "endsAt": {"$exists": False}}) == 0
