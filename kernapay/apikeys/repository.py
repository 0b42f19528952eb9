"""Every query on API keys."""

from collections.abc import Sequence
from datetime import timedelta

from kernapay.apikeys.dtos import ApiKeyView, KeyGrant
from kernapay.apikeys.models import ApiKey
from kernapay.core.clock import Clock, now
from kernapay.storage.cache import Cache
from kernapay.storage.cached import cached
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository


class ApiKeyRepository(Repository[ApiKey]):
    model = ApiKey

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("api_key:{digest:.32}", ttl=timedelta(hours=1))
    async def grant(self, *, digest: str) -> KeyGrant | None:
        """Return the key with this digest, or None if there is none or it was revoked."""
        return await self.select_one(KeyGrant, digest=digest, revoked_at=None)

    async def page(self, count: int, skip: int) -> tuple[Sequence[ApiKeyView], int]:
        """Return a page of the keys, newest first, and how many there are."""
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        return await self.select(ApiKeyView, *newest, LimitOffset(count, skip)), await self.count()

    async def revoke(self, key: ApiKey) -> None:
        """Revoke a key and evict it from the cache."""
        not_revoked = {"id": key.pk, "revoked_at": None}
        async with self.grant.changing(digest=key.digest):
            await self.update_where(not_revoked, set__revoked_at=self.clock())

    async def record_use(self, key_id: str, precision: timedelta) -> None:
        """Record that the key is in use, unless its last use is younger than `precision`."""
        at = self.clock()
        await self.update_where(
            {
                "id": key_id,
                "__raw__": {"$or": [{"lastUsedAt": None}, {"lastUsedAt": {"$lt": at - precision}}]},
            },
            set__last_used_at=at,
        )
