"""Around every answer: headers, compression, request ids, health, logs."""

import re
from functools import partial

import httpx
import pytest

from kernapay import __version__
from tests.actors import PAYMENTS, USERS, Actor, People, assert_problem, send_event, verify
from tests.factories import PASSWORD, gateway_payment, unique
from tests.in_process import InProcess
from tests.secrecy import CARD, leaks_in
from tests.stack import METRICS_TOKEN, Api, Sandbox, SandboxServer, bearer
from tests.waiting import eventually

PATHS = ["/health/live", f"{USERS}/profile", "/nothing", f"{PAYMENTS}/status/x"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.owasp(line="API8")
def test_every_answer_carries_the_security_headers(api: httpx.Client, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["cache-control"] == "no-store"
    assert len(headers.get_list("x-request-id")) == 1


@pytest.mark.owasp(line="API8")
def test_without_an_allow_list_no_other_origin_is_let_in(api: httpx.Client, user: Actor) -> None:
    origin = {"Origin": "https://shop.example"}
    answer = user.call("GET", f"{USERS}/profile", headers=origin)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    answer = api.options(f"{PAYMENTS}/create", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control-allow-origin")]


@pytest.mark.anyio
@pytest.mark.owasp(line="API8")
async def test_the_allow_list_lets_in_whom_it_names(in_process: InProcess, user: Actor) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    async with in_process(cors_origins="https://shop.example,https://pay.example") as client:
        for origin, allowed in (
            ("https://shop.example", True),
            ("https://pay.example", True),
            ("https://shop.example.evil", False),
            ("http://shop.example", False),
            ("null", False),
        ):
            answer = await client.options(
                f"{PAYMENTS}/create", headers={"Origin": origin, **preflight}
            )
            let_in = answer.headers.get("access-control-allow-origin")
            assert let_in == (origin if allowed else None)
            if allowed:
                assert answer.is_success
                assert "idempotency-key" in answer.headers["access-control-allow-headers"].lower()
            headers = {"Origin": origin, **bearer(user.token)}
            answer = await client.get(f"{USERS}/profile", headers=headers)
            let_in = answer.headers.get("access-control-allow-origin")
            assert let_in == (origin if allowed else None)
            assert "*" not in answer.headers.values()


def test_big_answers_are_compressed_for_those_who_can_read_it(
    user: Actor, sandbox: Sandbox
) -> None:
    for _ in range(8):
        user.new_payment()
    packed = user.call("GET", f"{PAYMENTS}/history/{user.id}", headers={"Accept-Encoding": "gzip"})
    plain = user.call(
        "GET", f"{PAYMENTS}/history/{user.id}", headers={"Accept-Encoding": "identity"}
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers.get("content-length", 0)) < len(plain.content)
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert len(plain.json()) == 8


@pytest.mark.owasp(line="API8")
def test_a_request_id_is_echoed_or_made(api: httpx.Client) -> None:
    given = unique("req-")
    answer = api.get("/health/live", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given
    made = {api.get("/health/live").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for bad in ("short", "x" * 65, "with space in it", '{"a": "long enough"}'):
        answer = api.get("/nothing", headers={"X-Request-ID": bad})
        assert answer.headers["x-request-id"] != bad
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
        assert assert_problem(answer, 404)["requestId"] == answer.headers["x-request-id"]


def test_a_request_is_one_line_of_json_in_the_log(
    api: httpx.Client, api_server: Api, user: Actor, sandbox: Sandbox
) -> None:
    payment = user.new_payment()
    for method, path, route, status in (
        ("GET", "/health/live", "/health/live", 200),
        ("GET", f"{PAYMENTS}/status/{payment['referenceId']}", f"{PAYMENTS}/status/", 200),
        ("GET", "/no/such/thing", "unmatched", 404),
        ("GET", f"{USERS}/profile", f"{USERS}/profile", 401),
        ("POST", f"{USERS}/signup", f"{USERS}/signup", 400),
    ):
        request_id = unique("log-")
        api.request(method, path, headers={"X-Request-ID": request_id})
        (line,) = eventually(partial(api_server.log_entries, "request", request_id=request_id))
        assert line["method"] == method
        assert line["status"] == status
        assert line["route"].startswith(route)
        assert line["ms"] >= 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", line["time"])
        assert payment["referenceId"] not in str(line)


@pytest.mark.owasp(line="API8")
def test_nothing_confidential_reaches_the_log(
    api: httpx.Client, api_server: Api, people: People, sandbox: Sandbox
) -> None:
    """All that the run wrote is searched again when it is over; here a leak is provoked."""
    user = people.new()
    payment = user.new_payment(description=f"Paid with {CARD}", metadata={"card": CARD})
    checkout = sandbox.pay(payment["orderId"])
    verify(api, payment, checkout)
    verify(api, payment, {**checkout, "razorpay_signature": unique("a-bad-signature-")})
    api.post(f"{USERS}/login", json={"email": user.email, "password": "a wrong password"})
    api.post(f"{USERS}/login", json={"email": user.email, "password": {"$ne": PASSWORD}})
    api.get(f"{USERS}/profile", params={"token": user.token, "email": user.email})
    api.get(f"/nothing/{user.email}", headers={"X-Request-ID": user.email})
    api.get(f"{USERS}/profile", headers=bearer(f"{user.token}x"))
    send_event(
        api,
        "payment.captured",
        payment=gateway_payment(payment["orderId"], currency="USD", card={"number": CARD}),
    )
    send_event(api, "payment.captured", secret="wrong", payment=gateway_payment("order_1"))
    last = unique("end-")
    api.get("/health/live", headers={"X-Request-ID": last})
    eventually(lambda: api_server.log_entries("request", request_id=last))
    assert api_server.log_entries("evidence_mismatch")
    assert api_server.log_entries("webhook_refused")
    log = api_server.log()
    assert list(leaks_in("the log", log)) == []
    metrics = api.get("/metrics", headers=bearer(METRICS_TOKEN)).text
    assert list(leaks_in("the metrics", metrics)) == []
    for word in ("a wrong password", "a-bad-signature-"):
        assert word not in log


def test_the_log_says_at_the_start_what_runs_where_and_with_what(
    api_server: Api, mongo_url: str, redis_url: str, sandbox_server: SandboxServer
) -> None:
    (serving,) = api_server.log_entries("serving")
    assert serving["version"] == __version__
    assert serving["address"] == api_server.url
    assert (serving["gateway"], serving["live"]) == (sandbox_server.url, False)
    assert serving["workers"] == 1
    assert api_server.log_entries("redis_ready")[0]["address"] == redis_url
    (mongodb,) = eventually(lambda: api_server.log_entries("mongodb_ready"))
    assert mongodb["address"] == mongo_url.partition("?")[0]


@pytest.mark.owasp(line="API8")
def test_every_line_of_the_log_is_json(api_server: Api) -> None:
    lines = [line for line in api_server.log().splitlines() if line.strip()]
    assert len(api_server.log_entries()) == len(lines)


def test_the_service_is_alive_and_ready(api: httpx.Client) -> None:
    assert api.get("/health/live").json() == {"status": "ok"}
    answer = api.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "mongodb": "up", "redis": "up", "reason": None}


@pytest.mark.anyio
@pytest.mark.owasp(line="API9")
async def test_metrics_need_their_own_token(in_process: InProcess, user: Actor) -> None:
    async with in_process(metrics_token="metrics-token-for-tests") as client:
        assert_problem(await client.get("/metrics"), 401)
        assert_problem(await client.get("/metrics", headers=bearer(user.token)), 401)
        answer = await client.get("/metrics", headers=bearer("metrics-token-for-tests"))
        assert answer.status_code == 200
        assert "kernapay_http_request_seconds_bucket" in answer.text
    async with in_process() as client:
        assert_problem(await client.get("/metrics"), 404)
