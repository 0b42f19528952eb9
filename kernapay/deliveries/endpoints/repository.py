"""Queries on endpoints. With an `owner`, they find only the endpoints of that account."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from kernapay.deliveries.endpoints.dtos import EndpointRow, EndpointView, view_of
from kernapay.deliveries.models import Endpoint, EndpointState
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import Repository, Rows

_SHOWN: Final = (EndpointState.ON, EndpointState.OFF, EndpointState.DISABLED)
_BATCH: Final = 20
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class EndpointRepository(Repository[Endpoint]):
    model = Endpoint

    async def find(self, endpoint_id: str, owner: str | None) -> Endpoint | None:
        found = await self.list(LimitOffset(1), **self._where_of(endpoint_id, owner))
        return found[0] if found else None

    async def view(self, endpoint_id: str, owner: str | None) -> EndpointView | None:
        found = await self.select(EndpointRow, LimitOffset(1), **self._where_of(endpoint_id, owner))
        return view_of(found[0]) if found else None

    async def page(self, owner: str | None, after: str | None, count: int) -> list[EndpointView]:
        """Return a page of the endpoints, oldest first."""
        where: dict[str, Any] = {"state__in": _SHOWN}
        if owner is not None:
            where["owner"] = owner
        if after is not None:
            where["id__gt"] = after
        found = await self.select(EndpointRow, OrderBy("id"), LimitOffset(count), **where)
        return [view_of(row) for row in found]

    async def count_of(self, owner: str | None, most: int) -> int:
        """Count the endpoints of an account, or those of administrators, up to `most`."""
        return await self.count(LimitOffset(most), owner=owner, state__in=_SHOWN)

    async def change(self, endpoint: Endpoint, **values: Any) -> bool:
        """Set fields. Return False if somebody has changed or removed the endpoint since it was read."""
        where = {
            "id": endpoint.pk,
            "updated_at": endpoint.updated_at,
            "state__in": _SHOWN,
        }
        change = {f"set__{name}": value for name, value in values.items()}
        return await self.update_where(where, **change) is not None

    async def switch_on(self, endpoint_id: str, owner: str | None, keeper: str) -> bool:
        """Switch an endpoint on. Return False if it does not exist or is on."""
        where = {**self._where_of(endpoint_id, owner), "state__in": _SHOWN[1:]}
        row = await self.update_where(
            where,
            set__state=EndpointState.ON,
            set__since=self.clock(),
            set__keeper=keeper,
            unset__reason=True,
            unset__failing_since=True,
            unset__notice_at=True,
        )
        return row is not None

    async def switch_off(self, endpoint_id: str, owner: str | None) -> bool:
        """Switch an endpoint off. Return False if it does not exist or is off."""
        where = {**self._where_of(endpoint_id, owner), "state__in": _SHOWN[:1]}
        return await self.update_where(where, set__state=EndpointState.OFF) is not None

    async def remove(self, endpoint_id: str, owner: str | None) -> bool:
        """Hide an endpoint, for the worker to delete. Return False if there is none."""
        row = await self.update_where(
            self._where_of(endpoint_id, owner),
            set__state=EndpointState.REMOVED,
            set__secrets=[],
            set__headers={},
        )
        return row is not None

    async def remove_all_of(self, owner: str) -> None:
        """Hide all endpoints of an account, for the worker to delete, and clear what it wrote about them."""
        where = {"owner": owner, "state": {"$in": [each.value for each in _SHOWN]}}
        removed = {"state": EndpointState.REMOVED.value, "secrets": [], "headers": {}, "url": ""}
        change = {"$set": {**removed, "updatedAt": self.clock()}, "$unset": {"description": True}}
        await self._run(lambda: self._collection.update_many(where, change))

    async def list_of_account(self, user_id: str) -> Rows[Endpoint]:
        """Return the endpoints that are on and belong to an account or, among administrators', are kept by it."""
        own = await self.list(owner=user_id, state=EndpointState.ON)
        kept = await self.list(keeper=user_id, state=EndpointState.ON)
        return [*own, *(each for each in kept if each.owner is None)]

    async def disable(self, endpoint_id: Any, reason: str) -> bool:
        row = await self.update_where(
            {"id": endpoint_id, "state": EndpointState.ON},
            set__state=EndpointState.DISABLED,
            set__reason=reason,
        )
        return row is not None

    def stream_all(self) -> AsyncIterator[Endpoint]:
        """Return every endpoint that has secrets."""
        return self.stream(state__in=_SHOWN)

    async def list_to_notify(self) -> Rows[Endpoint]:
        """Return disabled endpoints whose owner has not been mailed yet."""
        # The first condition proves to MongoDB that the partial index has all of them.
        return await self.list(
            LimitOffset(_BATCH), notice_at__gt=_EPOCH, notice_at__lte=self.clock()
        )

    async def note_notice(self, endpoint: Endpoint) -> bool:
        """Record that the mail is in the outbox. Return False if the endpoint was switched on meanwhile."""
        where = {"id": endpoint.pk, "notice_at": endpoint.notice_at}
        return await self.update_where(where, unset__notice_at=True, is_visible=False) is not None

    async def list_removed(self) -> Rows[Endpoint]:
        return await self.list(LimitOffset(_BATCH), state=EndpointState.REMOVED)

    async def delete(self, endpoint: Endpoint) -> int:
        return await self.delete_where(id=endpoint.pk, state=EndpointState.REMOVED)

    def _where_of(self, endpoint_id: str, owner: str | None) -> dict[str, Any]:
        where: dict[str, Any] = {"id": endpoint_id, "state__in": _SHOWN}
        if owner is not None:
            where["owner"] = owner
        return where
