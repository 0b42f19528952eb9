"""MongoDB through MongoEngine: the connection, the base document, and the translation of driver errors."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final, ParamSpec, TypeVar

import mongoengine
import pymongo.errors
from mongoengine import DateTimeField, EnumField
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.uri_parser import parse_uri, split_options

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unavailable
from kernapay.storage.addresses import without_login
from kernapay.storage.documents import LeanDocument
from kernapay.storage.mongo_urls import ends_password_early, without_overridden

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_DATABASE: Final = "kernapay"
APP_NAME: Final = "kernapay"
"""The name of the service's connections in MongoDB's log and profiler. Migrations have another one."""
_ALIAS: Final = "default"
# Give up on a lost primary before the client gives up on us.
_SELECTION_TIMEOUT_MS: Final = 3_000
_SOCKET_TIMEOUT_MS: Final = 10_000
_WRITE_CONCERN_TIMEOUT_MS: Final = 5_000

_OUTAGES: Final = (
    pymongo.errors.ConnectionFailure,
    pymongo.errors.WTimeoutError,
)


class QueryTooSlow(Unavailable):
    """MongoDB has stopped a query that took too long."""


class Choice(EnumField):  # type: ignore[misc]
    """A field that holds a member of an enum.

    MongoEngine adds a display method per field with choices to every new document. That takes a fifth of the time to
    create one, so `choices` is removed.
    """

    def __init__(self, enum: type[Enum], **options: Any) -> None:
        super().__init__(enum, **options)
        self.choices = None  # EnumField still validates against the enum


class Record(LeanDocument):
    """A document with its times of creation and last change. Only migrations create indexes."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "auto_create_index": False, "strict": False}

    unique_fields: ClassVar[frozenset[str]] = frozenset({"id"})
    """The fields by whose value at most one row is found. Each has an index."""

    created_at: datetime = DateTimeField(db_field="createdAt", required=True)
    updated_at: datetime = DateTimeField(db_field="updatedAt", required=True)

    @classmethod
    def in_shape(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return a stored row in the shape that this document reads. Raises Misfit if it has none."""
        return row

    @classmethod
    def repair(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return some columns of a stored row, with what earlier systems wrote in the form that views read."""
        return row


class Mongo:
    """The connection of the process, with its own bounded thread pool."""

    def __init__(self, url: str, threads: int) -> None:
        self._url = without_overridden(url)
        self.pool = Bulkhead("database", threads)
        self._threads = threads

    def connect(self) -> None:
        """Open the connection without waiting for a server: the first query or `ping` finds out if it is reachable.

        Raises Unavailable if DNS cannot resolve the host of a `mongodb+srv://` URL.
        """
        try:
            self._connect()
        except pymongo.errors.PyMongoError as error:
            raise Unavailable(
                f"DNS cannot resolve the host in MONGODB_URL. Check its spelling. ({error})"
            ) from error

    def _connect(self) -> None:
        mongoengine.connect(
            db=parse_uri(self._url, validate=False)["database"] or DEFAULT_DATABASE,
            host=self._url,
            alias=_ALIAS,
            uuidRepresentation="standard",
            tz_aware=True,
            # By default, one row of another system that cannot be decoded fails all that are read with it.
            datetime_conversion="DATETIME_CLAMP",
            unicode_decode_error_handler="replace",
            w="majority",
            journal=True,
            wTimeoutMS=_WRITE_CONCERN_TIMEOUT_MS,
            retryWrites=True,
            readConcernLevel="majority",
            serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
            connectTimeoutMS=_SELECTION_TIMEOUT_MS,
            socketTimeoutMS=_SOCKET_TIMEOUT_MS,
            maxPoolSize=self._threads + 4,
            appname=APP_NAME,
        )

    async def run(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking database call in the pool. Raises Unavailable if MongoDB cannot serve it."""
        try:
            return await self.pool.run(call, *args, **kwargs)
        except _OUTAGES as error:
            raise Unavailable(
                "The database cannot be reached. Repeat the call in a few seconds."
            ) from error
        except pymongo.errors.ExecutionTimeout as error:
            raise QueryTooSlow(
                "The database took too long. Repeat the call in a few seconds."
            ) from error
        except pymongo.errors.BulkWriteError as error:
            if error.details.get("writeErrors"):
                raise
            raise Unavailable(
                "The database did not confirm the write. Repeat the call: that is safe."
            ) from error
        except pymongo.errors.OperationFailure as error:
            if error.has_error_label("RetryableWriteError") or error.code in _TRANSIENT_CODES:
                raise Unavailable(
                    "The database is electing a new primary. Repeat the call in a few seconds."
                ) from error
            if error.code == _AUTHENTICATION_FAILED:
                raise Unavailable(
                    "The database refuses the user or the password of the service."
                ) from error
            raise

    @property
    def address(self) -> str:
        """The URL without user, password and options."""
        return without_login(self._url)

    async def ping(self) -> None:
        """Raise Unavailable unless a primary answers."""
        await self.run(lambda: database().command("ping"))

    def close(self) -> None:
        self.pool.close()
        mongoengine.disconnect(_ALIAS)


_AUTHENTICATION_FAILED: Final = 18
# NotWritablePrimary, PrimarySteppedDown, InterruptedAtShutdown, InterruptedDueToReplStateChange,
# NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, ShutdownInProgress, WriteConcernFailed.
_TRANSIENT_CODES: Final = frozenset({10107, 189, 11600, 11602, 13435, 13436, 91, 64})


def database() -> Database[dict[str, Any]]:
    """Return the database that the process is connected to."""
    db: Database[dict[str, Any]] = mongoengine.get_db(_ALIAS)
    return db


def check_url(url: str) -> None:
    """Raise ValueError for a URL that the driver cannot use, without resolving or connecting.

    The message does not repeat the URL: it may contain a password.
    """
    if not url.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must start with mongodb:// or mongodb+srv://")
    try:
        if ends_password_early(url):
            raise ValueError
        # Refuse unknown options here. The client would print them, and one may be part of a password.
        if options := url.partition("?")[2]:
            split_options(options, warn=False)
        MongoClient(url, connect=False).close()
    except OSError:
        raise ValueError(
            "names a certificate or key file that cannot be read: check its path and permissions"
        ) from None
    except (ValueError, TypeError, pymongo.errors.PyMongoError):
        raise ValueError(
            "is malformed: name a host, use numbers as ports and known options that fit together, "
            "and write @ : / ? % + in user and password as %40 %3A %2F %3F %25 %2B"
        ) from None


def open_database(
    url: str, patience_ms: int = 10_000
) -> tuple[MongoClient[dict[str, Any]], Database[dict[str, Any]]]:
    """Open a separate connection, for migrations and the doctor. The caller closes the client.

    Calls wait up to `patience_ms` milliseconds for a server.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(
        without_overridden(url),
        uuidRepresentation="standard",
        tz_aware=True,
        w="majority",
        serverSelectionTimeoutMS=patience_ms,
        appname="kernapay-migrate",
    )
    return client, client[parse_uri(url, validate=False)["database"] or DEFAULT_DATABASE]
