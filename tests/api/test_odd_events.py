"""Events in the loose forms that Razorpay sends, and events of others with the same account."""

import json
from typing import Any

import httpx
import pytest

from tests.actors import Actor, send_event, status
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import gateway_payment, unique
from tests.stack import METRICS_TOKEN, Api, Sandbox, bearer
from tests.waiting import eventually


@pytest.fixture
def payment(user: Actor, sandbox: Sandbox) -> Json:
    return user.new_payment()


def send(client: httpx.Client, store: Store, entity: Json, name: str = "payment.captured") -> Json:
    """Send an event and return its row in the inbox."""
    event_id = unique("evt_")
    assert send_event(client, name, event_id=event_id, payment=entity).status_code == 200
    return row_of(store.webhook_events, eventId=event_id)


def count_of(api: httpx.Client, outcome: str) -> float:
    text = api.get("/metrics", headers=bearer(METRICS_TOKEN)).text
    name = f'kernapay_webhooks_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(name)) for line in text.splitlines() if name in line)


@pytest.mark.parametrize(
    "odd",
    [
        {"captured": "1"},
        {"captured": 1},
        {"created_at": None},
        {"created_at": "2026-01-31T10:15:31Z"},
        {"created_at": "yesterday"},
        {"fee": 118.0, "tax": 18.0},
        {"amount": 50000.0},
        {"method": None, "error_code": "", "amount_refunded": None},
        {"added_later": {"deep": [1]}, "notes": {}},
    ],
    ids=str,
)
def test_an_event_with_odd_values_settles_its_payment(
    user: Actor, payment: Json, store: Store, odd: Json
) -> None:
    row = send(user.client, store, gateway_payment(payment["orderId"], **odd))
    assert (row["status"], row["outcome"]) == ("processed", "moved")
    assert status(user.client, payment)["status"] == "success"


@pytest.mark.parametrize("odd", [{"fee": 118.5}, {"amount": "50000.00"}, {"amount": None}], ids=str)
@pytest.mark.owasp(line="API10")
def test_an_event_whose_amount_is_not_certain_is_parked(
    user: Actor, payment: Json, store: Store, odd: Json
) -> None:
    row = send(user.client, store, gateway_payment(payment["orderId"], **odd))
    assert row["status"] == "parked"
    assert status(user.client, payment)["status"] == "pending"


@pytest.mark.parametrize("text", [rb"\ud83d", rb"\udc00", b"\xff"])
def test_half_an_emoji_in_a_description_hides_no_payment(
    user: Actor, payment: Json, store: Store, text: bytes
) -> None:
    entity = gateway_payment(payment["orderId"], description="HERE")
    document = {"event": "payment.captured", "payload": {"payment": {"entity": entity}}}
    body = json.dumps(document).encode().replace(b"HERE", b"Consultation " + text)
    event_id = unique("evt_")
    assert send_event(user.client, body=body, event_id=event_id).status_code == 200
    row = row_of(store.webhook_events, eventId=event_id)
    assert (row["event"], row["status"]) == ("payment.captured", "processed")
    assert status(user.client, payment)["status"] == "success"


@pytest.mark.parametrize(
    "start", [b"no json ", b'{"event": 5} ', b"\xff\xfe ", b"[" * 5000, b"{} "]
)
@pytest.mark.owasp(line="API10")
def test_what_is_signed_and_not_readable_is_parked_and_never_ignored(
    api: httpx.Client, store: Store, start: bytes
) -> None:
    event_id = unique("evt_")
    assert send_event(api, body=start + unique().encode(), event_id=event_id).status_code == 200
    assert row_of(store.webhook_events, eventId=event_id)["status"] == "parked"


@pytest.mark.parametrize(
    "order_id",
    [None, "SxT4rqYwGZ8mLd", "order_SxT4rqYwGZ8mLd", "plink_SxT4rqYwGZ8mLd", "order_/../x", ""],
)
def test_money_for_an_order_that_is_not_ours_is_set_aside_at_once_and_counted(
    api: httpx.Client, store: Store, sandbox: Sandbox, order_id: str | None
) -> None:
    before = count_of(api, "foreign")
    row = send(api, store, {**gateway_payment("order_x"), "order_id": order_id})
    assert (row["status"], row["attempts"]) == ("ignored", 0), row.get("error")
    assert count_of(api, "foreign") == before + 1


def test_an_order_that_a_proxy_does_not_find_is_asked_for_again(
    api: httpx.Client, store: Store, sandbox: Sandbox
) -> None:
    foreign = sandbox.order(receipt="another-shop")
    sandbox.fault("proxy_page", route="/v1/orders/*", options={"status": 404})
    row = send(api, store, gateway_payment(foreign["id"]))
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert "GatewayUnknown" in row["error"]


@pytest.mark.parametrize("name", ["payment_link.paid", "invoice.paid", "payment.new_kind"])
def test_events_of_unknown_kinds_are_ignored(api: httpx.Client, store: Store, name: str) -> None:
    row = send(api, store, gateway_payment("order_x"), name)
    assert row["status"] == "ignored"


def test_an_event_that_contradicts_itself_is_kept_and_shown(
    user: Actor, payment: Json, store: Store
) -> None:
    contradiction: dict[str, Any] = {"status": "failed", "captured": "0"}
    row = send(user.client, store, gateway_payment(payment["orderId"], **contradiction))
    assert (row["status"], row["outcome"]) == ("processed", "mismatch")
    stored = row_of(store.payments, referenceId=payment["referenceId"])
    assert [m["reason"] for m in stored["mismatches"]] == ["status"]


def test_all_events_of_a_payment_and_its_refund_may_be_odd(
    api_server: Api, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    sandbox.deliver_to(api_server.url)
    sandbox.fault("webhook_odd_values", times=None)
    payment = user.new_payment()
    checkout = sandbox.pay(payment["orderId"])
    eventually(lambda: status(user.client, payment)["status"] == "success")
    sandbox.refund(checkout["razorpay_payment_id"], 20_000)
    eventually(lambda: status(user.client, payment)["amountRefunded"] == 20_000)
    parked = {"status": "parked", "body": {"$regex": payment["orderId"]}}
    assert store.webhook_events.count_documents(parked) == 0
