"""What this version's migrations make of a database, and whether a database is like that."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from kernapay.storage.indexes import Index, Indexes, record_indexes
from kernapay.storage.migration_files import Migration, MigrationError

APPLIED: Final = "migrations"
UP: Final = "kernapay migrate up"
# MongoDB: a unique index of a sharded collection begins with the shard key, which is `userId` here. README says why
# these may do without.
_NOT_UNIQUE_IF_SHARDED: Final = frozenset(
    {"payments.reference", "payments.order_id", "payments.gateway_order"}
)


class State(NamedTuple):
    name: str
    applied_at: datetime | None


class Schema:
    """This version's migrations beside a database. Its methods block: call them in pool threads and commands."""

    def __init__(self, db: Database[dict[str, Any]], migrations: Sequence[Migration]) -> None:
        self._db = db
        self._migrations = migrations
        self._names = {migration.name for migration in migrations}

    @cached_property
    def indexes(self) -> Indexes:
        """The indexes that exist once all migrations are applied."""
        steps = record_indexes(self._migrations)
        return steps[-1][1] if steps else {}

    def check(self) -> None:
        """Raise MigrationError unless every migration is applied and every index is as it was made."""
        self.check_applied()
        self.check_indexes()

    def check_applied(self) -> None:
        """Raise MigrationError unless every migration of this version is applied."""
        if pending := self.pending():
            raise MigrationError(f"not applied: {', '.join(pending)}", UP)

    def check_indexes(self) -> None:
        """Raise MigrationError if an index is missing or changed."""
        missing, changed = self.find_wrong_indexes()
        problems = [
            f"{what}: {', '.join(sorted(index.place for index in indexes))}"
            for what, indexes in (("missing indexes", missing), ("changed indexes", changed))
            if indexes
        ]
        if problems:
            fix = f"drop the changed indexes, then {UP}" if changed else UP
            raise MigrationError("; ".join(problems), fix)

    def status(self) -> list[State]:
        """Return every migration and when it was applied. Raises MigrationError for an edited or a missing file."""
        rows = self._rows()
        self._check_files(rows)
        return [State(m.name, rows.get(m.name, {}).get("appliedAt")) for m in self._migrations]

    def pending(self) -> list[str]:
        """Return the migrations that are not applied, in order. Raises MigrationError as `status` does."""
        return [state.name for state in self.status() if state.applied_at is None]

    def begun(self) -> set[str]:
        """Return the migrations that are applied, and those that never ended: parts of them may be there.

        Raises MigrationError as `status` does.
        """
        rows = self._rows()
        self._check_files(rows)
        return self._names & rows.keys()

    def newer(self) -> list[str]:
        """Return the migrations that a newer version has applied or begun."""
        return [row["_id"] for row in self._newer(self._rows())]

    def find_wrong_indexes(self) -> tuple[list[Index], list[Index]]:
        """Return the indexes that are missing, and those that differ from what was made.

        Left out are indexes that a newer version has replaced, and uniqueness that a sharded collection cannot have.
        """
        replaced = {place for row in self._newer(self._rows()) for place in row.get("replaces", ())}
        missing: list[Index] = []
        changed: list[Index] = []
        existing = {
            name: self._db[name].index_information()
            for name in {index.collection for index in self.indexes.values()}
        }
        for place, index in self.indexes.items():
            found = existing[index.collection].get(index.name)
            if place in replaced or index.fits(found) or self._is_given_up(index, found):
                continue
            if found is None:
                missing.append(index.without_unique() if self._may_repeat(index) else index)
            else:
                changed.append(index)
        return missing, changed

    def _is_given_up(self, index: Index, found: Any) -> bool:
        return index.fits(found, may_repeat=True) and self._may_repeat(index)

    def _may_repeat(self, index: Index) -> bool:
        return index.place in _NOT_UNIQUE_IF_SHARDED and bool(
            self._db.command("collStats", index.collection).get("sharded")
        )

    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["_id"]: row for row in self._db[APPLIED].find()}

    def _newer(self, rows: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        newest = max(self._names, default="")
        return (rows[name] for name in sorted(rows) if name > newest)

    def _check_files(self, rows: dict[str, dict[str, Any]]) -> None:
        # Those of a newer version are its own business: in a rolling upgrade, both versions run.
        newer = {row["_id"] for row in self._newer(rows)}
        if missing := sorted(rows.keys() - self._names - newer):
            raise MigrationError(
                f"applied, but not on disk: {', '.join(missing)}",
                "use the version of KernaPay that has them.",
            )
        for migration in self._migrations:
            row = rows.get(migration.name, {})
            if row.get("appliedAt") is not None and row["checksum"] != migration.checksum:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied",
                    "restore the file, and write a new migration.",
                )
