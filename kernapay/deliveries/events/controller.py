"""The HTTP routes for events that were made of what changed here."""

from datetime import datetime
from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.patterns import NAME
from kernapay.deliveries.events.dtos import EventView
from kernapay.deliveries.events.service import EventService
from kernapay.deliveries.ids import EVENT_ID_PATTERN
from kernapay.deliveries.models import EventType
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems


class EventController(Controller):
    path = "/v1/api/events"
    tags = ["Deliveries"]
    guards = [HasRole(Role.USER, Role.ADMIN)]

    @get(guards=[HasScope(Scope.DELIVERIES_READ)], responses=problems(NotFound))
    async def list_outgoing_events(
        self,
        request: Authenticated,
        event_service: NamedDependency[EventService],
        event_type: Annotated[EventType | None, QueryParameter(name="type")] = None,
        subject: Annotated[
            str | None,
            QueryParameter(
                pattern=NAME,
                max_length=128,
                description="Only events about this: the reference of a payment, or the id of a settlement, report or "
                "endpoint.",
            ),
        ] = None,
        start: Annotated[
            datetime | None,
            QueryParameter(name="from", description="Only what happened at this time or later."),
        ] = None,
        end: Annotated[
            datetime | None,
            QueryParameter(name="to", description="Only what happened before this time."),
        ] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=EVENT_ID_PATTERN,
                description="The `_id` of the last event on the previous page.",
            ),
        ] = None,
    ) -> list[EventView]:
        """List events, newest first: of the payments of the account or, for administrators, all.

        They are kept for DELIVERIES_KEEP (30 days). As long as there is no endpoint at all, none are made, unless
        DELIVERIES_ALWAYS_STORE is on.
        """
        return await event_service.page(
            request.user, event_type, subject, start, end, cursor, count
        )

    @get("/{event_id:str}", guards=[HasScope(Scope.DELIVERIES_READ)])
    async def show_outgoing_event(
        self,
        request: Authenticated,
        event_id: Annotated[
            str, PathParameter(pattern=EVENT_ID_PATTERN, description="The event's `_id`.")
        ],
        event_service: NamedDependency[EventService],
    ) -> EventView:
        """Return one event. The answer is 404 if the caller may not see it."""
        return await event_service.show(request.user, event_id)
