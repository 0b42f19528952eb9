"""MongoDB through MongoEngine: the connection, the base document, and what its failures mean."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final, ParamSpec, TypeVar

import mongoengine
import pymongo.errors
from mongoengine import DateTimeField, Document, EnumField
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.uri_parser import parse_uri, split_options

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_DATABASE: Final = "kernapay"
_ALIAS: Final = "default"
# A client waits for an answer: give up on a lost primary well before it does.
_SELECTION_TIMEOUT_MS: Final = 3_000
_SOCKET_TIMEOUT_MS: Final = 10_000
_WRITE_CONCERN_TIMEOUT_MS: Final = 5_000

_OUTAGES: Final = (
    pymongo.errors.ConnectionFailure,
    pymongo.errors.WTimeoutError,
    pymongo.errors.ExecutionTimeout,
)


class Choice(EnumField):  # type: ignore[misc]
    """A field that holds a member of an enum.

    MongoEngine gives every document a display method for each field with choices, at a fifth of a creation's time.
    """

    def __init__(self, enum: type[Enum], **options: Any) -> None:
        super().__init__(enum, **options)
        self.choices = None  # the enum itself is the check


class Record(Document):  # type: ignore[misc]
    """A row that knows when it was made and last changed. Indexes are born in migrations only."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "auto_create_index": False, "strict": False}

    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)


class Mongo:
    """The process's connection, behind its own bounded pool of threads."""

    def __init__(self, url: str, threads: int) -> None:
        self._url = url
        self._pool = Bulkhead("database", threads)
        self._threads = threads

    def connect(self) -> None:
        """Connect lazily: an absent server is found by the first query, or by ping.

        Raises Unavailable when the servers are named by DNS, and it does not know them.
        """
        try:
            self._connect()
        except pymongo.errors.PyMongoError as error:
            raise Unavailable(f"MONGODB_URL cannot be looked up: {error}") from error

    def _connect(self) -> None:
        mongoengine.connect(
            db=parse_uri(self._url, validate=False)["database"] or DEFAULT_DATABASE,
            host=self._url,
            alias=_ALIAS,
            uuidRepresentation="standard",
            tz_aware=True,
            w="majority",
            journal=True,
            wTimeoutMS=_WRITE_CONCERN_TIMEOUT_MS,
            retryWrites=True,
            readConcernLevel="majority",
            serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=_SELECTION_TIMEOUT_MS,
            socketTimeoutMS=_SOCKET_TIMEOUT_MS,
            maxPoolSize=self._threads + 4,
            appname="kernapay",
        )

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run blocking database work in the pool. Raises Unavailable when MongoDB cannot serve."""
        try:
            return await self._pool.run(call, *args, **kwargs)
        except _OUTAGES as error:
            raise Unavailable("The database cannot be reached.") from error
        except pymongo.errors.BulkWriteError as error:
            if error.details.get("writeErrors"):
                raise
            raise Unavailable("The database did not confirm the write.") from error
        except pymongo.errors.OperationFailure as error:
            if error.has_error_label("RetryableWriteError") or error.code in _TRANSIENT_CODES:
                raise Unavailable("The database is changing its primary.") from error
            raise

    async def ping(self) -> None:
        """Raise Unavailable unless a primary answers."""
        await self.run(lambda: database().command("ping"))

    def close(self) -> None:
        self._pool.close()
        mongoengine.disconnect(_ALIAS)


# NotWritablePrimary, PrimarySteppedDown, InterruptedAtShutdown, InterruptedDueToReplStateChange,
# NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, ShutdownInProgress, WriteConcernFailed.
_TRANSIENT_CODES: Final = frozenset({10107, 189, 11600, 11602, 13435, 13436, 91, 64})


def database() -> Database[dict[str, Any]]:
    """Give the database the process is connected to."""
    found: Database[dict[str, Any]] = mongoengine.get_db(_ALIAS)
    return found


def check_url(url: str) -> None:
    """Raise ValueError for an address that the driver cannot use; nothing is looked up or connected.

    The message repeats none of it: it may hold a password.
    """
    if not url.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must start with mongodb:// or mongodb+srv://")
    try:
        # Here an unknown option is an error; the client would print it, and it may be a piece of a password.
        if options := url.partition("?")[2]:
            split_options(options, warn=False)
        MongoClient(url, connect=False).close()
    except OSError:
        raise ValueError("names a certificate or key file that cannot be read") from None
    except (ValueError, TypeError, pymongo.errors.PyMongoError):
        raise ValueError(
            "is malformed: a host is needed, ports are numbers, options must fit together, "
            "and in user and password @ : / % are written %40 %3A %2F %25"
        ) from None


def open_database(url: str) -> tuple[MongoClient[dict[str, Any]], Database[dict[str, Any]]]:
    """Open a connection of one's own, as migrations do; the caller closes the client."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        url,
        uuidRepresentation="standard",
        tz_aware=True,
        w="majority",
        serverSelectionTimeoutMS=10_000,
        appname="kernapay-migrate",
    )
    return client, client[parse_uri(url, validate=False)["database"] or DEFAULT_DATABASE]
