"""Kill the process at every step of everything that moves money, start it again, and look at both books.

`pytest tests/money/test_crash_matrix.py` prints a table of every point and what became of it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo.database import Database

import kernapay
from kernapay.devstack.process import Process
from tests.actors import PAYMENTS, Actor, verify
from tests.factories import unique
from tests.money.shop import LONG_AGO, Shop
from tests.stack import Api, Sandbox, eventually

Record = Callable[[str, object], None]

CREATE = (
    "create.inserted",
    "create.claimed",
    "create.ordered",
    "create.written",
    "create.attached",
)
SETTLE = ("settle.checked", "settle.written", "settle.moved")
VERIFY = ("verify.signed", "verify.asked", *SETTLE)
WEBHOOK = ("webhook.received", "webhook.stored", *SETTLE, "webhook.handled", "webhook.processed")
CAPTURE = ("capture.checked", "capture.captured", *SETTLE)
REFUND = (
    "refund.reserved",
    "refund.made",
    "settle.refund_written",
    "settle.refund_recorded",
    "refund.recorded",
)
RECONCILE = ("reconcile.claimed", "reconcile.asked", *SETTLE, "reconcile.settled")
REPORT = ("report.found", "report.compared")


@pytest.fixture(scope="module")
def trigger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names the point where the next process dies, once."""
    return tmp_path_factory.mktemp("trigger") / "crash-at"


@pytest.fixture(scope="module")
def mortal(
    api_env: dict[str, str],
    store: Database[dict[str, Any]],
    trigger: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """An API that dies where the trigger says, and is started again by the test."""
    env = {**api_env, "KERNAPAY_CRASH_AT": str(trigger), "RAZORPAY_TIMEOUT": "1s"}
    server = Api(tmp_path_factory.mktemp("mortal"), env)
    try:
        yield server.launch().wait()
    finally:
        server.kill()
    assert server.log_entries("unhandled_error") == []


class Doom:
    """Arms a point; afterwards sees that it struck, and starts the victim again."""

    def __init__(self, trigger: Path, victim: Process) -> None:
        self._trigger = trigger
        self._victim = victim

    def arm(self, point: str) -> None:
        self._trigger.write_text(point)

    def restart(self) -> None:
        eventually(lambda: not self._trigger.exists(), 20)
        self._victim.kill()
        self._victim.launch()
        self._victim.wait_ready(60)


@pytest.fixture
def doom(trigger: Path, mortal: Api) -> Iterator[Doom]:
    trigger.unlink(missing_ok=True)
    yield Doom(trigger, mortal.process)
    struck = not trigger.exists()
    trigger.unlink(missing_ok=True)
    assert struck, "nothing passed the armed point"


def dies(call: Callable[[], httpx.Response]) -> None:
    """The client's request ends without an answer."""
    with suppress(httpx.TransportError):
        answer = call()
        raise AssertionError(f"answered {answer.status_code}: {answer.text}")


def until_done(call: Callable[[], httpx.Response], *accepted: int) -> httpx.Response:
    """Repeat as a client does that got no answer, or was asked to come again."""

    def attempt() -> httpx.Response | None:
        with suppress(httpx.TransportError):
            answer = call()
            if answer.status_code in accepted:
                return answer
            assert answer.status_code in (502, 503), answer.text
        return None

    return eventually(attempt, 30)


def leases_end(shop: Shop) -> None:
    """What is leased to the dead can be taken now."""
    shop.store.payments.update_many(
        {"orderLeaseUntil": {"$exists": True}}, {"$set": {"orderLeaseUntil": LONG_AGO}}
    )
    shop.store.payments.update_many(
        {"refunds.leaseUntil": {"$exists": True}}, {"$set": {"refunds.$[].leaseUntil": LONG_AGO}}
    )
    shop.store.reconciliation_reports.update_many({}, {"$set": {"leaseUntil": LONG_AGO}})


def time_passes(shop: Shop) -> None:
    """What is leased to the dead, or scheduled for later, is due now."""
    shop.store.payments.update_many({}, {"$set": {"checkAt": LONG_AGO}})
    leases_end(shop)


def told(shop: Shop, record: Record, way: str, point: str, row: dict[str, Any]) -> None:
    """Enter a row into the table, counted in the gateway's books."""
    payment = {"orderId": row.get("razorpayOrderId")}
    counts = {
        "orders": len(shop.sandbox.orders(f"KP_{row['_id']}")),
        "captures": len(shop.captured_at_gateway(payment)) if payment["orderId"] else 0,
        "refunds": len(shop.refunds_at_gateway(payment)) if payment["orderId"] else 0,
        "differences": len(shop.differences()),
    }
    counted = "  ".join(f"{name} {number}" for name, number in counts.items())
    steps = " > ".join(step["event"] for step in row["history"])
    record("table: crash matrix", [f"{way:<17}{point:<24}{row['status']:<9}", counted, steps])


@pytest.fixture
def buyer(user: Actor, mortal: Api) -> Actor:
    return user.at(mortal.client)


@pytest.mark.parametrize("point", CREATE)
def test_create_survives(
    point: str,
    doom: Doom,
    mortal: Api,
    shop: Shop,
    buyer: Actor,
    record_property: Record,
) -> None:
    assert buyer.history().json() == []  # and now it is in the cache
    key = unique("key-")
    doom.arm(point)
    dies(lambda: buyer.create(idempotencyKey=key))
    doom.restart()
    leases_end(shop)

    payment = until_done(lambda: buyer.create(idempotencyKey=key), 200, 201).json()["data"]

    assert [line["razorpayOrderId"] for line in buyer.history().json()] == [payment["orderId"]]
    assert verify(mortal.client, payment, shop.sandbox.pay(payment["orderId"])).status_code == 200
    shop.settle_later()
    told(shop, record_property, "create", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", ["create.inserted", "create.ordered"])
def test_a_create_nobody_repeats_leaves_no_unknown_order(
    point: str, doom: Doom, shop: Shop, buyer: Actor, record_property: Record
) -> None:
    doom.arm(point)
    dies(buyer.create)
    doom.restart()

    shop.settle_later()

    assert shop.differences() == []
    assert shop.store.payments.count_documents({}) == 1
    row = shop.store.payments.find_one({}) or {}
    orders = shop.sandbox.orders(f"KP_{row['_id']}")
    assert [order["id"] for order in orders] == [
        row[name] for name in ("razorpayOrderId",) if name in row
    ]
    told(shop, record_property, "abandoned", point, row)


@pytest.mark.parametrize("point", VERIFY)
def test_verify_survives(
    point: str, doom: Doom, mortal: Api, shop: Shop, buyer: Actor, record_property: Record
) -> None:
    payment = buyer.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"])
    assert buyer.history().json()[0]["status"] == "pending"
    doom.arm(point)
    dies(lambda: verify(mortal.client, payment, checkout))
    doom.restart()

    until_done(lambda: verify(mortal.client, payment, checkout), 200)

    shop.settle_later()
    assert buyer.history().json()[0]["status"] == "success"
    told(shop, record_property, "verify", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", WEBHOOK)
def test_webhooks_survive(
    point: str,
    doom: Doom,
    mortal: Api,
    shop: Shop,
    sandbox: Sandbox,
    buyer: Actor,
    record_property: Record,
) -> None:
    sandbox.deliver_to(mortal.url, events=("payment.captured",))
    payment = buyer.new_payment()
    assert buyer.history().json()[0]["status"] == "pending"
    doom.arm(point)
    sandbox.pay(payment["orderId"])
    doom.restart()

    def delivered() -> bool:
        sandbox.advance(30)
        return {d["status"] for d in sandbox.deliveries()} == {"delivered"}

    eventually(delivered, 30)
    events_only(shop)

    assert [row["status"] for row in shop.store.webhook_events.find()] == ["processed"]
    assert buyer.history().json()[0]["status"] == "success"
    told(shop, record_property, "webhook", point, shop.assert_sound(payment))


def events_only(shop: Shop) -> None:
    """Let the inbox's worker do its work, and nobody else: the event alone must be enough."""
    shop.store.webhook_events.update_many({"status": "pending"}, {"$set": {"nextAt": LONG_AGO}})

    async def sweep(services: Any) -> None:
        while await services.webhook_inbox.sweep():
            pass

    shop.work(sweep)


@pytest.mark.parametrize("point", CAPTURE)
def test_capture_survives(
    point: str,
    doom: Doom,
    mortal: Api,
    shop: Shop,
    buyer: Actor,
    admin: Actor,
    record_property: Record,
) -> None:
    clerk = admin.at(mortal.client)
    payment = buyer.new_payment()
    shop.sandbox.pay(payment["orderId"], "authorized")

    def capture() -> httpx.Response:
        return clerk.call("POST", f"{PAYMENTS}/{payment['referenceId']}/capture")

    doom.arm(point)
    dies(capture)
    doom.restart()

    until_done(capture, 200, 409)

    told(shop, record_property, "capture", point, shop.assert_sound(payment))


@pytest.mark.parametrize(
    ("point", "finisher"),
    [*((point, "client") for point in REFUND), *((point, "worker") for point in REFUND[:2])],
)
def test_refunds_survive(
    point: str,
    finisher: str,
    doom: Doom,
    mortal: Api,
    shop: Shop,
    buyer: Actor,
    admin: Actor,
    record_property: Record,
) -> None:
    clerk = admin.at(mortal.client)
    payment, _ = buyer.buy(shop.sandbox)
    body = {"amount": 20000, "idempotencyKey": "one-key"}

    def refund() -> httpx.Response:
        return clerk.call("POST", f"{PAYMENTS}/{payment['referenceId']}/refunds", json=body)

    doom.arm(point)
    dies(refund)
    doom.restart()
    if finisher == "worker":
        shop.settle_later()
    else:
        leases_end(shop)
        until_done(refund, 200, 201)

    row = shop.assert_sound(payment)
    assert row["amountRefunded"] == 20000
    assert len(shop.refunds_at_gateway(payment)) == 1
    assert until_done(refund, 200).json()["data"]["amountRefunded"] == 20000
    told(shop, record_property, f"refund, {finisher}", point, row)


def test_a_refused_refund_survives(
    doom: Doom, mortal: Api, shop: Shop, buyer: Actor, admin: Actor, record_property: Record
) -> None:
    clerk = admin.at(mortal.client)
    payment, _ = buyer.buy(shop.sandbox)
    shop.sandbox.fault("low_balance")
    body = {"amount": 20000, "idempotencyKey": "one-key"}

    def refund() -> httpx.Response:
        return clerk.call("POST", f"{PAYMENTS}/{payment['referenceId']}/refunds", json=body)

    doom.arm("refund.rejected")
    dies(refund)
    doom.restart()

    # The account has money again: asked once more, when the lease has run out, the gateway agrees.
    until_done(refund, 200)
    assert len(shop.refunds_at_gateway(payment)) == 1
    told(shop, record_property, "refund", "refund.rejected", shop.assert_sound(payment))


@pytest.fixture
def undertaker(shop: Shop, trigger: Path) -> Iterator[tuple[Doom, Process]]:
    """A worker that dies where the trigger says."""
    trigger.unlink(missing_ok=True)
    worker = shop.worker("mortal-worker", KERNAPAY_CRASH_AT=str(trigger))
    yield Doom(trigger, worker), worker
    struck = not trigger.exists()
    trigger.unlink(missing_ok=True)
    assert struck, "nothing passed the armed point"
    assert "sweep_broken" not in worker.log.read_text()


@pytest.mark.parametrize("point", RECONCILE)
def test_reconciliation_survives(
    point: str,
    undertaker: tuple[Doom, Process],
    shop: Shop,
    user: Actor,
    record_property: Record,
) -> None:
    doom, _ = undertaker
    doom.arm(point)
    payment = user.new_payment()
    assert user.history().json()[0]["status"] == "pending"
    # Authorised only: the worker has to capture as well.
    shop.sandbox.pay(payment["orderId"], "authorized")
    time_passes(shop)
    doom.restart()
    time_passes(shop)

    eventually(lambda: user.history().json()[0]["status"] == "success", 20)

    told(shop, record_property, "reconcile", point, shop.assert_sound(payment))


def test_adopting_an_order_survives(
    undertaker: tuple[Doom, Process], shop: Shop, user: Actor, record_property: Record
) -> None:
    doom, _ = undertaker
    doom.arm("reconcile.adopted")
    shop.sandbox.fault("answer_lost", route="/v1/orders", method="POST")
    assert user.create(idempotencyKey="one-key").status_code == 503
    time_passes(shop)
    doom.restart()

    payment = user.create(idempotencyKey="one-key").json()["data"]
    shop.sandbox.pay(payment["orderId"])
    time_passes(shop)
    eventually(lambda: shop.row(payment)["status"] == "success", 20)
    told(shop, record_property, "reconcile", "reconcile.adopted", shop.assert_sound(payment))


@pytest.mark.parametrize("point", ["refund.made", "settle.refund_written"])
def test_resuming_a_refund_survives(
    point: str,
    undertaker: tuple[Doom, Process],
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: Record,
) -> None:
    doom, _ = undertaker
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("reset", route="/v1/payments/*/refund", method="POST")
    body = {"amount": 20000, "idempotencyKey": "one-key"}
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
    doom.arm(point)
    assert admin.call("POST", path, json=body).status_code == 503
    time_passes(shop)
    doom.restart()
    time_passes(shop)

    eventually(lambda: shop.row(payment)["amountRefunded"] == 20000, 20)

    assert len(shop.refunds_at_gateway(payment)) == 1
    told(shop, record_property, "reconcile", point, shop.assert_sound(payment))


@pytest.mark.parametrize("point", REPORT)
def test_reports_survive(
    point: str,
    undertaker: tuple[Doom, Process],
    shop: Shop,
    user: Actor,
    admin: Actor,
    record_property: Record,
) -> None:
    doom, _ = undertaker
    # Paid at the gateway, unknown here: nobody looks at it before the report does.
    payment = user.new_payment()
    shop.edit(payment, checkAt=shop.row(payment)["createdAt"].replace(year=2099))
    shop.sandbox.pay(payment["orderId"])
    created = shop.row(payment)["createdAt"]
    doom.arm(point)
    window = {"from": f"{created:%Y-%m-%dT%H:%M:%SZ}", "to": f"{created:%Y-%m-%dT%H:%M:%S.999Z}"}
    report = eventually(lambda: _request(admin, window))["_id"]
    doom.restart()
    time_passes(shop)
    shop.edit(payment, checkAt=shop.row(payment)["createdAt"].replace(year=2099))

    path = f"/v1/api/reconciliation/reports/{report}"
    eventually(lambda: admin.call("GET", path).json()["report"]["state"] == "done", 20)

    assert [f["kind"] for f in admin.call("GET", path).json()["findings"]] == ["status"]
    record_property("table: crash matrix", [f"{'report':<17}{point:<24}{'done':<9}", "findings 1"])


def _request(admin: Actor, window: dict[str, str]) -> dict[str, Any] | None:
    answer = admin.call("POST", "/v1/api/reconciliation/reports", json=window)
    return answer.json() if answer.status_code == 202 else None


def test_every_crash_point_is_in_the_matrix() -> None:
    code = Path(str(kernapay.__file__)).parent
    named = {
        point
        for file in code.rglob("*.py")
        for point in re.findall(r'crash_point\("([^"]+)"\)', file.read_text())
    }
    tried = {*CREATE, *VERIFY, *WEBHOOK, *CAPTURE, *REFUND, *RECONCILE, *REPORT}

    assert named == tried | {"refund.rejected", "reconcile.adopted"}
