"""What one account or one client may cost: work, files, rows and mails that others would pay for."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from kernapay.core.clock import now
from kernapay.gateway.base import Order
from tests.actors import API_KEYS, AUDIT, PAYMENTS, USERS, Actor, People, assert_problem
from tests.aliases import Store
from tests.database_commands import Command, noted_commands
from tests.databases import row_of
from tests.factories import new_email, payment_body, sign_up_body
from tests.in_process import InProcess, InProcessClient
from tests.money.fake_gateway import FakeGateway
from tests.stack import Sandbox, bearer
from tests.waiting import until

pytestmark = [pytest.mark.owasp(line="API4"), pytest.mark.long]
UNLIMITED: dict[str, Any] = {
    "rate_limits": "on",
    "rate_limit_signup": "off",
    "rate_limit_login": "off",
}


def assert_refused(answer: httpx.Response) -> None:
    assert_problem(answer, 429, code="too_many_requests")
    assert int(answer.headers["Retry-After"]) >= 1


async def at_once(
    client: InProcessClient, who: Actor, method: str, path: str, times: int, **options: Any
) -> list[httpx.Response]:
    headers = bearer(who.token)
    calls = (client.request(method, path, headers=headers, **options) for _ in range(times))
    return await asyncio.gather(*calls)


def count(answers: list[httpx.Response]) -> Mapping[int, int]:
    for answer in answers:
        if answer.status_code == 429:
            assert_refused(answer)
    return Counter(answer.status_code for answer in answers)


@pytest.mark.anyio
async def test_sign_ups_tell_few_times_who_has_an_account(
    in_process: InProcess, user: Actor
) -> None:
    client_of = {"X-Forwarded-For": "203.0.113.61"}
    async with in_process(**UNLIMITED, trusted_proxies="127.0.0.1") as client:

        async def sign_up(email: str, headers: Mapping[str, str] = client_of) -> httpx.Response:
            body = sign_up_body(email=email)
            return await client.post(f"{USERS}/signup", json=body, headers=headers)

        answers = await asyncio.gather(*(sign_up(user.email) for _ in range(20)))
        assert count(answers) == {409: 5, 429: 15}
        assert_refused(await sign_up(new_email()))
        elsewhere = {"X-Forwarded-For": "203.0.113.62"}
        assert (await sign_up(new_email(), elsewhere)).status_code == 201


@pytest.mark.anyio
async def test_right_passwords_have_a_limit_by_account(
    in_process: InProcess, user: Actor, people: People
) -> None:
    """Each costs as much as a wrong one, wherever it comes from."""
    other = await asyncio.to_thread(people.new)
    async with in_process(
        **UNLIMITED, rate_limit_right_password="4/hour", trusted_proxies="127.0.0.1"
    ) as client:

        async def log_in(who: Actor, password: str, address: str) -> httpx.Response:
            body = {"email": who.email, "password": password}
            headers = {"X-Forwarded-For": address}
            return await client.post(f"{USERS}/login", json=body, headers=headers)

        answers = [await log_in(user, user.password, f"203.0.113.{n}") for n in range(7)]
        assert count(answers) == {200: 4, 429: 3}
        change = {"currentPassword": user.password, "password": "a whole new battery"}
        body = {**change, "confirmPassword": change["password"]}
        headers = bearer(user.token)
        assert_refused(await client.put(f"{USERS}/password", json=body, headers=headers))
        strangers = [await log_in(other, "not the password", f"203.0.114.{n}") for n in range(7)]
        assert count(strangers) == {401: 7}, "wrong ones do not count against the owner"
        assert (await log_in(other, other.password, "203.0.113.1")).status_code == 200


@pytest.mark.anyio
async def test_receipts_have_a_limit_by_account(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = await asyncio.to_thread(user.buy, sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/receipt"
    async with in_process(**UNLIMITED, rate_limit_receipt="5/hour") as client:
        made = await at_once(client, user, "GET", path, 8)
        made += await at_once(client, user, "POST", path, 4)
        assert count(made) == {200: 5, 429: 7}


def test_a_new_name_makes_no_further_file_of_a_receipt(
    user: Actor, sandbox: Sandbox, api_env: Mapping[str, str]
) -> None:
    payment, _ = user.buy(sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/receipt"
    links = []
    for name in ("Asha One", "Asha Two", "Asha Three"):
        assert user.update(name=name).status_code == 200
        links.append(user.call("POST", path).json())
    assert len({link["name"] for link in links}) == 1
    assert len(list(Path(api_env["FILES_DIR"]).glob(links[0]["name"]))) == 1
    for link in links:
        assert user.client.get(link["url"]).content == user.call("GET", path).content


@pytest.mark.anyio
async def test_exports_have_a_limit_by_account(in_process: InProcess, admin: Actor) -> None:
    window = {"from": "2026-01-01", "to": "2026-01-02"}
    async with in_process(**UNLIMITED, rate_limit_export="3/hour") as client:
        made = await at_once(client, admin, "GET", f"{PAYMENTS}/export", 4, params=window)
        made += await at_once(client, admin, "POST", f"{PAYMENTS}/exports", 2, json=window)
        assert count(made) == {200: 3, 429: 3}


@pytest.mark.anyio
async def test_an_account_adds_few_entries_to_the_audit_log_in_a_minute(
    in_process: InProcess, admin: Actor, store: Store
) -> None:
    """Entries stay for ever, and each failed action adds two."""
    window = {"from": "2026-01-01", "to": "2026-01-02"}
    async with in_process(
        **UNLIMITED, rate_limit_export="off", rate_limit_audited="3/hour"
    ) as client:
        made = await at_once(client, admin, "GET", f"{PAYMENTS}/export", 9, params=window)
        assert count(made) == {200: 3, 429: 6}
        assert (await client.get(AUDIT, headers=bearer(admin.token))).status_code == 200
    rows = await asyncio.to_thread(store.audit_log.count_documents, {"actor": admin.id})
    assert rows == 3


@pytest.mark.anyio
async def test_a_leaked_key_cannot_keep_its_owner_from_revoking_it(
    in_process: InProcess, admin: Actor
) -> None:
    body = {"name": "Leaked", "role": "ADMIN"}
    made = (await asyncio.to_thread(admin.call, "POST", API_KEYS, json=body)).json()
    window = {"from": "2026-01-01", "to": "2026-01-02"}
    async with in_process(
        **UNLIMITED, rate_limit_export="off", rate_limit_audited="3/hour"
    ) as client:
        for status in (200, 200, 200, 429):
            headers = bearer(made["key"])
            answer = await client.get(f"{PAYMENTS}/export", params=window, headers=headers)
            assert answer.status_code == status
        path = f"{API_KEYS}/{made['details']['_id']}"
        assert (await client.delete(path, headers=bearer(admin.token))).is_success


class SlowGateway(FakeGateway):
    """A gateway whose orders wait until the test opens it."""

    def __init__(self) -> None:
        super().__init__(now)
        self.gate = asyncio.Event()
        self.waiting = 0

    async def create_order(
        self, *, amount: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> Order:
        self.waiting += 1
        await self.gate.wait()
        return await super().create_order(
            amount=amount, currency=currency, receipt=receipt, notes=notes
        )


async def create(client: InProcessClient, who: Actor, **changes: object) -> httpx.Response:
    body = payment_body(**changes)
    return await client.post(f"{PAYMENTS}/create", json=body, headers=bearer(who.token))


@pytest.mark.anyio
async def test_hundreds_of_creates_of_one_account_hold_up_nobody_else(
    in_process: InProcess, user: Actor, people: People
) -> None:
    """However slow the gateway is, an account has a quarter of its threads, and few more calls wait."""
    other = await asyncio.to_thread(people.new)
    gateway = SlowGateway()
    async with in_process(gateway=gateway, gateway_threads=16) as client:
        busy = [asyncio.create_task(create(client, user)) for _ in range(100)]
        await until(lambda: sum(task.done() for task in busy) == 100 - 64)
        await until(lambda: gateway.waiting == 4)
        mine = asyncio.create_task(create(client, other))
        await until(lambda: gateway.waiting == 5)
        gateway.gate.set()
        assert (await mine).status_code == 201
        assert count(await asyncio.gather(*busy)) == {201: 64, 429: 36}
        assert (await create(client, user)).status_code == 201, "a refusal leaves nothing behind"


@pytest.mark.anyio
async def test_a_key_that_has_its_order_waits_for_no_turn_and_the_others_not_for_ever(
    in_process: InProcess, user: Actor
) -> None:
    gateway = SlowGateway()
    async with in_process(gateway=gateway, gateway_threads=4, razorpay_timeout="1s") as client:
        gateway.gate.set()
        body = (await create(client, user, idempotencyKey="first")).json()
        gateway.gate.clear()
        running = asyncio.create_task(create(client, user, idempotencyKey="running"))
        await until(lambda: gateway.waiting == 2)
        again = await create(client, user, idempotencyKey="first")
        assert (again.status_code, again.json()) == (200, body)
        other = await create(client, user, idempotencyKey="first", amount=70_000)
        assert_problem(other, 409, "idempotencyKey", "idempotency_key_reused")
        assert_refused(await create(client, user, idempotencyKey="waiting"))
        gateway.gate.set()
        assert (await running).status_code == 201


@pytest.mark.anyio
async def test_a_new_key_of_a_busy_account_is_looked_for_once(
    in_process: InProcess, user: Actor
) -> None:
    """A shop's server is one account, which has many calls at once."""
    gateway = SlowGateway()
    async with in_process(gateway=gateway, gateway_threads=4, razorpay_timeout="1s") as client:
        running = asyncio.create_task(create(client, user))
        await until(lambda: gateway.waiting == 1)
        with noted_commands() as commands:
            assert_refused(await create(client, user))
        assert [each for each in commands if each.collection == "payments"] == [
            Command("find", "payments")
        ]
        gateway.gate.set()
        assert (await running).status_code == 201


@pytest.mark.parametrize("field", ["notes", "metadata"])
def test_notes_have_a_largest_size_in_bytes(user: Actor, sandbox: Sandbox, field: str) -> None:
    """Characters are counted by each value; a character may have four bytes."""

    def create(values: Mapping[str, str]) -> httpx.Response:
        return user.create(payment_body(**{field: values}))

    wide = {f"name{number}": "\U0001f4b0" * 256 for number in range(9)}
    assert_problem(create(wide), 400, field, "invalid_input")
    assert create({"name": "\U0001f4b0" * 256}).status_code == 201
    assert create({f"name{number}": "x" * 256 for number in range(14)}).status_code == 201


@pytest.mark.anyio
async def test_a_payment_has_few_refunds_and_the_last_returns_the_rest(
    in_process: InProcess, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, _ = await asyncio.to_thread(user.buy, sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    async with in_process(refunds_per_payment=4) as client:

        async def refund(amount: int | None, key: str) -> httpx.Response:
            body = {"idempotencyKey": key} | ({"amount": amount} if amount else {})
            return await client.post(path, json=body, headers=bearer(admin.token))

        answers = [await refund(100, f"small-{number}") for number in range(6)]
        assert [answer.status_code for answer in answers] == [201] * 3 + [409] * 3
        assert_problem(answers[-1], 409, "amount", "too_many_refunds")
        assert (await refund(100, "small-0")).status_code == 200, "a repeat makes no other one"
        rest = await refund(None, "rest")
        assert rest.status_code == 201, rest.text
        assert rest.json()["data"]["refundStatus"] == "completed"
        assert_problem(await refund(100, "more"), 409, code="not_refundable")


def test_after_too_many_attempts_a_refund_says_where_else_the_rest_can_be_returned(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    """Each attempt stays in the payment, and a document has a largest size."""
    payment, _ = user.buy(sandbox)
    reference = payment["referenceId"]
    at = now()
    failed = {"amount": 100, "status": "failed", "createdAt": at, "updatedAt": at}
    store.payments.update_one({"referenceId": reference}, {"$set": {"refunds": [failed] * 200}})
    body = {"idempotencyKey": "rest"}
    answer = admin.call("POST", f"{PAYMENTS}/{reference}/refunds", json=body)
    problem = assert_problem(answer, 409, "amount", "too_many_refunds")
    assert "in the gateway's dashboard" in problem["errors"][0]["message"]


def test_a_full_page_of_the_history_is_cached(
    user: Actor, store: Store, redis_client: Redis
) -> None:
    reference = user.new_payment()["referenceId"]
    row = row_of(store.payments, referenceId=reference)
    unique = ("_id", "orderId", "razorpayOrderId")
    model = {name: value for name, value in row.items() if name not in unique}
    store.payments.insert_many(
        {**model, "referenceId": f"{reference[:-4]}{number:04}", "idempotencyKey": f"many-{number}"}
        for number in range(100)
    )
    assert len(user.history(count=100).json()) == 100
    assert redis_client.hexists(f"payment_history:{user.id}", "0:100")


def test_an_accounts_history_takes_little_of_the_cache(
    user: Actor, sandbox: Sandbox, store: Store, redis_client: Redis
) -> None:
    """It may ask for any page; pages of the newest payments are cached, up to a number of bytes."""
    reference = user.new_payment()["referenceId"]
    row = row_of(store.payments, referenceId=reference)
    unique = ("_id", "orderId", "razorpayOrderId")
    model = {name: value for name, value in row.items() if name not in unique}
    store.payments.insert_many(
        {
            **model,
            "referenceId": f"{reference[:-4]}{number:04}",
            "idempotencyKey": f"many-{number}",
            "description": "\U0001f4b0" * 256,
        }
        for number in range(400)
    )
    store.payments.delete_one({"_id": row["_id"]})
    pages: list[dict[str, Any]] = [
        {"count": count, "skip": skip} for count in (10, 20, 50, 100) for skip in range(9)
    ]
    for page in (*pages, {"count": 100, "skip": 300}, {"count": 10, "skip": 0}):
        answer = user.history(**page)
        assert answer.status_code == 200
        assert len(answer.json()) == page["count"]
    key = f"payment_history:{user.id}"
    assert redis_client.hexists(key, "0:10")
    assert not redis_client.hexists(key, "300:100")
    used = redis_client.memory_usage(key, samples=0)
    assert used is not None
    assert used < 350_000
