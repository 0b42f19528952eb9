"""Every query on API keys."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from kernapay.apikeys.dtos import ApiKeyView, CheckoutOrigins, KeyGrant
from kernapay.apikeys.models import ApiKey, EndReason
from kernapay.core.clock import Clock, now
from kernapay.storage.cache import Cache
from kernapay.storage.cached import cached
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository, Rows, Where


class ApiKeyRepository(Repository[ApiKey]):
    model = ApiKey

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    # A field of its own: what earlier versions cached does not say who vouches for the key.
    @cached("api_key:{digest:.32}", field="grant", ttl=timedelta(hours=1))
    async def grant(self, *, digest: str) -> KeyGrant | None:
        """Return the key with this digest, or None if there is none or it was revoked."""
        return await self.select_one(KeyGrant, digest=digest, revoked_at=None)

    async def checkout_origins(self, key_id: str) -> Sequence[str]:
        """Return the origins that the checkout page may lead to. Not cached."""
        found = await self.select_one(CheckoutOrigins, id=key_id)
        return () if found is None else found.checkout_origins

    async def page(self, count: int, skip: int) -> tuple[Sequence[ApiKeyView], int]:
        """Return a page of the keys, newest first, and how many there are."""
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        return await self.select(ApiKeyView, *newest, LimitOffset(count, skip)), await self.count()

    async def live_of(self, user_id: str) -> Rows[ApiKey]:
        """Return the keys of an account that are not revoked."""
        return await self.list(user_id=user_id, revoked_at=None)

    async def live_made_by(self, admin_id: str) -> Rows[ApiKey]:
        """Return the keys that an account made and that are not revoked."""
        return await self.list(created_by=admin_id, revoked_at=None)

    async def live_adopted_by(self, admin_id: str) -> Rows[ApiKey]:
        """Return the keys that an account adopted and that are not revoked."""
        return await self.list(adopted_by=admin_id, revoked_at=None)

    async def revoke(self, key: ApiKey, reason: EndReason) -> bool:
        """Revoke a key and evict it from the cache. Return False if it was revoked before."""
        change = {"set__revoked_at": self.clock(), "set__revoked_reason": reason}
        return await self._change_live(key, {}, **change)

    async def revoke_unless_adopted(self, key: ApiKey) -> bool:
        """Revoke a key that no ADMIN vouches for. Return False if it was adopted or revoked since it was read."""
        return await self._change_live(
            key,
            {"adopted_by": key.adopted_by},
            set__revoked_at=self.clock(),
            set__revoked_reason=EndReason.MAKER_NOT_ADMIN,
        )

    async def adopt(self, key: ApiKey, admin_id: str) -> bool:
        """Let an administrator vouch for a key. Return False if it was revoked since it was read."""
        return await self._change_live(key, {}, set__adopted_by=admin_id)

    async def _change_live(self, key: ApiKey, only_if: Where, /, **change: Any) -> bool:
        where = {**only_if, "id": key.pk, "revoked_at": None}
        async with self.grant.changing(digest=key.digest):
            return await self.update_where(where, **change) is not None

    async def record_use(self, key_id: str, precision: timedelta) -> bool:
        """Record that the key is in use. Return False if its last use is younger than `precision`, or it is gone."""
        at = self.clock()
        row = await self.update_where(
            {
                "id": key_id,
                "__raw__": {"$or": [{"lastUsedAt": None}, {"lastUsedAt": {"$lt": at - precision}}]},
            },
            set__last_used_at=at,
        )
        return row is not None
