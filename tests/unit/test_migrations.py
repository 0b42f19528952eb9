"""Migrations on a real mongod: applied once, by one at a time, and never rewritten."""

import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from kernapay.storage.migrations import LEDGER, MigrationError, Migrator, migrations_folder
from tests.stack import bare_environment

Rows = Database[dict[str, Any]]


@pytest.fixture
def database(empty_database: tuple[str, Rows]) -> Rows:
    return empty_database[1]


@pytest.fixture
def url(empty_database: tuple[str, Rows]) -> str:
    return empty_database[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations: each notes that it ran, the second takes its time."""
    write(tmp_path, "0001_first", "first")
    write(tmp_path, "0002_second", "second", pause=0.3)
    return tmp_path


def write(folder: Path, name: str, note: str, pause: float = 0, broken: bool = False) -> None:
    (folder / f"{name}.py").write_text(
        dedent(f"""
        import time

        def up(db):
            db.notes.insert_one({{"up": {note!r}}})
            time.sleep({pause})
            {'raise RuntimeError("half-way")' if broken else ""}

        def down(db):
            db.notes.insert_one({{"down": {note!r}}})
        """)
    )


def notes(database: Rows) -> list[tuple[str, str]]:
    found = database.notes.find({}, {"_id": 0}).sort("_id")
    return [item for note in found for item in note.items()]


def test_up_applies_what_is_new_in_order(database: Rows, folder: Path) -> None:
    migrator = Migrator(database, folder)
    assert [state.applied_at for state in migrator.status()] == [None, None]
    assert migrator.up() == ["0001_first", "0002_second"]
    assert notes(database) == [("up", "first"), ("up", "second")]
    assert migrator.up() == []
    write(folder, "0003_third", "third")
    assert migrator.up() == ["0003_third"]
    assert all(state.applied_at is not None for state in migrator.status())


def test_down_reverts_the_last_first(database: Rows, folder: Path) -> None:
    migrator = Migrator(database, folder)
    migrator.up()
    database.notes.drop()
    assert migrator.down() == ["0002_second"]
    assert [state.applied_at is None for state in migrator.status()] == [False, True]
    assert migrator.up() == ["0002_second"]
    assert migrator.down(5) == ["0002_second", "0001_first"]
    assert notes(database)[-2:] == [("down", "second"), ("down", "first")]
    assert migrator.down() == []


def test_an_edited_migration_is_refused_before_anything_runs(database: Rows, folder: Path) -> None:
    migrator = Migrator(database, folder)
    migrator.up()
    write(folder, "0001_first", "rewritten")
    write(folder, "0003_third", "third")
    for action in (migrator.up, migrator.down, migrator.status):
        with pytest.raises(MigrationError, match="0001_first was edited"):
            action()
    assert notes(database) == [("up", "first"), ("up", "second")]


def test_a_migration_of_a_newer_version_is_not_ignored(database: Rows, folder: Path) -> None:
    Migrator(database, folder).up()
    (folder / "0002_second.py").unlink()
    with pytest.raises(MigrationError, match=r"not on disk: 0002_second"):
        Migrator(database, folder).up()


def test_a_migration_that_fails_is_not_entered_and_can_be_repeated(
    database: Rows, folder: Path
) -> None:
    write(folder, "0003_third", "third", broken=True)
    migrator = Migrator(database, folder)
    with pytest.raises(RuntimeError, match="half-way"):
        migrator.up()
    assert [state.name for state in migrator.status() if state.applied_at is None] == ["0003_third"]
    write(folder, "0003_third", "third")
    started = time.monotonic()
    assert migrator.up() == ["0003_third"]
    assert time.monotonic() - started < 5, "the lock was given back"


def test_of_three_that_start_together_one_applies(database: Rows, folder: Path) -> None:
    migrators = [Migrator(database, folder) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda migrator: migrator.up(), migrators))
    assert sorted(done) == [[], [], ["0001_first", "0002_second"]]
    assert notes(database) == [("up", "first"), ("up", "second")]


def lock(database: Rows, seconds: float) -> None:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    database.migrations_lock.insert_one({"_id": "lock", "owner": "another", "until": until})


def test_the_lock_of_a_dead_process_is_taken_over(database: Rows, folder: Path) -> None:
    lock(database, -1)
    assert Migrator(database, folder).up() == ["0001_first", "0002_second"]
    (row,) = database.migrations_lock.find()
    assert row["until"] < datetime.now(UTC), "the lock was given back"


def test_a_held_lock_is_waited_for(database: Rows, folder: Path) -> None:
    lock(database, 0.7)
    started = time.monotonic()
    assert Migrator(database, folder).up() == ["0001_first", "0002_second"]
    assert time.monotonic() - started >= 0.6


def kernapay(url: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {
        **bare_environment(),
        "MONGODB_URL": url,
        "JWT_SECRET": "unused",
        "RAZORPAY_KEY_ID": "rzp_test_unused",
        "RAZORPAY_KEY_SECRET": "unused",
        "RAZORPAY_WEBHOOK_SECRET": "unused",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "kernapay", "migrate", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(url: str, *arguments: str) -> tuple[int, str]:
    with kernapay(url, *arguments) as process:
        out, error = process.communicate(timeout=60)
    return process.returncode, out + error


def test_three_processes_apply_each_migration_once(url: str, database: Rows) -> None:
    processes = [kernapay(url, "up") for _ in range(3)]
    lines: list[str] = []
    for process in processes:
        out, error = process.communicate(timeout=90)
        assert process.returncode == 0, error
        lines += [line for line in out.splitlines() if line.startswith("applied ")]
    expected = [f"applied {path.stem}" for path in migrations_folder().glob("[0-9]*.py")]
    assert sorted(lines) == sorted(expected)
    assert database[LEDGER].count_documents({}) == len(expected)


def test_the_command_tells_and_takes_back(url: str) -> None:
    code, text = run(url, "status")
    assert code == 1
    assert "not applied           0001_users" in text
    code, text = run(url, "up")
    assert (code, text.splitlines()[0]) == (0, "applied 0001_users")
    code, text = run(url, "status")
    assert (code, "not applied" in text) == (0, False)
    code, text = run(url, "down")
    newest = max(path.stem for path in migrations_folder().glob("[0-9]*.py"))
    assert (code, text.splitlines()[0]) == (0, f"reverted {newest}")


@pytest.fixture(scope="module")
def indexes(store: Rows) -> Mapping[str, Mapping[str, Any]]:
    """Every index of a migrated database, by `collection.name`."""
    return {
        f"{name}.{index}": facts
        for name in store.list_collection_names()
        for index, facts in store[name].index_information().items()
    }


TEXT = {"$type": "string"}
CONTRACT = {
    "users.email": ([("email", 1)], {"unique": True}),
    "payments.reference": ([("referenceId", 1)], {"unique": True}),
    "payments.order": (
        [("orderId", 1)],
        {"unique": True, "partialFilterExpression": {"orderId": TEXT}},
    ),
    "payments.razorpay_order": (
        [("razorpayOrderId", 1)],
        {"unique": True, "partialFilterExpression": {"razorpayOrderId": TEXT}},
    ),
    "payments.user_key": (
        [("userId", 1), ("idempotencyKey", 1)],
        {"unique": True, "partialFilterExpression": {"idempotencyKey": TEXT}},
    ),
    "payments.user_newest": ([("userId", 1), ("createdAt", -1), ("referenceId", -1)], {}),
    "sessions.expiry": ([("expiresAt", 1)], {"expireAfterSeconds": 0}),
    "webhook_events.event": ([("eventId", 1)], {"unique": True}),
    "webhook_events.body": ([("bodyHash", 1)], {"unique": True}),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_every_index_of_the_contract_exists(
    indexes: Mapping[str, Mapping[str, Any]], name: str
) -> None:
    keys, options = CONTRACT[name]
    found = indexes[name]
    assert list(found["key"]) == keys
    assert {option: found.get(option) for option in options} == options
    assert bool(found.get("unique")) == bool(options.get("unique"))


def test_payments_without_a_key_or_an_order_do_not_collide(database: Rows) -> None:
    """As with a sparse index on two columns they would: one of the two is always there."""
    Migrator(database).up()
    for number in range(2):
        database.payments.insert_one({"userId": 1, "referenceId": f"PAY_{number}"})
    database.payments.insert_one({"userId": 1, "referenceId": "PAY_3", "idempotencyKey": "k"})
    database.payments.insert_one({"userId": 2, "referenceId": "PAY_4", "idempotencyKey": "k"})
    with pytest.raises(DuplicateKeyError):
        database.payments.insert_one({"userId": 1, "referenceId": "PAY_5", "idempotencyKey": "k"})


def test_down_takes_every_index_back(database: Rows) -> None:
    migrator = Migrator(database)
    names = migrator.up()
    assert migrator.down(len(names)) == names[::-1]
    left = {
        f"{name}.{index}"
        for name in database.list_collection_names()
        for index in database[name].index_information()
        if index != "_id_"
    }
    assert left == set()
    assert migrator.up() == names
