"""A lock in MongoDB that one holder of all processes has at a time, by the server's clock."""

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
# Clocks of a new primary and of the one before it may differ by this much.
_CLOCK_MARGIN: Final = timedelta(seconds=2)
_POLL_SECONDS: Final = 0.05
_FREE: Final = datetime.fromtimestamp(0, UTC)


class LockBusy(Exception):
    """Others held the lock for too long."""


class Lock:
    """One attempt to hold the lock of this name, for `lasts` at a time. Blocking: for pool threads and commands."""

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
        """Return the server's time at which the lock ends, None while another holder has it."""
        try:
            # The server's clock cannot be asked in an upsert: the row is made first.
            self._locks.update_one(
                {"_id": self.name}, {"$setOnInsert": {"until": _FREE}}, upsert=True
            )
        except DuplicateKeyError:
            return None  # two made it at once: ask again
        return self._extend_where({"$expr": {"$lt": ["$until", "$$NOW"]}})

    def extend(self) -> datetime | None:
        """Return the new end, None when the lock has been lost."""
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


@contextmanager
def held(lock: Lock, patience: float, renew_every: float) -> Iterator[None]:
    """Hold the lock for as long as the block takes, renewed by a thread; all in seconds.

    Raises LockBusy when others hold it for longer than `patience`.
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
                lock.extend()
            except PyMongoError as error:
                # The next turn may come in time; else the lock ends, and the log says why.
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
    """Hold the lock once, without renewal; yield the server's time by which its writes must have happened.

    A holder that was asleep too long finds its write refused when the write carries that time and MongoDB compares
    it with its own clock (`$$NOW`). Raises Unavailable, with the sentence `busy`, when others hold it for longer than
    `patience` (seconds).
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
