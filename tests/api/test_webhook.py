"""POST /payments/webhook: signed, stored once, applied once, in whatever order it comes."""

import asyncio
import json
from functools import partial
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.actors import Actor, assert_problem, send_event, status, verify
from tests.aliases import Json, Store
from tests.databases import row_of
from tests.factories import (
    event_body,
    event_headers,
    failed_payment,
    gateway_payment,
    signature_of,
    unique,
)
from tests.plain_http import NO_AUTHORITIES
from tests.stack import (
    PREVIOUS_WEBHOOK_SECRET,
    WEBHOOK_PATH,
    WEBHOOK_SECRET,
    Api,
    Sandbox,
    StartApi,
    StartWorker,
)
from tests.waiting import eventually


@pytest.fixture
def payment(user: Actor, sandbox: Sandbox) -> Json:
    return user.new_payment()


def event_row(store: Store, event_id: str) -> Json:
    return row_of(store.webhook_events, eventId=event_id)


def is_processed(store: Store, event_id: str) -> bool:
    return bool(event_row(store, event_id)["status"] == "processed")


def post(
    client: httpx.Client, body: bytes, signature: str | bytes | None, **headers: str
) -> httpx.Response:
    given: Json = {"X-Razorpay-Event-Id": unique("evt_"), **headers}
    if signature is not None:
        given["X-Razorpay-Signature"] = signature
    return client.post(WEBHOOK_PATH, content=body, headers=given)


class TestDeliveries:
    """As the sandbox sends them, after the customer has paid."""

    def test_a_payment_succeeds_by_webhooks_alone(
        self, api_server: Api, user: Actor, sandbox: Sandbox, store: Store
    ) -> None:
        sandbox.deliver_to(api_server.url)
        payment = user.new_payment()
        checkout = sandbox.pay(payment["orderId"], method="upi")
        eventually(lambda: status(user.client, payment)["status"] == "success")
        seen = user.seen(payment["referenceId"])
        assert seen["razorpayPaymentId"] == checkout["razorpay_payment_id"]
        assert seen["paymentMethod"] == "upi"
        step = next(step for step in seen["history"] if step["status"] == "success")
        assert step["source"] == "webhook"
        assert step["event"] in ("payment.captured", "order.paid")
        event = event_row(store, step["eventId"])
        assert json.loads(event["body"])["event"] == step["event"]
        # The shop's own page is late and gets the same answer.
        assert verify(user.client, payment, checkout).status_code == 200
        assert len(user.seen(payment["referenceId"])["history"]) == len(seen["history"])

    def test_every_event_is_answered_200_and_kept(
        self, api_server: Api, user: Actor, sandbox: Sandbox, store: Store
    ) -> None:
        endpoint = sandbox.deliver_to(api_server.url)
        sandbox.pay(user.new_payment()["orderId"])

        def delivered() -> list[Json]:
            deliveries = sandbox.deliveries(endpoint_id=endpoint["id"])
            done = all(each["status"] == "delivered" for each in deliveries)
            return deliveries if done and len(deliveries) >= 3 else []

        found = eventually(delivered)
        assert {d["event"] for d in found} >= {
            "payment.authorized",
            "payment.captured",
            "order.paid",
        }
        for delivery in found:
            assert [attempt["status"] for attempt in delivery["attempts"]] == [200]
            assert event_row(store, delivery["event_id"])["status"] == "processed"

    @pytest.mark.parametrize("fault", ["webhook_duplicate", "webhook_reorder"])
    def test_doubled_and_disordered_events_come_to_the_same(
        self, api_server: Api, user: Actor, sandbox: Sandbox, fault: str
    ) -> None:
        sandbox.deliver_to(api_server.url)
        sandbox.fault(fault, times=None)
        payment = user.new_payment()
        sandbox.pay(payment["orderId"])
        sandbox.advance(60)
        eventually(lambda: all(d["status"] == "delivered" for d in sandbox.deliveries()))
        seen = user.seen(payment["referenceId"])
        assert seen["status"] == "success"
        assert [s["status"] for s in seen["history"]].count("success") == 1

    def test_a_failure_then_a_second_attempt_ends_in_success(
        self, api_server: Api, user: Actor, sandbox: Sandbox
    ) -> None:
        sandbox.deliver_to(api_server.url)
        payment = user.new_payment()
        sandbox.pay(payment["orderId"], "failure")
        eventually(lambda: status(user.client, payment)["status"] == "failed")
        paid = sandbox.pay(payment["orderId"])
        eventually(lambda: status(user.client, payment)["status"] == "success")
        seen = user.seen(payment["referenceId"])
        assert seen["razorpayPaymentId"] == paid["razorpay_payment_id"]
        failed = next(step for step in seen["history"] if step["status"] == "failed")
        assert failed["reason"]

    def test_while_the_secret_is_changed_both_are_good(
        self, api_server: Api, user: Actor, sandbox: Sandbox
    ) -> None:
        sandbox.deliver_to(api_server.url, secret=PREVIOUS_WEBHOOK_SECRET)
        payment = user.new_payment()
        sandbox.pay(payment["orderId"])
        eventually(lambda: status(user.client, payment)["status"] == "success")


@pytest.mark.owasp(line="API2")
class TestSignature:
    def test_without_the_right_signature_nothing_is_stored(
        self, api: httpx.Client, payment: Json, store: Store
    ) -> None:
        body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        good = signature_of(body)
        before = store.webhook_events.count_documents({})
        for bad in (
            None,
            "",
            "0" * 64,
            good.upper(),
            good[:-1],
            good + "0",
            signature_of(body, "another secret"),
            signature_of(body + b" "),
            "caf\u00e9".encode(),
            b"\xff\xfe\x00"[:2],
            "x" * 4000,
        ):
            answer = post(api, body, bad)
            assert_problem(answer, 401, code="invalid_signature")
        assert store.webhook_events.count_documents({}) == before
        assert status(api, payment)["status"] == "pending"

    def test_the_signature_is_over_the_bytes_as_they_came(
        self, api: httpx.Client, payment: Json
    ) -> None:
        entity = gateway_payment(payment["orderId"], description="caf\u00e9 \u20b9 \\u20b9 </x>")
        document = json.loads(event_body("payment.captured", payment=entity))
        spaced = json.dumps(document, indent=3, ensure_ascii=True).encode()
        other = json.dumps(document, ensure_ascii=False).encode()
        assert_problem(post(api, other, signature_of(spaced)), 401)
        assert post(api, spaced, signature_of(spaced)).status_code == 200
        assert status(api, payment)["status"] == "success"

    def test_a_body_of_another_secret_is_refused_and_of_the_previous_taken(
        self, api: httpx.Client, payment: Json
    ) -> None:
        entity = gateway_payment(payment["orderId"])
        answer = send_event(api, "payment.captured", secret="whsec_nobodys", payment=entity)
        assert_problem(answer, 401)
        assert status(api, payment)["status"] == "pending"
        answer = send_event(api, "payment.captured", secret=PREVIOUS_WEBHOOK_SECRET, payment=entity)
        assert answer.status_code == 200
        assert status(api, payment)["status"] == "success"

    def test_an_event_may_be_larger_than_other_bodies(
        self, api: httpx.Client, payment: Json
    ) -> None:
        large = gateway_payment(payment["orderId"], notes={"n": "x" * 300_000})
        assert send_event(api, "payment.captured", payment=large).status_code == 200
        assert status(api, payment)["status"] == "success"
        vast = gateway_payment(payment["orderId"], notes={"n": "x" * 2_000_000})
        assert_problem(send_event(api, "payment.captured", payment=vast), 413)

    @pytest.mark.parametrize("event_id", ["x" * 129, "a b", "$ne", "../x", "\u00e9"])
    def test_a_malformed_event_id_is_refused(self, api: httpx.Client, event_id: str) -> None:
        body = event_body("payment.captured")
        headers = {
            b"X-Razorpay-Signature": signature_of(body).encode(),
            b"X-Razorpay-Event-Id": event_id.encode(),
        }
        answer = api.post(WEBHOOK_PATH, content=body, headers=headers)
        assert_problem(answer, 400)


@pytest.mark.owasp(line="API6")
class TestOnce:
    def test_an_event_is_marked_for_a_day_once_it_is_processed(
        self, api: httpx.Client, payment: Json, redis_client: Redis
    ) -> None:
        event_id = unique("evt_")
        entity = gateway_payment(payment["orderId"])
        send_event(api, "payment.captured", event_id=event_id, payment=entity)
        assert 86_000 < redis_client.ttl(f"webhook_event:{event_id}") <= 86_400

    @pytest.mark.parametrize("with_mark", [True, False])
    def test_the_same_event_again_is_known(
        self,
        api: httpx.Client,
        user: Actor,
        payment: Json,
        store: Store,
        redis_client: Redis,
        with_mark: bool,
    ) -> None:
        event_id = unique("evt_")
        body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        for _ in range(3):
            assert send_event(api, body=body, event_id=event_id).status_code == 200
            if not with_mark:
                redis_client.delete(f"webhook_event:{event_id}")
        assert store.webhook_events.count_documents({"eventId": event_id}) == 1
        assert len(user.seen(payment["referenceId"])["history"]) == 2

    def test_the_same_body_under_a_new_id_is_a_replay(
        self, api: httpx.Client, user: Actor, payment: Json, store: Store
    ) -> None:
        body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        before = store.webhook_events.count_documents({})
        for event_id in (unique("evt_"), unique("evt_"), None):
            assert send_event(api, body=body, event_id=event_id).status_code == 200
        assert store.webhook_events.count_documents({}) == before + 1
        assert len(user.seen(payment["referenceId"])["history"]) == 2

    def test_an_event_without_an_id_is_known_by_its_body(
        self, api: httpx.Client, user: Actor, payment: Json, store: Store
    ) -> None:
        body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        before = store.webhook_events.count_documents({})
        for _ in range(2):
            headers = {"X-Razorpay-Signature": signature_of(body)}
            assert api.post(WEBHOOK_PATH, content=body, headers=headers).status_code == 200
        assert store.webhook_events.count_documents({}) == before + 1
        assert len(user.seen(payment["referenceId"])["history"]) == 2

    def test_thirty_deliveries_at_once_make_one_step(
        self, api_server: Api, user: Actor, payment: Json, store: Store
    ) -> None:
        entity = gateway_payment(payment["orderId"])
        captured = event_body("payment.captured", payment=entity)
        paid = event_body("order.paid", payment=entity)
        ids = [unique("evt_"), unique("evt_")]

        async def deliver() -> list[httpx.Response]:
            async with httpx.AsyncClient(
                trust_env=False, timeout=30, verify=NO_AUTHORITIES
            ) as client:
                return await asyncio.gather(
                    *(
                        client.post(
                            api_server.url + WEBHOOK_PATH,
                            content=body,
                            headers=event_headers(body, event_id),
                        )
                        for body, event_id in list(zip((captured, paid), ids, strict=True)) * 15
                    )
                )

        assert {answer.status_code for answer in asyncio.run(deliver())} == {200}
        for event_id in ids:
            eventually(partial(is_processed, store, event_id))
            assert store.webhook_events.count_documents({"eventId": event_id}) == 1
        assert [s["status"] for s in user.seen(payment["referenceId"])["history"]] == [
            "pending",
            "success",
        ]


class TestInbox:
    def test_an_unknown_event_is_stored_and_answered_200(
        self, api: httpx.Client, store: Store
    ) -> None:
        event_id = unique("evt_")
        answer = send_event(api, "invoice.expired", event_id=event_id, invoice={"id": unique()})
        assert answer.status_code == 200
        row = event_row(store, event_id)
        assert (row["event"], row["status"]) == ("invoice.expired", "ignored")

    @pytest.mark.parametrize(
        "payload",
        [
            {},
            {"payment": {}},
            {"payment": {"entity": {}}},
            {"payment": {"entity": {"id": "pay_1", "amount": "much"}}},
            {"payment": []},
            {"payment": {"entity": None}},
            None,
            [],
            {"payment": {"entity": {"id": {"$ne": 1}, "amount": 1}}},
        ],
        ids=str,
    )
    @pytest.mark.owasp(line="API10")
    def test_what_is_signed_but_malformed_is_parked_and_answered_200(
        self, api: httpx.Client, store: Store, payload: Any
    ) -> None:
        event_id = unique("evt_")
        document = {"event": "payment.captured", "payload": payload, "salt": unique()}
        answer = send_event(api, body=json.dumps(document).encode(), event_id=event_id)
        assert answer.status_code == 200
        row = event_row(store, event_id)
        assert row["status"] == "parked"
        assert row["error"]

    @pytest.mark.parametrize(
        "start", [b"no json ", b"[1, ", b'{"event": ', b'{"event": 5} ', b"\xff\xfe ", b"[" * 5000]
    )
    @pytest.mark.owasp(line="API10")
    def test_what_is_signed_but_no_event_at_all_is_stored_and_answered_200(
        self, api: httpx.Client, store: Store, start: bytes
    ) -> None:
        event_id = unique("evt_")
        body = start + unique().encode()
        assert send_event(api, body=body, event_id=event_id).status_code == 200
        row = event_row(store, event_id)
        assert row["body"] == body
        assert row["status"] in ("parked", "ignored")

    @pytest.mark.owasp(line="API10")
    def test_an_event_of_an_order_made_elsewhere_is_not_ours(
        self, api: httpx.Client, sandbox: Sandbox, store: Store
    ) -> None:
        for receipt in (None, "another-shop-1", "KP_1"):
            event_id = unique("evt_")
            order = sandbox.order(receipt=receipt)
            entity = gateway_payment(order["id"])
            answer = send_event(api, "payment.captured", event_id=event_id, payment=entity)
            assert answer.status_code == 200
            row = event_row(store, event_id)
            assert row["status"] == "ignored", row.get("error")

    def test_a_payment_without_an_order_is_not_ours(self, api: httpx.Client, store: Store) -> None:
        event_id = unique("evt_")
        entity = {**gateway_payment("order_x"), "order_id": None}
        answer = send_event(api, "payment.captured", event_id=event_id, payment=entity)
        assert answer.status_code == 200
        assert event_row(store, event_id)["status"] == "ignored"

    def test_a_webhook_may_come_before_the_order_is_attached(
        self, user: Actor, sandbox: Sandbox, store: Store
    ) -> None:
        """As after a crash between the gateway's answer and our own writing."""
        body = {"idempotencyKey": unique()}
        payment = user.new_payment(**body)
        forget_order(store, payment)
        entity = gateway_payment(payment["orderId"])
        assert send_event(user.client, "payment.captured", payment=entity).status_code == 200
        seen = user.seen(payment["referenceId"])
        assert (seen["status"], seen["orderId"]) == ("success", payment["orderId"])

    def test_an_event_that_cannot_be_handled_now_waits_for_the_worker(
        self,
        user: Actor,
        sandbox: Sandbox,
        store: Store,
        start_worker: StartWorker,
    ) -> None:
        payment = user.new_payment()
        forget_order(store, payment)
        sandbox.fault("server_error", route="/v1/orders/*")
        event_id = unique("evt_")
        answer = send_event(
            user.client,
            "payment.captured",
            event_id=event_id,
            payment=gateway_payment(payment["orderId"]),
        )
        assert answer.status_code == 200
        row = event_row(store, event_id)
        assert (row["status"], row["attempts"]) == ("pending", 1)
        assert "GatewayUnknown" in row["error"]
        assert status(user.client, payment)["status"] == "pending"
        worker = start_worker()
        eventually(lambda: status(user.client, payment)["status"] == "success")
        eventually(lambda: is_processed(store, event_id))
        worker.stop()
        assert worker.exit_code == 0

    def test_a_slow_gateway_does_not_keep_the_webhook_waiting(
        self, user: Actor, sandbox: Sandbox, store: Store, start_api: StartApi
    ) -> None:
        api = start_api(WEBHOOK_DEADLINE="500ms", RAZORPAY_TIMEOUT="20s")
        payment = user.new_payment()
        forget_order(store, payment)
        # Not once: whoever else asks for an order meanwhile must not take it away.
        sandbox.fault("delay", times=None, route="/v1/orders/*", options={"seconds": 15})
        event_id = unique("evt_")
        entity = gateway_payment(payment["orderId"])
        answer = send_event(api.client, "payment.captured", event_id=event_id, payment=entity)
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 15
        assert event_row(store, event_id)["status"] == "pending"


def forget_order(store: Store, payment: Json) -> None:
    """Take the order off a payment, as if the process had died before it was attached."""
    where = {"referenceId": payment["referenceId"]}
    store.payments.update_one(where, {"$unset": {"orderId": "", "razorpayOrderId": ""}})


class TestOrder:
    def test_a_late_failure_does_not_undo_success(self, user: Actor, payment: Json) -> None:
        order = payment["orderId"]
        send_event(user.client, "payment.captured", payment=gateway_payment(order))
        before = user.seen(payment["referenceId"])
        send_event(user.client, "payment.failed", payment=failed_payment(order))
        send_event(
            user.client,
            "payment.authorized",
            payment=gateway_payment(order, status="authorized", captured=False),
        )
        assert user.seen(payment["referenceId"]) == before

    def test_a_success_after_a_failure_counts(self, user: Actor, payment: Json) -> None:
        order = payment["orderId"]
        send_event(user.client, "payment.failed", payment=failed_payment(order))
        assert status(user.client, payment)["status"] == "failed"
        captured = gateway_payment(order)
        send_event(user.client, "payment.captured", payment=captured)
        seen = user.seen(payment["referenceId"])
        assert seen["status"] == "success"
        assert seen["razorpayPaymentId"] == captured["id"]
        assert [s["status"] for s in seen["history"]] == ["pending", "failed", "success"]

    def test_an_authorization_alone_is_no_success(self, user: Actor, payment: Json) -> None:
        entity = gateway_payment(payment["orderId"], status="authorized", captured=False)
        send_event(user.client, "payment.authorized", payment=entity)
        seen = user.seen(payment["referenceId"])
        assert seen["status"] == "pending"
        assert [s.get("event") for s in seen["history"]] == ["created", "payment.authorized"]

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"amount": 49_999}, "amount"),
            ({"amount": 50_001}, "amount"),
            ({"currency": "USD"}, "currency"),
        ],
    )
    @pytest.mark.owasp(line="API10")
    def test_what_does_not_fit_is_recorded_and_changes_nothing(
        self,
        user: Actor,
        payment: Json,
        store: Store,
        changes: Json,
        reason: str,
    ) -> None:
        event_id = unique("evt_")
        entity = gateway_payment(payment["orderId"], **changes)
        answer = send_event(user.client, "payment.captured", event_id=event_id, payment=entity)
        assert answer.status_code == 200
        row = row_of(store.payments, referenceId=payment["referenceId"])
        assert (row["status"], len(row["history"])) == ("pending", 1)
        (mismatch,) = row["mismatches"]
        assert (mismatch["reason"], mismatch["eventId"]) == (reason, event_id)
        assert mismatch["paymentId"] == entity["id"]
        assert event_row(store, event_id)["outcome"] == "mismatch"

    def test_money_that_comes_twice_is_entered_to_go_back(
        self, user: Actor, payment: Json, store: Store
    ) -> None:
        first, second = (gateway_payment(payment["orderId"]) for _ in range(2))
        for entity in (first, second):
            send_event(user.client, "payment.captured", payment=entity)
        row = row_of(store.payments, referenceId=payment["referenceId"])
        assert row["razorpayPaymentId"] == first["id"]
        (surplus,) = row["surplusPayments"]
        assert (surplus["reason"], surplus["paymentId"]) == ("second_payment", second["id"])
        assert surplus["status"] == "requested"

    def test_a_webhook_drops_the_cached_history(self, user: Actor, payment: Json) -> None:
        assert user.history().json()[0]["status"] == "pending"
        send_event(user.client, "payment.failed", payment=failed_payment(payment["orderId"]))
        assert user.history().json()[0]["status"] == "failed"
        send_event(user.client, "payment.captured", payment=gateway_payment(payment["orderId"]))
        assert user.history().json()[0]["status"] == "success"


@pytest.mark.owasp(line="API2")
def test_a_webhook_needs_no_token_and_a_token_is_no_signature(admin: Actor, payment: Json) -> None:
    body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
    answer = admin.call("POST", WEBHOOK_PATH, content=body)
    assert_problem(answer, 401, code="invalid_signature")
    assert WEBHOOK_SECRET not in answer.text
