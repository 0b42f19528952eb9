"""Queries on users that only administrators make."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from kernapay.administration.dtos import UserSearch
from kernapay.security.principal import Role
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.locks import exclusive
from kernapay.users.dtos import UserView
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

_LAST: Final = "\U0010ffff"  # sorts behind every character
_HELD: Final = timedelta(seconds=10)
_PATIENCE_SECONDS: Final = 12.0
_BUSY: Final = "Another administrator is being changed."


class AccountRepository(UserRepository):
    async def search(
        self, search: UserSearch, count: int, skip: int
    ) -> tuple[Sequence[UserView], int]:
        """Return a window of the users, newest first, and how many there are."""
        where: dict[str, Any] = {
            name: value
            for name in ("type", "status")
            if (value := getattr(search, name)) is not None
        }
        if search.prefix is not None:
            by_email = {"email": _beginning(search.prefix.lower())}
            by_name = {"nameFolded": _beginning(search.prefix.casefold())}
            where["__raw__"] = {"$or": [by_email, by_name]}
        when = BeforeAfter("created_at", search.created_before, search.created_after)
        newest = (OrderBy("created_at", descending=True), OrderBy("id", descending=True))
        page = await self.select(UserView, when, *newest, LimitOffset(count, skip), **where)
        return page, await self.count(when, **where)

    async def change_standing(
        self, user: User, role: Role, status: UserStatus, until: datetime | None = None
    ) -> User | None:
        """Change role and status, provided both still are as in `user`; None when they are not.

        With `until`, only while the server's clock has not passed it.
        """
        only_if: dict[str, Any] = {"type": user.type, "status": user.status}
        if until is not None:
            only_if["__raw__"] = {"$expr": {"$lt": ["$$NOW", until]}}
        return await self._update(str(user.pk), only_if, set__type=role, set__status=status)

    async def has_another_admin(self, user: User) -> bool:
        return await self.exists(id__ne=user.pk, type=Role.ADMIN, status=UserStatus.ACTIVE)

    @asynccontextmanager
    async def removing_admin(self) -> AsyncIterator[datetime]:
        """Let one caller of all processes in; yield the server's time by which its writes must have happened.

        No single row knows how many administrators there are, so whatever takes one away must count and write
        alone. The write carries the lock's end: a holder that was asleep too long changes nothing.
        Raises Unavailable when the others take too long.
        """
        async with exclusive(
            self._mongo, "administrators", _HELD, _PATIENCE_SECONDS, _BUSY
        ) as until:
            yield until


def _beginning(text: str) -> dict[str, str]:
    # A range is read from an index and has no pattern in it.
    return {"$gte": text, "$lt": text + _LAST}
