"""API8, security misconfiguration: CORS, headers, what refusals give away, and what gets into headers and logs."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from kernapay.security.principal import Role
from tests.actors import ADMIN, PAYMENTS, USERS, Actor, assert_problem
from tests.attacks.hostile import SEGMENTS, TEXTS
from tests.attacks.pairs import Pair
from tests.attacks.surface import Operation
from tests.attacks.wire import Wire
from tests.factories import sign_up_body, unique
from tests.in_process import InProcess
from tests.stack import Api, bearer
from tests.waiting import eventually

pytestmark = pytest.mark.owasp(line="API8")

ONCE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
TELLTALE = re.compile(
    r"Traceback|File \"|\.py\b|litestar|msgspec|mongo(engine)?|pymongo|redis|jose|python|/site-packages|0x[0-9a-f]{6}",
    re.IGNORECASE,
)
"""What an error would give away of the inside."""


def kinds_of_answers(api: httpx.Client, pair: Pair) -> list[httpx.Response]:
    caller, json_type = pair.owner, {"Content-Type": "application/json"}
    return [
        api.get("/health/live"),
        api.head("/health/live"),
        api.options(f"{USERS}/signup"),
        api.get("/docs"),
        api.get("/docs/openapi.json"),
        api.get("/docs/assets/swagger-ui.css"),
        api.get("/docs/assets/none.js"),
        api.get("/docs/none"),
        api.get("/"),
        api.get(f"{USERS}/profile"),
        api.delete(f"{USERS}/signup"),
        api.post(f"{USERS}/signup", json={}),
        api.post(f"{USERS}/signup", content=b"{", headers=json_type),
        api.post(f"{USERS}/signup", json=sign_up_body()),
        api.post(f"{USERS}/signup", content=b" " * 70_000, headers=json_type),
        api.post(f"{USERS}/signup", content=b"{}", headers={**json_type, "Content-Encoding": "br"}),
        api.post(f"{USERS}/password/forgot", json={"email": "nobody@example.com"}),
        api.get("/metrics"),
        caller.call("GET", f"{ADMIN}/users"),
        caller.call("GET", f"{PAYMENTS}/{pair.owned.reference_id}/receipt"),
        caller.call("POST", f"{PAYMENTS}/create", json={"amount": "x"}),
    ]


def test_every_kind_of_answer_has_the_headers_once_and_tells_nothing(
    api: httpx.Client, pairs: Mapping[Role, Pair]
) -> None:
    answers = kinds_of_answers(api, pairs[Role.USER])
    for answer in answers:
        place = f"{answer.request.method} {answer.request.url} {answer.status_code}"
        for name, value in ONCE.items():
            assert answer.headers.get_list(name) == [value], f"{place}: {name}"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, place
        assert "default-src 'none'" in policy or answer.request.url.path.startswith("/docs"), place
        assert not re.search(r"\d", answer.headers.get("server", "")), place
        assert not {"x-powered-by", "set-cookie", "location", "via"} & answer.headers.keys(), place
        if answer.status_code >= 400:
            # Among pages a page, and to HEAD nothing at all.
            if answer.request.url.path != "/docs/none" and answer.request.method != "HEAD":
                assert_problem(answer, answer.status_code)
            assert not TELLTALE.search(answer.text), place
    assert {answer.status_code for answer in answers} >= {
        *(200, 201, 204),
        *(400, 401, 403, 404, 405, 413, 415, 503),
    }


def test_a_method_that_is_not_there_is_no_missing_parameter(api: httpx.Client) -> None:
    problem = assert_problem(api.get(f"{USERS}/signup"), 405)
    assert problem["errors"] == []


def test_no_refusal_of_any_route_shows_the_inside(
    api_server: Api, surface: list[Operation], pairs: Mapping[Role, Pair]
) -> None:
    broken = [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"a": }', b"<xml/>", b"a=b"]
    for operation in surface:
        pair = pairs[operation.role or Role.USER]
        path = operation.path.format(**pair.owned.ids)
        with Wire(api_server.port, pair.owner.token) as wire:
            for content in broken if operation.body is not None else ():
                headers = [("Content-Type", "application/json")]
                answer = wire.ask(operation.method, path, headers, content)
                assert 400 <= answer.status < 500, f"{operation.name} {content!r}: {answer}"
                assert not TELLTALE.search(answer.text), f"{operation.name} {content!r}"
                assert answer.problem["errors"] or answer.status == 401, operation.name


LOOKALIKES = [
    "null",
    "",
    "https://shop.example.evil",
    "https://evilshop.example",
    "https://shopxexample",
    "https://shop.example:8443",
    "https://shop.example:443",
    "https://shop.example/",
    "https://shop.example.",
    "https://SHOP.example",
    "https://sub.shop.example",
    "https://shop.example@evil",
    "https://evil?https://shop.example",
    "https://evil#shop.example",
    "https://shop.example%60.evil",
    "https://shop.example_.evil",
    "https://shop.example https://evil",
    "https://shop.example,https://evil",
    "http://shop.example",
    "file://shop.example",
    "chrome-extension://shop.example",
    "*",
    "https://*.example",
]


@pytest.mark.anyio
async def test_no_origin_that_only_looks_like_an_allowed_one_is_let_in(
    in_process: InProcess, user: Actor
) -> None:
    allowed, token = "https://shop.example", bearer(user.token)
    async with in_process(cors_origins=allowed) as client:

        async def let_in(origin: str, **headers: str) -> list[str | None]:
            preflight = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
            answers = [
                await client.options(f"{PAYMENTS}/create", headers=preflight),
                await client.get(f"{USERS}/profile", headers={"Origin": origin, **token}),
                await client.get(f"{USERS}/profile", headers={"Origin": origin, "Cookie": "a=b"}),
                await client.post(f"{USERS}/login", json={}, headers={"Origin": origin}),
                await client.get("/nothing", headers={"Origin": origin}),
            ]
            for answer in answers:
                assert "access-control-allow-credentials" not in answer.headers
                assert "*" not in answer.headers.values()
            origins = [answer.headers.get("access-control-allow-origin") for answer in answers]
            if origin == allowed:
                for answer in answers:
                    assert "Origin" in answer.headers["vary"], "or a cache gives it to others"
            return origins

        assert set(await let_in(allowed)) == {allowed}
        for origin in LOOKALIKES:
            assert set(await let_in(origin)) == {None}, origin
        for method in ("PATCH", "TRACE", "PROPFIND", "post"):
            preflight = {"Origin": allowed, "Access-Control-Request-Method": method}
            answer = await client.options(f"{PAYMENTS}/create", headers=preflight)
            assert answer.status_code == 400, method
        for name in ("X-Razorpay-Signature", "X-Forwarded-For", "Cookie"):
            preflight = {
                "Origin": allowed,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": name,
            }
            answer = await client.options(f"{PAYMENTS}/create", headers=preflight)
            assert answer.status_code == 400, name


def test_nothing_that_is_sent_becomes_a_header(api_server: Api) -> None:
    """Encoded line breaks, folded lines and whole headers in every place that might be repeated."""
    evil = "x%0d%0aSet-Cookie:%20evil=1%0d%0a"
    with Wire(api_server.port) as wire:
        answers = [
            wire.ask("GET", f"/health/live?{evil}"),
            wire.ask("GET", f"/{evil}"),
            wire.ask("GET", f"/v1/api/files/{evil}"),
            wire.ask("GET", "/health/live", [("Origin", f"https://{evil}")]),
            wire.ask("GET", "/health/live", [("X-Request-Id", evil), ("Referer", evil)]),
            wire.ask("POST", f"{USERS}/login", [("Idempotency-Key", evil)]),
            *(wire.ask("GET", f"/{segment}") for segment in SEGMENTS),
        ]
        for name in ("X-Request-ID", "Idempotency-Key", "User-Agent", "Origin", "Authorization"):
            for value in (b"a\r\n evil: 1", b"a\nevil: 1", b"a\revil: 1", b"a\0evil"):
                lines = f"GET /health/live HTTP/1.1\r\nHost: a\r\n{name}: ".encode() + value
                answers.append(wire.send(lines + b"\r\n\r\n"))
    for answer in answers:
        assert "evil" not in str(answer.headers).lower(), answer
        assert "set-cookie" not in answer.headers


def test_nothing_that_is_sent_becomes_a_line_of_the_log(
    api_server: Api, pairs: Mapping[Role, Pair]
) -> None:
    user = pairs[Role.USER].owner
    forged = '{"event":"forged","level":"error"}'
    escapes = ["\r\n", "\n", "\x1b[2J", "\u2028", "\x00", "\\n", "\x85"]
    words = [f"x{escape}{forged}" for escape in escapes] + TEXTS
    with Wire(api_server.port, user.token) as wire:
        for word in words:
            quoted = "".join(f"%{byte:02x}" for byte in word.encode("utf-8", "replace"))
            wire.ask("GET", f"/{quoted}?{quoted}={quoted}")
            wire.ask("GET", f"{USERS}/profile/{quoted}")
            for name in ("name", "email", "password", "description", word):
                wire.post("POST", f"{USERS}/login", {"email": word, "password": word, name: word})
            wire.post("PUT", f"{USERS}/update", {"name": word})
            wire.post("POST", f"{PAYMENTS}/webhook", {"event": word})
            if not set(word) & set("\r\n\0\ud800"):
                for name in ("User-Agent", "X-Request-ID", "Authorization", "X-Razorpay-Event-Id"):
                    wire.ask("GET", f"{USERS}/profile", [(name, word)])
                wire.ask("POST", f"{PAYMENTS}/webhook", [("X-Razorpay-Signature", word)])
        wire.ask("FORGED", "/health/live")
    last = unique("last-")
    api_server.client.get("/health/live", headers={"X-Request-ID": last})
    eventually(lambda: api_server.log_entries("request", request_id=last))
    log = api_server.log()
    lines = [line for line in log.splitlines() if line.strip()]
    assert len(api_server.log_entries()) == len(lines)
    assert api_server.log_entries("forged") == []
    assert "\x1b" not in log
    for line in lines:
        entry: dict[str, Any] = json.loads(line)
        assert re.fullmatch("[a-z_]+", entry["event"]) or "logger" in entry, line


def test_html_in_stored_text_is_text_wherever_it_comes_back(
    pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    html = "<img src=x onerror=alert(1)>"
    owner, admin = pairs[Role.USER].owner, pairs[Role.ADMIN].owner
    made = owner.new_payment(description=html, notes={"cart": html})
    assert owner.update(name=html).status_code == 200
    agent = {"User-Agent": html}
    body = {"email": owner.email, "password": owner.password}
    assert api_server.client.post(f"{USERS}/login", json=body, headers=agent).status_code == 200
    times = {"from": "2020-01-01", "to": "2999-01-01"}
    for answer, kind in (
        (owner.profile(), "application/json"),
        (owner.show(made["referenceId"]), "application/json"),
        (owner.history(), "application/json"),
        (owner.call("GET", f"{USERS}/sessions"), "application/json"),
        (admin.call("GET", f"{ADMIN}/users"), "application/json"),
        (admin.call("GET", f"{PAYMENTS}/export", params=times), "text/csv"),
    ):
        assert answer.status_code == 200
        assert html in answer.text
        assert answer.headers["content-type"].split(";")[0] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        if kind == "text/csv":
            assert answer.headers["content-disposition"].startswith("attachment")
