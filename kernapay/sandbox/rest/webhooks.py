"""Webhooks that plugins register with their key. Razorpay documents this API for partners only."""

import re
from typing import Any, Final

from litestar import Controller, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.config import check_url
from kernapay.sandbox.entities import Endpoint
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.events import EVENTS
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import derive_id, new_id
from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import View, collection

# Razorpay: up to 30 webhooks.
MAX_ENDPOINTS: Final = 30
# Plugins ask for events of products that the sandbox does not play. They never come.
_EVENT: Final = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){1,3}")


class WebhookSettings(Struct, kw_only=True):
    """What a client sends. None leaves the secret or the address for alerts as it is."""

    url: str
    secret: str | None
    events: list[str]
    active: bool
    alert_email: str | None


class WebhookApiController(Controller):
    path = "/v1/webhooks"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page = api_call.page()
        endpoints = Resource("whk", api_call.sandbox.store.endpoints).find(api_call.owner, page)
        return json_response(collection(map(webhook_view, endpoints)))

    @post("/", status_code=200)
    async def create(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        sandbox, owner = api_call.sandbox, api_call.owner
        settings = read_webhook(api_call.body())
        if len(sandbox.store.endpoints.find_by("owner", owner)) >= MAX_ENDPOINTS:
            raise bad_request(f"You can only create upto {MAX_ENDPOINTS} webhooks.")
        endpoint = Endpoint(
            id=new_id("whk"),
            owner=owner,
            url=settings.url,
            secret=settings.secret or "",
            events=settings.events,
            active=settings.active,
            alert_email=settings.alert_email or "",
            created_at=sandbox.clock.timestamp(),
        )
        return json_response(webhook_view(sandbox.store.endpoints.add(endpoint)))

    @get("/{webhook_id:str}")
    async def fetch(
        self, webhook_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(webhook_view(get_endpoint(api_call, webhook_id)))

    @put("/{webhook_id:str}")
    async def edit(
        self, webhook_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        endpoint = get_endpoint(api_call, webhook_id)
        settings = read_webhook(api_call.body(), endpoint.events)
        if settings.secret is not None and settings.secret != endpoint.secret:
            endpoint.previous_secret, endpoint.secret = endpoint.secret, settings.secret
        if settings.alert_email is not None:
            endpoint.alert_email = settings.alert_email
        endpoint.url, endpoint.events = settings.url, settings.events
        endpoint.active, endpoint.disabled_reason, endpoint.disabled_at = settings.active, None, 0
        api_call.sandbox.store.endpoints.save(endpoint)
        return json_response(webhook_view(endpoint))

    @delete("/{webhook_id:str}", status_code=200)
    async def remove(
        self, webhook_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        endpoint = get_endpoint(api_call, webhook_id)
        api_call.sandbox.store.endpoints.remove(endpoint.id)
        return json_response([])


def get_endpoint(api_call: ApiCall, webhook_id: str) -> Endpoint:
    return Resource("whk", api_call.sandbox.store.endpoints).get(api_call.owner, webhook_id)


def read_webhook(fields: Fields, old_events: list[str] | None = None) -> WebhookSettings:
    """Return the settings, with the old events if none are sent. Raise RazorpayError if one is invalid."""
    events = fields.value("events")
    settings = WebhookSettings(
        url=fields.require_text("url"),
        secret=fields.text("secret", 255),
        # Magento's plugin switches its webhook off by the address and `active` alone.
        events=read_events(events) if events is not None or old_events is None else old_events,
        active=fields.flag("active") is not False,
        alert_email=fields.text("alert_email", 255),
    )
    fields.reject_unread()
    try:
        check_url(settings.url)
    except ValueError:
        raise bad_request("The url format is invalid.", "url") from None
    return settings


def read_events(value: Any) -> list[str]:
    """Return the events that are on: `{"order.paid": true}`, in a form `events[order.paid]=1`, or a list."""
    if isinstance(value, dict):
        flags = Fields(value)
        value = [name for name in value if flags.flag(name)]
    if not isinstance(value, list) or not value:
        raise bad_request("The events field is required.", "events")
    for event in value:
        if not isinstance(event, str) or not _EVENT.fullmatch(event):
            raise bad_request(f"Invalid event name/names: {str(event)[:100]}", "events")
    return list(dict.fromkeys(value))


def webhook_view(endpoint: Endpoint) -> View:
    """Return the webhook. Razorpay: with a key of its own a business gets the events as flags, not as a list."""
    return {
        "id": endpoint.id,
        "entity": "webhook",
        "url": endpoint.url,
        "active": endpoint.active,
        "alert_email": endpoint.alert_email,
        "owner_id": derive_id("acc", endpoint.owner).removeprefix("acc_"),
        "owner_type": "merchant",
        "context": [],
        "disabled_at": endpoint.disabled_at,
        "secret_exists": bool(endpoint.secret),
        "events": dict.fromkeys(endpoint.events or EVENTS, True),
        "created_at": endpoint.created_at,
        "updated_at": endpoint.created_at,
    }
