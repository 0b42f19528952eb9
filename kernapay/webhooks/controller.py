"""HTTP for the gateway's events: the webhook, and the inbox for administrators."""

from typing import Annotated, Any, Final

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.patterns import PRINTABLE, explain
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Authenticated, Role
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import RAW_BODY, problems
from kernapay.webhooks.dtos import (
    GatewayEvent,
    Received,
    Replayed,
    ReplayRequest,
    WebhookEventDetail,
    WebhookEventView,
)
from kernapay.webhooks.guards import InvalidWebhookSignature
from kernapay.webhooks.models import EventStatus
from kernapay.webhooks.repository import WebhookRepository
from kernapay.webhooks.service import WebhookInbox

_MAX_BODY: Final = 1_048_576
_EVENT_ID: Final = explain("^[A-Za-z0-9_.-]+$", "made of letters, digits and . _ - only")


class WebhookController(Controller):
    """A public route: the signature over the raw body is the proof. `create_app` adds the guard that checks it."""

    path = "/v1/api/payments/webhook"
    tags = ["Webhooks"]
    opt = {PUBLIC: True, RAW_BODY: GatewayEvent}
    security = [{"WebhookSignature": []}]

    @post(
        status_code=200,
        request_max_body_size=_MAX_BODY,
        responses=problems(InvalidWebhookSignature),
    )
    async def receive(
        self,
        request: Request[Any, Any, Any],
        webhook_inbox: NamedDependency[WebhookInbox],
        event_id: Annotated[
            str | None,
            HeaderParameter(
                name="X-Razorpay-Event-Id",
                max_length=128,
                pattern=_EVENT_ID,
                description="The id of the event. An event with a known id, or with a known body, is a repeat.",
            ),
        ] = None,
    ) -> Received:
        """Receive an event from the gateway.

        The answer is 200 once the event is stored, or when it was stored before. Every signed body is stored, even one
        that cannot be read. The header `X-Razorpay-Signature` has the hex HMAC-SHA256 of the raw body.
        """
        await webhook_inbox.receive(await request.body(), event_id)
        return Received()


EventId = Annotated[str, PathParameter(pattern=_EVENT_ID, max_length=128)]


class InboxController(Controller):
    """The stored events, for administrators."""

    path = "/v1/api/webhooks/events"
    tags = ["Webhooks"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def list_events(
        self,
        webhook_repository: NamedDependency[WebhookRepository],
        status: Annotated[EventStatus | None, QueryParameter()] = None,
        event: Annotated[str | None, QueryParameter(max_length=100, pattern=PRINTABLE)] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Annotated[int, QueryParameter(ge=0, le=100_000)] = 0,
    ) -> list[WebhookEventView]:
        """List the events that were received, newest first."""
        return await webhook_repository.page(status, event, skip=skip, count=count)

    @get("/{event_id:str}")
    async def show_event(
        self, event_id: EventId, webhook_repository: NamedDependency[WebhookRepository]
    ) -> WebhookEventDetail:
        """Return one event with its body."""
        return await _load_detail(webhook_repository, event_id)

    @post("/{event_id:str}/replay", status_code=200)
    async def replay_event(
        self,
        request: Authenticated,
        event_id: EventId,
        webhook_inbox: NamedDependency[WebhookInbox],
        webhook_repository: NamedDependency[WebhookRepository],
    ) -> WebhookEventDetail:
        """Replay one event: process it again. This is harmless for an event that was processed before."""
        await webhook_inbox.replay(request.user, event_id)
        return await _load_detail(webhook_repository, event_id)

    @post("/replay", status_code=200)
    async def replay_events(
        self,
        request: Authenticated,
        data: JSONBody[ReplayRequest],
        webhook_inbox: NamedDependency[WebhookInbox],
    ) -> Replayed:
        """Replay the oldest parked (or pending) events, a hundred at most."""
        return Replayed(await webhook_inbox.replay_all(request.user, EventStatus(data.status)))


async def _load_detail(events: WebhookRepository, event_id: str) -> WebhookEventDetail:
    row = await events.by_event_id(event_id)
    if row is None:
        raise NotFound("No event has this id.", field="eventId")
    view, body = row
    return WebhookEventDetail(view, body.decode("utf-8", "replace"))
