"""The sandbox is its developer's: rebound names and pages of other sites reach Checkout only."""

import re
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from kernapay.sandbox.app import create_app
from kernapay.sandbox.config import ConfigError, SandboxConfig, WebhookTarget

pytestmark = [pytest.mark.anyio, pytest.mark.owasp(line="API8")]

SECRETS = ("the secret of the hook", "the secret of the second hook", "the secret of the key")
OPEN = ("/v1/", "/v2/", "/checkout/", "/l/")
OUR_HOSTS = ("localhost", "LocalHost:3100", "127.0.0.1:3100", "[::1]:3100", "sandbox:3100")
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:3100", "localhost.evil.example", "127.0.0.1.evil.example", ""),
    *("localhost.", "0.0.0.0:3100", "127.0.0.2", "user@localhost", "localhost:a", "xsandbox"),
)
FOREIGN_PAGES = (
    *("https://evil.example", "http://evil.example:3100", "null", "http://localhost:5173", ""),
    *("http://127.0.0.1:3100", "http://localhost.evil.example:3100", "file://localhost:3100"),
    *("http://localhost:3100@evil.example", "http://localhost:3100/", "http://[::1"),
)


@pytest.fixture
async def app() -> AsyncIterator[Litestar]:
    config = SandboxConfig(
        keys={"rzp_test_a": SECRETS[2]},
        webhooks=(WebhookTarget("http://127.0.0.1:9/hook", SECRETS[0]),),
        allowed_hosts=("sandbox",),
    )
    app = create_app(config)
    async with app.lifespan():
        yield app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(cast(Any, app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3100") as client:
        yield client


def calls_of(app: Litestar) -> list[tuple[str, str]]:
    """Return every method and path."""
    return [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    ]


async def test_every_call_is_refused_to_strangers_except_those_of_shops(
    app: Litestar, client: httpx.AsyncClient
) -> None:
    calls = calls_of(app)
    assert ("POST", "/_sandbox/webhooks") in calls
    assert ("GET", "/_sandbox/mailbox") in calls
    for method, path in calls:
        for headers in (
            {"Host": "evil.example:3100"},
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        ):
            answer = await client.request(method, path, headers=headers)
            is_refused = answer.status_code == 403
            assert is_refused is not path.startswith(OPEN), (method, path, headers, answer.text)


async def test_only_the_names_of_this_machine_and_of_the_setting_are_answered(
    client: httpx.AsyncClient,
) -> None:
    for host in OUR_HOSTS:
        answer = await client.get("/_sandbox/mailbox", headers={"Host": host})
        assert answer.status_code == 200, host
    for host in FOREIGN_HOSTS:
        answer = await client.get("/_sandbox/mailbox", headers={"Host": host})
        assert answer.status_code == 403, host
        assert answer.json()["error"]["field"] == "Host"
        assert "SANDBOX_ALLOWED_HOSTS" in answer.text
    twice = [("Host", "localhost"), ("Host", "evil.example")]
    assert (await client.get("/_sandbox/mailbox", headers=twice)).status_code == 403
    with pytest.raises(ConfigError, match="SANDBOX_ALLOWED_HOSTS: '\\*' must be a host name"):
        SandboxConfig.from_env({"SANDBOX_ALLOWED_HOSTS": "sandbox,*"})
    named = SandboxConfig.from_env({"SANDBOX_ALLOWED_HOSTS": "Sandbox, [FD00::1]"})
    assert named.allowed_hosts == ("sandbox", "[fd00::1]")


async def test_only_the_own_page_may_read_and_change(client: httpx.AsyncClient) -> None:
    hook = {"url": "http://127.0.0.1:9/evil", "secret": "planted"}
    for origin in FOREIGN_PAGES:
        headers = {"Origin": origin}
        planted = await client.post("/_sandbox/webhooks", json=hook, headers=headers)
        read = await client.get("/_sandbox/mailbox", headers=headers)
        assert (planted.status_code, read.status_code) == (403, 403), origin
        assert "access-control-allow-origin" not in read.headers
    for headers in (
        {"Origin": "http://localhost:3100"},
        {"Origin": "http://sandbox:8080"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):
        answer = await client.get("/_sandbox/webhooks", headers=headers)
        assert answer.status_code == 200, headers
        assert len(answer.json()["items"]) == 1, "nothing was planted"
    page = await client.get("/")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_pages_of_every_shop_may_use_checkout(client: httpx.AsyncClient) -> None:
    shop = {"Origin": "https://shop.example", "Host": "pay.example:3100"}
    body = {"amount": 50_000, "currency": "INR"}
    order = (await client.post("/v1/orders", json=body, auth=("rzp_test_a", SECRETS[2]))).json()
    query = {"key_id": "rzp_test_a", "order_id": order["id"]}
    for path in ("/v1/checkout.js", "/checkout/window", "/checkout/session"):
        answer = await client.get(path, params=query, headers=shop)
        assert answer.status_code == 200, path
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    attempt = {**query, "method": "upi", "vpa": "success@razorpay", "amount": 50_000}
    preflight = {**shop, "Access-Control-Request-Method": "POST"}
    assert (await client.options("/checkout/payments", headers=preflight)).status_code == 204
    started = await client.post("/checkout/payments", json=attempt, headers=shop)
    assert started.status_code == 200, started.text
    path = f"/checkout/payments/{started.json()['payment_id']}/finish"
    finished = await client.post(path, json={"key_id": "rzp_test_a"}, headers=shop)
    assert "razorpay_signature" in finished.json()


async def test_no_secret_is_shown(app: Litestar, client: httpx.AsyncClient) -> None:
    hook = {"url": "http://127.0.0.1:9/second", "secret": "first"}
    added = (await client.post("/_sandbox/webhooks", json=hook)).json()
    path = f"/_sandbox/webhooks/{added['id']}"
    changed = await client.patch(path, json={"secret": SECRETS[1]})
    assert changed.json()["secret_exists"] is True
    body = {"amount": 50_000, "currency": "INR"}
    order = (await client.post("/_sandbox/orders", json=body)).json()
    paid = await client.post("/_sandbox/pay", json={"order_id": order["id"]})
    shown = [added, changed.text, paid.text]
    for method, path in calls_of(app):
        if method == "GET":
            shown.append((await client.get(path)).text)
    for secret in SECRETS:
        assert secret not in str(shown)


async def test_a_snapshot_keeps_the_secrets_that_it_does_not_show(
    client: httpx.AsyncClient,
) -> None:
    hook = {"url": "http://127.0.0.1:9/second", "secret": SECRETS[1]}
    added = (await client.post("/_sandbox/webhooks", json=hook)).json()
    order = (await client.post("/_sandbox/orders", json={"amount": 100, "currency": "INR"})).json()
    await client.post("/_sandbox/pay", json={"order_id": order["id"]})
    snapshot = (await client.get("/_sandbox/snapshot")).json()
    assert not [secret for secret in SECRETS if secret in str(snapshot)]
    restored = await client.put("/_sandbox/snapshot", json=snapshot)
    assert restored.status_code == 200, restored.text
    # The configured webhook gets its secret from the configuration, the other one's is gone.
    await client.post("/_sandbox/reset")
    refused = await client.put("/_sandbox/snapshot", json=snapshot)
    assert refused.status_code == 400
    assert f"{added['id']} has no secret" in refused.text
    for row in snapshot["endpoint"]:
        if row["id"] == added["id"]:
            row["secret"] = SECRETS[1]
    assert (await client.put("/_sandbox/snapshot", json=snapshot)).status_code == 200
    odd_rows: list[Any] = ["x", {"id": []}, {"endpoint_id": {}, "secret": 5}]
    for odd in ({kind: [row]} for kind in ("endpoint", "delivery") for row in odd_rows):
        assert (await client.put("/_sandbox/snapshot", json=odd)).status_code == 400, odd
