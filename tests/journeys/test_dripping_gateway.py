"""A gateway whose answers come byte by byte: each call ends at its deadline, and holds up nothing else."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from tests.actors import Actor, People, assert_problem, status, verify
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import payment_body
from tests.stack import Api, Sandbox, StartApi, StartWorker
from tests.waiting import eventually

pytestmark = pytest.mark.long

TIMEOUT = 2.0
SLACK = 2.5  # for a busy machine
DRIP = {"seconds": 0.5}  # an answer of some hundred bytes would take minutes


@pytest.fixture
def hasty_api(start_api: StartApi) -> Api:
    return start_api(RAZORPAY_TIMEOUT=f"{TIMEOUT:.0f}s", GATEWAY_THREADS="8")


@pytest.fixture(autouse=True)
def quiet_sandbox(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear()


def test_a_create_is_answered_at_its_deadline_and_its_order_found_by_its_key(
    user: Actor, sandbox: Sandbox, store: Store, hasty_api: Api
) -> None:
    hasty = user.at(hasty_api.client)
    sandbox.fault("drip", route="/v1/orders", method="POST", options=DRIP)
    body = payment_body()
    start = monotonic()
    assert_problem(hasty.create(body), 503, code="gateway_unavailable")
    assert TIMEOUT * 0.9 < monotonic() - start < TIMEOUT + SLACK
    assert hasty_api.log_entries("gateway_unanswered", call="POST orders")
    assert hasty.create(body).status_code == 200
    row = row_of(store.payments, idempotencyKey=body["idempotencyKey"])
    assert len(sandbox.orders(f"KP_{row['_id']}")) == 1


def test_dripping_answers_in_every_thread_hold_no_create_once_the_gateway_is_well(
    people: People, sandbox: Sandbox, hasty_api: Api
) -> None:
    accounts = [people.new().at(hasty_api.client) for _ in range(4)]
    fault = sandbox.fault("drip", times=8, route="/v1/orders", method="POST", options=DRIP)
    with ThreadPoolExecutor(8) as threads:
        slow = [
            threads.submit(account.create, payment_body()) for account in accounts for _ in range(2)
        ]
        eventually(lambda: sandbox.hits(fault) == 8)
        start = monotonic()
        new = people.new().at(hasty_api.client)
        answer = new.create(payment_body())
        # It waited for a thread, and was answered: either way by its own deadline.
        assert monotonic() - start < TIMEOUT + SLACK
        assert answer.status_code in (201, 503)
        assert {each.result().status_code for each in slow} == {503}
    assert new.create(payment_body()).status_code == 201
    assert monotonic() - start < 2 * TIMEOUT + SLACK


@pytest.mark.owasp(line="API4")
def test_one_account_whose_calls_are_slow_leaves_threads_to_the_others(
    people: People, sandbox: Sandbox, start_api: StartApi
) -> None:
    """A quarter of the threads is an account's share, whatever it calls the gateway for."""
    api = start_api(RAZORPAY_TIMEOUT="8s", GATEWAY_THREADS="4")
    slow, other = (people.new().at(api.client) for _ in range(2))
    bought = []
    for _ in range(6):
        payment = slow.new_payment()
        bought.append((payment, sandbox.pay(payment["orderId"])))
    fault = sandbox.fault("drip", times=None, route="/v1/payments/pay_*", options=DRIP)
    with ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(verify, api.client, *each) for each in bought]
        eventually(lambda: sandbox.call("GET", "/_sandbox/faults")["items"][0]["hits"] == 1)
        start = monotonic()
        assert other.create(payment_body()).status_code == 201
        assert monotonic() - start < 4
        assert not any(each.done() for each in answers)
        sandbox.call("DELETE", f"/_sandbox/faults/{fault['id']}")
        assert {each.result().status_code for each in answers} <= {200, 429, 503}


def test_a_dripping_answer_does_not_stop_the_workers_sweep(
    user: Actor, sandbox: Sandbox, store: Store, start_worker: StartWorker
) -> None:
    payments = [user.new_payment() for _ in range(6)]
    for payment in payments:
        sandbox.pay(payment["orderId"])
    stuck, *others = payments
    route = f"/v1/orders/{stuck['orderId']}/payments"
    sandbox.fault("drip", times=None, route=route, options=DRIP)
    for payment in payments:
        where = {"referenceId": payment["referenceId"]}
        store.payments.update_one(where, [{"$set": {"checkAt": {"$subtract": ["$$NOW", 10**7]}}}])
    worker = start_worker(RAZORPAY_TIMEOUT="1s", RECONCILE_AFTER="1s", RECONCILE_RATE="100")

    def are_settled() -> bool:
        return all(status(user.client, payment)["status"] == "success" for payment in others)

    eventually(are_settled)
    # The others may be settled before the sweep gives up the answer that drips.
    eventually(lambda: "gateway_unanswered" in worker.log.read_text())
    worker.stop(timeout=10)
    assert worker.exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_with_dripping_answers_ends_within_the_deadline(
    user: Actor, sandbox: Sandbox, hasty_api: Api, number: signal.Signals
) -> None:
    fault = sandbox.fault("drip", times=2, route="/v1/orders", method="POST", options=DRIP)
    hasty = user.at(hasty_api.client)
    with ThreadPoolExecutor(2) as aside:
        calls = [aside.submit(hasty.create, payment_body()) for _ in range(2)]
        eventually(lambda: sandbox.hits(fault) == 2)
        start = monotonic()
        hasty_api.signal(number)
        eventually(lambda: hasty_api.process.exit_code is not None)
        assert monotonic() - start < TIMEOUT + SLACK
        assert {call.result().status_code for call in calls} == {503}


def test_a_worker_with_a_dripping_answer_ends_within_the_deadline(
    user: Actor, sandbox: Sandbox, store: Store, start_worker: StartWorker
) -> None:
    payment = user.new_payment()
    sandbox.pay(payment["orderId"])
    fault = sandbox.fault("drip", times=None, route="/v1/orders/*/payments", options=DRIP)
    where = {"referenceId": payment["referenceId"]}
    store.payments.update_one(where, [{"$set": {"checkAt": {"$subtract": ["$$NOW", 10**7]}}}])
    worker = start_worker(RAZORPAY_TIMEOUT=f"{TIMEOUT:.0f}s", RECONCILE_AFTER="1s")

    def has_begun() -> bool:
        faults = sandbox.items("/_sandbox/faults")
        return any(each["id"] == fault["id"] and each["hits"] for each in faults)

    eventually(has_begun)
    start = monotonic()
    worker.stop(timeout=20)
    assert monotonic() - start < TIMEOUT + SLACK
    assert worker.exit_code == 0
    assert "worker_stopped" in worker.log.read_text()
