"""Refunds and disputes by a shop's key: of its own payments that have a customer, and of no others."""

import asyncio

import pytest
from msgspec.structs import replace

from kernapay.core.errors import NotFound
from kernapay.security.principal import Principal, Role
from tests.actors import Actor, People, assert_problem, data_of, request_refund
from tests.house.scopes import KeyHolder, new_holder
from tests.in_process import InProcess
from tests.money.disputes import invented, tell
from tests.stack import Sandbox

pytestmark = [pytest.mark.owasp(line="API5"), pytest.mark.owasp(line="API6")]
SCOPES = ("payments:read", "payments:write", "refunds:write")


@pytest.fixture
def shop(admin: Actor, user: Actor) -> KeyHolder:
    return new_holder(admin, user, "USER", *SCOPES)


def test_a_shop_refunds_what_its_customers_paid(shop: KeyHolder, sandbox: Sandbox) -> None:
    payment, checkout = shop.buy(sandbox, customer={"reference": "c-1"})
    first = request_refund(shop, payment, 20_000, key="first")
    assert first.status_code == 201, first.text
    assert data_of(first)["amountRefundable"] == 30_000
    again = request_refund(shop, payment, 20_000, key="first")
    assert (again.status_code, again.json()) == (200, first.json())
    assert_problem(request_refund(shop, payment, 30_001), 409, code="not_refundable")
    assert request_refund(shop, payment).status_code == 201
    assert sandbox.payment(checkout["razorpay_payment_id"])["amount_refunded"] == 50_000
    assert shop.seen(payment["referenceId"])["refundStatus"] == "completed"


def test_a_payer_with_a_key_gains_nothing(
    shop: KeyHolder, user: Actor, admin: Actor, people: People, sandbox: Sandbox
) -> None:
    """Not of what the account pays itself, not of another shop's customers, and not without the scope."""
    own, _ = user.buy(sandbox)
    by_key, _ = shop.buy(sandbox)
    of_customer, _ = shop.buy(sandbox, customer={"reference": "c-1"})
    stranger = new_holder(admin, people.new(), "USER", *SCOPES)
    for who, payment, code in (
        (shop, own, "not_found"),
        (shop, by_key, "not_found"),
        (stranger, of_customer, "not_found"),
        (new_holder(admin, user, "USER", "payments:write"), of_customer, "scope_missing"),
        (new_holder(admin, user, "USER"), of_customer, "forbidden"),
        (user, of_customer, "forbidden"),
    ):
        problem = request_refund(who, payment).json()
        assert problem["code"] == code, problem
    for payment in (own, by_key, of_customer):
        assert user.seen(payment["referenceId"])["refunds"] == []


@pytest.mark.anyio
async def test_the_service_refunds_for_a_shop_whatever_the_guard_lets_in(
    in_process: InProcess, shop: KeyHolder, sandbox: Sandbox
) -> None:
    payment, _ = await asyncio.to_thread(shop.buy, sandbox, customer={"reference": "c-1"})
    reference = payment["referenceId"]
    person = Principal(shop.id, Role.USER, "session")
    async with in_process() as client:
        refunds = client.services.refund_service
        with pytest.raises(NotFound):
            await refunds.payment_of(person, reference)
        key = replace(person, key_id="key")
        assert (await refunds.payment_of(key, reference)).reference_id == reference


def test_a_shop_sees_the_disputes_of_what_its_customers_paid(
    shop: KeyHolder, user: Actor, sandbox: Sandbox
) -> None:
    """Its endpoints are told of them. What the account buys itself is disputed by itself."""
    for is_shops, body in ((True, {"customer": {"reference": "c-1"}}), (False, {})):
        payment, checkout = shop.buy(sandbox, **body)
        dispute = invented(checkout["razorpay_payment_id"], amount=100)
        tell(shop.client, "created", dispute)
        for who, ids in ((shop, [dispute["id"]] if is_shops else []), (user, [])):
            seen = who.seen(payment["referenceId"])
            assert [each["disputeId"] for each in seen["disputes"]] == ids
            told = [step for step in seen["history"] if "dispute" in (step["event"] or "")]
            assert len(told) == len(ids)
