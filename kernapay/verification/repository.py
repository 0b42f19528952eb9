"""Every query on one-time codes."""

from collections.abc import Sequence
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from kernapay.storage.repository import Repository
from kernapay.verification.models import Code
from kernapay.verification.policies import RESEND_AFTER, Policy


class CodeRepository(Repository[Code]):
    model = Code

    async def replace(self, ids: Sequence[str], digest: str, policy: Policy) -> Code | None:
        """Store a new code of the subject. Its row has one of the ids; a new row gets the first.

        Return None if the last code is younger than RESEND_AFTER, or the limit of the period is reached.
        """
        at = self.clock()
        # A TTL index deletes the row when `dayEnds` has come: that must not delete a live code. So it is later than
        # the end of the period, by the lifetime of a code. One that is further away is of an earlier version, whose
        # periods were longer.
        latest = at + policy.period + policy.lifetime
        allowed = {
            "sentAt": {"$lte": at - RESEND_AFTER},
            "$or": [
                {"dayEnds": {"$lte": at + policy.lifetime}},
                {"dayEnds": {"$gt": latest}},
                {"issued": {"$lt": policy.max_issued}},
            ],
        }
        # A new row has no `dayEnds`, and a missing field sorts before every time.
        is_new_period = {
            "$or": [{"$lte": ["$dayEnds", at + policy.lifetime]}, {"$gt": ["$dayEnds", latest]}]
        }
        before = {"digest": "$digest", "expiresAt": "$expiresAt"}
        earlier = {"$concatArrays": [[before], {"$ifNull": ["$earlier", []]}]}
        is_live = {"$and": [{"$gt": ["$$this.digest", None]}, {"$gt": ["$$this.expiresAt", at]}]}
        live = {"$filter": {"input": earlier, "cond": is_live}}
        values: dict[str, Any] = {
            "earlier": {"$slice": [live, policy.max_earlier]} if policy.max_earlier else [],
            "digest": {"$literal": digest},
            "attempts": 0,
            "sentAt": at,
            "expiresAt": at + policy.lifetime,
            "issued": {"$cond": [is_new_period, 1, {"$add": ["$issued", 1]}]},
            "dayEnds": {"$cond": [is_new_period, latest, "$dayEnds"]},
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

    async def count_attempt(self, ids: Sequence[str], max_attempts: int | None) -> Code | None:
        """Count an attempt on the subject's codes. Return None if there is no live code, or no attempt left."""
        # The newest code is the last to expire.
        live = {"id__in": ids, "digest__ne": None, "expires_at__gt": self.clock()}
        left = {} if max_attempts is None else {"attempts__lt": max_attempts}
        return await self.update_where({**live, **left}, inc__attempts=1)

    async def spend(self, row_id: str, digest: str) -> bool:
        """Make all codes of the row unusable. Return False if this one has been spent or replaced first.

        The owner may request new codes at once, because no valid one is left.
        """
        is_there = {"$or": [{"digest": digest}, {"earlier.digest": digest}]}
        row = await self.update_where(
            {"id": row_id, "__raw__": is_there}, unset__digest=True, set__earlier=[], set__issued=0
        )
        return row is not None
