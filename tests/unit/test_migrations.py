"""Migrations on a real mongod: applied once, by one at a time, and never rewritten."""

import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from kernapay.storage.migrations import APPLIED, MigrationError, Migrator, migrations_folder
from tests.aliases import Json, Store
from tests.command_line import run_command
from tests.environment import REQUIRED


@pytest.fixture
def database(empty_database: Store) -> Store:
    return empty_database


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


def notes(database: Store) -> list[tuple[str, str]]:
    found = database.notes.find({}, {"_id": 0}).sort("_id")
    return [item for note in found for item in note.items()]


def test_up_applies_what_is_new_in_order(database: Store, folder: Path) -> None:
    migrator = Migrator(database, folder)
    assert [state.applied_at for state in migrator.status()] == [None, None]
    assert migrator.up() == ["0001_first", "0002_second"]
    assert notes(database) == [("up", "first"), ("up", "second")]
    assert migrator.up() == []
    write(folder, "0003_third", "third")
    assert migrator.up() == ["0003_third"]
    assert all(state.applied_at is not None for state in migrator.status())


def test_down_reverts_the_last_first(database: Store, folder: Path) -> None:
    migrator = Migrator(database, folder)
    migrator.up()
    database.notes.drop()
    assert migrator.down() == ["0002_second"]
    assert [state.applied_at is None for state in migrator.status()] == [False, True]
    assert migrator.up() == ["0002_second"]
    assert migrator.down(5) == ["0002_second", "0001_first"]
    assert notes(database)[-2:] == [("down", "second"), ("down", "first")]
    assert migrator.down() == []


def test_an_edited_migration_is_refused_before_anything_runs(database: Store, folder: Path) -> None:
    migrator = Migrator(database, folder)
    migrator.up()
    write(folder, "0001_first", "rewritten")
    write(folder, "0003_third", "third")
    for action in (migrator.up, migrator.down, migrator.status):
        with pytest.raises(MigrationError, match="0001_first was edited"):
            action()
    assert notes(database) == [("up", "first"), ("up", "second")]


def test_a_migration_of_a_newer_version_is_not_ignored(database: Store, folder: Path) -> None:
    Migrator(database, folder).up()
    (folder / "0002_second.py").unlink()
    with pytest.raises(MigrationError, match=r"not on disk: 0002_second"):
        Migrator(database, folder).up()


def test_a_migration_that_fails_is_not_entered_and_can_be_repeated(
    database: Store, folder: Path
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


def test_of_three_that_start_together_one_applies(database: Store, folder: Path) -> None:
    migrators = [Migrator(database, folder) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda migrator: migrator.up(), migrators))
    assert sorted(done) == [[], [], ["0001_first", "0002_second"]]
    assert notes(database) == [("up", "first"), ("up", "second")]


def lock(database: Store, seconds: float) -> None:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    database.migrations_lock.insert_one({"_id": "lock", "owner": "another", "until": until})


def test_the_lock_of_a_dead_process_is_taken_over(database: Store, folder: Path) -> None:
    lock(database, -1)
    assert Migrator(database, folder).up() == ["0001_first", "0002_second"]
    (row,) = database.migrations_lock.find()
    assert row["until"] < datetime.now(UTC), "the lock was given back"


def test_a_held_lock_is_waited_for(database: Store, folder: Path) -> None:
    lock(database, 0.7)
    started = time.monotonic()
    assert Migrator(database, folder).up() == ["0001_first", "0002_second"]
    assert time.monotonic() - started >= 0.6


def migrate(url: str, command: str) -> subprocess.CompletedProcess[str]:
    return run_command("migrate", command, env={**REQUIRED, "MONGODB_URL": url})


def test_three_processes_apply_each_migration_once(
    empty_database_url: str, database: Store
) -> None:
    with ThreadPoolExecutor(3) as threads:
        processes = list(threads.map(lambda _: migrate(empty_database_url, "up"), range(3)))
    lines: list[str] = []
    for process in processes:
        assert process.returncode == 0, process.stderr
        lines += [line for line in process.stdout.splitlines() if line.startswith("applied ")]
    expected = [f"applied {path.stem}" for path in migrations_folder().glob("[0-9]*.py")]
    assert sorted(lines) == sorted(expected)
    assert database[APPLIED].count_documents({}) == len(expected)


def test_the_command_tells_and_takes_back(empty_database_url: str) -> None:
    def run(command: str) -> tuple[int, str]:
        process = migrate(empty_database_url, command)
        return process.returncode, process.stdout + process.stderr

    code, text = run("status")
    assert code == 1
    assert "not applied           0001_users" in text
    code, text = run("up")
    assert (code, text.splitlines()[0]) == (0, "applied 0001_users")
    code, text = run("status")
    assert (code, "not applied" in text) == (0, False)
    code, text = run("down")
    newest = max(path.stem for path in migrations_folder().glob("[0-9]*.py"))
    assert (code, text.splitlines()[0]) == (0, f"reverted {newest}")


@pytest.fixture(scope="module")
def indexes(store: Store) -> Mapping[str, Mapping[str, Any]]:
    """Every index of a migrated database, by `collection.name`."""
    return {
        f"{name}.{index}": facts
        for name in store.list_collection_names()
        for index, facts in store[name].index_information().items()
    }


TEXT = {"$type": "string"}
CONTRACT: dict[str, tuple[list[tuple[str, int]], Json]] = {
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


def test_payments_without_a_key_or_an_order_do_not_collide(database: Store) -> None:
    """As with a sparse index on two columns they would: one of the two is always there."""
    Migrator(database).up()
    for number in range(2):
        database.payments.insert_one({"userId": 1, "referenceId": f"PAY_{number}"})
    database.payments.insert_one({"userId": 1, "referenceId": "PAY_3", "idempotencyKey": "k"})
    database.payments.insert_one({"userId": 2, "referenceId": "PAY_4", "idempotencyKey": "k"})
    with pytest.raises(DuplicateKeyError):
        database.payments.insert_one({"userId": 1, "referenceId": "PAY_5", "idempotencyKey": "k"})


def test_down_takes_every_index_back(database: Store) -> None:
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
