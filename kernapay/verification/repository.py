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

    async def put(
        self, ids: Sequence[str], digest: str, *, lifetime: timedelta, wait: timedelta, a_day: int
    ) -> Code | None:
        """Replace the subject's code; None while the wait since the last one lasts or the day's number is used up.

        Its row has one of the ids; a new one gets the first.
        """
        at = self.clock()
        allowed = {
            "sentAt": {"$lte": at - wait},
            "$or": [{"dayEnds": {"$lte": at}}, {"issued": {"$lt": a_day}}],
        }
        # On a new row the field is missing, which sorts before every time. The row goes when its day ends,
        # and must not take a live code along.
        new_day = {"$lte": ["$dayEnds", at + lifetime]}
        values: dict[str, Any] = {
            "digest": {"$literal": digest},
            "attempts": 0,
            "sentAt": at,
            "expiresAt": at + lifetime,
            "issued": {"$cond": [new_day, 1, {"$add": ["$issued", 1]}]},
            "dayEnds": {"$cond": [new_day, at + _DAY, "$dayEnds"]},
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
                return None  # the row is there and does not allow it
            return self._document(row)

        return await self._run(upsert)

    async def find(self, ids: Sequence[str]) -> Code | None:
        """Return the subject's row, which has one of the ids."""
        return await self.get_one_or_none(id__in=ids)

    async def try_once(self, ids: Sequence[str], attempts: int) -> Code | None:
        """Count an attempt on a live code that has attempts left; None when there is none."""
        return await self.update_where(
            {
                "id__in": ids,
                "digest__ne": None,
                "attempts__lt": attempts,
                "expires_at__gt": self.clock(),
            },
            inc__attempts=1,
        )

    async def use(self, code: Code) -> bool:
        """Spend the code; False when another request was faster."""
        spent = await self.update_where({"id": code.id, "digest": code.digest}, unset__digest=True)
        return spent is not None
