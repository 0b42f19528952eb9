from typing import Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.config import check_url
from kernapay.sandbox.control.rows import require_row
from kernapay.sandbox.entities import Delivery, Endpoint
from kernapay.sandbox.errors import ControlError, check_choice
from kernapay.sandbox.events import EVENTS
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import collection

# Razorpay: up to 30 webhooks.
MAX_ENDPOINTS = 30
DEFAULT_DELIVERY_COUNT = 50


class EndpointCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    url: str
    secret: str
    events: list[str] = []
    active: bool = True
    key_id: str | None = None


class EndpointChange(Struct, forbid_unknown_fields=True, kw_only=True):
    url: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class WebhookController(Controller):
    path = "/_sandbox"

    @get("/webhooks")
    async def list(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response(collection(map(endpoint_view, sandbox.store.endpoints)))

    @post("/webhooks", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, EndpointCreate)
        owner = body.key_id or sandbox.config.first_key
        check_choice("key_id", owner, sandbox.config.keys)
        if len(sandbox.store.endpoints.find_by("owner", owner)) >= MAX_ENDPOINTS:
            raise ControlError(
                f"The key has {MAX_ENDPOINTS} webhooks, the maximum. Remove one first.", 409
            )
        check_endpoint(body.url, body.secret, body.events)
        endpoint = sandbox.store.endpoints.add(
            Endpoint(
                id=new_id("whk"),
                owner=owner,
                url=body.url,
                secret=body.secret,
                events=body.events,
                active=body.active,
                created_at=sandbox.clock.timestamp(),
            )
        )
        return json_response(endpoint_view(endpoint))

    @get("/webhooks/{endpoint_id:str}")
    async def fetch(
        self, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        return json_response(endpoint_view(require_row(sandbox.store.endpoints, endpoint_id)))

    @patch("/webhooks/{endpoint_id:str}")
    async def change(
        self, request: AnyRequest, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        endpoint = require_row(sandbox.store.endpoints, endpoint_id)
        change = await read_json(request, EndpointChange)
        url = endpoint.url if change.url is UNSET else change.url
        secret = endpoint.secret if change.secret is UNSET else change.secret
        events = endpoint.events if change.events is UNSET else change.events
        check_endpoint(url, secret, events)
        if secret != endpoint.secret:
            endpoint.previous_secret = endpoint.secret
        endpoint.url, endpoint.secret, endpoint.events = url, secret, events
        if change.active is not UNSET:
            endpoint.active, endpoint.disabled_reason = change.active, None
        sandbox.store.endpoints.save(endpoint)
        return json_response(endpoint_view(endpoint))

    @delete("/webhooks/{endpoint_id:str}", status_code=204)
    async def remove(self, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]) -> None:
        endpoint = require_row(sandbox.store.endpoints, endpoint_id)
        sandbox.store.endpoints.remove(endpoint.id)

    @get("/deliveries")
    async def list_deliveries(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        query = Fields.from_query(request.scope["query_string"])
        count = query.integer("count") or DEFAULT_DELIVERY_COUNT
        names = ("status", "event", "endpoint_id", "event_id")
        filters = {name: query.text(name) for name in names}
        query.reject_unread()
        views: list[dict[str, Any]] = []
        for delivery in sandbox.store.deliveries.newest(len(sandbox.store.deliveries)):
            if len(views) >= count:
                break
            if all(value is None or getattr(delivery, n) == value for n, value in filters.items()):
                views.append(delivery_view(delivery))
        return json_response(collection(views))

    @get("/deliveries/{delivery_id:str}")
    async def fetch_delivery(
        self, delivery_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        return json_response(delivery_view(require_row(sandbox.store.deliveries, delivery_id)))

    @post("/deliveries/{delivery_id:str}/resend", status_code=200)
    async def resend(
        self, delivery_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        delivery = require_row(sandbox.store.deliveries, delivery_id)
        endpoint = sandbox.store.endpoints.get(delivery.endpoint_id)
        if endpoint is None or not endpoint.active:
            raise ControlError(
                "The webhook of this delivery is disabled or removed. "
                f"To enable it: PATCH /_sandbox/webhooks/{delivery.endpoint_id} "
                'with {"active": true}.',
                409,
            )
        sandbox.deliveries.resend(delivery)
        return json_response(delivery_view(delivery))


def check_endpoint(url: str, secret: str, events: list[str]) -> None:
    """Raise ControlError if a webhook cannot have these settings."""
    try:
        check_url(url)
    except ValueError as error:
        raise ControlError(str(error), field="url") from None
    if not secret:
        raise ControlError("secret must not be empty.", field="secret")
    for event in events:
        check_choice("events", event, EVENTS)


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "key_id": endpoint.owner,
        "url": endpoint.url,
        # Razorpay: the secret itself is never shown again.
        "secret_exists": True,
        "events": endpoint.events,
        "active": endpoint.active,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": endpoint.created_at,
    }


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "event": delivery.event,
        "url": delivery.url,
        "status": delivery.status,
        "created_at": int(delivery.created_at),
        "next_at": delivery.next_at and int(delivery.next_at),
        "tries": delivery.tries,
        "body": delivery.body,
        "attempts": delivery.attempts,
    }
