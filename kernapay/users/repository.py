"""Every query on users."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from kernapay.core.cache import Cache
from kernapay.core.cached import cached
from kernapay.core.clock import Clock, now
from kernapay.core.mongo import Mongo
from kernapay.core.repository import Repository, Where
from kernapay.users.dtos import UserView
from kernapay.users.models import User, UserStatus


class UserRepository(Repository[User]):
    model = User

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("user:{user_id}", ttl=timedelta(hours=1))
    async def profile(self, *, user_id: str) -> UserView | None:
        return await self.select_one(UserView, id=user_id)

    async def name_of(self, user_id: str) -> str | None:
        profile = await self.profile(user_id=user_id)
        return None if profile is None else profile.name

    async def change(
        self, user_id: str, only_if: Where | None = None, /, **change: Any
    ) -> User | None:
        """Change a user, if the row still fits `only_if`; the cached profile is gone before this returns."""
        async with self.profile.changing(user_id=user_id):
            return await self.update_where({**(only_if or {}), "id": user_id}, **change)

    async def sign_in(self, user: User, refresh_hash: str, newer_password: str | None) -> bool:
        """Note the latest refresh token, if the user is still the one whose password was checked.

        Nothing in here is part of the profile, so its cache and `updatedAt` stay.
        """
        change = {"refreshToken": refresh_hash}
        if newer_password is not None:
            change["password"] = newer_password
        where = {"_id": user.pk, "password": user.password, "status": UserStatus.ACTIVE}
        return await self._run(
            lambda: self.rows.update_one(where, {"$set": change}).matched_count == 1
        )

    async def note_refresh(self, user_id: str, refresh_hash: str) -> None:
        await self._run(
            lambda: self.rows.update_one(
                {"_id": ObjectId(user_id)}, {"$set": {"refreshToken": refresh_hash}}
            )
        )
