"""Every query on sessions."""

from datetime import timedelta

from kernapay.core.cache import Cache, cached
from kernapay.core.clock import Clock, now
from kernapay.core.mongo import Mongo
from kernapay.core.repository import Repository
from kernapay.sessions.dtos import SessionView
from kernapay.sessions.models import Session


class SessionRepository(Repository[Session]):
    model = Session

    def __init__(self, mongo: Mongo, cache: Cache, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        self.cache = cache

    @cached("session:{user_id}", field="{session_id}", ttl=timedelta(hours=24))
    async def session(self, *, user_id: str, session_id: str) -> SessionView | None:
        return await self.select_one(SessionView, id=session_id, user_id=user_id)

    async def end(self, user_id: str, session_id: str | None = None) -> int:
        """End one session, or all of the user's; how many there were. No cache knows them any more."""
        which = {"user_id": user_id} | ({"id": session_id} if session_id else {})
        ended = await self.delete_where(**which)
        await self.session.evict(user_id=user_id)
        return ended
