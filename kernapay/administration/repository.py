"""Queries on users that only administrators make."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from kernapay.administration.dtos import UserSearch
from kernapay.core.errors import Unavailable
from kernapay.core.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.core.mongo import database
from kernapay.security.principal import Role
from kernapay.users.dtos import UserView
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository

_LAST: Final = "\U0010ffff"  # sorts behind every character
_LOCKS: Final = "locks"
_LOCK: Final = "administrators"
_HELD_MS: Final = 10_000
# Clocks of a new primary and of the one before it may differ by this much.
_MARGIN: Final = timedelta(seconds=2)
_POLL: Final = 0.05
_PATIENCE: Final = 12.0


class RosterRepository(UserRepository):
    async def search(
        self, search: UserSearch, count: int, skip: int
    ) -> tuple[Sequence[UserView], int]:
        """Give a window of the users, newest first, and how many there are."""
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
        self, user: User, until: datetime | None = None, **change: Any
    ) -> User | None:
        """Change role or status, provided both still are as in `user`; None when they are not.

        With `until`, only while the server's clock has not passed it.
        """
        only_if: dict[str, Any] = {"type": user.type, "status": user.status}
        if until is not None:
            only_if["__raw__"] = {"$expr": {"$lt": ["$$NOW", until]}}
        return await self.change(str(user.pk), only_if, **change)

    async def has_another_admin(self, user: User) -> bool:
        return await self.exists(id__ne=user.pk, type=Role.ADMIN, status=UserStatus.ACTIVE)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[datetime]:
        """Let one caller of all processes in; gives the server's time by which its writes must have happened.

        No single row knows how many administrators there are, so whatever takes one away must count and write
        alone. The lock ends by itself when its holder dies. A holder that was merely asleep finds its write
        refused: the write carries the lock's end, and the server compares that with its own clock.
        Raises Unavailable when the others take too long.
        """
        owner = secrets.token_hex(8)
        give_up = monotonic() + _PATIENCE
        while (until := await self._run(_take, owner)) is None:
            if monotonic() > give_up:
                raise Unavailable("Another administrator is being changed.")
            await asyncio.sleep(_POLL)
        try:
            yield until - _MARGIN
        finally:
            await self._run(_release, owner)


def _beginning(text: str) -> dict[str, str]:
    # A range is read from an index and has no pattern in it.
    return {"$gte": text, "$lt": text + _LAST}


def _take(owner: str) -> datetime | None:
    locks = database()[_LOCKS]
    free = {"until": datetime.fromtimestamp(0, UTC)}
    try:
        # The server's clock cannot be asked in an upsert: the row is made first.
        locks.update_one({"_id": _LOCK}, {"$setOnInsert": free}, upsert=True)
    except DuplicateKeyError:
        return None  # two made it at once: ask again
    row = locks.find_one_and_update(
        {"_id": _LOCK, "$expr": {"$lt": ["$until", "$$NOW"]}},
        [{"$set": {"owner": owner, "until": {"$add": ["$$NOW", _HELD_MS]}}}],
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else row["until"]


def _release(owner: str) -> None:
    free = {"until": datetime.fromtimestamp(0, UTC)}
    database()[_LOCKS].update_one({"_id": _LOCK, "owner": owner}, {"$set": free})
