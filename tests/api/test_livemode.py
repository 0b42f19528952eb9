"""Every payment knows whether real money moved, and every answer about it says so."""

import csv
from datetime import timedelta
from io import StringIO

import httpx
import pytest

from kernapay.core.clock import now
from kernapay.core.slots import Slots
from kernapay.gateway.razorpay import RazorpayGateway
from tests.actors import PAYMENTS, Actor, People, status, verify
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import payment_body
from tests.in_process import InProcess
from tests.stack import KEY_ID, KEY_SECRET, STRONG_KEY_SECRET, Sandbox, bearer


def exported(admin: Actor, reference: str) -> dict[str, str]:
    period = {
        "from": (now() - timedelta(hours=1)).isoformat(),
        "to": (now() + timedelta(hours=1)).isoformat(),
    }
    text = admin.call("GET", f"{PAYMENTS}/export", params=period).text
    (line,) = [row for row in csv.DictReader(StringIO(text)) if row["referenceId"] == reference]
    return line


def shown(api: httpx.Client, user: Actor, payment: Json) -> list[object]:
    """Return the mode in each answer that shows the payment."""
    reference = payment["referenceId"]
    (listed,) = [p for p in user.history().json() if p["referenceId"] == reference]
    return [view["livemode"] for view in (user.seen(reference), status(api, payment), listed)]


def test_no_real_money_moves_with_a_test_key(
    api: httpx.Client, user: Actor, people: People, sandbox: Sandbox, store: Store
) -> None:
    payment = user.new_payment()
    verified = verify(api, payment, sandbox.pay(payment["orderId"])).json()
    admin = people.new("ADMIN")
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    refund = admin.call("POST", path, json={"idempotencyKey": "all"}).json()["data"]
    assert [answer["livemode"] for answer in (payment, verified, refund)] == [False] * 3
    assert shown(api, user, payment) == [False] * 3
    assert row_of(store.payments, referenceId=payment["referenceId"])["livemode"] is False
    assert exported(admin, payment["referenceId"])["livemode"] == "false"


def test_a_payment_from_before_does_not_know(
    api: httpx.Client, user: Actor, people: People, sandbox: Sandbox, store: Store
) -> None:
    """Unknown is not no."""
    payment = user.new_payment()
    store.payments.update_one({"referenceId": payment["referenceId"]}, {"$unset": {"livemode": ""}})
    assert shown(api, user, payment) == [None] * 3
    assert exported(people.new("ADMIN"), payment["referenceId"])["livemode"] == ""
    assert verify(api, payment, sandbox.pay(payment["orderId"])).json()["livemode"] is None


@pytest.mark.anyio
async def test_real_money_moves_with_a_live_key(
    in_process: InProcess, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    slots = Slots("gateway", 1)
    gateway = RazorpayGateway(KEY_ID, KEY_SECRET, base_url=sandbox.url, timeout=5, slots=slots)
    async with in_process(
        gateway=gateway,
        razorpay_key_id="rzp_live_7fKq2ZtWm9XcVb",
        razorpay_key_secret=STRONG_KEY_SECRET,
        razorpay_base_url="https://api.razorpay.com",
        salt_rounds=10,
    ) as client:
        client.headers.update(bearer(user.token))
        answer = await client.post(f"{PAYMENTS}/create", json=payment_body())
        payment = answer.json()["data"]
        seen = (await client.get(f"{PAYMENTS}/{payment['referenceId']}")).json()
    assert payment["livemode"] is seen["livemode"] is True
