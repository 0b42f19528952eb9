"""Queries on users for administrators."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from kernapay.administration.dtos import UserSearch
from kernapay.core.text import folded, map_width
from kernapay.security.principal import Role
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.locks import exclusive
from kernapay.users.dtos import UserView
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

_HIGHEST_CHARACTER: Final = "\U0010ffff"
_LOCK_LIFETIME: Final = timedelta(seconds=10)
# Longer than the lifetime, so that the lock of a process that died ends first.
_LOCK_WAIT_SECONDS: Final = 12.0
_ERASED_NAME: Final = "Erased account"
_BUSY: Final = "Another request is changing an administrator. Try again in a few seconds."


class AccountRepository(UserRepository):
    async def search(
        self, search: UserSearch, count: int, skip: int
    ) -> tuple[Sequence[UserView], int]:
        """Return a page of the matching users, newest first, and how many match in all."""
        where: dict[str, Any] = {
            name: value
            for name in ("type", "status")
            if (value := getattr(search, name)) is not None
        }
        raw: dict[str, Any] = {}
        if search.approved is not None:
            if search.type not in (None, Role.PROVIDER):
                return [], 0
            where["type"] = Role.PROVIDER
            raw = _approval(search.approved)
        if search.prefix is not None:
            by_email = {"email": _prefix_range(map_width(search.prefix).lower())}
            by_name = {"nameFolded": _prefix_range(folded(search.prefix))}
            raw["$or"] = [by_email, by_name]
        if raw:
            where["__raw__"] = raw
        period = BeforeAfter("created_at", search.created_before, search.created_after)
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        page = await self.select(UserView, period, *newest, LimitOffset(count, skip), **where)
        return page, await self.count(period, **where)

    async def change_standing(
        self,
        user: User,
        role: Role,
        status: UserStatus,
        until: datetime | None = None,
        *,
        verify_email: bool = False,
    ) -> User | None:
        """Change role and status. Return None if either has changed since `user` was read.

        With `until`, return None also if that time has passed by MongoDB's clock. With `verify_email`, mark the address
        as verified in the same update.
        """
        only_if: dict[str, Any] = {"type": user.type, "status": user.status}
        if until is not None:
            only_if["__raw__"] = {"$expr": {"$lt": ["$$NOW", until]}}
        change: dict[str, Any] = {"set__type": role, "set__status": status}
        if role != user.type:
            # An approval is for one term as PROVIDER: a later one needs its own.
            change["set__is_approved_provider"] = False
        if verify_email:
            change["set__is_email_verified"] = True
        return await self._update(str(user.pk), only_if, **change)

    async def change_approval(self, user: User, *, approved: bool) -> User | None:
        """Approve a PROVIDER or end its approval. Return None if role or approval changed since `user` was read."""
        same = {"type": Role.PROVIDER, "__raw__": _approval(not approved)}
        return await self._update(str(user.pk), same, set__is_approved_provider=approved)

    async def erase(self, user_id: str, password_hash: str) -> User | None:
        """Remove the personal data of an inactive account for good. Return None if it is active or already erased.

        `password_hash` is that of a password that nobody knows.
        """
        only_if = {"status": UserStatus.INACTIVE, "erased_at": None}
        return await self._update(
            user_id,
            only_if,
            set__email=f"{user_id}@erased.invalid",
            set__is_email_verified=False,
            set__name=_ERASED_NAME,
            set__name_folded=folded(_ERASED_NAME),
            set__password=password_hash,
            set__is_mobile_number_verified=False,
            set__erased_at=self.clock(),
            unset__mobile_number=True,
            unset__country_code=True,
            unset__refresh_token=True,
        )

    async def has_another_admin(self, user: User) -> bool:
        """Return whether there is an active administrator besides `user`."""
        return await self.exists(id__ne=user.pk, type=Role.ADMIN, status=UserStatus.ACTIVE)

    @asynccontextmanager
    async def removing_admin(self) -> AsyncIterator[datetime]:
        """Admit one caller of all processes at a time. Yield the time, by MongoDB's clock, when its lock ends.

        To remove an administrator takes a count and a write. Two callers at once could each count the other's
        administrator and remove the last two. The write includes the lock's end: MongoDB rejects it if the lock has
        expired. Raises Unavailable if the lock is not free within 12 seconds.
        """
        async with exclusive(
            self._mongo, "administrators", _LOCK_LIFETIME, _LOCK_WAIT_SECONDS, _BUSY
        ) as until:
            yield until


def _approval(approved: bool) -> dict[str, Any]:
    # Rows of earlier versions do not have the field.
    return {"isApprovedProvider": True if approved else {"$in": [False, None]}}


def _prefix_range(text: str) -> dict[str, str]:
    # A range, not a regular expression: it reads an index, and the text needs no escaping.
    return {"$gte": text, "$lt": text + _HIGHEST_CHARACTER}
