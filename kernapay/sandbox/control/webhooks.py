from typing import Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from kernapay.sandbox.announcer import EVENTS
from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.config import check_url
from kernapay.sandbox.control.body import read
from kernapay.sandbox.entities import Delivery, Endpoint
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.rest.call import AnyRequest, answer
from kernapay.sandbox.views import collection

MOST_ENDPOINTS = 30


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
        return answer(collection(map(endpoint_view, sandbox.books.endpoints)))

    @post("/webhooks", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        wanted = await read(request, EndpointCreate)
        owner = wanted.key_id or sandbox.config.first_key
        if owner not in sandbox.config.keys:
            raise ControlError(f"There is no key {owner[:100]!r}.", field="key_id")
        if len(sandbox.books.endpoints.by("owner", owner)) >= MOST_ENDPOINTS:
            raise ControlError(f"A key has at most {MOST_ENDPOINTS} webhooks.", 409)
        check(wanted.url, wanted.secret, wanted.events)
        endpoint = sandbox.books.endpoints.add(
            Endpoint(
                id=new_id("whk"),
                owner=owner,
                url=wanted.url,
                secret=wanted.secret,
                events=wanted.events,
                active=wanted.active,
                created_at=sandbox.clock.stamp(),
            )
        )
        return answer(endpoint_view(endpoint))

    @get("/webhooks/{endpoint_id:str}")
    async def fetch(
        self, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        return answer(endpoint_view(find_endpoint(sandbox, endpoint_id)))

    @patch("/webhooks/{endpoint_id:str}")
    async def change(
        self, request: AnyRequest, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        endpoint = find_endpoint(sandbox, endpoint_id)
        wanted = await read(request, EndpointChange)
        check(
            endpoint.url if wanted.url is UNSET else wanted.url,
            endpoint.secret if wanted.secret is UNSET else wanted.secret,
            endpoint.events if wanted.events is UNSET else wanted.events,
        )
        if wanted.url is not UNSET:
            endpoint.url = wanted.url
        if wanted.secret is not UNSET and wanted.secret != endpoint.secret:
            endpoint.previous_secret, endpoint.secret = endpoint.secret, wanted.secret
        if wanted.events is not UNSET:
            endpoint.events = wanted.events
        if wanted.active is not UNSET:
            endpoint.active, endpoint.disabled_reason = wanted.active, None
        sandbox.books.endpoints.changed(endpoint)
        return answer(endpoint_view(endpoint))

    @delete("/webhooks/{endpoint_id:str}", status_code=204)
    async def remove(self, endpoint_id: FromPath[str], sandbox: NamedDependency[Sandbox]) -> None:
        find_endpoint(sandbox, endpoint_id)
        sandbox.books.endpoints.remove(endpoint_id)

    @get("/deliveries")
    async def deliveries(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        query = Fields.of_query(request.scope["query_string"])
        count = query.integer("count") or 50
        wanted = {name: query.text(name) for name in ("status", "event", "endpoint_id", "event_id")}
        query.done()
        found: list[dict[str, Any]] = []
        for delivery in sandbox.books.deliveries.newest(len(sandbox.books.deliveries)):
            if len(found) >= count:
                break
            if all(value is None or getattr(delivery, n) == value for n, value in wanted.items()):
                found.append(delivery_view(delivery))
        return answer(collection(found))

    @get("/deliveries/{delivery_id:str}")
    async def delivery(
        self, delivery_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        return answer(delivery_view(find_delivery(sandbox, delivery_id)))

    @post("/deliveries/{delivery_id:str}/resend", status_code=200)
    async def resend(
        self, delivery_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        delivery = find_delivery(sandbox, delivery_id)
        endpoint = sandbox.books.endpoints.get(delivery.endpoint_id)
        if endpoint is None or not endpoint.active:
            raise ControlError("The webhook of this delivery is disabled or gone.", 409)
        sandbox.dispatcher.resend(delivery)
        return answer(delivery_view(delivery))


def check(url: str, secret: str, events: list[str]) -> None:
    try:
        check_url(url)
    except ValueError as problem:
        raise ControlError(str(problem), field="url") from None
    if not secret:
        raise ControlError("secret must not be empty.", field="secret")
    unknown = [event for event in events if event not in EVENTS]
    if unknown:
        raise ControlError(
            f"There is no event {unknown[0][:100]!r}. Known: {', '.join(EVENTS)}.", field="events"
        )


def find_endpoint(sandbox: Sandbox, endpoint_id: str) -> Endpoint:
    endpoint = sandbox.books.endpoints.get(endpoint_id)
    if endpoint is None:
        raise ControlError("There is no such webhook.", 404)
    return endpoint


def find_delivery(sandbox: Sandbox, delivery_id: str) -> Delivery:
    delivery = sandbox.books.deliveries.get(delivery_id)
    if delivery is None:
        raise ControlError("There is no such delivery.", 404)
    return delivery


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "key_id": endpoint.owner,
        "url": endpoint.url,
        "secret": endpoint.secret,
        "previous_secret": endpoint.previous_secret,
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
