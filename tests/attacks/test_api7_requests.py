"""API7, server side request forgery: nothing a client sends makes the service call somewhere.

It calls the addresses of its configuration only; no body has a URL. Nor does it believe what a request says of the
service's own address.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, Actor, send_event
from tests.attacks.pairs import Pair
from tests.attacks.share import Sweep
from tests.attacks.surface import WEBHOOK, Operation
from tests.attacks.wire import Wire
from tests.factories import event_body, gateway_payment, payment_body, sign_up_body, unique
from tests.http_server import HttpServer, Response
from tests.stack import Api

pytestmark = pytest.mark.owasp(line="API7")


@pytest.fixture
def attackers_server() -> Iterator[HttpServer]:
    with HttpServer(Response(204)) as server:
        yield server


def addresses_of(server: HttpServer) -> list[str]:
    """Return the server's address as attackers write it into a value."""
    where = f"{server.address}/{unique('call-')}"
    return [
        f"http://{where}",
        f'<img src="http://{where}">',
        where,
        f"${{jndi:ldap://{where}}}",
    ]


def test_no_field_parameter_or_header_makes_the_service_call_an_address(
    surface: list[Operation],
    pairs: Mapping[Role, Pair],
    api_server: Api,
    attackers_server: HttpServer,
) -> None:
    fresh = {
        "POST /v1/api/users/signup": sign_up_body,
        "POST /v1/api/admin/users": sign_up_body,
        "POST /v1/api/payments/create": payment_body,
    }
    hosts = (
        "Host",
        "X-Forwarded-Host",
        "Forwarded",
        "Referer",
        "Origin",
        "X-Forwarded-For",
        "From",
        "X-Original-URL",
        "Destination",
        "X-Callback-URL",
    )
    names = ("url", "callback", "redirect", "next", "webhook", "image")
    sweep = Sweep()
    for operation in surface:
        pair = pairs[operation.role or Role.USER]
        path = operation.path.format(**pair.owned.ids)
        with Wire(api_server.port, pair.owner.token) as wire:
            for address in sweep.share(addresses_of(attackers_server)):
                for field in operation.fields if operation.name != WEBHOOK else ():
                    body = fresh.get(operation.name, lambda known=operation.body: dict(known))()
                    value = {"url": address} if field.takes("object") else address
                    wire.post(operation.method, path, {**body, field.name: value})
                if operation.method == "GET":
                    for field in operation.parameters_in("query"):
                        wire.ask("GET", f"{path}?{field.name}={address.replace(' ', '%20')}")
                    for name in sweep.share(hosts):
                        wire.ask("GET", path, [(name, address)])
                    wire.ask("GET", f"http://{attackers_server.address}{path}")
                    for name in sweep.share(names):
                        wire.ask("GET", f"{path}?{name}={address.replace(' ', '%20')}")
    payment = gateway_payment(pairs[Role.USER].owned.order_id)
    for name in payment:
        for address in sweep.share(addresses_of(attackers_server)):
            send_event(
                api_server.client,
                body=event_body("payment.captured", payment={**payment, name: address}),
            )
    assert attackers_server.requests == []
    with Wire(attackers_server.port) as wire:
        wire.ask("GET", "/it-listens")
    assert [request.path for request in attackers_server.requests] == ["/it-listens"]


@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
def test_what_a_request_says_of_our_address_is_in_no_link(
    pairs: Mapping[Role, Pair], api_server: Api, role: Role
) -> None:
    pair = pairs[role]
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "evil",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Server": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Host": "evil.example",
        "Forwarded": "host=evil.example;proto=evil",
    }
    reference = pair.owned.reference_id
    times = {"from": "2020-01-01", "to": "2020-01-02"}

    def answers(actor: Actor) -> Iterator[Any]:
        yield actor.call("POST", f"{PAYMENTS}/{reference}/receipt", headers=forged)
        yield actor.call("GET", f"{PAYMENTS}/{reference}/receipt", headers=forged)
        yield actor.call("POST", f"{PAYMENTS}/exports", json=times, headers=forged)
        yield actor.call("POST", f"{PAYMENTS}/create", json=payment_body(), headers=forged)
        for path in ("/docs", "/docs/openapi.json", "/nothing", "/health/live", "/docs/", "/"):
            yield actor.call("GET", path, headers=forged)

    for answer in answers(pair.owner):
        assert "evil" not in answer.text.lower(), answer.request.url
        assert "evil" not in str(answer.headers).lower(), answer.request.url
        assert not answer.is_redirect
    link = pair.owner.call("POST", f"{PAYMENTS}/{reference}/receipt", headers=forged).json()
    assert link["url"].startswith("/v1/api/files/"), "relative: whose host it is, the client knows"
    assert api_server.client.get(link["url"]).status_code == 200
