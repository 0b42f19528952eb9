"""The gateway is down, slow, or swallows its answer: the same key resumes, and there is one order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from string import ascii_uppercase
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from kernapay.core.slots import Slots
from kernapay.gateway.razorpay import RazorpayGateway
from tests.actors import PAYMENTS, USERS, Actor, People, assert_problem, status, verify
from tests.aliases import Json, Store
from tests.clusters.proxy import Mode, Proxy
from tests.factories import payment_body, unique
from tests.plain_http import NO_AUTHORITIES
from tests.stack import KEY_ID, KEY_SECRET, Api, Sandbox, bearer
from tests.waiting import eventually

ORDERS = "/v1/orders"
GATEWAY_THREADS = 32
# What the log says of it.
TROUBLE: dict[str, Json] = {
    "server_error": {"status": 500, "code": "SERVER_ERROR"},
    "bad_gateway_html": {"status": 502, "code": None},
    "reset": {"error": "ServerDisconnectedError"},
    "rate_limit": {"status": 429, "code": "BAD_REQUEST_ERROR"},
    "answer_lost": {"error": "ServerDisconnectedError"},
}


def orders_of(sandbox: Sandbox, store: Store, body: dict[str, Any]) -> list[dict[str, Any]]:
    row = store.payments.find_one({"idempotencyKey": body["idempotencyKey"]})
    assert row is not None
    return sandbox.orders(f"KP_{row['_id']}")


def assert_resumes_with_one_order(
    user: Actor, sandbox: Sandbox, store: Store, body: dict[str, Any]
) -> None:
    answer = user.create(body)
    assert answer.status_code in (200, 201), answer.text
    (order,) = orders_of(sandbox, store, body)
    data = answer.json()["data"]
    assert data["orderId"] == order["id"]
    assert order["amount"] == body["amount"] == data["amount"]
    assert user.create(body).json() == answer.json()
    checkout = sandbox.pay(data["orderId"])
    assert verify(user.client, data, checkout).status_code == 200


@pytest.mark.parametrize("fault", TROUBLE)
def test_a_create_that_failed_at_the_gateway_is_resumed_with_the_same_key(
    user: Actor, sandbox: Sandbox, store: Store, api_server: Api, fault: str
) -> None:
    body = payment_body()
    assert user.history().json() == []
    request = {"request_id": unique("trouble-")}
    armed = sandbox.fault(fault, route=ORDERS, method="POST")
    answer = user.call(
        "POST", f"{PAYMENTS}/create", json=body, headers={"X-Request-ID": request["request_id"]}
    )
    assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert sandbox.hits(armed) == 1
    (line,) = [
        *api_server.log_entries("gateway_refused", **request),
        *api_server.log_entries("gateway_unanswered", **request),
    ]
    assert line["call"] == "POST orders"
    assert {name: line.get(name) for name in TROUBLE[fault]} == TROUBLE[fault]
    row = store.payments.find_one({"idempotencyKey": body["idempotencyKey"]})
    assert row is not None
    assert row["status"] == "pending"
    assert "razorpayOrderId" not in row
    assert [line["status"] for line in user.history().json()] == ["pending"]
    assert_resumes_with_one_order(user, sandbox, store, body)


def test_trouble_may_last_and_strike_the_looking_up_as_well(
    user: Actor, sandbox: Sandbox, store: Store
) -> None:
    body = payment_body()
    sandbox.fault("answer_lost", route=ORDERS, method="POST")
    assert_problem(user.create(body), 503)
    for fault in ("server_error", "answer_lost", "bad_gateway_html", "rate_limit"):
        # Until it is removed: a question is asked again at once when a kept connection is closed.
        armed = sandbox.fault(fault, times=None, route=ORDERS, method="GET")
        assert_problem(user.create(body), 503)
        sandbox.call("DELETE", f"/_sandbox/faults/{armed['id']}")
    assert_resumes_with_one_order(user, sandbox, store, body)


@pytest.mark.owasp(line="API10")
def test_an_answer_with_another_amount_is_not_believed(
    user: Actor, sandbox: Sandbox, store: Store
) -> None:
    body = payment_body()
    sandbox.fault("wrong_amount", route=ORDERS, method="POST")
    assert_problem(user.create(body), 503)
    assert_resumes_with_one_order(user, sandbox, store, body)


def test_a_slow_gateway_is_given_up_on_in_time_and_its_order_found_later(
    user: Actor, sandbox: Sandbox, store: Store, start_api: Callable[..., Api]
) -> None:
    hasty = user.at(start_api(RAZORPAY_TIMEOUT="0.5s").client)
    body = payment_body()
    sandbox.fault("delay", route=ORDERS, method="POST", options={"seconds": 3})
    answer = hasty.create(body)
    assert_problem(answer, 503)
    assert answer.elapsed.total_seconds() < 2.5
    eventually(lambda: orders_of(sandbox, store, body))
    assert_resumes_with_one_order(hasty, sandbox, store, body)


def test_while_one_process_is_at_the_gateway_the_other_waits_for_it(
    user: Actor, sandbox: Sandbox, store: Store, start_api: Callable[..., Api]
) -> None:
    """The order is still on its way: whoever asks the gateway for it now would find none, and buy another."""
    body = payment_body()
    with Proxy(urlsplit(sandbox.url).port or 0) as line, ThreadPoolExecutor(1) as aside:
        far = user.at(start_api(RAZORPAY_BASE_URL=f"http://{line.address}").client)
        line.set(Mode.LATENCY, 0.7)
        first = aside.submit(far.create, body)
        key = {"idempotencyKey": body["idempotencyKey"]}
        eventually(lambda: store.payments.count_documents(key))
        second = user.create(body)
        assert first.result().status_code == 201
        assert second.status_code == 200
        assert second.json() == first.result().json()
    assert len(orders_of(sandbox, store, body)) == 1


def test_a_gateway_that_is_gone_is_a_503_and_everything_else_goes_on(
    user: Actor, sandbox: Sandbox, start_api: Callable[..., Api], store: Store
) -> None:
    lonely = start_api(RAZORPAY_BASE_URL="http://127.0.0.1:9", RAZORPAY_TIMEOUT="1s")
    alone = user.at(lonely.client)
    body = payment_body()
    answer = alone.create(body)
    assert_problem(answer, 503, code="gateway_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert alone.profile().status_code == 200
    assert alone.history().json()[0]["status"] == "pending"
    assert lonely.client.get("/health/ready").status_code == 200
    # Another process, which can reach the gateway, finishes it.
    assert_resumes_with_one_order(user, sandbox, store, body)


def test_wrong_keys_are_the_operators_fault_and_the_key_still_resumes(
    user: Actor, sandbox: Sandbox, start_api: Callable[..., Api], store: Store
) -> None:
    misconfigured = user.at(start_api(RAZORPAY_KEY_SECRET="not-the-secret-of-this-key").client)
    body = payment_body()
    assert_problem(misconfigured.create(body), 502)
    assert_resumes_with_one_order(user, sandbox, store, body)


def test_calls_stuck_in_the_gateway_hold_up_nobody_else(
    user: Actor, people: People, sandbox: Sandbox, store: Store, start_api: Callable[..., Api]
) -> None:
    """They are stuck until the test lets them go: what is answered before has not waited for them."""
    # One account has at most a quarter of the threads; four have all of them.
    accounts = (user, *(people.new() for _ in range(3)))
    tokens = [person.token for person in accounts for _ in range(15)]
    bodies = [payment_body() for _ in tokens]
    theirs = {"idempotencyKey": {"$in": [body["idempotencyKey"] for body in bodies]}}

    async def both(url: str, line: Proxy) -> tuple[list[httpx.Response], list[httpx.Response]]:
        headers = {"Authorization": f"Bearer {user.token}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=url,
            headers=headers,
            trust_env=False,
            timeout=60,
            limits=limits,
            verify=NO_AUTHORITIES,
        ) as client:
            stuck = [
                asyncio.create_task(
                    client.post(f"{PAYMENTS}/create", json=body, headers=bearer(token))
                )
                for token, body in zip(tokens, bodies, strict=True)
            ]
            # A payment is stored just before its call to the gateway.
            await asyncio.to_thread(
                eventually, lambda: store.payments.count_documents(theirs) == GATEWAY_THREADS
            )
            quick = [await client.get(f"{USERS}/profile") for _ in range(15)]
            # These are not answered by the cache alone.
            quick += [
                await client.put(f"{USERS}/update", json={"name": f"Asha {letter}"})
                for letter in ascii_uppercase[:15]
            ]
            assert not any(task.done() for task in stuck)
            line.set(Mode.PASS)
            return await asyncio.gather(*stuck), quick

    with Proxy(urlsplit(sandbox.url).port or 0) as line:
        line.set(Mode.HANG)
        gateway = f"http://{line.address}"
        api = start_api(RAZORPAY_BASE_URL=gateway, RAZORPAY_TIMEOUT="60s")
        stuck, quick = asyncio.run(both(api.url, line))
    assert {answer.status_code for answer in stuck} == {201}
    assert {answer.status_code for answer in quick} == {200}


@pytest.mark.anyio
async def test_a_create_for_which_the_gateways_queue_was_full_is_resumed_at_once(
    in_process: Callable[..., Any], user: Actor, sandbox: Sandbox
) -> None:
    slots = Slots("gateway", 1, queue=0)
    gateway = RazorpayGateway(KEY_ID, KEY_SECRET, base_url=sandbox.url, timeout=5, slots=slots)
    async with in_process(gateway=gateway) as client:
        client.headers["Authorization"] = f"Bearer {user.token}"
        body = payment_body()
        async with slots.slot():
            answer = await client.post(f"{PAYMENTS}/create", json=body)
            assert_problem(answer, 503, code="unavailable")
        answer = await client.post(f"{PAYMENTS}/create", json=body)
        assert answer.status_code in (200, 201), answer.text


def test_a_client_that_hangs_up_leaves_no_half_made_order(
    user: Actor, sandbox: Sandbox, store: Store
) -> None:
    body = payment_body()
    sandbox.fault("delay", route=ORDERS, method="POST", options={"seconds": 1})
    with (
        httpx.Client(
            base_url=user.client.base_url, trust_env=False, timeout=0.3, verify=NO_AUTHORITIES
        ) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        user.at(impatient).create(body)
    eventually(
        lambda: (
            (row := store.payments.find_one({"idempotencyKey": body["idempotencyKey"]}))
            and row.get("razorpayOrderId")
        )
    )
    assert_resumes_with_one_order(user, sandbox, store, body)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_any_weather_repeating_ends_in_one_order(
    user: Actor, sandbox: Sandbox, store: Store, seed: int
) -> None:
    """Every second answer of the gateway is lost or bad, and four callers repeat until they have theirs."""
    for number, fault in enumerate(("answer_lost", "server_error", "bad_gateway_html", "reset")):
        sandbox.fault(
            fault, times=None, route=f"{ORDERS}*", probability=0.15, seed=seed * 10 + number
        )
    body = payment_body()

    def insist(_: int) -> dict[str, Any]:
        for _ in range(60):
            answer = user.create(body)
            if answer.is_success:
                return dict(answer.json())
            assert_problem(answer, 503)
        raise AssertionError("no success in sixty attempts")

    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(insist, range(4)))
    sandbox.call("DELETE", "/_sandbox/faults")
    assert all(answer == answers[0] for answer in answers)
    assert len(orders_of(sandbox, store, body)) == 1
    assert status(user.client, answers[0]["data"])["status"] == "pending"
