"""A lock in MongoDB: one holder at a time across all processes, timed by the server's clock."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any, Final

import structlog
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from kernapay.core.errors import Unavailable
from kernapay.storage.mongo import Mongo, database

_log = structlog.get_logger("kernapay.locks")

COLLECTION: Final = "locks"
# After a failover, the clock of the new primary may differ by this much.
_CLOCK_MARGIN: Final = timedelta(seconds=2)
_POLL_SECONDS: Final = 0.05
_FREE: Final = datetime.fromtimestamp(0, UTC)


class LockBusy(Exception):
    """Other processes held the lock for too long."""


class Lock:
    """A lock by name, held for `lasts` at a time. Its methods block: call them in pool threads and commands."""

    def __init__(
        self,
        db: Database[dict[str, Any]],
        name: str,
        lasts: timedelta,
        collection: str = COLLECTION,
    ) -> None:
        self._locks = db[collection]
        self.name = name
        self._lasts = lasts
        self._owner = secrets.token_hex(8)

    def take(self) -> datetime | None:
        """Take the lock and return its end by the server's clock; None if another holder has it."""
        try:
            # MongoDB: an upsert cannot have `$expr` in its condition. So insert the row first.
            self._locks.update_one(
                {"_id": self.name}, {"$setOnInsert": {"until": _FREE}}, upsert=True
            )
        except DuplicateKeyError:
            return None  # another process inserted it at the same time
        return self._extend_where({"$expr": {"$lt": ["$until", "$$NOW"]}})

    def extend(self) -> datetime | None:
        """Extend the lock and return its new end; None if it was lost."""
        return self._extend_where({"owner": self._owner})

    def release(self) -> None:
        self._locks.update_one({"_id": self.name, "owner": self._owner}, {"$set": {"until": _FREE}})

    def _extend_where(self, condition: dict[str, Any]) -> datetime | None:
        milliseconds = int(self._lasts.total_seconds() * 1000)
        row = self._locks.find_one_and_update(
            {"_id": self.name, **condition},
            [{"$set": {"owner": self._owner, "until": {"$add": ["$$NOW", milliseconds]}}}],
            return_document=ReturnDocument.AFTER,
        )
        return None if row is None else row["until"]


class Turn:
    """The turn of one process to do work that several would only do twice. It keeps the turn while it has work.

    The work must be right without it: a process that is suspended does not know that its turn has ended.
    """

    def __init__(self, mongo: Mongo, name: str, lasts: timedelta) -> None:
        self._run = mongo.run
        self._name = name
        self._lasts = lasts
        self._lock: Lock | None = None
        self._renew_at = 0.0

    async def is_ours(self) -> bool:
        """Return whether it is this process's turn. A free turn is taken."""
        asked_at = time.monotonic()
        if asked_at < self._renew_at:
            return True
        if not await self._run(self._take):
            return False
        self._renew_at = asked_at + self._lasts.total_seconds() / 2
        return True

    def _take(self) -> bool:
        if self._lock is None:
            self._lock = Lock(database(), self._name, self._lasts)
        return (self._lock.extend() or self._lock.take()) is not None


@contextmanager
def hold(lock: Lock, patience: float, renew_every: float) -> Iterator[None]:
    """Hold the lock while the block runs. A thread extends it every `renew_every` seconds, for as long as it can.

    A process that is suspended for too long loses the lock: `lock.extend()` says so before a step that needs it.
    Raises LockBusy if other processes hold it for longer than `patience` seconds.
    """
    give_up = time.monotonic() + patience
    while lock.take() is None:
        if time.monotonic() > give_up:
            raise LockBusy
        time.sleep(_POLL_SECONDS)
    ended = Event()

    def renew() -> None:
        while not ended.wait(renew_every):
            try:
                if lock.extend() is None:
                    _log.error("lock_lost", lock=lock.name)
                    return
            except PyMongoError as error:
                # The next attempt may still be in time. If not, the lock ends, and the log has the reason.
                _log.warning("lock_not_renewed", lock=lock.name, error=type(error).__name__)

    renewer = Thread(target=renew, daemon=True)
    renewer.start()
    try:
        yield
    finally:
        ended.set()
        renewer.join()
        lock.release()


@asynccontextmanager
async def exclusive(
    mongo: Mongo, name: str, lasts: timedelta, patience: float, busy: str
) -> AsyncIterator[datetime]:
    """Hold the lock while the block runs, without extending it. Yield the deadline for writes, by the server's clock.

    Put the deadline into each write as a condition on `$$NOW`. MongoDB then rejects the write of a holder that was
    suspended for too long. Raises Unavailable with the message `busy` if other processes hold the lock for longer than
    `patience` seconds.
    """
    lock = await mongo.run(lambda: Lock(database(), name, lasts))
    give_up = time.monotonic() + patience
    while (until := await mongo.run(lock.take)) is None:
        if time.monotonic() > give_up:
            raise Unavailable(busy)
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield until - _CLOCK_MARGIN
    finally:
        await mongo.run(lock.release)
