"""Every query on users."""

from datetime import timedelta
from typing import Any

from kernapay.core.cache import Cache, cached
from kernapay.core.clock import Clock, now
from kernapay.core.mongo import Mongo
from kernapay.core.repository import Repository
from kernapay.users.dtos import UserView
from kernapay.users.models import User


class UserRepository(Repository[User]):
    model = User

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("user:{user_id}", ttl=timedelta(hours=1))
    async def profile(self, *, user_id: str) -> UserView | None:
        return await self.select_one(UserView, id=user_id)

    async def change(self, user_id: str, **change: Any) -> User | None:
        """Change a user; the cached profile is gone before this returns."""
        user = await self.update_where({"id": user_id}, **change)
        await self.profile.evict(user_id=user_id)
        return user
