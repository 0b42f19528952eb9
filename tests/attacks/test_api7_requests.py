"""API7, server side request forgery: nothing a client sends makes the service call somewhere.

It calls the addresses of its configuration only; no body has a URL. Nor does it believe what a request says of the
service's own address.
"""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, Actor, send_event
from tests.attacks.prizes import Pair
from tests.attacks.surface import WEBHOOK, Operation
from tests.attacks.wire import Wire
from tests.factories import event_body, gateway_payment, payment_body, sign_up_body, unique
from tests.stack import Api

pytestmark = pytest.mark.owasp(line="API7")


class Listener:
    """A server of the attacker's: it notes who comes."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        visits = self.visits

        class Note(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                visits.append(self.path)
                self.send_response(204)
                self.end_headers()

            do_POST = do_PUT = do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                """Not of interest."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Note)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.05,))
    thread.start()
    yield listener
    listener.server.shutdown()
    thread.join()
    listener.server.server_close()


def baits(listener: Listener) -> list[str]:
    where = f"{listener.address}/{unique('bait-')}"
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
    listener: Listener,
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
    )
    for operation in surface:
        pair = pairs[operation.role or Role.USER]
        path = operation.path.format(**vars(pair.prize), name=pair.prize.file_name)
        with Wire(api_server.port, pair.owner.token) as wire:
            for bait in baits(listener):
                for field in operation.fields if operation.name != WEBHOOK else ():
                    body = fresh.get(operation.name, lambda known=operation.body: dict(known))()
                    value = {"url": bait} if field.takes("object") else bait
                    wire.post(operation.method, path, {**body, field.name: value})
                if operation.method == "GET":
                    for field in operation.parameters_in("query"):
                        wire.ask("GET", f"{path}?{field.name}={bait.replace(' ', '%20')}")
                    for name in (*hosts, "X-Original-URL", "Destination", "X-Callback-URL"):
                        wire.ask("GET", path, [(name, bait)])
                    wire.ask("GET", f"http://{listener.address}{path}")
                    for name in ("url", "callback", "redirect", "next", "webhook", "image"):
                        wire.ask("GET", f"{path}?{name}={bait.replace(' ', '%20')}")
    payment = gateway_payment(pairs[Role.USER].prize.order_id)
    for bait in baits(listener):
        for name in payment:
            send_event(
                api_server.client,
                body=event_body("payment.captured", payment={**payment, name: bait}),
            )
    assert listener.visits == []
    Wire(listener.server.server_port).ask("GET", "/it-listens")
    assert listener.visits == ["/it-listens"]


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
    reference = pair.prize.reference_id
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
