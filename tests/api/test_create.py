"""POST /payments/create."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.actors import PAYMENTS, Actor, People, assert_problem
from tests.aliases import Json, Store
from tests.database_commands import Command, noted_commands
from tests.databases import receipt_of, row_of
from tests.factories import payment_body, unique, without
from tests.in_process import InProcess
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Api, Sandbox, bearer
from tests.strategies import json_values


def create_at_once(user: Actor, urls: list[str], bodies: list[Json]) -> list[httpx.Response]:
    """Send all at once, spread over the processes."""

    async def send_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            headers=bearer(user.token),
            trust_env=False,
            timeout=30,
            limits=limits,
            verify=NO_AUTHORITIES,
        ) as client:
            return await asyncio.gather(
                *(
                    client.post(f"{urls[number % len(urls)]}{PAYMENTS}/create", json=body)
                    for number, body in enumerate(bodies)
                )
            )

    return asyncio.run(send_all())


def orders_of(sandbox: Sandbox, store: Store, reference: str) -> list[Json]:
    """Return the gateway's orders for a payment."""
    return sandbox.orders(receipt_of(row_of(store.payments, referenceId=reference)))


def test_a_payment_is_created_with_its_order(user: Actor, sandbox: Sandbox, store: Store) -> None:
    body = payment_body()
    answer = user.create(body)
    assert answer.status_code == 201
    document = answer.json()
    assert document["success"] is True
    data = document["data"]
    assert data.keys() == {
        *("orderId", "amount", "currency", "referenceId", "status", "livemode"),
        *("payableUntil", "final", "customerId", "key", "name", "prefill", "checkoutUrl"),
    }
    assert (data["amount"], data["currency"], data["status"]) == (50000, "INR", "pending")
    assert re.fullmatch(rf"PAY_{user.id}_\d{{13}}_[\w-]{{16,}}", data["referenceId"])
    (order,) = orders_of(sandbox, store, data["referenceId"])
    assert order["id"] == data["orderId"]
    assert (order["amount"], order["currency"]) == (50000, "INR")
    assert len(order["receipt"]) <= 40
    row = row_of(store.payments, referenceId=data["referenceId"])
    assert row["userId"] == ObjectId(user.id)
    assert row["orderId"] == row["razorpayOrderId"] == data["orderId"]
    assert row["idempotencyKey"] == body["idempotencyKey"]
    assert row["paymentGateway"] == "razorpay"
    assert row["refundStatus"] == "not_requested"
    assert row["serviceType"] == "CONSULTATION"
    assert row["providerId"] == body["providerId"]
    assert [(step["status"], step["source"]) for step in row["history"]] == [("pending", "api")]


@pytest.mark.owasp(line="API6")
def test_the_same_key_again_gives_the_same_data_and_no_second_order(
    user: Actor, second_api: Api, sandbox: Sandbox, store: Store
) -> None:
    body = payment_body()
    first = user.create(body)
    for somewhere in (user, user.at(second_api.client), user):
        again = somewhere.create(body)
        assert again.status_code == 200
        assert again.json() == first.json()
    assert len(orders_of(sandbox, store, first.json()["data"]["referenceId"])) == 1


def test_the_key_may_come_in_the_header_or_the_body(user: Actor) -> None:
    key = unique("key-")
    body = payment_body(idempotencyKey=key)
    by_header = user.create(without(body, "idempotencyKey"), key=key)
    assert by_header.status_code == 201
    for answer in (user.create(body), user.create(body, key=key)):
        assert answer.status_code == 200
        assert answer.json() == by_header.json()


def test_two_different_keys_or_none_are_refused(user: Actor, store: Store) -> None:
    before = store.payments.count_documents({})
    assert_problem(user.create(payment_body(), key=unique()), 400, "idempotencyKey")
    assert_problem(user.create(without(payment_body(), "idempotencyKey")), 400, "idempotencyKey")
    assert_problem(user.create(payment_body(idempotencyKey=None)), 400, "idempotencyKey")
    assert store.payments.count_documents({}) == before


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 50001},
        {"description": "Something else"},
        {"description": None},
        {"providerId": "another"},
        {"notes": {"a": "b"}},
        {"metadata": {"a": 1}},
    ],
    ids=str,
)
@pytest.mark.owasp(line="API6")
def test_the_same_key_with_another_body_is_refused(
    user: Actor, second_api: Api, change: dict[str, Any]
) -> None:
    body = payment_body()
    first = user.create(body)
    for somewhere in (user, user.at(second_api.client)):
        answer = somewhere.create({**body, **change})
        assert_problem(answer, 409, code="idempotency_key_reused")
        assert somewhere.create(body).json() == first.json()


@pytest.mark.owasp(line="API1")
def test_a_key_belongs_to_its_user(user: Actor, people: People) -> None:
    body = payment_body()
    mine, theirs = user.create(body), people.new().create(body)
    assert mine.status_code == theirs.status_code == 201
    assert mine.json()["data"]["orderId"] != theirs.json()["data"]["orderId"]


@pytest.mark.owasp(line="API6")
def test_of_a_hundred_at_once_with_one_key_all_get_the_one_order(
    user: Actor, api_server: Api, sandbox: Sandbox, store: Store
) -> None:
    before = sandbox.order_count()
    answers = create_at_once(user, [api_server.url], [payment_body(idempotencyKey="one")] * 100)
    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert sandbox.order_count() == before + 1
    reference = answers[0].json()["data"]["referenceId"]
    assert len(orders_of(sandbox, store, reference)) == 1
    assert store.payments.count_documents({"userId": ObjectId(user.id)}) == 1


def test_of_a_hundred_at_once_on_two_processes_all_get_the_one_order(
    user: Actor, api_server: Api, second_api: Api, sandbox: Sandbox, store: Store
) -> None:
    before = sandbox.order_count()
    bodies = [payment_body(idempotencyKey="one")] * 100
    answers = create_at_once(user, [api_server.url, second_api.url], bodies)
    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert sandbox.order_count() == before + 1
    assert store.payments.count_documents({"userId": ObjectId(user.id)}) == 1


@pytest.mark.owasp(line="API6")
def test_of_two_bodies_racing_for_one_key_one_wins(
    user: Actor, api_server: Api, second_api: Api, sandbox: Sandbox
) -> None:
    before = sandbox.order_count()
    bodies = [payment_body(idempotencyKey="one", amount=a) for a in (100, 100, 200, 200) * 10]
    answers = create_at_once(user, [api_server.url, second_api.url], bodies)
    assert sorted({answer.status_code for answer in answers}) == [200, 201, 409]
    assert len([a for a in answers if a.status_code == 409]) == 20
    assert len({a.json()["data"]["amount"] for a in answers if a.is_success}) == 1
    assert sandbox.order_count() == before + 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 1.5}, "amount"),
        ({"amount": 10**30}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": 99}, "amount"),
        ({"amount": 50_000_001}, "amount"),
        ({"amount": "50000"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": {"$gt": 0}}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"currency": "CHF"}, "currency"),
        ({"currency": "inr"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"currency": "INR\n"}, "currency"),
        ({"currency": {"$ne": ""}}, "currency"),
        ({"description": "x" * 257}, "description"),
        ({"description": "nul\x00"}, "description"),
        ({"description": ["x"]}, "description"),
        ({"providerId": ""}, "providerId"),
        ({"providerId": "x" * 65}, "providerId"),
        ({"providerId": {"$ne": ""}}, "providerId"),
        ({"providerId": "a b"}, "providerId"),
        ({"serviceType": ""}, "serviceType"),
        ({"serviceType": "UNKNOWN"}, "serviceType"),
        ({"serviceType": {"$in": []}}, "serviceType"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
        ({"idempotencyKey": "x" * 129}, "idempotencyKey"),
        ({"idempotencyKey": "with space"}, "idempotencyKey"),
        ({"idempotencyKey": "caf\u00e9"}, "idempotencyKey"),
        ({"idempotencyKey": {"$ne": ""}}, "idempotencyKey"),
        ({"notes": {f"n{i}": "x" for i in range(15)}}, "notes"),
        ({"notes": {"a": "x" * 257}}, "notes"),
        ({"notes": {"$where": "1"}}, "notes"),
        ({"notes": {"a.b": "1"}}, "notes"),
        ({"notes": {"a": {"$ne": 1}}}, "notes"),
        ({"metadata": {"a": {"$ne": 1}}}, "metadata"),
        ({"metadata": {"$set": 1}}, "metadata"),
        ({"metadata": {"a": [1]}}, "metadata"),
        ({"metadata": {"a": 10**30}}, "metadata"),
        ({"metadata": {"a": "x" * 257}}, "metadata"),
        ({"metadata": {"a": 2**53 + 1}}, "metadata"),
        ({"metadata": {"x" * 65: 1}}, "metadata"),
        ({"metadata": {"a b": 1}}, "metadata"),
        ({"metadata": "text"}, "metadata"),
        ({"status": "success"}, "status"),
        ({"userId": "66b1f0c2a7d4e5f601234567"}, "userId"),
        ({"referenceId": "mine"}, "referenceId"),
        ({"amountRefunded": 5}, "amountRefunded"),
        ({"$where": "1"}, "$where"),
    ],
    ids=str,
)
def test_a_bad_field_is_refused_by_name_and_nothing_is_written(
    user: Actor, store: Store, sandbox: Sandbox, changes: dict[str, Any], field: str
) -> None:
    orders = sandbox.order_count()
    problem = assert_problem(user.create(**changes), 400)
    named = [error["field"] for error in problem["errors"]]
    assert any(name == field or name.startswith(f"{field}.") for name in named), problem
    assert store.payments.count_documents({"userId": ObjectId(user.id)}) == 0
    assert sandbox.order_count() == orders


@pytest.mark.parametrize("name", ["amount", "currency", "serviceType"])
def test_a_missing_field_is_refused_by_name(user: Actor, name: str) -> None:
    assert_problem(user.create(without(payment_body(), name)), 400, name)


@pytest.mark.parametrize("header", ["", "x" * 129, "two words", "tab\there"])
def test_a_bad_key_in_the_header_is_refused(user: Actor, header: str) -> None:
    answer = user.create(without(payment_body(), "idempotencyKey"), key=header)
    assert_problem(answer, 400)


@pytest.mark.parametrize("name", ["description", "providerId"])
def test_what_is_optional_may_be_left_out_or_null(user: Actor, name: str) -> None:
    assert user.create(without(payment_body(), name)).status_code == 201
    assert user.create(payment_body(**{name: None})).status_code == 201


@pytest.mark.parametrize("amount", [100, 101, 50_000_000])
def test_the_smallest_and_the_largest_amount_are_taken(user: Actor, amount: int) -> None:
    assert user.new_payment(amount=amount)["amount"] == amount


def test_notes_go_to_the_gateway_and_metadata_stays_here(
    user: Actor, sandbox: Sandbox, store: Store
) -> None:
    metadata = {
        "slot": -(2**53),
        "weight": 1.5,
        "urgent": True,
        "cart.id": "B\u00fcro",
        "none": None,
    }
    data = user.new_payment(notes={"cart": "42"}, metadata=metadata)
    (order,) = orders_of(sandbox, store, data["referenceId"])
    assert order["notes"]["cart"] == "42"
    assert "slot" not in json.dumps(order)
    seen = user.seen(data["referenceId"])
    assert seen["metadata"] == metadata
    assert seen["notes"] == {"cart": "42"}


@pytest.mark.parametrize("role", ["PROVIDER", "LAB_ASSISTANT"])
def test_these_roles_create_no_payments(people: People, store: Store, role: str) -> None:
    actor = people.new(role)
    assert_problem(actor.create(), 403, code="forbidden")
    assert store.payments.count_documents({"userId": ObjectId(actor.id)}) == 0


def test_an_administrator_may_create(admin: Actor) -> None:
    assert admin.new_payment()["status"] == "pending"


def test_without_a_token_nothing_is_created(api: httpx.Client, store: Store) -> None:
    before = store.payments.count_documents({})
    assert_problem(api.post(f"{PAYMENTS}/create", json=payment_body()), 401)
    assert store.payments.count_documents({}) == before


@pytest.mark.anyio
async def test_service_types_and_their_metadata_are_configuration(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    types = '{"LAB_TEST": {"required": ["sampleId"], "optional": ["fasting"]}, "DONATION": {}}'
    headers = bearer(user.token)
    async with in_process(service_types=types) as client:

        async def create(**changes: Any) -> httpx.Response:
            body = payment_body(**changes)
            return await client.post(f"{PAYMENTS}/create", json=body, headers=headers)

        sample = {"sampleId": "S-1"}
        assert (await create(serviceType="LAB_TEST", metadata=sample)).status_code == 201
        both = {**sample, "fasting": True}
        assert (await create(serviceType="LAB_TEST", metadata=both)).status_code == 201
        assert (await create(serviceType="DONATION", metadata={"any": 1})).status_code == 201
        for metadata, field in (
            ({}, "metadata.sampleId"),
            ({"sampleId": ""}, "metadata.sampleId"),
            ({"sampleId": None}, "metadata.sampleId"),
            ({**sample, "colour": "red"}, "metadata.colour"),
        ):
            assert_problem(await create(serviceType="LAB_TEST", metadata=metadata), 400, field)
        assert_problem(await create(serviceType="CONSULTATION"), 400, "serviceType")


@pytest.mark.anyio
@pytest.mark.owasp(line="API6")
async def test_the_price_of_a_service_type_is_configuration(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    types = (
        '{"SCAN": {"amount": 120000, "currency": "INR"}, '
        '"DONATION": {"minAmount": 500, "maxAmount": 9000, "currency": "JPY"}, '
        '"FROM": {"minAmount": 500, "currency": "INR"}, "TIP": {}}'
    )
    headers = bearer(user.token)
    async with in_process(service_types=types, currencies="INR,JPY") as client:
        for service_type, amount, currency, field in (
            ("SCAN", 120000, "INR", None),
            ("SCAN", 119999, "INR", "amount"),
            ("SCAN", 120001, "INR", "amount"),
            ("SCAN", 100, "INR", "amount"),
            ("SCAN", 120000, "JPY", "currency"),
            ("DONATION", 500, "JPY", None),
            ("DONATION", 9000, "JPY", None),
            ("DONATION", 499, "JPY", "amount"),
            ("DONATION", 9001, "JPY", "amount"),
            ("DONATION", 500, "INR", "currency"),
            ("FROM", 499, "INR", "amount"),
            ("FROM", 50_000_000, "INR", None),
            ("TIP", 1, "JPY", None),
        ):
            body = payment_body(amount=amount, currency=currency, serviceType=service_type)
            answer = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
            if field is None:
                assert answer.status_code == 201, answer.text
            else:
                assert_problem(answer, 400, field)
        for amount, sentence in (
            (1200, "Amounts are in paise: for ₹1,200.00, send 120000."),
            (1199, "Must be 120000 paise (₹1,200.00), the price of the service type SCAN."),
        ):
            body = payment_body(amount=amount, serviceType="SCAN")
            answer = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
            assert answer.json()["errors"][0]["message"].endswith(sentence), answer.text
        body = payment_body(amount=499, serviceType="FROM")
        answer = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
        assert "for ₹499.00, send 49900." in answer.text


@pytest.mark.anyio
async def test_a_repeat_after_the_price_changed_gets_the_first_answer(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    headers, body = bearer(user.token), payment_body(amount=50000)
    first = user.create(body)
    assert first.status_code == 201
    changed = '{"CONSULTATION": {"amount": 60000}}'
    async with in_process(service_types=changed) as client:
        again = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
        assert (again.status_code, again.json()) == (200, first.json())
        other = {**body, "amount": 50001}
        refused = await client.post(f"{PAYMENTS}/create", json=other, headers=headers)
        assert_problem(refused, 400, "amount")


@pytest.mark.anyio
async def test_a_repeat_is_answered_from_what_is_stored(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    headers, body = bearer(user.token), payment_body()
    first = user.create(body)
    async with in_process() as client:
        with noted_commands() as noted:
            again = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert [command for command in noted if command.collection == "payments"] == [
        Command("find", "payments")
    ]


@pytest.mark.anyio
async def test_repeats_at_once_are_looked_up_together_and_each_has_its_own_answer(
    in_process: InProcess, people: People, sandbox: Sandbox
) -> None:
    """Different payers often choose the same keys."""
    payers = [people.new("USER") for _ in range(4)]
    bodies = [payment_body(idempotencyKey=f"cart-{n}", amount=1000 + n) for n in range(6)]
    calls = [(payer, body) for payer in payers for body in bodies]
    first = [payer.create(body).json() for payer, body in calls]
    async with in_process() as client:
        with noted_commands() as noted:
            answers = await asyncio.gather(
                *(
                    client.post(f"{PAYMENTS}/create", json=body, headers=bearer(payer.token))
                    for payer, body in calls
                )
            )
    assert [answer.status_code for answer in answers] == [200] * len(calls)
    assert [answer.json() for answer in answers] == first
    assert len([each for each in noted if each.collection == "payments"]) < len(calls) / 2


@pytest.mark.anyio
async def test_currencies_are_configuration_with_their_own_smallest_amounts(
    in_process: InProcess, user: Actor, sandbox: Sandbox
) -> None:
    headers = bearer(user.token)
    async with in_process(currencies="INR,JPY,KWD", max_amount=10_000) as client:
        for currency, amount, status in (
            ("JPY", 1, 201),
            ("JPY", 0, 400),
            ("KWD", 1000, 201),
            ("KWD", 999, 400),
            ("KWD", 1005, 400),
            ("INR", 10_000, 201),
            ("INR", 10_001, 400),
            ("INR", 99, 400),
        ):
            body = payment_body(currency=currency, amount=amount)
            answer = await client.post(f"{PAYMENTS}/create", json=body, headers=headers)
            assert answer.status_code == status, (currency, amount, answer.text)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from([*payment_body(), "notes", "metadata"]), json_values)
def test_whatever_a_field_holds_the_answer_is_a_payment_or_a_refusal(
    user: Actor, field: str, value: Any
) -> None:
    # httpx refuses to send what is not JSON; the standard library writes NaN and Infinity.
    answer = user.call(
        "POST",
        f"{PAYMENTS}/create",
        content=json.dumps(payment_body(**{field: value})),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (200, 201, 400), answer.text
    if answer.status_code == 400:
        assert_problem(answer, 400)
