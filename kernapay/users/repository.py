"""Every query on users."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.storage.cache import Cache
from kernapay.storage.cached import cached
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository, Where
from kernapay.users.contacts import Phone
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

    async def by_email(self, email: str) -> User | None:
        return await self.get_one_or_none(email=email)

    async def update_profile(
        self, user_id: str, *, name: str | None = None, phone: Phone | None = None
    ) -> User | None:
        """Change what is given; None when there is no such user. A new phone number has to be verified again."""
        change: dict[str, Any] = {}
        if name is not None:
            change |= {"set__name": name, "set__name_folded": name.casefold()}
        if phone is not None:
            change |= {
                "set__country_code": phone.country_code,
                "set__mobile_number": phone.number,
                "set__is_mobile_number_verified": False,
            }
        return await self._update(user_id, **change)

    async def verify_email(self, user: User) -> User | None:
        """Mark the address as verified; None when it has changed since `user` was read."""
        return await self._update(str(user.pk), {"email": user.email}, set__is_email_verified=True)

    async def verify_mobile(self, user: User) -> User | None:
        """Mark the number as verified; None when it has changed since `user` was read."""
        same = {"country_code": user.country_code, "mobile_number": user.mobile_number}
        return await self._update(str(user.pk), same, set__is_mobile_number_verified=True)

    async def replace_password(self, user: User, password_hash: str) -> User | None:
        """Store a new hash; None when the password is no longer the one of `user`."""
        return await self._update(
            str(user.pk),
            {"password": user.password},
            set__password=password_hash,
            unset__refresh_token=True,
        )

    async def confirm(self, user_id: str) -> None:
        """Make sure that no cache contradicts a change that was found made.

        Whoever made it may have died before its own eviction.
        """
        await self.profile.evict(user_id=user_id)

    async def _update(
        self, user_id: str, only_if: Where | None = None, /, **change: Any
    ) -> User | None:
        """Change a user, if the row still fits `only_if`; no cached profile is older when this returns."""
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
            lambda: self._collection.update_one(where, {"$set": change}).matched_count == 1
        )

    async def note_refresh(self, user_id: str, refresh_hash: str) -> None:
        await self._run(
            lambda: self._collection.update_one(
                {"_id": ObjectId(user_id)}, {"$set": {"refreshToken": refresh_hash}}
            )
        )
