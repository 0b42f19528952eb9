"""Apply, revert and list migrations. A collection records the applied ones with their checksums."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from kernapay.storage.locks import Lock, LockBusy, hold

APPLIED: Final = "migrations"
# Earlier versions use this collection for their lock too: both versions must exclude each other.
_LOCKS: Final = "migrations_lock"
_LEASE: Final = timedelta(seconds=30)
_RENEW_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 120.0


class MigrationError(Exception):
    """The files do not match the applied migrations, or another process holds the lock."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}. Fix: {fix}")
        self.problem = problem
        self.fix = fix


class Migration(NamedTuple):
    name: str
    checksum: str
    path: Path

    def load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"kernapay_migration_{self.name}", self.path)
        if spec is None or spec.loader is None:
            raise MigrationError(f"{self.path} is not a Python module", "restore the file.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


class Index(NamedTuple):
    """An index as a migration creates it."""

    collection: str
    name: str
    keys: list[tuple[str, Any]]
    options: dict[str, Any]

    def fits(self, existing: Mapping[str, Any] | None) -> bool:
        """Return whether the database has this index. `existing` is its entry in `index_information()`."""
        return (
            existing is not None
            and list(existing["key"]) == self.keys
            and all(existing.get(name) == value for name, value in self.options.items())
        )


class State(NamedTuple):
    name: str
    applied_at: datetime | None


def migrations_folder() -> Path:
    """Return the folder of the migrations: beside the package in a checkout, inside it in an installation."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


class Migrator:
    def __init__(self, db: Database[dict[str, Any]], folder: Path | None = None) -> None:
        self._db = db
        self._folder = folder or migrations_folder()

    def status(self) -> list[State]:
        """Return every migration and when it was applied. Raises MigrationError for an edited or a missing file."""
        applied = {row["_id"]: row for row in self._db[APPLIED].find()}
        on_disk = self._on_disk()
        if missing := sorted(applied.keys() - {migration.name for migration in on_disk}):
            raise MigrationError(
                f"Applied, but not on disk: {', '.join(missing)}",
                "use the version of KernaPay that has them.",
            )
        for migration in on_disk:
            row = applied.get(migration.name)
            if row is not None and row["checksum"] != migration.checksum:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied",
                    "restore the file, and write a new migration.",
                )
        return [State(m.name, applied.get(m.name, {}).get("appliedAt")) for m in on_disk]

    def up(self) -> list[str]:
        """Apply the pending migrations and return their names. Several processes may call this at once."""
        with self._locked():
            pending = {state.name for state in self.status() if state.applied_at is None}
            applied = []
            for migration in self._on_disk():
                if migration.name not in pending:
                    continue
                migration.load().up(self._db)
                self._db[APPLIED].insert_one(
                    {
                        "_id": migration.name,
                        "checksum": migration.checksum,
                        "appliedAt": datetime.now(UTC),
                    }
                )
                applied.append(migration.name)
            return applied

    def down(self, steps: int = 1) -> list[str]:
        """Revert the last `steps` migrations, newest first, and return their names."""
        with self._locked():
            applied = {state.name for state in self.status() if state.applied_at is not None}
            last = [m for m in reversed(self._on_disk()) if m.name in applied][:steps]
            for migration in last:
                migration.load().down(self._db)
                self._db[APPLIED].delete_one({"_id": migration.name})
            return [migration.name for migration in last]

    def indexes(self) -> list[Index]:
        """Return the indexes that exist once all migrations are applied."""
        recorder = _IndexRecorder()
        for migration in self._on_disk():
            migration.load().up(recorder)
        return list(recorder.indexes.values())

    def _on_disk(self) -> list[Migration]:
        return [
            Migration(path.stem, hashlib.sha256(path.read_bytes()).hexdigest(), path)
            for path in sorted(self._folder.glob("[0-9]*.py"))
        ]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = Lock(self._db, "lock", _LEASE, collection=_LOCKS)
        try:
            with hold(lock, patience=_PATIENCE_SECONDS, renew_every=_RENEW_SECONDS):
                yield
        except LockBusy:
            raise MigrationError(
                "Another process has been migrating for over two minutes",
                "wait until it ends, then repeat the command.",
            ) from None


class _IndexRecorder:
    """A stand-in for a database without rows. It records the indexes that migrations create and drop."""

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
