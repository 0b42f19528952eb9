"""Every query on sessions."""

from datetime import datetime, timedelta

from kernapay.core.clock import Clock, now
from kernapay.sessions.dtos import SessionView
from kernapay.sessions.models import Session
from kernapay.storage.cache import Cache
from kernapay.storage.cached import cached
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Repository


class SessionRepository(Repository[Session]):
    model = Session

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("session:{user_id}", field="{session_id}", ttl=timedelta(hours=24))
    async def session(self, *, user_id: str, session_id: str) -> SessionView | None:
        return await self.select_one(SessionView, id=session_id, user_id=user_id)

    async def list_active(self, user_id: str, limit: int) -> list[SessionView]:
        """Return the user's unexpired sessions, newest first."""
        return await self.select(
            SessionView,
            BeforeAfter("expires_at", after=self.clock()),
            OrderBy("created_at", descending=True),
            LimitOffset(limit),
            user_id=user_id,
        )

    async def rotate(self, session: Session, new_hash: str, expires_at: datetime) -> Session | None:
        """Replace the refresh token. Return None if another request has replaced it since `session` was read."""
        at = self.clock()
        async with self.session.changing(user_id=str(session.user_id)):
            return await self.update_where(
                {"id": session.pk, "refresh_hash": session.refresh_hash},
                set__refresh_hash=new_hash,
                set__previous_hash=session.refresh_hash,
                set__rotated_at=at,
                set__last_used_at=at,
                set__expires_at=expires_at,
            )

    async def evict(self, user_id: str) -> None:
        """Evict the user's cached sessions. Call this when a repeated change was made already.

        The process that made it may have died before it could evict them.
        """
        await self.session.evict(user_id=user_id)

    async def touch(self, user_id: str, session_id: str) -> bool:
        """Record that the session is in use. Return False if it has ended."""
        where = {"id": session_id, "user_id": user_id}
        row = await self.update_where(where, set__last_used_at=self.clock())
        # After the write only: if it fails because MongoDB is away, the session must stay in the cache.
        await self.session.evict(user_id=user_id)
        return row is not None

    async def prove(self, user_id: str, session_id: str) -> datetime | None:
        """Record that the owner has just proved who they are. Return when, or None if the session has ended."""
        at = self.clock()
        async with self.session.changing(user_id=user_id):
            row = await self.update_where(
                {"id": session_id, "user_id": user_id}, set__proven_at=at, set__last_used_at=at
            )
        return None if row is None else at

    async def end(
        self, user_id: str, session_id: str | None = None, *, keep: str | None = None
    ) -> int:
        """Delete one session, or all of the user's except `keep`, and evict them. Return how many there were."""
        where: dict[str, str] = {"user_id": user_id}
        if session_id is not None:
            where["id"] = session_id
        if keep is not None:
            where["id__ne"] = keep
        async with self.session.changing(user_id=user_id):
            return await self.delete_where(**where)
