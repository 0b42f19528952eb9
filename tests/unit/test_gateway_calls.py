"""What is kept of calls to the gateway, and that keeping it holds up nobody."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from pymongo import MongoClient, monitoring
from pymongo.collection import Collection

from kernapay.core.errors import Unavailable
from kernapay.gateway.calls.journal import CallJournal
from kernapay.gateway.calls.repository import GatewayCallRepository
from kernapay.gateway.calls.rows import Call, row_of
from kernapay.gateway.connections import Request
from kernapay.storage.mongo import Mongo
from kernapay.storage.repository import Row
from tests.aliases import Store
from tests.factories import unique
from tests.waiting import until

AT = datetime(2026, 4, 1, 10, tzinfo=UTC)
BASE = "https://api.razorpay.com/v1"
ORDER = {"amount": 50000, "currency": "INR", "receipt": "KP_1", "payment_capture": 1}
PERSONAL = {
    "notes": {"for": "Asha Rao"},
    "email": "asha@example.com",
    "contact": "+919876543210",
    "description": "Consultation for Asha",
    "vpa": "asha@okbank",
    "card": {"name": "Asha Rao", "last4": "1111"},
}
PAID = {"id": "pay_1", "order_id": "order_1", "amount": 50000, "status": "captured", **PERSONAL}


def call(
    method: str,
    path: str,
    sent: object = None,
    status: int | None = 200,
    answer: object = None,
) -> Call:
    body = None if sent is None else json.dumps(sent)
    answered = b"" if answer is None else json.dumps(answer).encode()
    return Call(AT, method, f"{BASE}/{path}", body, status, answered, 0.25, "6f1c2a9be0d34c58")


def test_a_row_has_what_was_asked_and_answered_and_nothing_personal() -> None:
    row = row_of(call("POST", "orders", {**ORDER, **PERSONAL}, answer=PAID), "api here 1")
    assert row is not None
    assert "sha" not in str(row)
    assert "98765" not in str(row)
    assert row == {
        "createdAt": AT.replace(hour=9, minute=59, second=59, microsecond=750_000),
        "subjects": ["KP_1"],
        "call": "POST orders",
        "path": "orders",
        "outcome": "ok",
        "status": 200,
        "ms": 250,
        "process": "api here 1",
        "requestId": "6f1c2a9be0d34c58",
        "sent": ORDER,
        "answered": {
            "id": "pay_1",
            "order_id": "order_1",
            "amount": 50000,
            "status": "captured",
        },
    }


def test_even_of_known_fields_no_sentence_and_nothing_odd_is_kept() -> None:
    odd = {"id": "pay_1", "status": "paid by Asha", "method": ["upi"], "amount": 2**70, "fee": 1.5}
    row = row_of(call("GET", "payments/pay_1", answer=odd), "api here 1")
    assert row is not None
    assert row["answered"] == {"id": "pay_1"}


@pytest.mark.parametrize(
    ("asked", "subjects"),
    [
        (call("GET", "orders?receipt=KP_1&count=100", answer={"items": []}), ["KP_1"]),
        (call("GET", "orders/order_1/payments", answer={"items": [PAID]}), ["order_1"]),
        (call("GET", "payments/pay_1", answer=PAID), ["pay_1", "order_1"]),
        (
            call("POST", "payments/pay_1/refund", {"amount": 1, "receipt": "KPR_1"}, answer={}),
            ["pay_1"],
        ),
        (call("GET", "disputes/disp_1", answer={"id": "disp_1", "payment_id": "pay_1"}), ["pay_1"]),
        (call("POST", "payments/pay_1/capture", {"amount": 1}, status=None), ["pay_1"]),
    ],
)
def test_a_call_is_found_by_what_names_its_payment(asked: Call, subjects: list[str]) -> None:
    row = row_of(asked, "api here 1")
    assert row is not None
    assert row["subjects"] == subjects


def test_what_is_about_no_payment_makes_no_row() -> None:
    assert row_of(call("GET", "settlements/setl_1", answer={"id": "setl_1"}), "api here 1") is None
    assert row_of(call("GET", "disputes/disp_1", status=502, answer="<html>"), "api here 1") is None


def test_a_refusal_says_why_and_what_was_made_of_it() -> None:
    error = {
        "code": "BAD_REQUEST_ERROR",
        "description": "The refund of Asha Rao is greater than the amount captured",
        "field": "amount",
        "reason": "refund_limit_crossed",
    }
    refused = call("POST", "payments/pay_1/refund", {"amount": 9}, 400, {"error": error})
    row = row_of(refused, "worker here 1")
    assert row is not None
    assert "Asha" not in str(row)
    told = {name: row[name] for name in ("outcome", "status", "code", "reason", "gatewayField")}
    assert told == {
        "outcome": "refused",
        "status": 400,
        "code": "BAD_REQUEST_ERROR",
        "reason": "refund_limit_crossed",
        "gatewayField": "amount",
    }
    assert row["judged"] == "gateway_rejected"


def test_no_answer_is_unanswered_and_a_page_of_a_proxy_has_its_status_alone() -> None:
    silent = row_of(call("GET", "payments/pay_1", status=None), "api here 1")
    proxy = row_of(call("GET", "payments/pay_1", status=502, answer="<html>"), "api here 1")
    assert silent is not None
    assert proxy is not None
    assert (silent["outcome"], "status" in silent, silent["answered"]) == ("unanswered", False, {})
    assert (proxy["outcome"], proxy["judged"]) == ("failed", "gateway_unavailable")


class Watched(GatewayCallRepository):
    """A repository whose commands are watched."""

    rows: Collection[Row]

    @property
    def _collection(self) -> Collection[Row]:
        return self.rows


class Listener(monitoring.CommandListener):
    def __init__(self) -> None:
        self.concerns: list[object] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "insert":
            self.concerns.append(event.command["writeConcern"])

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


def order_of(receipt: str) -> Request:
    return Request("POST", f"{BASE}/orders", {}, json.dumps({**ORDER, "receipt": receipt}))


@pytest.mark.anyio
async def test_calls_are_one_unjournaled_write_a_moment_later(
    mongo: Mongo, mongo_url: str, store: Store
) -> None:
    listener = Listener()
    client: MongoClient[Row] = MongoClient(mongo_url, event_listeners=[listener], tz_aware=True)
    Watched.rows = client[store.name].gateway_calls
    journal = CallJournal(Watched(mongo), "worker")
    receipts = [unique("KP_") for _ in range(3)]
    for receipt in receipts:
        journal.note(order_of(receipt), 200, b"{}", 0.1)
    journal.note(Request("GET", f"{BASE}/payments?from=1", {}, None), 200, b"{}", 0.1)
    where = {"subjects": {"$in": receipts}}

    def kept() -> int:
        return client[store.name].gateway_calls.count_documents(where)

    assert await mongo.run(kept) == 0
    await until(lambda: len(listener.concerns) == 1, within=30)
    await journal.close()
    assert await mongo.run(kept) == 3
    assert listener.concerns == [{"w": 1, "j": False}]
    row = await mongo.run(lambda: store.gateway_calls.find_one({"subjects": receipts[0]}))
    assert row is not None
    assert row["process"].startswith("worker ")
    client.close()


@pytest.mark.anyio
async def test_what_waits_is_written_when_the_process_ends(mongo: Mongo, store: Store) -> None:
    journal = CallJournal(GatewayCallRepository(mongo))
    receipt = unique("KP_")
    journal.note(order_of(receipt), 200, b"{}", 0.1)
    async with asyncio.timeout(0.9):
        await journal.close()
    rows = await mongo.run(lambda: list(store.gateway_calls.find({"subjects": receipt})))
    assert len(rows) == 1


class Away(GatewayCallRepository):
    """A repository whose database is away until `back` is set."""

    back: asyncio.Event

    async def keep(self, make_rows: Callable[[], Sequence[Row]]) -> None:
        await self.back.wait()
        raise Unavailable("The database cannot be reached.")


def not_kept() -> float:
    return REGISTRY.get_sample_value("kernapay_gateway_calls_not_kept_total") or 0


@pytest.mark.anyio
async def test_while_mongodb_is_away_calls_are_dropped_and_counted_and_nobody_waits(
    mongo: Mongo,
) -> None:
    calls = Away(mongo)
    calls.back = asyncio.Event()
    journal = CallJournal(calls)
    before = not_kept()
    # More than may wait.
    for _ in range(2_100):
        journal.note(order_of("KP_1"), 200, b"{}", 0.1)
    assert not_kept() - before == 100
    calls.back.set()
    await journal.close()
    assert not_kept() - before == 2_100
