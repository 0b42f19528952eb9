"""Each route, each of its fields, each value that no client should send: a refusal in Razorpay's form, and no 500.

A usual run tries one in eight of them; `ALL_ATTACKS=true pytest -m long tests/sandbox/test_hostile_input.py` tries all.
"""

import re
from typing import Any

import httpx
import pytest

from kernapay.sandbox.app import create_app
from kernapay.sandbox.config import SandboxConfig
from tests.attacks.share import Sweep
from tests.sandbox import hostile
from tests.sandbox.sandbox_process import KEY, SandboxProcess

BODY_METHODS = ("POST", "PUT", "PATCH")
# Others' services, which have forms of their own.
FOREIGN = ("/v3/", "/dev/")
ROUTES = sorted(
    f"{method} {re.sub(r':(str|int)}', '}', route.path)}"
    for route in create_app(SandboxConfig.from_env({})).routes
    for method in set(getattr(route, "methods", ())) - {"OPTIONS", "HEAD"}
)
QUERIES = (
    *("count", "skip", "from", "to", "expand[]", "expand", "receipt", "authorized", "payment_id"),
    *(
        "reference_id",
        "year",
        "month",
        "day",
        "key_id",
        "order_id",
        "orders_skip",
        "search",
        "since",
    ),
    *("recipient_settlement_id", "answer", "session", "currency[0]"),
)


# A route that takes no body leaves a large one unread. The server then closes the connection after its answer.
LAST = {"connection": "close"}
pytestmark = pytest.mark.long
sweep = Sweep()


@pytest.fixture(scope="module")
def filled(_process: SandboxProcess) -> tuple[SandboxProcess, dict[str, str]]:
    """A sandbox with one of everything, for tests that change nothing of it."""
    _process.control("/reset")
    return _process, hostile.fill(_process)


def check(response: httpx.Response, what: object) -> None:
    """Fail unless it is a good answer or a refusal in Razorpay's form."""
    assert response.status_code < 500, (what, response.text[:500])
    path = response.request.url.path
    if response.status_code < 400 or path.startswith(FOREIGN) or path.startswith("/l/"):
        return
    error = response.json()["error"]
    assert isinstance(error["code"], str), what
    assert isinstance(error["description"], str), what
    if path.startswith(("/v1", "/v2")):
        names = {"code", "description", "source", "step", "reason", "metadata", "field"}
        assert set(error) <= names, what
        assert {"source", "step", "reason"} <= set(error), what


def target_of(route: str, ids: dict[str, str]) -> tuple[str, str]:
    method, path = route.split()
    return method, str(hostile.with_ids(path, hostile.ids_for(route, ids)))


def test_each_route_that_takes_a_body_has_one_here() -> None:
    assert sorted(hostile.BODIES) == [r for r in ROUTES if r.startswith(BODY_METHODS)]


@pytest.mark.parametrize("route", [r for r in ROUTES if r.startswith("GET ")])
def test_no_value_of_a_query_makes_a_500(
    filled: tuple[SandboxProcess, dict[str, str]], route: str
) -> None:
    sandbox, ids = filled
    _, path = target_of(route, ids)
    values = ("\x00", "-1", "9" * 30, "٣", "a" * 3_000)
    for name in sweep.share(QUERIES):
        for value in values:
            check(sandbox.api.get(path, params={name: value}), (route, name, value[:50]))
    for query in ("count=%ff", "a[b]=1&a=2", "a[b][c][d]=1", "expand[][]=x", "[]=1", "=&=", "%00"):
        check(sandbox.api.get(f"{path}?{query}"), (route, query))


@pytest.mark.parametrize("route", [r for r in ROUTES if " /v1/" in r or " /v2/" in r])
def test_no_key_and_no_id_of_others_makes_a_500(
    filled: tuple[SandboxProcess, dict[str, str]], route: str
) -> None:
    sandbox, ids = filled
    method, path = target_of(route, ids)
    body = hostile.with_ids(hostile.BODIES.get(route, {}), ids)
    schemes: tuple[str, ...] = ("", "Basic", "Basic !!!", "Basic Og==", "Bearer x", "Basic /w==")
    schemes = (*schemes, "Basic AAAAOgAA", f"Basic {'a' * 9_000}", f"{KEY[0]}:{KEY[1]}")
    for scheme in sweep.share(schemes):
        response = sandbox.anonymous.request(
            method, path, json=body, headers={"authorization": scheme}
        )
        check(response, (route, scheme[:50]))
    check(sandbox.other_api.request(method, path, json=body), (route, "another key"))
    for odd in ("pay_", "x" * 300, "%00", "..%2f", "acc_%F0%9F%98%80", "order_KpSandbox0000"):
        odd_path = re.sub(r"\{[a-z_]+\}", odd, route.split()[1])
        check(sandbox.api.request(method, odd_path, json=body), (route, odd))
    assert sandbox.anonymous.get("/_sandbox/health").status_code == 200


@pytest.mark.parametrize("route", hostile.BODIES)
def test_no_value_of_a_field_makes_a_500(sandbox: SandboxProcess, route: str) -> None:
    ids = hostile.fill(sandbox)
    method, path = target_of(route, ids)
    body = hostile.with_ids(hostile.BODIES[route], ids)
    if path.endswith("/snapshot"):
        rows = sandbox.inspect("/snapshot")
        # Some kinds: each restores the whole sandbox.
        body = {kind: rows[kind][:1] for kind in ("order", "linked_account", "timer")}
    client = sandbox.api if path.startswith(("/v1", "/v2")) else sandbox.anonymous
    headers = {"content-type": "application/json"}
    if path.startswith(FOREIGN):
        headers["authorization"] = "Bearer x"

    def send(each: Any, **more: str) -> httpx.Response:
        content = hostile.encode(each)
        response = client.request(method, path, content=content, headers=headers | more)
        check(response, (route, content[:600]))
        if path == "/_sandbox/keys/rotate" and response.status_code == 200:
            sandbox.control("/reset")
        return response

    good = send(body)
    assert good.status_code < 400, good.text
    for each in sweep.share(hostile.mutations(body)):
        send(each)
    for each in ({**body, "zz": hostile.MEGABYTE}, {hostile.MEGABYTE: 1}):
        send(each, **LAST)


def test_a_form_reaches_the_same_checks(sandbox: SandboxProcess) -> None:
    ids = hostile.fill(sandbox)
    forms: tuple[Any, ...] = (
        b"amount[]=1",
        b"amount[a][b]=1&amount=2",
        b"notes=1&notes[a]=2",
        b"transfers[0][account]=x&transfers[x]=1",
        b"email=%ff",
        b"[]=1&=&%00=%00",
        b"a" * 1_000_000,
        b"&".join(b"a[%d]=1" % n for n in range(20_000)),
        b"a" + b"[b]" * 20_000 + b"=1",
    )
    headers = {"content-type": "application/x-www-form-urlencoded", **LAST}
    for route in hostile.BODIES:
        method, path = target_of(route, ids)
        for form in forms:
            check(
                sandbox.api.request(method, path, content=form, headers=headers),
                (route, form[:60]),
            )
        if path.endswith(("reset", "snapshot", "rotate")):
            sandbox.control("/reset")
            ids = hostile.fill(sandbox)
