"""Apply and revert migrations. A collection records the applied ones with their checksums."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from kernapay.storage.express import FIX, IN_PLACE, is_in_place
from kernapay.storage.indexes import Index, find_repeats, record_indexes
from kernapay.storage.locks import Lock, LockBusy, hold
from kernapay.storage.migration_files import Migration, MigrationError, read_migrations
from kernapay.storage.schema import APPLIED, UP, Schema, State

# Earlier versions use this collection for their lock too: both versions must exclude each other.
_LOCKS: Final = "migrations_lock"
_LEASE: Final = timedelta(seconds=30)
_RENEW_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 120.0
_INDEX_NOT_FOUND: Final = 27
_KEEP_ONE: Final = f"keep one row of each group, change or remove the others, then {UP}"


class _RepeatableDatabase(Database[dict[str, Any]]):
    """For `down`, which is repeated from its beginning when it was killed: an index that is gone is dropped."""

    def __getitem__(self, name: str) -> Collection[dict[str, Any]]:
        return _RepeatableCollection(self, name)


class _RepeatableCollection(Collection[dict[str, Any]]):
    def drop_index(self, *arguments: Any, **options: Any) -> None:
        try:
            super().drop_index(*arguments, **options)
        except OperationFailure as error:
            if error.code != _INDEX_NOT_FOUND:
                raise


class Migrator:
    def __init__(self, db: Database[dict[str, Any]], folder: Path | None = None) -> None:
        self._db = db
        self._repeatable = _RepeatableDatabase(
            db.client, db.name, codec_options=db.codec_options, write_concern=db.write_concern
        )
        self._folder = folder

    def status(self) -> list[State]:
        """Return every migration and when it was applied. Raises MigrationError for an edited or a missing file."""
        return self._schema().status()

    def up(self) -> list[str]:
        """Apply the pending migrations and return their names. Several processes may call this at once.

        Raises MigrationError. If rows break a unique index, nothing is changed.
        """
        with self._locked() as lock:
            schema = self._schema()
            pending = schema.pending()
            if is_in_place(self._db, pending):
                raise MigrationError(IN_PLACE, FIX)
            self._check_uniqueness(pending, schema)
            for migration, replaces in self._steps():
                if migration.name in pending:
                    self._apply(migration, replaces, lock)
            return pending

    def restore_indexes(self) -> list[str]:
        """Make the indexes again that are missing, and return their places. Raises MigrationError as `up` does."""
        with self._locked() as lock:
            schema = self._schema()
            schema.check_applied()
            missing, _ = schema.find_wrong_indexes()
            self._refuse_repeats([index for index in missing if index.options.get("unique")])
            for index in missing:
                _check_held(lock)
                self._create(index)
            schema.check_indexes()
            return [index.place for index in missing]

    def down(self, steps: int = 1) -> list[str]:
        """Revert the last `steps` migrations, newest first, and return their names. Raises MigrationError."""
        with self._locked() as lock:
            schema = self._schema()
            if newer := schema.newer():
                raise MigrationError(
                    f"a newer version has applied {', '.join(newer)}",
                    "revert these first, with that version.",
                )
            begun = schema.begun()
            last = [m for m in reversed(self._on_disk()) if m.name in begun][:steps]
            for migration in last:
                _check_held(lock)
                migration.load().down(self._repeatable)
                self._db[APPLIED].delete_one({"_id": migration.name})
            return [migration.name for migration in last]

    def _apply(self, migration: Migration, replaces: list[str], lock: Lock) -> None:
        _check_held(lock)
        row = {
            "checksum": migration.checksum,
            # Older versions that still run read this, so that they do not miss these indexes: from the first moment.
            "replaces": replaces,
        }
        self._record(migration, {**row, "appliedAt": None})
        try:
            migration.load().up(self._db)
        except DuplicateKeyError as error:
            raise MigrationError(
                f"rows that were written meanwhile break a unique index of {migration.name}",
                f"stop the older version that writes them, then {UP}",
            ) from error
        # If the lock was lost, another process applies this migration too, and records it when it has ended.
        _check_held(lock)
        self._record(migration, {**row, "appliedAt": datetime.now(UTC)})

    def _create(self, index: Index) -> None:
        try:
            self._db[index.collection].create_index(index.keys, name=index.name, **index.options)
        except OperationFailure as error:
            raise MigrationError(
                f"the index {index.place} cannot be made: {(error.details or {}).get('errmsg')}",
                f"drop the index that is in its way, then {UP}",
            ) from error

    def _record(self, migration: Migration, row: dict[str, Any]) -> None:
        self._db[APPLIED].update_one({"_id": migration.name}, {"$set": row}, upsert=True)

    def _check_uniqueness(self, pending: list[str], schema: Schema) -> None:
        """Raise MigrationError if rows break a unique index that the pending migrations will make."""
        applied = record_indexes(each for each in self._on_disk() if each.name not in pending)
        before = applied[-1][1] if applied else {}
        self._refuse_repeats(
            [
                index
                for place, index in schema.indexes.items()
                if place not in before and index.options.get("unique")
            ]
        )

    def _refuse_repeats(self, indexes: list[Index]) -> None:
        repeats = [text for index in indexes if (text := find_repeats(self._db, index))]
        if repeats:
            raise MigrationError("\n".join(["nothing was changed.", *repeats]), _KEEP_ONE)

    def _steps(self) -> list[tuple[Migration, list[str]]]:
        """Return the migrations, each with the places of the earlier indexes that it drops or changes."""
        migrations = self._on_disk()
        before: dict[str, Index] = {}
        steps = []
        for migration, (_, after) in zip(migrations, record_indexes(migrations), strict=True):
            gone = sorted(place for place in before if before[place] != after.get(place))
            steps.append((migration, gone))
            before = after
        return steps

    def _schema(self) -> Schema:
        return Schema(self._db, self._on_disk())

    def _on_disk(self) -> list[Migration]:
        return read_migrations(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[Lock]:
        lock = Lock(self._db, "lock", _LEASE, collection=_LOCKS)
        try:
            with hold(lock, patience=_PATIENCE_SECONDS, renew_every=_RENEW_SECONDS):
                yield lock
        except LockBusy:
            raise MigrationError(
                "another process has been migrating for over two minutes",
                "wait until it ends, then repeat the command.",
            ) from None


def _check_held(lock: Lock) -> None:
    """Raise MigrationError if the lock was lost: another process may be migrating."""
    if lock.extend() is None:
        raise MigrationError(
            "this process was suspended for too long, so another one may be migrating",
            "wait until it ends, then repeat the command.",
        )
