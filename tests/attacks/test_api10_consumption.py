"""API10, unsafe consumption of APIs: the gateway's own words are read as carefully as anybody's.

That amounts, orders and payments are compared with our own records is tried in `tests/api/test_verify.py`,
`tests/api/test_webhook.py` and `tests/money`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kernapay.security.principal import Role
from tests.actors import EVENTS, Actor, send_event
from tests.aliases import Store
from tests.attacks.hostile import OPERATORS, TEXTS
from tests.attacks.pairs import Pair
from tests.attacks.share import Sweep
from tests.databases import row_of
from tests.factories import gateway_payment, payment_body, unique
from tests.http_server import HttpServer, Response
from tests.in_process import InProcess
from tests.stack import Api, bearer

pytestmark = pytest.mark.owasp(line="API10")

ODD: list[Any] = [None, True, -1, 0, 1.5, 2**63, 10**40, [], {}, "", *OPERATORS[::2], *TEXTS[::3]]


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def captured(payment: Mapping[str, Any]) -> bytes:
    """Return the event; a text in it may be what UTF-8 cannot hold."""
    return encoded({"event": "payment.captured", "payload": {"payment": {"entity": payment}}})


def test_no_field_of_an_event_is_believed_or_run(
    pairs: Mapping[Role, Pair], api_server: Api, store: Store
) -> None:
    """Signed, but with something else where each value belongs: kept, and the payment stands as it did."""
    user = pairs[Role.USER].owner
    order = user.new_payment()
    sound = gateway_payment(order["orderId"], status="created", captured=False)
    before = row_of(store.payments, referenceId=order["referenceId"])
    sweep = Sweep()
    for name in (*sound, "$set", "__proto__", "acquirer_data", "card", "error_reason"):
        for value in sweep.share(ODD):
            if name == "captured" and value in (True, "true"):
                continue  # not odd, as the gateway also sends flags as text: it would be paid
            answer = send_event(api_server.client, body=captured({**sound, name: value}))
            assert answer.status_code == 200, f"{name} {value!r}: {answer.text}"
    after = row_of(store.payments, referenceId=order["referenceId"])
    for field in ("status", "amount", "currency", "userId", "orderId", "refunds", "paidAt"):
        assert after.get(field) == before.get(field), field
    shown = user.seen(order["referenceId"])
    assert shown["status"] == "pending"
    assert {step["status"] for step in shown["history"]} == {"pending"}


@pytest.mark.parametrize(
    ("event", "entity"),
    [
        ("payment.captured", {"status": "failed", "captured": False}),
        ("payment.captured", {"status": "authorized", "captured": False}),
        ("order.paid", {"status": "created", "captured": False}),
        ("payment.failed", {"status": "captured", "captured": True}),
        ("payment.failed", {"status": "authorized", "captured": False}),
        ("payment.failed", {"status": "created", "captured": False}),
    ],
)
def test_the_name_of_an_event_alone_proves_nothing(
    pairs: Mapping[Role, Pair],
    api_server: Api,
    store: Store,
    event: str,
    entity: Mapping[str, Any],
) -> None:
    """What it tells of has to say the same, or the payment stays as it is and an operator is told."""
    user = pairs[Role.USER].owner
    order = user.new_payment()
    payment = gateway_payment(order["orderId"], **entity)
    assert send_event(api_server.client, event, payment=payment).status_code == 200
    row = row_of(store.payments, referenceId=order["referenceId"])
    assert (row["status"], len(row["history"])) == ("pending", 1)
    assert [each["reason"] for each in row["mismatches"]] == ["status"]


def test_a_good_event_brings_no_words_of_its_own_into_a_payment(
    pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    user = pairs[Role.USER].owner
    html = "<script>alert(1)</script>"
    for changes in (
        {"method": {"$ne": 1}},
        {"notes": {"$set": {"status": "refunded"}}},
        {"error_reason": html, "error_description": html, "email": html, "contact": html},
        {"amount_refunded": 50_000, "refund_status": "full"},
        {"fee": -1, "tax": "a lot"},
    ):
        order = user.new_payment()
        body = captured(gateway_payment(order["orderId"], **changes))
        assert send_event(api_server.client, body=body).status_code == 200
        shown = user.seen(order["referenceId"])
        assert shown["status"] in ("pending", "success"), "no refund was told of"
        assert shown["paymentMethod"] in ("upi", None), changes
        assert shown["amountRefunded"] == 0
        assert html not in json.dumps(shown)


def test_an_event_of_any_form_can_be_looked_at(pairs: Mapping[Role, Pair], api_server: Api) -> None:
    admin = pairs[Role.ADMIN].owner
    bodies = [
        *(encoded({"event": value, "payload": {}}) for value in ODD),
        *(encoded({"event": "payment.captured", "payload": value}) for value in ODD),
        *(encoded({"event": "refund.processed", "payload": {"refund": value}}) for value in ODD),
        b'{"event": "\xff\xfe", "payload": {}}',
        b'{"event": "payment.captured", "payload": {"payment": {"entity": {"id": "\xc3\x28"}}}}',
        b'{"event": "\\ud800"}',
        b'{"event": "a", "event": "payment.captured"}',
        b"\x00",
        b"<xml/>",
    ]
    for body in bodies:
        event_id = unique("evt_")
        assert send_event(api_server.client, body=body, event_id=event_id).status_code == 200
        shown = admin.call("GET", f"{EVENTS}/{event_id}")
        # The same bytes under another id are a repeat, and not stored again.
        assert shown.status_code in (200, 404), f"{body!r}: {shown.text}"
        assert shown.headers["content-type"].endswith("json")
    assert admin.call("GET", EVENTS, params={"count": 100}).status_code == 200


@pytest.fixture
def gateway() -> Iterator[HttpServer]:
    """A gateway that was taken over: it answers every call as the test says."""
    with HttpServer() as server:
        yield server


def order_like(**changes: Any) -> bytes:
    order = {"id": "order_Evil1", "entity": "order", "amount": 50_000, "currency": "INR"}
    return encoded({**order, "receipt": "x", "status": "created", **changes})


ANSWERS = [
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b"<html>"),
    (200, b"\xff\xfe"),
    (200, b'{"id": "\xff"}'),
    (200, b"[" * 100_000),
    (200, b'{"a":' * 100_000),
    (200, b'{"amount": ' + b"9" * 5_000 + b"}"),
    *((200, order_like(id=value)) for value in ODD),
    *((200, order_like(amount=value)) for value in ODD),
    (200, order_like(currency="USD")),
    (200, encoded({"items": "many"})),
    (200, encoded({"items": [{"id": {"$ne": 1}}]})),
    *((status, b"") for status in (204, 301, 302, 307, 308, 401, 404, 418, 500, 503, 599)),
    (400, encoded({"error": {"description": "<script>", "code": {"$ne": 1}}})),
    (400, encoded({"error": [[[]]]})),
    (400, b"[" * 100_000),
    (500, b"\xff"),
]


@pytest.mark.anyio
async def test_whatever_the_gateway_answers_the_client_gets_a_refusal(
    in_process: InProcess, gateway: HttpServer, user: Actor
) -> None:
    elsewhere = {"Content-Type": "application/json", "Location": "http://127.0.0.1:9/"}
    async with in_process(razorpay_base_url=gateway.url, razorpay_timeout="2s") as client:
        client.headers.update(bearer(user.token))
        for status, body in ANSWERS:
            gateway.response = Response(status, body, elsewhere)
            answer = await client.post("/v1/api/payments/create", json=payment_body())
            place = f"{status} {body[:60]!r}: {answer.text}"
            assert answer.status_code in (409, 502, 503), place
            assert answer.json()["code"].startswith("gateway_"), place
            assert "script" not in answer.text, place
    assert len(gateway.requests) >= len(ANSWERS)
