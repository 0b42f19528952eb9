"""Keep rows in a SQLite file, with one commit for many requests."""

import asyncio
import logging
import os
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
# An update keeps a row's position, so that a restart reads the rows in the order of their creation.
UPSERT = """
INSERT INTO entries (kind, id, body) VALUES (?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body"""
DELETE = "DELETE FROM entries WHERE kind = ? AND id = ?"


class DatabaseError(Exception):
    """The file cannot be opened or written."""


class Database:
    """Rows on disk. Without a path, nothing is written and no call waits."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._dirty: dict[tuple[str, str], msgspec.Struct | None] = {}
        self._wakeup = asyncio.Event()
        self._next_commit: asyncio.Future[None] | None = None
        self._running_commit: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "sandbox-database")
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file. Raise DatabaseError if it is in use or not a database."""
        if not self._path:
            return
        # The rows contain the secrets of webhooks and one-time codes.
        umask = os.umask(0o077)
        try:
            connection = sqlite3.connect(
                self._path, timeout=0.5, isolation_level=None, check_same_thread=False
            )
            # Held until the end: two sandboxes on one file would overwrite each other's rows.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(SCHEMA)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            reason = "another sandbox uses it" if "locked" in str(error) else str(error)
            raise DatabaseError(f"SANDBOX_DATA: cannot use {self._path}: {reason}") from None
        finally:
            os.umask(umask)
        self._connection = connection

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield the kind and the JSON body of each row, oldest first."""
        if self._connection is not None:
            yield from self._connection.execute("SELECT kind, body FROM entries ORDER BY position")

    def write(self, kind: str, row_id: str, row: msgspec.Struct | None) -> None:
        """Add a row to the next commit. None deletes it."""
        if self._connection is not None:
            self._dirty[kind, row_id] = row
            self._wakeup.set()

    async def flush(self) -> None:
        """Wait until every write so far is on disk. Raise DatabaseError if it cannot be written."""
        if self._dirty:
            if self._next_commit is None:
                self._next_commit = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._next_commit)
        elif self._running_commit is not None:
            await asyncio.shield(self._running_commit)

    async def run(self) -> None:
        """Commit whatever has been written, until cancelled."""
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            await self._commit()

    async def close(self) -> None:
        await self._commit()
        if self._connection is not None:
            self._connection.close()
        self._thread.shutdown()

    async def _commit(self) -> None:
        if not self._dirty or self._connection is None:
            return
        loop = asyncio.get_running_loop()
        batch, self._dirty = self._dirty, {}
        commit, self._next_commit = self._next_commit or loop.create_future(), None
        self._running_commit = commit
        upserts, deletes = [], []
        for (kind, row_id), row in batch.items():
            if row is None:
                deletes.append((kind, row_id))
            else:
                upserts.append((kind, row_id, msgspec.json.encode(row)))
        try:
            await loop.run_in_executor(
                self._thread, self._execute, self._connection, upserts, deletes
            )
        except sqlite3.Error as error:
            self._dirty = {**batch, **self._dirty}
            log.error("SANDBOX_DATA: cannot write %s: %s", self._path, error)
            commit.set_exception(DatabaseError(f"SANDBOX_DATA: cannot write: {error}"))
            # Mark the exception as retrieved: if no request waits for it, the log entry is enough.
            commit.exception()
        else:
            commit.set_result(None)
        finally:
            self._running_commit = None

    @staticmethod
    def _execute(
        connection: sqlite3.Connection,
        upserts: list[tuple[str, str, bytes]],
        deletes: list[tuple[str, str]],
    ) -> None:
        connection.execute("BEGIN")
        try:
            connection.executemany(UPSERT, upserts)
            connection.executemany(DELETE, deletes)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
