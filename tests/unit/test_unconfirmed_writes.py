"""A write that was applied though its answer got lost: what the cache held before it is gone all the same."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from bson import ObjectId

from kernapay.administration.repository import AccountRepository
from kernapay.apikeys.models import ApiKey, EndReason
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.core.clock import now
from kernapay.core.errors import Unavailable
from kernapay.security.principal import Role
from kernapay.sessions.models import Session
from kernapay.sessions.repository import SessionRepository
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.redis import Address
from kernapay.users.models import User, UserStatus
from tests.unit.conftest import OpenCache

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("empty_redis", "store")]


class LossyMongo(Mongo):
    """Does what it is told, and then cannot say so, as when the primary changes."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def run(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        await self._mongo.run(call, *args, **kwargs)
        raise Unavailable("The database did not confirm the write.")


class Write(NamedTuple):
    cached: Address
    write: Callable[[], Awaitable[object]]


Prepare = Callable[[Mongo, LossyMongo, Cache], Awaitable[Write]]


async def a_role_is_taken(mongo: Mongo, lossy: LossyMongo, cache: Cache) -> Write:
    users, unsure = AccountRepository(mongo, cache), AccountRepository(lossy, cache)
    user = await users.add(
        User(
            id=ObjectId(),
            email=f"{ObjectId()}@example.com",
            name="Asha",
            password="x",
            type=Role.ADMIN,
            status=UserStatus.ACTIVE,
        )
    )
    user_id = str(user.pk)
    assert await users.profile(user_id=user_id) is not None
    return Write(
        users.profile.address(user_id=user_id),
        lambda: unsure.change_standing(user, Role.USER, UserStatus.ACTIVE),
    )


async def a_key_is_revoked(mongo: Mongo, lossy: LossyMongo, cache: Cache) -> Write:
    keys, unsure = ApiKeyRepository(mongo, cache), ApiKeyRepository(lossy, cache)
    key = await keys.add(
        ApiKey(
            id=ObjectId(),
            name="Back end",
            digest=str(ObjectId()) * 2,
            hint="kp_test_…",
            user_id=ObjectId(),
            role=Role.USER,
            created_by=ObjectId(),
        )
    )
    assert await keys.grant(digest=key.digest) is not None
    return Write(
        keys.grant.address(digest=key.digest), lambda: unsure.revoke(key, EndReason.REVOKED)
    )


async def _session(sessions: SessionRepository) -> tuple[Session, Address]:
    session = await sessions.add(
        Session(
            id=str(ObjectId()),
            user_id=ObjectId(),
            expires_at=now() + timedelta(hours=1),
            refresh_hash="first",
        )
    )
    mine = {"user_id": str(session.user_id), "session_id": session.pk}
    assert await sessions.session(**mine) is not None
    return session, sessions.session.address(**mine)


async def a_session_is_ended(mongo: Mongo, lossy: LossyMongo, cache: Cache) -> Write:
    session, address = await _session(SessionRepository(mongo, cache))
    unsure = SessionRepository(lossy, cache)
    return Write(address, lambda: unsure.end(str(session.user_id)))


async def a_session_is_refreshed(mongo: Mongo, lossy: LossyMongo, cache: Cache) -> Write:
    session, address = await _session(SessionRepository(mongo, cache))
    unsure = SessionRepository(lossy, cache)
    return Write(address, lambda: unsure.rotate(session, "second", now() + timedelta(days=1)))


@pytest.mark.parametrize(
    "prepare",
    [a_role_is_taken, a_key_is_revoked, a_session_is_ended, a_session_is_refreshed],
    ids=lambda prepare: prepare.__name__,
)
async def test_nothing_old_is_served_when(
    prepare: Prepare, mongo: Mongo, open_cache: OpenCache
) -> None:
    async with open_cache() as cache:
        address, write = await prepare(mongo, LossyMongo(mongo), cache)
        assert await cache.peek(address) != [None]
        with pytest.raises(Unavailable):
            await write()
        assert await cache.peek(address) == [None]
