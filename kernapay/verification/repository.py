"""Every query on one-time codes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from kernapay.storage.repository import Repository
from kernapay.verification.models import Code

_DAY = timedelta(days=1)


class CodeRepository(Repository[Code]):
    model = Code

    async def replace(
        self,
        ids: Sequence[str],
        digest: str,
        *,
        lifetime: timedelta,
        resend_after: timedelta,
        max_per_day: int,
    ) -> Code | None:
        """Replace the subject's code. Its row has one of the ids; a new row gets the first.

        Return None if the last code is younger than `resend_after`, or the day's number is used up.
        """
        at = self.clock()
        allowed = {
            "sentAt": {"$lte": at - resend_after},
            "$or": [{"dayEnds": {"$lte": at}}, {"issued": {"$lt": max_per_day}}],
        }
        # A new row has no `dayEnds`, and a missing field sorts before every time. The day is renewed early,
        # because a TTL index deletes the row at its end: that must not delete a live code.
        is_new_day = {"$lte": ["$dayEnds", at + lifetime]}
        values: dict[str, Any] = {
            "digest": {"$literal": digest},
            "attempts": 0,
            "sentAt": at,
            "expiresAt": at + lifetime,
            "issued": {"$cond": [is_new_day, 1, {"$add": ["$issued", 1]}]},
            "dayEnds": {"$cond": [is_new_day, at + _DAY, "$dayEnds"]},
            "createdAt": {"$ifNull": ["$createdAt", at]},
            "updatedAt": at,
        }

        def upsert() -> Code | None:
            found = self._collection.find_one({"_id": {"$in": list(ids)}}, {"_id": 1})
            try:
                row = self._collection.find_one_and_update(
                    {**allowed, "_id": found["_id"] if found else ids[0]},
                    [{"$set": values}],
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                return None  # the row exists, but does not match `allowed`
            return self._document(row)

        return await self._run(upsert)

    async def find(self, ids: Sequence[str]) -> Code | None:
        """Return the subject's row, which has one of the ids."""
        return await self.get_one_or_none(id__in=ids)

    async def count_attempt(self, ids: Sequence[str], max_attempts: int) -> Code | None:
        """Count an attempt on the subject's code. Return None if no live code has attempts left."""
        return await self.update_where(
            {
                "id__in": ids,
                "digest__ne": None,
                "attempts__lt": max_attempts,
                "expires_at__gt": self.clock(),
            },
            inc__attempts=1,
        )

    async def spend(self, code: Code) -> bool:
        """Make the code unusable. Return False if another request has spent or replaced it first."""
        row = await self.update_where({"id": code.id, "digest": code.digest}, unset__digest=True)
        return row is not None
