"""Keep rows in a SQLite file, many requests to one commit."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, id)
)"""
# The position of a changed row stays, so that a restart finds all rows in their first order.
WRITE = """
INSERT INTO entries (kind, id, body) VALUES (?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"""
DELETE = "DELETE FROM entries WHERE kind = ? AND id = ?"


class JournalError(Exception):
    """The file cannot be opened or written."""


class Journal:
    """Rows on disk. Without a path nothing is kept and every call is free."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._dirty: dict[tuple[str, str], msgspec.Struct | None] = {}
        self._wake = asyncio.Event()
        self._next: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "sandbox-journal")
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file; raise JournalError if it is in use or not a database."""
        if not self._path:
            return
        try:
            database = sqlite3.connect(
                self._path, timeout=0.5, isolation_level=None, check_same_thread=False
            )
            # The lock is held for life: two sandboxes on one file would undo each other's rows.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            database.execute(SCHEMA)
            database.execute("COMMIT")
        except sqlite3.Error as problem:
            hint = "another sandbox uses it" if "locked" in str(problem) else str(problem)
            raise JournalError(f"SANDBOX_DATA: cannot use {self._path}: {hint}") from None
        self._database = database

    def load(self) -> Iterator[tuple[str, bytes]]:
        if self._database is not None:
            yield from self._database.execute("SELECT kind, body FROM entries ORDER BY position")

    def record(self, kind: str, row_id: str, row: msgspec.Struct | None) -> None:
        """Note that a row is new or changed, or gone when `row` is None."""
        if self._database is not None:
            self._dirty[kind, row_id] = row
            self._wake.set()

    async def durable(self) -> None:
        """Wait until everything recorded so far is on disk."""
        if self._dirty:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._next)
        elif self._writing is not None:
            await asyncio.shield(self._writing)

    async def run(self) -> None:
        """Write what has gathered, for as long as the sandbox lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._commit()

    async def close(self) -> None:
        await self._commit()
        if self._database is not None:
            self._database.close()
        self._thread.shutdown()

    async def _commit(self) -> None:
        if not self._dirty or self._database is None:
            return
        loop = asyncio.get_running_loop()
        batch, self._dirty = self._dirty, {}
        done, self._next = self._next or loop.create_future(), None
        self._writing = done
        writes, deletes = [], []
        for (kind, row_id), row in batch.items():
            if row is None:
                deletes.append((kind, row_id))
            else:
                writes.append((kind, row_id, msgspec.json.encode(row)))
        try:
            await loop.run_in_executor(self._thread, self._write, self._database, writes, deletes)
        except sqlite3.Error as problem:
            self._dirty = {**batch, **self._dirty}
            log.error("SANDBOX_DATA: cannot write %s: %s", self._path, problem)
            done.set_exception(JournalError(f"SANDBOX_DATA: cannot write: {problem}"))
            done.exception()  # who waits for the batch hears of it; if nobody does, the log is enough
        else:
            done.set_result(None)
        finally:
            self._writing = None

    @staticmethod
    def _write(
        database: sqlite3.Connection,
        writes: list[tuple[str, str, bytes]],
        deletes: list[tuple[str, str]],
    ) -> None:
        database.execute("BEGIN")
        try:
            database.executemany(WRITE, writes)
            database.executemany(DELETE, deletes)
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
