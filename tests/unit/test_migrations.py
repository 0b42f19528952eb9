"""Migrations on a real mongod: applied once, by one at a time, and never rewritten."""

import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from kernapay.storage.migration_files import MigrationError, migrations_folder, read_migrations
from kernapay.storage.migrations import Migrator
from kernapay.storage.schema import APPLIED, Schema
from kernapay.storage.schema_watch import find_problem
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


# Not in the rehearsal that finds out which indexes there will be: it has no rows.
FAILS = 'assert not list(db.notes.find()), "half-way"'


def write(folder: Path, name: str, note: str, pause: float = 0, broken: bool = False) -> None:
    (folder / f"{name}.py").write_text(
        dedent(f"""
        import time

        def up(db):
            db.notes.insert_one({{"up": {note!r}}})
            time.sleep({pause})
            {FAILS if broken else ""}

        def down(db):
            db.notes.insert_one({{"down": {note!r}}})
        """)
    )


def notes(database: Store) -> list[tuple[str, str]]:
    found = database.notes.find({}, {"_id": 0}).sort("_id")
    return [item for note in found for item in note.items()]


def test_the_database_of_an_express_service_is_not_migrated_in_place(database: Store) -> None:
    """It would die half-way: of e-mail addresses that repeat, of indexes with other names."""
    for make in (
        lambda: database.payments.create_index([("referenceId", 1)], name="referenceId_1"),
        lambda: database.users.insert_one({"email": "a@example.com", "__v": 0}),
    ):
        make()
        with pytest.raises(MigrationError, match="kernapay import express") as refused:
            Migrator(database).up()
        assert "nothing was changed" in str(refused.value)
        assert APPLIED not in database.list_collection_names()
        database.payments.drop()
    database.users.drop()
    Migrator(database).up()
    # A row that another program put beside ours is no reason later.
    database.payments.insert_one({"referenceId": "x", "__v": 0})
    assert Migrator(database).up() == []


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


def test_an_applied_migration_that_is_gone_from_the_disk_is_not_ignored(
    database: Store, folder: Path
) -> None:
    Migrator(database, folder).up()
    (folder / "0001_first.py").unlink()
    with pytest.raises(MigrationError, match=r"not on disk: 0001_first"):
        Migrator(database, folder).up()


def problem_of(database: Store, folder: Path | None = None) -> str | None:
    """Return what the database lacks, as a service sees it that starts with these migrations."""
    return find_problem(Schema(database, read_migrations(folder)))


def test_beside_a_newer_version_the_older_one_works_and_reverts_nothing(
    database: Store, folder: Path
) -> None:
    """As in a rolling upgrade: the newer one has migrated, the older one still serves."""
    Migrator(database, folder).up()
    (folder / "0002_second.py").unlink()
    older = Migrator(database, folder)
    assert older.up() == []
    assert problem_of(database, folder) is None
    with pytest.raises(MigrationError, match="a newer version has applied 0002_second"):
        older.down()


def write_indexes(folder: Path, name: str, *up: str) -> Path:
    """Write a migration that runs these lines; return its file."""
    path = folder / f"{name}.py"
    lines = "".join(f"    {line}\n" for line in up)
    path.write_text(f"def up(db):\n{lines}\ndef down(db):\n    pass\n")
    return path


OLD = 'db.things.create_index([("a", 1)], name="old")'
CHANGED = 'db.things.create_index([("a", 1)], name="old", sparse=True)'


@pytest.mark.parametrize(
    "replacement",
    [
        ['db.things.create_index([("a", -1)], name="new")', 'db.things.drop_index("old")'],
        ['db.things.drop_index("old")', CHANGED],
    ],
    ids=["another name", "the same name"],
)
def test_an_index_that_a_newer_version_replaces_is_not_missed(
    database: Store, tmp_path: Path, replacement: list[str]
) -> None:
    """Neither while the newer version migrates nor afterwards: the older one serves all the time."""
    write_indexes(tmp_path, "0001_old", OLD)
    Migrator(database, tmp_path).up()
    older = Schema(database, read_migrations(tmp_path))
    database.notes.insert_one({})
    newer = write_indexes(tmp_path, "0002_new", *replacement, FAILS)
    with pytest.raises(AssertionError, match="half-way"):
        Migrator(database, tmp_path).up()
    assert database.things.index_information().get("old", {}).keys() != {"v", "key"}
    assert find_problem(older) is None
    assert problem_of(database, tmp_path) == "not applied: 0002_new. Fix: kernapay migrate up"
    write_indexes(tmp_path, "0002_new", *replacement)
    database.things.drop_indexes()
    database.things.create_index([("a", 1)], name="old")
    Migrator(database, tmp_path).up()
    newer.unlink()
    assert find_problem(older) is None
    # Another one is missed all the same.
    database[APPLIED].update_one({"_id": "0002_new"}, {"$set": {"replaces": ["things.other"]}})
    assert "things.old" in str(find_problem(older))


def drop(database: Store) -> None:
    database.payments.drop_index("idempotency_key")


def make_not_unique(database: Store) -> None:
    database.payments.drop_index("reference")
    database.payments.create_index([("referenceId", 1)], name="reference")


def hide(database: Store) -> None:
    database.command(
        "collMod", "payments", index={"name": "order_id", "hidden": True}
    )  # no query uses it


def keep_for_ever(database: Store) -> None:
    database.sessions.drop_index("expiry")
    database.sessions.create_index([("expiresAt", 1)], name="expiry")


def restrict(database: Store) -> None:
    database.users.drop_index("email")
    only = {"email": {"$exists": True}}
    database.users.create_index(
        [("email", 1)], name="email", unique=True, partialFilterExpression=only
    )


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (drop, "missing indexes: payments.idempotency_key"),
        (make_not_unique, "changed indexes: payments.reference"),
        (hide, "changed indexes: payments.order_id"),
        (keep_for_ever, "changed indexes: sessions.expiry"),
        (restrict, "changed indexes: users.email"),
    ],
)
def test_an_index_that_is_harmed_is_a_problem_until_it_is_made_again(
    database: Store, harm: Callable[[Store], None], problem: str
) -> None:
    migrator = Migrator(database)
    assert str(problem_of(database)).startswith("not applied: 0001_users, ")
    migrator.up()
    assert problem_of(database) is None
    harm(database)
    assert str(problem_of(database)).startswith(f"{problem}. Fix: ")
    place = problem.rpartition(" ")[2]
    if "changed" in problem:
        with pytest.raises(MigrationError, match="drop the changed indexes"):
            migrator.restore_indexes()
        collection, _, name = place.partition(".")
        database[collection].drop_index(name)
    assert migrator.restore_indexes() == [place]
    assert problem_of(database) is None


def test_an_index_that_stands_under_another_name_is_told_by_the_command(database: Store) -> None:
    migrator = Migrator(database)
    migrator.up()
    database.payments.drop_index("reference")
    database.payments.create_index([("referenceId", 1)], name="by_hand", unique=True)
    with pytest.raises(MigrationError, match="by_hand"):
        migrator.restore_indexes()


def test_rows_that_break_a_unique_index_are_named_and_nothing_is_changed(database: Store) -> None:
    same = {"referenceId": "PAY_1", "userId": 7, "idempotencyKey": "cart"}
    twins = database.payments.insert_many([{**same}, {**same}]).inserted_ids
    database.users.insert_many([{"email": "a@example.com"}, {"email": "a@example.com"}])
    database.api_keys.insert_many([{"name": f"without a digest {n}"} for n in range(12)])
    with pytest.raises(MigrationError) as caught:
        Migrator(database).up()
    message = str(caught.value)
    assert message.startswith("nothing was changed.\nusers: the unique index email allows one row ")
    both = f"_id {twins[0]}, {twins[1]}"
    assert (
        f"payments: the unique index reference allows one row for each referenceId, but these have the same: {both}"
        in message
    )
    assert f"one row for each userId and idempotencyKey, but these have the same: {both}" in message
    assert " and 2 more" in message, "one row of many without the field"
    assert "a@example.com" not in message, "an address of a person belongs into no output"
    assert database.list_collection_names(filter={"name": APPLIED}) == []
    assert list(database.users.index_information()) == ["_id_"]
    database.payments.delete_one({"_id": twins[0]})
    database.users.delete_one({})
    database.api_keys.delete_many({})
    assert Migrator(database).up()


def test_rows_that_would_break_an_index_that_is_made_again_are_named(database: Store) -> None:
    migrator = Migrator(database)
    migrator.up()
    database.payments.drop_index("idempotency_key")
    rows = [{"userId": 1, "idempotencyKey": "k", "referenceId": f"PAY_{n}"} for n in range(2)]
    ids = database.payments.insert_many(rows).inserted_ids
    with pytest.raises(MigrationError, match=f"_id {ids[0]}, {ids[1]}"):
        migrator.restore_indexes()


class ShardedDatabase(Database[Any]):
    """A database whose payments say that they are sharded; all else is real."""

    def command(self, command: Any, *arguments: Any, **options: Any) -> Any:
        answer = super().command(command, *arguments, **options)
        is_sharded = (command, *arguments) == ("collStats", "payments")
        return {**answer, "sharded": True} if is_sharded else answer


def test_the_uniqueness_that_a_sharded_collection_gives_up_stays_given_up(database: Store) -> None:
    sharded = ShardedDatabase(database.client, database.name)
    names = Migrator(database).up()
    while "0011_indexes_that_serve" not in Migrator(database).down():
        pass
    # As README tells to do.
    text = {"orderId": {"$type": "string"}}
    database.payments.drop_index("reference")
    database.payments.create_index([("referenceId", 1)], name="reference")
    database.payments.drop_index("order")
    database.payments.create_index([("orderId", 1)], name="order", partialFilterExpression=text)
    assert Migrator(sharded).up()[-1] == names[-1]
    indexes = database.payments.index_information()
    assert [name for name in sorted(indexes) if indexes[name].get("unique")] == ["idempotency_key"]
    assert problem_of(sharded) is None
    assert "payments.reference" in str(problem_of(database)), "only where it is sharded"
    database.payments.drop_index("reference")
    assert Migrator(sharded).restore_indexes() == ["payments.reference"]
    assert "unique" not in database.payments.index_information()["reference"]
    database.payments.drop_index("idempotency_key")
    database.payments.create_index(
        [("userId", 1), ("idempotencyKey", 1)],
        name="idempotency_key",
        partialFilterExpression={"idempotencyKey": {"$gt": ""}},
    )
    assert "payments.idempotency_key" in str(problem_of(sharded)), "money depends on that one"


def test_whoever_loses_the_lock_applies_no_further_migration(
    database: Store, tmp_path: Path
) -> None:
    """As after a suspension of the process in the first one: the lock ended, and another process took it."""
    write(tmp_path, "0002_second", "second")
    write_indexes(
        tmp_path,
        "0001_slow",
        'db.migrations_lock.update_one({"_id": "lock"}, {"$set": {"owner": "another"}})',
    )
    with pytest.raises(MigrationError, match="another one may be migrating"):
        Migrator(database, tmp_path).up()
    assert notes(database) == []
    applied = [state.applied_at for state in Migrator(database, tmp_path).status()]
    assert applied == [None, None], "the other process applies the first one too, and records it"


def test_a_migration_that_fails_is_not_entered_and_can_be_repeated(
    database: Store, folder: Path
) -> None:
    write(folder, "0003_third", "third", broken=True)
    migrator = Migrator(database, folder)
    with pytest.raises(AssertionError, match="half-way"):
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


TEXT = {"$gt": ""}
CONTRACT: dict[str, tuple[list[tuple[str, int]], Json]] = {
    "users.email": ([("email", 1)], {"unique": True}),
    "payments.reference": ([("referenceId", 1)], {"unique": True}),
    "payments.order_id": (
        [("orderId", 1)],
        {"unique": True, "partialFilterExpression": {"orderId": TEXT}},
    ),
    "payments.gateway_order": (
        [("razorpayOrderId", 1)],
        {"unique": True, "partialFilterExpression": {"razorpayOrderId": TEXT}},
    ),
    "payments.idempotency_key": (
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


def test_every_down_may_be_repeated_after_it_was_killed(database: Store) -> None:
    migrator = Migrator(database)
    for name in reversed(migrator.up()):
        row = database[APPLIED].find_one({"_id": name})
        assert row is not None
        assert migrator.down() == [name]
        # The process died before it took the migration out of the list.
        database[APPLIED].insert_one(row)
        assert migrator.down() == [name]


def test_down_reverts_what_was_begun_first(database: Store, folder: Path) -> None:
    migrator = Migrator(database, folder)
    migrator.up()
    write(folder, "0003_third", "third", broken=True)
    with pytest.raises(AssertionError, match="half-way"):
        migrator.up()
    assert migrator.down() == ["0003_third"]
    assert notes(database)[-1] == ("down", "third")
    assert [state.applied_at is None for state in migrator.status()] == [False, False, True]


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
