"""Kill the process at every step of everything that moves money, start it again, and look at both books.

`pytest tests/money/test_crash_matrix.py` prints a table of every point and what became of it.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from bson import ObjectId

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.deliveries.signing import new_secret
from kernapay.devstack.ports import is_listening
from kernapay.devstack.process import Process
from tests.actors import CUSTOMERS, PAYMENTS, REPORTS, SETTLEMENTS, Actor, assert_problem, verify
from tests.aliases import Json, RecordProperty, Store, json_of
from tests.checkout import SOURCES
from tests.databases import receipt_of, row_of
from tests.deliveries.field import Field
from tests.deliveries.receiver import Receiver
from tests.factories import payment_body, unique
from tests.house.scopes import new_holder
from tests.money.books import DAY, age, pay_twice, refunds_of
from tests.money.disputes import raise_dispute, resolve, tell
from tests.money.express import IMPORT
from tests.money.shop import LONG_AGO, Shop
from tests.stack import WORKER_BUGS, Api, Sandbox
from tests.waiting import eventually

pytestmark = pytest.mark.long

CREATE = (
    "batch.inserted",
    "create.inserted",
    "create.claimed",
    "create.ordered",
    "batch.assigned",
    "create.written",
    "create.attached",
)
CUSTOMER = ("batch.inserted", "create.customer", "create.inserted")
MERGE = ("merge.marked", "merge.moved")
SETTLE = ("settle.checked", "batch.assigned", "settle.written", "settle.moved")
VERIFY = ("verify.signed", "verify.asked", *SETTLE)
WEBHOOK = (
    "webhook.received",
    "batch.inserted",
    "webhook.stored",
    *SETTLE,
    "webhook.handled",
    "webhook.processed",
)
CAPTURE = ("capture.checked", "capture.captured", *SETTLE)
DISPUTE = ("webhook.received", "webhook.stored", "dispute.checked", "dispute.written")
REFUND = (
    "refund.reserved",
    "refund.made",
    "settle.refund_written",
    "settle.refund_recorded",
    "refund.recorded",
)
REFUNDED = (*SETTLE, "settle.refund_written", "settle.refund_recorded")
RECONCILE = ("reconcile.claimed", "reconcile.asked", *SETTLE, "reconcile.settled")
SURPLUS = ("surplus.entered", "surplus.made")
REPORT = ("report.found", "report.compared")
NIGHT = ("report.repaired",)
SETTLEMENT = (
    "settlement.rows_stored",
    "settlement.summed",
    "settlement.entered",
    "settlement.read",
)
WITHDRAWAL = ("settlement.withdrawn",)
DISPATCH = ("dispatch.leased", "dispatch.sent", "dispatch.noted")
RELAY = (
    "relay.read",
    "relay.events",
    "relay.half",
    "relay.deliveries",
    "papers.numbered",
    "relay.cleared",
)


@pytest.fixture(scope="module")
def trigger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that names the point at which the next process crashes, once."""
    return tmp_path_factory.mktemp("trigger") / "crash-at"


@pytest.fixture(scope="module")
def crashing_api(
    api_env: dict[str, str],
    store: Store,
    trigger: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """An API that crashes where the trigger says, and is started again by the test."""
    env = {**api_env, "KERNAPAY_CRASH_AT": str(trigger), "RAZORPAY_TIMEOUT": "1s"}
    with Api(tmp_path_factory.mktemp("crashing"), env) as server:
        yield server


class Crash:
    """Arm a crash point of a process; start the process again once it has crashed there."""

    def __init__(self, trigger: Path, process: Process, port: int | None) -> None:
        self._trigger = trigger
        self._process = process
        self._port = port

    def arm(self, point: str) -> None:
        self._trigger.write_text(point)

    def restart(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Start the process again once it has crashed; `meanwhile` is done until then, again and again."""

        def has_crashed() -> bool:
            meanwhile()
            return not self._trigger.exists()

        eventually(has_crashed)
        self._process.kill()
        if self._port is not None:
            # A worker that was started again meanwhile has it until it notices that nobody watches it.
            port = self._port
            eventually(lambda: not is_listening(port))
        self._process.launch()
        self._process.wait_ready(60)


@contextmanager
def armed(trigger: Path, process: Process, port: int | None = None) -> Iterator[Crash]:
    """Fail when no process has passed the armed point by the end."""
    trigger.unlink(missing_ok=True)
    yield Crash(trigger, process, port)
    crashed = not trigger.exists()
    trigger.unlink(missing_ok=True)
    assert crashed, "no process passed the armed point"


@pytest.fixture
def crash(trigger: Path, crashing_api: Api) -> Iterator[Crash]:
    with armed(trigger, crashing_api.process, crashing_api.port) as crash:
        yield crash


def assert_no_response(call: Callable[[], httpx.Response]) -> None:
    with suppress(httpx.TransportError):
        answer = call()
        raise AssertionError(f"answered {answer.status_code}: {answer.text}")


def retry(call: Callable[[], httpx.Response], *accepted: int) -> httpx.Response:
    """Repeat a call that got no response, or a 502 or 503, until its status is accepted."""

    def attempt() -> httpx.Response | None:
        with suppress(httpx.TransportError):
            answer = call()
            if answer.status_code in accepted:
                return answer
            assert answer.status_code in (502, 503), answer.text
        return None

    return eventually(attempt)


def expire_leases(shop: Shop) -> None:
    """End the leases of the crashed process."""
    shop.store.payments.update_many(
        {"orderLeaseUntil": {"$exists": True}}, {"$set": {"orderLeaseUntil": LONG_AGO}}
    )
    shop.store.payments.update_many(
        {"refunds.leaseUntil": {"$exists": True}}, {"$set": {"refunds.$[].leaseUntil": LONG_AGO}}
    )
    shop.store.reconciliation_reports.update_many({}, {"$set": {"leaseUntil": LONG_AGO}})
    shop.store.payments.update_many(
        {"surplusAt": {"$exists": True}}, {"$set": {"surplusAt": LONG_AGO}}
    )
    make_days_due(shop)


def make_days_due(shop: Shop) -> None:
    """Let the days of the settlement feed be read again. Who makes one due before it exists makes none due."""
    shop.store.settlement_days.update_many({}, {"$set": {"dueAt": LONG_AGO}})


def make_all_due(shop: Shop) -> None:
    """End the leases of the crashed process, and make due what is scheduled for later."""
    shop.store.payments.update_many({}, {"$set": {"checkAt": LONG_AGO}})
    expire_leases(shop)


def enter(shop: Shop, record: RecordProperty, way: str, point: str, row: Json) -> None:
    """Enter a row into the table, with the numbers of the gateway."""
    payment = {"orderId": row.get("razorpayOrderId")}
    counts = {
        "orders": len(shop.sandbox.orders(receipt_of(row))),
        "captures": len(shop.captured_at_gateway(payment)) if payment["orderId"] else 0,
        "refunds": len(shop.refunds_at_gateway(payment)) if payment["orderId"] else 0,
        "differences": len(shop.differences()),
    }
    counted = "  ".join(f"{name} {number}" for name, number in counts.items())
    steps = " > ".join(step["event"] for step in row["history"])
    record("table: crash matrix", [f"{way:<17}{point:<24}{row['status']:<9}", counted, steps])


@pytest.fixture
def buyer(user: Actor, crashing_api: Api) -> Actor:
    return user.at(crashing_api.client)


@pytest.mark.parametrize("point", CREATE)
def test_create_survives(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    assert buyer.history().json() == []  # and now it is in the cache
    key = unique("key-")
    crash.arm(point)
    assert_no_response(lambda: buyer.create(idempotencyKey=key))
    crash.restart()
    expire_leases(shop)

    payment = retry(lambda: buyer.create(idempotencyKey=key), 200, 201).json()["data"]

    assert [line["razorpayOrderId"] for line in buyer.history().json()] == [payment["orderId"]]
    assert (
        verify(crashing_api.client, payment, shop.sandbox.pay(payment["orderId"])).status_code
        == 200
    )
    shop.settle_later()
    enter(shop, record_property, "create", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", MERGE)
def test_a_merge_of_customers_survives(
    point: str,
    crash: Crash,
    shop: Shop,
    admin: Actor,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    """What the process had not moved, the worker moves; a repeat answers as the first call would have."""
    scopes = ("payments:read", "payments:write", "customers:write", "customers:read")
    back_end = new_holder(admin, buyer, "USER", *scopes)
    payment, _ = back_end.buy(shop.sandbox, customer={"reference": "old"})
    old = payment["customerId"]
    kept = back_end.new_payment(customer={"reference": "kept"})["customerId"]
    path = f"{CUSTOMERS}/{old}/merge"
    crash.arm(point)
    assert_no_response(lambda: back_end.call("POST", path, json={"into": kept}))
    crash.restart()

    async def follow_up(services: Services) -> None:
        while await services.customer_follow_ups.sweep():
            pass

    shop.work(follow_up, timedelta(seconds=1))

    assert back_end.seen(payment["referenceId"])["customerId"] == kept
    again = back_end.call("POST", path, json={"into": kept})
    assert (again.status_code, again.json()["mergedInto"]) == (200, kept)
    assert back_end.new_payment(customer={"reference": "old"})["customerId"] == kept
    enter(shop, record_property, "merge", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", CUSTOMER)
def test_a_create_for_a_new_customer_survives(
    point: str,
    crash: Crash,
    shop: Shop,
    admin: Actor,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    """Without a reference, nothing but the repeated key says that it is the same customer."""
    back_end = new_holder(admin, buyer, "USER", "payments:read", "payments:write")
    body = payment_body(customer={"name": "Ravi Iyer"})
    crash.arm(point)
    assert_no_response(lambda: back_end.create(body))
    crash.restart()
    expire_leases(shop)

    payment = retry(lambda: back_end.create(body), 200, 201).json()["data"]

    customer = row_of(shop.store.customers, shopId=ObjectId(buyer.id))
    assert payment["customerId"] == str(customer["_id"])
    checkout = shop.sandbox.pay(payment["orderId"])
    assert verify(back_end.client, payment, checkout).status_code == 200
    shop.settle_later()
    assert back_end.seen(payment["referenceId"])["customerId"] == payment["customerId"]
    enter(shop, record_property, "create, customer", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", ["batch.inserted", "batch.assigned"])
def test_creates_under_way_together_survive(
    point: str, crash: Crash, shop: Shop, buyer: Actor
) -> None:
    keys = [unique("key-") for _ in range(8)]
    crash.arm(point)
    with ThreadPoolExecutor(len(keys)) as pool:
        list(
            pool.map(lambda key: assert_no_response(lambda: buyer.create(idempotencyKey=key)), keys)
        )
    crash.restart()
    expire_leases(shop)

    with ThreadPoolExecutor(len(keys)) as pool:
        answers = list(
            pool.map(lambda key: retry(lambda: buyer.create(idempotencyKey=key), 200, 201), keys)
        )

    orders = {answer.json()["data"]["orderId"] for answer in answers}
    assert len(orders) == len(keys) == shop.store.payments.count_documents({})
    assert {line["razorpayOrderId"] for line in buyer.history().json()} == orders
    assert shop.differences() == []


@pytest.mark.parametrize("point", ["create.inserted", "create.ordered"])
def test_a_create_nobody_repeats_leaves_no_unknown_order(
    point: str, crash: Crash, shop: Shop, buyer: Actor, record_property: RecordProperty
) -> None:
    crash.arm(point)
    assert_no_response(buyer.create)
    crash.restart()

    shop.settle_later()

    assert shop.differences() == []
    assert shop.store.payments.count_documents({}) == 1
    row = row_of(shop.store.payments)
    orders = shop.sandbox.orders(receipt_of(row))
    assert [order["id"] for order in orders] == [
        row[name] for name in ("razorpayOrderId",) if name in row
    ]
    enter(shop, record_property, "abandoned", point, row)


@pytest.mark.parametrize("point", VERIFY)
def test_verify_survives(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    payment = buyer.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"])
    assert buyer.history().json()[0]["status"] == "pending"
    crash.arm(point)
    assert_no_response(lambda: verify(crashing_api.client, payment, checkout))
    crash.restart()

    retry(lambda: verify(crashing_api.client, payment, checkout), 200)

    shop.settle_later()
    assert buyer.history().json()[0]["status"] == "success"
    enter(shop, record_property, "verify", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", REFUNDED)
def test_a_payment_that_went_back_is_never_verified(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    """Whatever is stored at the crash: the repeat must not deliver."""
    payment = buyer.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"])
    shop.sandbox.refund(checkout["razorpay_payment_id"])
    crash.arm(point)
    assert_no_response(lambda: verify(crashing_api.client, payment, checkout))
    crash.restart()

    again = retry(lambda: verify(crashing_api.client, payment, checkout), 200, 409)

    assert_problem(again, 409, code="payment_returned")
    shop.settle_later()
    row = shop.assert_sound(payment)
    assert (row["status"], row["amountRefunded"]) == ("refunded", 50_000)
    assert [refund["status"] for refund in row["refunds"]] == ["processed"]
    enter(shop, record_property, "verify, refunded", point, row)


@pytest.mark.parametrize("point", WEBHOOK)
def test_webhooks_survive(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    sandbox: Sandbox,
    buyer: Actor,
    record_property: RecordProperty,
) -> None:
    sandbox.deliver_to(crashing_api.url, events=("payment.captured",))
    payment = buyer.new_payment()
    assert buyer.history().json()[0]["status"] == "pending"
    crash.arm(point)
    sandbox.pay(payment["orderId"])
    crash.restart()

    def delivered() -> bool:
        sandbox.advance(30)
        return {d["status"] for d in sandbox.deliveries()} == {"delivered"}

    eventually(delivered)
    process_inbox(shop)

    assert [row["status"] for row in shop.store.webhook_events.find()] == ["processed"]
    assert buyer.history().json()[0]["status"] == "success"
    enter(shop, record_property, "webhook", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", [*DISPUTE, *WEBHOOK[-2:]])
def test_a_lost_dispute_survives(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    sandbox: Sandbox,
    buyer: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    """Entered once, with its step, its hold on the money and the finding that the money went back twice."""
    payment, checkout = buyer.buy(shop.sandbox)
    assert request_refund(admin, payment).status_code == 201
    raised = raise_dispute(shop, checkout["razorpay_payment_id"], amount=40000)
    tell(crashing_api.client, "created", raised, raised["created_at"])
    sandbox.deliver_to(crashing_api.url, events=("payment.dispute.lost",))
    crash.arm(point)
    resolve(shop, raised, "lost")
    crash.restart()

    def delivered() -> bool:
        sandbox.advance(30)
        return {d["status"] for d in sandbox.deliveries()} == {"delivered"}

    eventually(delivered)
    process_inbox(shop)

    row = shop.row(payment)
    assert [(each["status"], each["lost"]) for each in row["disputes"]] == [("lost", 40000)]
    assert [step["event"] for step in row["history"]][-2:] == [
        "payment.dispute.created",
        "payment.dispute.lost",
    ]
    assert [each["reason"] for each in row["mismatches"]] == ["dispute_lost_after_refund"]
    assert {each["status"] for each in shop.store.webhook_events.find()} == {"processed"}
    enter(shop, record_property, "dispute", point, row)


def process_inbox(shop: Shop) -> None:
    """Do a worker's work on the inbox, and nothing else: the event alone must be enough."""
    shop.store.webhook_events.update_many({"status": "pending"}, {"$set": {"nextAt": LONG_AGO}})

    async def sweep(services: Services) -> None:
        while await services.webhook_inbox.sweep():
            pass

    shop.work(sweep)


@pytest.mark.parametrize("point", CAPTURE)
def test_capture_survives(
    point: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    clerk = admin.at(crashing_api.client)
    payment = buyer.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")

    def capture() -> httpx.Response:
        return clerk.call("POST", f"{PAYMENTS}/{payment['referenceId']}/capture")

    crash.arm(point)
    assert_no_response(capture)
    crash.restart()

    retry(capture, 200, 409)

    enter(shop, record_property, "capture", point, shop.assert_sound(payment))


def request_refund(clerk: Actor, payment: Json) -> httpx.Response:
    """Refund a part, always under the same key."""
    body = {"amount": 20000, "idempotencyKey": "one-key"}
    return clerk.call("POST", f"{PAYMENTS}/{payment['referenceId']}/refunds", json=body)


@pytest.mark.parametrize(
    ("point", "finisher"),
    [*((point, "client") for point in REFUND), *((point, "worker") for point in REFUND[:2])],
)
def test_refunds_survive(
    point: str,
    finisher: str,
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    clerk = admin.at(crashing_api.client)
    payment, _ = buyer.buy(shop.sandbox)
    refund = partial(request_refund, clerk, payment)
    crash.arm(point)
    assert_no_response(refund)
    crash.restart()
    if finisher == "worker":
        shop.settle_later()
    else:
        expire_leases(shop)
        retry(refund, 200, 201)

    row = shop.assert_sound(payment)
    assert row["amountRefunded"] == 20000
    assert len(shop.refunds_at_gateway(payment)) == 1
    assert retry(refund, 200).json()["data"]["amountRefunded"] == 20000
    enter(shop, record_property, f"refund, {finisher}", point, row)


def test_a_refused_refund_survives(
    crash: Crash,
    crashing_api: Api,
    shop: Shop,
    buyer: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    clerk = admin.at(crashing_api.client)
    payment, _ = buyer.buy(shop.sandbox)
    refusal = {"description": "The payment status should be captured for action to be taken"}
    shop.sandbox.fault("refusal", route="/v1/payments/*/refund", method="POST", options=refusal)
    refund = partial(request_refund, clerk, payment)
    crash.arm("refund.rejected")
    assert_no_response(refund)
    crash.restart()

    # Asked once more, when the lease has run out, the gateway agrees.
    retry(refund, 200)
    assert len(shop.refunds_at_gateway(payment)) == 1
    enter(shop, record_property, "refund", "refund.rejected", shop.assert_sound(payment))


@pytest.mark.parametrize("point", SURPLUS)
def test_money_that_goes_back_survives(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    record_property: RecordProperty,
) -> None:
    worker_crash.arm(point)
    payment = user.new_payment()
    path = f"{PAYMENTS}/{payment['referenceId']}/cancel"
    assert user.call("POST", path).status_code == 200
    paid = shop.sandbox.pay(payment["orderId"])
    # A worker looks after failed payments, too.
    shop.edit(payment, checkAt=now() - timedelta(hours=1))
    worker_crash.restart()
    shop.edit(payment, checkAt=now() - timedelta(hours=1))
    expire_leases(shop)

    eventually(lambda: shop.surplus_states(payment) == ["processed"])

    refunds = shop.sandbox.items(f"/v1/payments/{paid['razorpay_payment_id']}/refunds")
    assert [refund["amount"] for refund in refunds] == [50_000]
    assert shop.differences() == []
    enter(shop, record_property, "surplus", point, shop.row(payment))


@pytest.fixture
def worker_crash(shop: Shop, trigger: Path) -> Iterator[Crash]:
    """Crash a worker."""
    trigger.unlink(missing_ok=True)
    worker = shop.worker(
        "crashing-worker", KERNAPAY_CRASH_AT=str(trigger), DELIVERY_ALLOWED_HOSTS="127.0.0.1"
    )
    with armed(trigger, worker) as crash:
        yield crash
    log = worker.log.read_text()
    assert [bug for bug in WORKER_BUGS if bug in log] == []


@pytest.mark.parametrize("point", RECONCILE)
def test_reconciliation_survives(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    record_property: RecordProperty,
) -> None:
    worker_crash.arm(point)
    payment = user.new_payment()
    assert user.history().json()[0]["status"] == "pending"
    # Authorised only: the worker has to capture as well.
    shop.sandbox.pay(payment["orderId"], "authorized")
    make_all_due(shop)
    worker_crash.restart()
    make_all_due(shop)

    eventually(lambda: user.history().json()[0]["status"] == "success")

    enter(shop, record_property, "reconcile", point, shop.assert_sound(payment))


def test_adopting_an_order_survives(
    worker_crash: Crash, shop: Shop, user: Actor, record_property: RecordProperty
) -> None:
    worker_crash.arm("reconcile.adopted")
    shop.sandbox.fault("answer_lost", route="/v1/orders", method="POST")
    assert user.create(idempotencyKey="one-key").status_code == 503
    make_all_due(shop)
    worker_crash.restart()

    payment = user.create(idempotencyKey="one-key").json()["data"]
    shop.sandbox.pay(payment["orderId"])
    make_all_due(shop)
    eventually(lambda: shop.row(payment)["status"] == "success")
    enter(shop, record_property, "reconcile", "reconcile.adopted", shop.assert_sound(payment))


@pytest.mark.parametrize("point", ["refund.made", "settle.refund_written"])
def test_resuming_a_refund_survives(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("reset", route="/v1/payments/*/refund", method="POST")
    worker_crash.arm(point)
    assert request_refund(admin, payment).status_code == 503
    make_all_due(shop)
    worker_crash.restart()
    make_all_due(shop)

    eventually(lambda: shop.row(payment)["amountRefunded"] == 20000)

    assert len(shop.refunds_at_gateway(payment)) == 1
    enter(shop, record_property, "reconcile", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", REPORT)
def test_reports_survive(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    # Paid here, and not at the gateway: nobody looks at it before the report does.
    payment = user.new_payment()
    shop.edit(payment, status="success")
    created = shop.row(payment)["createdAt"]
    worker_crash.arm(point)
    window = {"from": f"{created:%Y-%m-%dT%H:%M:%SZ}", "to": f"{created:%Y-%m-%dT%H:%M:%S.999Z}"}
    report = eventually(lambda: _request_report(admin, window))["_id"]
    worker_crash.restart()
    make_all_due(shop)

    path = f"{REPORTS}/{report}"
    eventually(lambda: admin.call("GET", path).json()["report"]["state"] == "done")

    assert [f["kind"] for f in admin.call("GET", path).json()["findings"]] == ["status"]
    record_property("table: crash matrix", [f"{'report':<17}{point:<24}{'done':<9}", "findings 1"])


@pytest.mark.parametrize("point", NIGHT)
def test_what_a_night_gives_back_survives(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    record_property: RecordProperty,
) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 2 * DAY)
    # Of a day that is over, so that only its night tells of it.
    second = pay_twice(shop, payment, created_at=int((now() - 2 * DAY).timestamp()))
    worker_crash.arm(point)
    shop.work(lambda services: services.reconciliation_service.request_nightly())
    worker_crash.restart()
    make_all_due(shop)

    reports = shop.store.reconciliation_reports
    eventually(lambda: not reports.count_documents({"state": {"$ne": "done"}}))

    assert refunds_of(shop, second) == [(50_000, "processed")]
    (finding,) = shop.store.reconciliation_findings.find()
    assert (finding["kind"], finding["repairedBy"]) == ("second_payment", "nightly")
    assert finding["repairedAt"] is not None
    record_property("table: crash matrix", [f"{'report':<17}{point:<24}{'done':<9}", "findings 1"])


@pytest.mark.parametrize("point", SETTLEMENT)
def test_reading_settlements_survives(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    bought = [user.buy(shop.sandbox)[0] for _ in range(3)]
    # Before: the gateway tells of the settlement, and the worker may have read it all at once.
    worker_crash.arm(point)
    shop.sandbox.call("POST", "/_sandbox/settle", {})
    # Again and again: the worker may be reading the day from before the settlement.
    worker_crash.restart(meanwhile=lambda: make_days_due(shop))
    make_all_due(shop)

    def is_read() -> bool:
        return all(admin.seen(each["referenceId"])["settledAt"] for each in bought)

    eventually(is_read)

    (found,) = eventually(lambda: admin.call("GET", SETTLEMENTS).json())
    assert (found["rows"], found["difference"]) == (3, 0)
    assert shop.store.settlement_rows.count_documents({}) == 3
    for each in bought:
        assert len(admin.seen(each["referenceId"])["settlements"]) == 1
    record_property("table: crash matrix", [f"{'settlement':<17}{point:<24}{'read':<9}", "rows 3"])


@pytest.mark.parametrize("point", WITHDRAWAL)
def test_withdrawing_a_settlement_that_failed_survives(
    point: str, worker_crash: Crash, shop: Shop, user: Actor, record_property: RecordProperty
) -> None:
    bought = [user.buy(shop.sandbox)[0] for _ in range(3)]
    shop.sandbox.call("POST", "/_sandbox/settle", {})

    def are_settled() -> bool:
        make_days_due(shop)
        return all(shop.row(each).get("settledAt") for each in bought)

    eventually(are_settled)
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    books["settlement"][0]["status"] = "failed"
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    worker_crash.arm(point)
    worker_crash.restart(meanwhile=lambda: make_days_due(shop))
    make_all_due(shop)

    def is_told() -> bool:
        return not any(row.get("enteredInPaymentAt") for row in shop.store.settlement_rows.find())

    eventually(is_told)

    for each in bought:
        row = shop.row(each)
        assert (row["settledAt"], row["settlements"]) == (None, [])
    record_property(
        "table: crash matrix", [f"{'settlement':<17}{point:<24}{'failed':<9}", "rows 0"]
    )


@pytest.mark.parametrize("point", DISPATCH)
def test_deliveries_survive(
    point: str, worker_crash: Crash, shop: Shop, record_property: RecordProperty
) -> None:
    field = Field(shop.store, now)
    field.clear()
    secret = new_secret()
    with Receiver() as receiver:
        worker_crash.arm(point)
        endpoint = field.endpoint(receiver.url, secret)
        events = [field.send(endpoint, 3) for _ in range(4)]
        worker_crash.restart()

        eventually(lambda: field.states(endpoint) == {"done": 12})

        for received in receiver.received:
            received.verify(secret)
        arrived = receiver.ids()
    field.clear()
    for of_payment in events:
        # In order, by the first time that each came.
        firsts = list(dict.fromkeys(each for each in arrived if each in of_payment))
        assert firsts == of_payment
    twice = len(arrived) - 12
    # Those on their way and, while a note is written, those that were answered meanwhile.
    assert twice <= {"dispatch.leased": 0, "dispatch.sent": 8, "dispatch.noted": 11}[point]
    record_property(
        "table: crash matrix", [f"{'delivery':<17}{point:<24}{'done':<9}", f"twice {twice}"]
    )


@pytest.mark.parametrize("point", RELAY)
def test_what_changed_is_told_of(
    point: str,
    worker_crash: Crash,
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: RecordProperty,
) -> None:
    """A sale, its refund, and a cancelled sale: each change is an event once, whatever the relay had stored."""
    field = Field(shop.store, now)
    field.clear()
    secret = new_secret()
    with Receiver() as receiver:
        endpoint = field.endpoint(receiver.url, secret)
        worker_crash.arm(point)
        bought, _ = user.buy(shop.sandbox)
        assert request_refund(admin, bought).status_code == 201
        given_up = user.new_payment()
        path = f"{PAYMENTS}/{given_up['referenceId']}/cancel"
        assert user.call("POST", path).status_code == 200
        worker_crash.restart()

        wanted = ["payment.created", "payment.succeeded", "refund.requested", "refund.processed"]
        types = {
            bought["referenceId"]: wanted,
            given_up["referenceId"]: ["payment.created", "payment.cancelled"],
        }
        eventually(lambda: field.states(endpoint) == {"done": 6})
        # The dispatcher hears of new deliveries before the relay has ended the markers.
        waiting = {"announce": {"$exists": True}}
        eventually(lambda: shop.store.payments.count_documents(waiting) == 0)
        arrived = receiver.ids()
        for received in receiver.received:
            received.verify(secret)
    events = list(shop.store.events.find().sort("seq"))
    field.clear()
    told = {subject: [e["type"] for e in events if e["subject"] == subject] for subject in types}
    assert (told, len(events)) == (types, 6)
    # The relay died, and not the dispatcher: nothing came twice but what that had on its way.
    assert set(arrived) == {each["_id"] for each in events}
    record_property(
        "table: crash matrix",
        [f"{'relay':<17}{point:<24}{'done':<9}", f"events {len(events)}  arrived {len(arrived)}"],
    )


def _request_report(admin: Actor, window: dict[str, str]) -> Json | None:
    answer = admin.call("POST", REPORTS, json=window)
    return json_of(answer) if answer.status_code == 202 else None


def test_every_crash_point_is_in_the_matrix() -> None:
    named = {
        point
        for path in SOURCES
        for point in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
    }
    tried = {
        *(*CREATE, *CUSTOMER, *MERGE, *VERIFY, *WEBHOOK, *CAPTURE, *DISPUTE),
        *IMPORT,
        *(
            *REFUND,
            *RECONCILE,
            *SURPLUS,
            *REPORT,
            *NIGHT,
            *SETTLEMENT,
            *WITHDRAWAL,
            *DISPATCH,
            *RELAY,
        ),
    }

    assert named == tried | {"refund.rejected", "reconcile.adopted"}
