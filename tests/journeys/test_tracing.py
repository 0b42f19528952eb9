"""One trace goes from the request through the call to the gateway to the event that settles the payment."""

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.actors import PAYMENTS, Actor, People, verify
from tests.aliases import Store
from tests.databases import row_of
from tests.http_server import HttpServer, Response
from tests.stack import WEBHOOK_PATH, Api, Sandbox, StartApi, StartWorker
from tests.waiting import eventually

pytestmark = pytest.mark.long

OURS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(HttpServer):
    """A receiver of OTLP over HTTP."""

    def spans(self, name: str = "") -> list[Span]:
        """Return what was received, or the spans of a name."""
        return [
            span
            for request in self.requests
            if request.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if name in ("", span.name)
        ]

    def one(self, name: str) -> Span:
        """Wait for the span of this name."""
        (span,) = eventually(lambda: self.spans(name))
        return span


def attributes_of(span: Span) -> dict[str, object]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in span.attributes
    }


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def traced(start_api: StartApi, collector: Collector) -> Api:
    return start_api(TRACING_URL=collector.url)


@pytest.fixture
def buyer(traced: Api, store: Store) -> Actor:
    return People(traced.client, store).new()


def test_a_trace_goes_from_the_request_to_the_event(
    traced: Api, buyer: Actor, sandbox: Sandbox, collector: Collector
) -> None:
    sandbox.deliver_to(traced.url, events=("payment.captured",))
    payment = buyer.new_payment()
    sandbox.pay(payment["orderId"])

    create = collector.one(f"POST {PAYMENTS}/create")
    order = collector.one("POST orders")
    event = collector.one("payment.captured")
    webhook = collector.one(f"POST {WEBHOOK_PATH}")

    assert order.trace_id == event.trace_id == create.trace_id
    assert order.parent_span_id == event.parent_span_id == create.span_id
    assert create.start_time_unix_nano <= order.start_time_unix_nano
    assert order.end_time_unix_nano <= create.end_time_unix_nano <= event.start_time_unix_nano
    assert webhook.trace_id != create.trace_id, "the gateway's request is another one"
    (link,) = event.links
    assert (link.trace_id, link.span_id) == (webhook.trace_id, webhook.span_id)
    assert (create.kind, order.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert attributes_of(order)["http.response.status_code"] == 200
    facts = attributes_of(create)
    assert facts["http.route"] == f"{PAYMENTS}/create"
    assert facts["http.response.status_code"] == 201


def test_verification_belongs_to_the_trace_too(
    buyer: Actor, sandbox: Sandbox, collector: Collector
) -> None:
    payment = buyer.new_payment()
    assert verify(buyer.client, payment, sandbox.pay(payment["orderId"])).status_code == 200
    create, step = collector.one(f"POST {PAYMENTS}/create"), collector.one("verify")
    assert (step.trace_id, step.parent_span_id) == (create.trace_id, create.span_id)
    asked = [span for span in collector.spans("GET payments") if span.trace_id == step.trace_id]
    assert {span.parent_span_id for span in asked} == {step.span_id}


def test_what_the_worker_settles_belongs_to_the_trace_too(
    buyer: Actor,
    sandbox: Sandbox,
    store: Store,
    collector: Collector,
    start_worker: StartWorker,
) -> None:
    payment = buyer.new_payment()
    sandbox.pay(payment["orderId"])
    create = collector.one(f"POST {PAYMENTS}/create")
    start_worker(TRACING_URL=collector.url, RECONCILE_AFTER="1s")
    eventually(lambda: row_of(store.payments, **_key(payment))["status"] == "success")
    found = eventually(lambda: [s for s in collector.spans() if s.trace_id == create.trace_id][2:])
    assert found, "the worker's spans came after those of the request"


def _key(payment: dict[str, str]) -> dict[str, str]:
    return {"referenceId": payment["referenceId"]}


def test_a_caller_may_join_its_own_trace(buyer: Actor, collector: Collector) -> None:
    answer = buyer.call("GET", f"{PAYMENTS}/history/{buyer.id}", headers={"traceparent": OURS})
    assert answer.status_code == 200
    span = collector.one(f"GET {PAYMENTS}/history/{{user_id}}")
    assert span.trace_id.hex() == OURS.split("-")[1]
    assert span.parent_span_id.hex() == OURS.split("-")[2]


@pytest.mark.parametrize("odd", ["", "x", "00-0-0-01", OURS.replace("0af7", "ünïc"), OURS * 50])
def test_an_odd_trace_header_does_no_harm(buyer: Actor, collector: Collector, odd: str) -> None:
    headers = {"traceparent": odd.encode()}
    answer = buyer.client.get("/v1/api/users/profile", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code in (401, 404)


def test_no_span_names_a_person_a_payment_or_a_path(
    traced: Api, buyer: Actor, sandbox: Sandbox, collector: Collector
) -> None:
    payment, checkout = buyer.buy(sandbox)
    assert buyer.show(payment["referenceId"]).status_code == 200
    assert traced.client.get(f"/nowhere/{buyer.id}").status_code == 404
    assert traced.client.get("/health/live").status_code == 200
    collector.one("unmatched")
    collector.one(f"GET {PAYMENTS}/{{reference_id}}")
    told = b"".join(request.body for request in collector.requests)
    for secret in (
        *(buyer.id, buyer.email, buyer.token, payment["referenceId"], payment["orderId"]),
        *checkout.values(),
    ):
        assert str(secret).encode() not in told
    assert not [span for span in collector.spans() if "health" in span.name]


def test_no_trace_header_goes_to_the_gateway(
    start_api: StartApi, store: Store, collector: Collector
) -> None:
    with HttpServer(Response(500)) as gateway:
        api = start_api(TRACING_URL=collector.url, RAZORPAY_BASE_URL=gateway.url)
        assert People(api.client, store).new().create().status_code == 503
        failed = collector.one("POST orders")
        assert failed.status.code == failed.status.STATUS_CODE_ERROR
        orders = [request for request in gateway.requests if request.method == "POST"]
        assert orders
        assert not {"traceparent", "tracestate", "baggage"} & set(orders[0].headers)


def test_a_ratio_of_nothing_sends_nothing_whatever_callers_ask(
    start_api: StartApi, store: Store, collector: Collector
) -> None:
    api = start_api(TRACING_URL=collector.url, TRACING_RATIO="0")
    buyer = People(api.client, store).new()
    headers = {"traceparent": OURS}
    assert buyer.call("GET", f"{PAYMENTS}/history/{buyer.id}", headers=headers).is_success
    assert buyer.new_payment()
    api.process.stop(20)
    assert collector.spans() == []


def test_what_is_left_is_sent_at_the_end(traced: Api, buyer: Actor, collector: Collector) -> None:
    assert buyer.new_payment()
    traced.process.stop(20)
    assert collector.spans("POST orders")


def test_a_collector_that_is_away_holds_up_nothing(start_api: StartApi, store: Store) -> None:
    api = start_api(TRACING_URL="http://127.0.0.1:1")
    assert People(api.client, store).new().new_payment()
    start = time.monotonic()
    api.process.stop(20)
    assert time.monotonic() - start < 15


def test_without_the_setting_nothing_is_traced_or_stored(
    user: Actor, store: Store, api: httpx.Client
) -> None:
    payment = user.new_payment()
    assert "traceparent" not in row_of(store.payments, referenceId=payment["referenceId"])
    # Libraries may look for OpenTelemetry themselves; we do not.
    script = (
        "import sys, kernapay.asgi, kernapay.worker\n"
        "ours = ('kernapay.core.open_telemetry', 'opentelemetry.exporter', 'google.protobuf')\n"
        "print([name for name in ours if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
