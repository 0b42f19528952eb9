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
        return await self.select_one(KeyGrant, digest=digest, revoked_at=None)

    async def page(self, count: int, skip: int) -> tuple[Sequence[ApiKeyView], int]:
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        return await self.select(ApiKeyView, *newest, LimitOffset(count, skip)), await self.count()

    async def revoke(self, key: ApiKey) -> None:
        """End a key; no cache knows it any more."""
        alive = {"id": key.pk, "revoked_at": None}
        async with self.grant.changing(digest=key.digest):
            await self.update_where(alive, set__revoked_at=self.clock())

    async def note_use(self, key_id: str, precision: timedelta) -> None:
        """Write down that the key is in use, unless that was done within `precision`."""
        at = self.clock()
        await self.update_where(
            {
                "id": key_id,
                "__raw__": {"$or": [{"lastUsedAt": None}, {"lastUsedAt": {"$lt": at - precision}}]},
            },
            set__last_used_at=at,
        )
