"""Apply, revert and list migrations: one ledger, one lock, and no edited history."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from kernapay.storage.locks import Lock, LockBusy, held

LEDGER: Final = "migrations"
# A collection of its own: versions before this one lock each other out by it.
_LOCKS: Final = "migrations_lock"
_LEASE: Final = timedelta(seconds=30)
_RENEW_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 120.0


class MigrationError(Exception):
    """The migrations on disk and in the ledger do not fit, or another process holds the lock."""


class Migration(NamedTuple):
    name: str
    checksum: str
    path: Path

    def load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"kernapay_migration_{self.name}", self.path)
        if spec is None or spec.loader is None:
            raise MigrationError(f"{self.path} cannot be loaded.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


class Index(NamedTuple):
    """An index as a migration asks for it."""

    collection: str
    name: str
    keys: list[tuple[str, Any]]
    options: dict[str, Any]

    def fits(self, found: Mapping[str, Any] | None) -> bool:
        """Whether the database has it so; `found` is its entry in `index_information()`."""
        return (
            found is not None
            and list(found["key"]) == self.keys
            and all(found.get(name) == value for name, value in self.options.items())
        )


class State(NamedTuple):
    name: str
    applied_at: datetime | None


def migrations_folder() -> Path:
    """Find the migrations: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


class Migrator:
    def __init__(self, db: Database[dict[str, Any]], folder: Path | None = None) -> None:
        self._db = db
        self._folder = folder or migrations_folder()

    def status(self) -> list[State]:
        """List every migration with the time it was applied. Raises MigrationError on an edited one."""
        applied = {row["_id"]: row for row in self._db[LEDGER].find()}
        on_disk = self._on_disk()
        if missing := sorted(applied.keys() - {migration.name for migration in on_disk}):
            raise MigrationError(f"Applied, but not on disk: {', '.join(missing)}.")
        for migration in on_disk:
            row = applied.get(migration.name)
            if row is not None and row["checksum"] != migration.checksum:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied: write a new migration instead."
                )
        return [State(m.name, applied.get(m.name, {}).get("appliedAt")) for m in on_disk]

    def up(self) -> list[str]:
        """Apply what is not applied yet; the names. Safe when several processes start together."""
        with self._locked():
            pending = {state.name for state in self.status() if state.applied_at is None}
            done = []
            for migration in self._on_disk():
                if migration.name not in pending:
                    continue
                migration.load().up(self._db)
                self._db[LEDGER].insert_one(
                    {
                        "_id": migration.name,
                        "checksum": migration.checksum,
                        "appliedAt": datetime.now(UTC),
                    }
                )
                done.append(migration.name)
            return done

    def down(self, steps: int = 1) -> list[str]:
        """Revert the last `steps` migrations, newest first; the names."""
        with self._locked():
            applied = {state.name for state in self.status() if state.applied_at is not None}
            last = [m for m in reversed(self._on_disk()) if m.name in applied][:steps]
            for migration in last:
                migration.load().down(self._db)
                self._db[LEDGER].delete_one({"_id": migration.name})
            return [migration.name for migration in last]

    def indexes(self) -> list[Index]:
        """List the indexes that stand when all migrations are applied."""
        rehearsal = _Rehearsal()
        for migration in self._on_disk():
            migration.load().up(rehearsal)
        return list(rehearsal.indexes.values())

    def _on_disk(self) -> list[Migration]:
        return [
            Migration(path.stem, hashlib.sha256(path.read_bytes()).hexdigest(), path)
            for path in sorted(self._folder.glob("[0-9]*.py"))
        ]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = Lock(self._db, "lock", _LEASE, collection=_LOCKS)
        try:
            with held(lock, patience=_PATIENCE_SECONDS, renew_every=_RENEW_SECONDS):
                yield
        except LockBusy:
            raise MigrationError("Another process has been migrating for too long.") from None


class _Rehearsal:
    """Stands in for a database: remembers the indexes a migration makes and drops, and has no rows."""

    def __init__(self) -> None:
        self.indexes: dict[tuple[str, str], Index] = {}

    def __getitem__(self, collection: str) -> "_Collection":
        return _Collection(collection, self.indexes)

    __getattr__ = __getitem__


class _Collection:
    def __init__(self, name: str, indexes: dict[tuple[str, str], Index]) -> None:
        self._name = name
        self._indexes = indexes

    def create_index(self, keys: list[tuple[str, Any]], *, name: str, **options: Any) -> None:
        self._indexes[self._name, name] = Index(self._name, name, list(keys), options)

    def drop_index(self, name: str) -> None:
        del self._indexes[self._name, name]

    def __getattr__(self, _: str) -> Callable[..., tuple[()]]:
        return lambda *_, **__: ()
