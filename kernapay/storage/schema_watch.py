"""Let nothing run on a database that lacks a migration or an index of this version, or by a clock that is wrong."""

import asyncio
from datetime import UTC, timedelta
from functools import cached_property
from time import monotonic
from typing import Final

import structlog
from pymongo.errors import OperationFailure, PyMongoError

from kernapay.core.clock import Clock, now
from kernapay.core.errors import NotMigrated, Unavailable
from kernapay.storage.migration_files import MigrationError, read_migrations
from kernapay.storage.mongo import Mongo, database, open_database
from kernapay.storage.schema import Schema

_log = structlog.get_logger("kernapay.schema")
# A check costs a dozen small commands, so `/health/ready`, which anybody may call, starts one a second at most.
_MAX_AGE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 5.0
# While no database has answered yet.
_SHORT_PAUSE_SECONDS: Final = 0.5
_START_SECONDS: Final = 1.0
_LONG_AGO: Final = float("-inf")
_UNAUTHORIZED: Final = 13


class SchemaWatch:
    """Compares the database with this version's migrations, at the start and every few seconds.

    Without its unique indexes, one idempotency key could buy many orders. So it could if the clocks of two machines
    differed by more than a lease, so this machine's is compared with MongoDB's as well, and nothing runs between two
    comparisons if it was moved. A database that cannot be reached later changes nothing: the errors of its own calls
    say so.
    """

    def __init__(self, mongo: Mongo, max_skew: timedelta, clock: Clock = now) -> None:
        """`max_skew` is how much this machine's clock may differ from MongoDB's."""
        self._mongo = mongo
        self.max_skew = max_skew
        self._most_skewed = max_skew.total_seconds()
        self._clock = clock
        self._is_clock_wrong = False
        self._offset = self._read_offset()
        self._checking = asyncio.Lock()
        self._checked_at = _LONG_AGO
        self._watch: asyncio.Task[None] | None = None
        self._problem: str | None = None

    @cached_property
    def _schema(self) -> Schema:
        # Read once: an upgrade on disk must not change what the running version needs.
        return Schema(database(), read_migrations())

    @property
    def is_ready(self) -> bool:
        """Whether the last check found nothing wrong, and the clock was not moved since."""
        return self._is_known and self._problem is None and not self._has_jumped

    @property
    def _is_known(self) -> bool:
        return self._checked_at != _LONG_AGO

    @property
    def _has_jumped(self) -> bool:
        """Whether somebody has set the clock since it was compared, or the machine has slept."""
        return abs(self._read_offset() - self._offset) > self._most_skewed

    def _read_offset(self) -> float:
        """Return how far the clock is ahead of one that nobody sets, in seconds. Every request compares it."""
        return self._clock().timestamp() - monotonic()

    async def check(self) -> str | None:
        """Return what the database lacks and the fix, None if it lacks nothing. Raises Unavailable.

        The answer may be one second old.
        """
        async with self._checking:
            at = asyncio.get_running_loop().time()
            if at - self._checked_at >= _MAX_AGE_SECONDS:
                problem = await self._ask()
                if problem != self._problem:
                    log = _log.error if problem else _log.info
                    log("schema_checked", problem=problem)
                self._problem, self._checked_at = problem, at
            return self._problem

    async def check_before_start(self) -> None:
        """Raise NotMigrated, naming the command to run, unless the database is ready. Raises Unavailable."""
        if problem := await self.check():
            subject = "This machine" if self._is_clock_wrong else "The database"
            raise NotMigrated(f"{subject} is not ready: {problem}")

    def require(self) -> None:
        """Raise NotMigrated unless the last check found nothing wrong.

        Raises Unavailable before the first one, and while the clock is wrong.
        """
        if not self._is_known:
            raise Unavailable(
                "The database has not been reached yet. Repeat the call in a few seconds."
            )
        if self._is_clock_wrong or self._has_jumped:
            raise Unavailable("A clock of the service is wrong. Repeat the call later.")
        if self._problem is not None:
            # The caller is a client: the operator finds the reason in the log and at `/health/ready`.
            raise NotMigrated(
                "The service is being set up or upgraded. Repeat the call later.", retry_after=5
            )

    async def start(self) -> None:
        """Check once, waiting a second at most, and then every few seconds until `close`."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self.check()
        except (Unavailable, TimeoutError) as error:
            _log.warning("database_not_reached", error=type(error).__name__)
        self._watch = asyncio.get_running_loop().create_task(self._keep_checking())

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS if self._is_known else _SHORT_PAUSE_SECONDS)
            try:
                await self.check()
            except Unavailable as error:
                _log.info("schema_not_checked", code=error.code)
            except Exception as error:
                # If this task ended, damage to the database would go unnoticed.
                _log.error("schema_check_broken", exc_info=error)

    async def _ask(self) -> str | None:
        offset = self._read_offset()
        try:
            skew = await self._mongo.run(lambda: find_skew(self._clock, self.max_skew))
            # Only now: until the answer, a clock that was moved is told by the one before.
            self._is_clock_wrong, self._offset = skew is not None, offset
            return skew or await self._mongo.run(lambda: find_problem(self._schema))
        except OperationFailure as error:  # outages are Unavailable
            name = (error.details or {}).get("codeName", error.code)
            if error.code != _UNAUTHORIZED:
                # It says nothing about the indexes, so the last answer stays.
                raise Unavailable(f"MongoDB cannot list the indexes ({name}).") from error
            return (
                f"MongoDB refuses to list the indexes ({name}). "
                "Fix: give the user in MONGODB_URL the role readWrite."
            )


def find_skew(clock: Clock, limit: timedelta) -> str | None:
    """Return by how much the clock differs from MongoDB's and the fix, None if it is certainly not more than allowed.

    MongoDB read its time at some moment between the two readings here, so a slow answer alone is no difference.
    """
    before = clock()
    server = database().client.admin.command("hello")["localTime"].replace(tzinfo=UTC)
    difference = max(before - server, server - clock())
    if difference <= limit:
        return None
    return (
        f"the clock differs from MongoDB's by {difference.total_seconds():.0f} s, so leases would not hold. "
        "Fix: set the clocks of both machines with NTP."
    )


def find_problem(schema: Schema) -> str | None:
    """Return what the database lacks and the fix, in one sentence; None if it lacks nothing."""
    try:
        schema.check()
    except MigrationError as error:
        return str(error)
    return None


def check_before_start(url: str) -> None:
    """Raise NotMigrated, naming the command to run, if the database lacks a migration or an index.

    A database that cannot be reached does not stop the start: nothing is served until it has been checked.
    """
    try:
        client, db = open_database(url, patience_ms=1_000)
        with client:
            problem = find_problem(Schema(db, read_migrations()))
    except PyMongoError as error:
        _log.warning("database_not_reached", error=type(error).__name__)
        return
    if problem is not None:
        raise NotMigrated(f"The database is not ready: {problem}")
