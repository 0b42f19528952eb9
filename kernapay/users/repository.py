"""Every query on users."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from msgspec import Struct, field

from kernapay.core.clock import Clock, now
from kernapay.core.text import folded
from kernapay.security.passwords import is_express_hash
from kernapay.security.principal import Role
from kernapay.storage.cache import Cache
from kernapay.storage.cached import cached
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository, Where
from kernapay.users.contacts import EmailForms, Phone
from kernapay.users.dtos import ProviderStanding, UserView
from kernapay.users.models import User, UserStatus


class _Remains(Struct, rename="camel"):
    id: str = field(name="_id")
    erased_at: datetime | None = None


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

    async def provider_standing(self, user_id: str) -> ProviderStanding | None:
        """Return the standing of an account as a provider. Not cached, because it decides about money."""
        return await self.select_one(ProviderStanding, id=user_id)

    async def verified_email(self, user_id: str) -> str | None:
        """Return the verified address of an active account. Not cached, because it decides about access."""
        user = await self.get_one_or_none(id=user_id)
        is_good = user is not None and user.is_email_verified and user.standing.is_active
        return user.email if user is not None and is_good else None

    async def erased_among(self, user_ids: Collection[str]) -> set[str]:
        """Return the erased ones among these accounts. Not cached, because it decides what events may contain."""
        # Payments of earlier systems may have texts that are no ids.
        ids = [each for each in user_ids if ObjectId.is_valid(each)]
        if not ids:
            return set()
        rows = await self.select(_Remains, id__in=ids)
        return {row.id for row in rows if row.erased_at is not None}

    async def find_by_email(self, email: EmailForms) -> User | None:
        """Return the account with this address. An address in the former form is found by that form."""
        if email.former == email.normal:
            return await self.get_one_or_none(email=email.normal)
        users = {user.email: user for user in await self.list(email__in=list(email))}
        return users.get(email.former) or users.get(email.normal)

    async def has_active_admin(self, user_id: str) -> bool:
        """Return whether this account is an active administrator, by MongoDB and not by the cache."""
        return await self.exists(id=user_id, type=Role.ADMIN, status=UserStatus.ACTIVE)

    async def update_profile(
        self, user_id: str, *, name: str | None = None, phone: Phone | None = None
    ) -> User | None:
        """Change the name, the phone number or both. Return None if the user does not exist.

        A new phone number has to be verified again.
        """
        change: dict[str, Any] = {}
        if name is not None:
            change |= {"set__name": name, "set__name_folded": folded(name)}
        if phone is not None:
            change |= {
                "set__country_code": phone.country_code,
                "set__mobile_number": phone.number,
                "set__is_mobile_number_verified": False,
            }
        return await self._update(user_id, **change)

    async def verify_email(self, user: User) -> User | None:
        """Mark the address as verified. Return None if it has changed since `user` was read."""
        return await self._update(str(user.pk), {"email": user.email}, set__is_email_verified=True)

    async def verify_mobile(self, user: User) -> User | None:
        """Mark the number as verified. Return None if it has changed since `user` was read."""
        same_number = {"country_code": user.country_code, "mobile_number": user.mobile_number}
        return await self._update(str(user.pk), same_number, set__is_mobile_number_verified=True)

    async def replace_password(self, user: User, password_hash: str) -> User | None:
        """Store a new hash. Return None if the password has changed since `user` was read."""
        return await self._update(
            str(user.pk),
            {"password": user.password},
            set__password=password_hash,
            unset__refresh_token=True,
        )

    async def take_over(self, known: User, former: User) -> User | None:
        """Update an imported account with its present name, phone number and password in the earlier service.

        The password is updated only until the first sign-in here, which replaces its hash. A new phone number has to be
        verified again. Role and status stay as they are here. Return None if the account was erased, or has changed
        since `known` was read.
        """
        same = {
            "former_seen": known.former_seen,
            "erased_at": None,
            "password": known.password,
            "country_code": known.country_code,
            "mobile_number": known.mobile_number,
        }
        change: dict[str, Any] = {
            "set__name": former.name,
            "set__name_folded": former.name_folded,
            "set__mobile_number": former.mobile_number,
            "set__country_code": former.country_code,
            "set__former_seen": former.former_seen,
        }
        if is_express_hash(known.password):
            change["set__password"] = former.password
        if (former.country_code, former.mobile_number) != (known.country_code, known.mobile_number):
            change["set__is_mobile_number_verified"] = False
        return await self._update(str(known.pk), same, **change)

    async def list_among(self, user_ids: Collection[ObjectId]) -> list[User]:
        """Return the existing ones among these accounts."""
        return await self.list(id__in=list(user_ids))

    async def count_among(self, user_ids: Collection[ObjectId]) -> int:
        """Return how many of these accounts exist."""
        return await self.count(id__in=list(user_ids))

    async def evict(self, user_id: str) -> None:
        """Evict the cached profile. Call this when a repeated change was made already.

        The process that made it may have died before it could evict the profile.
        """
        await self.profile.evict(user_id=user_id)

    async def _update(
        self, user_id: str, only_if: Where | None = None, /, **change: Any
    ) -> User | None:
        """Change a user if the row still matches `only_if`, and evict the cached profile."""
        async with self.profile.changing(user_id=user_id):
            return await self.update_where({**(only_if or {}), "id": user_id}, **change)

    async def record_sign_in(
        self, user: User, refresh_hash: str | None, new_password_hash: str | None
    ) -> bool:
        """Store the hash of the newest refresh token and the rehashed password, if given.

        Return False if the account is no longer active or its password has changed since `user` was read. The cached
        profile and `updatedAt` stay: the profile contains none of this.
        """
        given = {"refreshToken": refresh_hash, "password": new_password_hash}
        change = {name: value for name, value in given.items() if value is not None}
        where = {"_id": user.pk, "password": user.password, "status": UserStatus.ACTIVE}
        return await self._run(
            lambda: (
                # MongoDB refuses an update that sets nothing.
                self._collection.update_one(where, {"$set": change}).matched_count == 1
                if change
                else self._collection.find_one(where, {"_id": 1}) is not None
            )
        )

    async def record_refresh(self, user_id: str, refresh_hash: str) -> bool:
        """Store the hash of the newest refresh token. Return False if the account is gone."""
        where = {"_id": ObjectId(user_id)}
        change = {"$set": {"refreshToken": refresh_hash}}
        return await self._run(
            lambda: self._collection.update_one(where, change).matched_count == 1
        )
