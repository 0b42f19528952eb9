"""Read the database of an Express service. Nothing is ever written to it."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

import bson
import pymongo.errors
from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import InvalidInput, Unavailable
from kernapay.storage.mongo import check_url
from kernapay.storage.schema import APPLIED

T = TypeVar("T")
Row = dict[str, Any]

# The database that MongoDB's driver for Node uses when the URL names none.
_DEFAULT: Final = "test"
# Rows read at once. MongoDB: an answer has at most 16 MB, whatever they hold.
_BATCH: Final = 1000
_PATIENCE_MS: Final = 10_000
# MongoDB: Unauthorized, AuthenticationFailed.
_REFUSED: Final = (13, 18)
# Odd texts and times of one row must not fail the whole batch.
_CODEC: Final[CodecOptions[Row]] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
)
_TYPED_ID: Final = {"$type": "objectId"}


class ExpressDatabase:
    def __init__(self, url: str) -> None:
        """Raise InvalidInput if the URL cannot be used. The message does not repeat it."""
        try:
            check_url(url)
        except ValueError as error:
            raise InvalidInput(f"--from {error}", field="from") from error
        try:
            # Of a `mongodb+srv` URL, DNS is asked for the hosts.
            parts = parse_uri(url, validate=False)
            self._client: MongoClient[Row] = MongoClient(
                url,
                serverSelectionTimeoutMS=_PATIENCE_MS,
                appname="kernapay-import",
                retryWrites=False,
                connect=False,
            )
        except pymongo.errors.PyMongoError as error:
            raise InvalidInput(
                "--from names a host that DNS does not know, or options that do not fit together.",
                field="from",
            ) from error
        self.name: str = parts["database"] or _DEFAULT
        self._pool = Bulkhead("old database", 2)

    async def check(self) -> dict[str, int]:
        """Count accounts and payments. Raises InvalidInput unless it is an Express database, Unavailable."""

        def count() -> tuple[list[str], dict[str, int]]:
            db = self._client[self.name]
            names = db.list_collection_names()
            return names, {
                each: self._rows(each).count_documents({}) for each in ("users", "payments")
            }

        names, counts = await self._run(count)
        if APPLIED in names:
            raise InvalidInput(
                f"The database {self.name} is one of KernaPay: name that of the Express service.",
                field="from",
            )
        if not any(counts.values()):
            raise InvalidInput(
                f"The database {self.name} has neither users nor payments. Name it at the end of the URL, "
                "as in mongodb://host/name.",
                field="from",
            )
        return counts

    async def batches(self, collection: str) -> AsyncIterator[list[Row]]:
        """Yield the rows whose id is an ObjectId, oldest first. Raises Unavailable."""
        last: ObjectId | None = None
        while True:
            beyond = {} if last is None else {"$gt": last}
            rows = await self._run(lambda beyond=beyond: self._read(collection, beyond))  # type: ignore[misc]
            if not rows:
                return
            yield rows
            last = rows[-1]["_id"]

    async def odd_ids(self, collection: str) -> list[str]:
        """Return the ids that are no ObjectIds. Raises Unavailable."""
        where = {"_id": {"$not": _TYPED_ID}}
        rows = await self._run(lambda: list(self._rows(collection).find(where, {"_id": 1})))
        return [repr(row["_id"])[:60] for row in rows]

    async def count_payments(self, user_id: str) -> tuple[int, int]:
        """Return how many payments an account has, and how many of them are shown as paid. Raises Unavailable."""
        whose = {"userId": {"$in": [user_id, ObjectId(user_id)]}}

        def count() -> tuple[int, int]:
            rows = self._rows("payments")
            return rows.count_documents(whose), rows.count_documents({**whose, "status": "success"})

        return await self._run(count)

    def close(self) -> None:
        self._pool.close()
        self._client.close()

    def _read(self, collection: str, beyond: Row) -> list[Row]:
        where = {"_id": {**_TYPED_ID, **beyond}}
        # The first answer only: a thousand rows may be a thousand times 16 MB.
        with self._rows(collection).find_raw_batches(
            where, sort=[("_id", 1)], limit=_BATCH, batch_size=_BATCH
        ) as answers:
            first: Any = next(answers, b"")
        return list(bson.decode_all(first, _CODEC))

    def _rows(self, name: str) -> Collection[Row]:
        return self._client[self.name].get_collection(
            name,
            codec_options=_CODEC,
            # Not what may still be rolled back. The primary: a secondary may lag behind, and the last run must not.
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )

    async def _run(self, read: Callable[[], T]) -> T:
        try:
            return await self._pool.run(read)
        except pymongo.errors.PyMongoError as error:
            if isinstance(error, pymongo.errors.OperationFailure) and error.code in _REFUSED:
                raise InvalidInput(
                    "The old database refuses the user of --from: check name, password and authSource, and that it "
                    "may read.",
                    field="from",
                ) from error
            raise Unavailable(
                f"The old database cannot be read ({type(error).__name__}). What was imported stays: "
                "repeat the command, and it goes on."
            ) from error
