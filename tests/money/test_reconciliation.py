import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.core.errors import Unavailable
from kernapay.payments.references import payment_id_of
from kernapay.security.principal import Operator
from tests.actors import PAYMENTS, REPORTS, Actor, People, assert_problem, status, verify
from tests.aliases import Json, Store, json_of
from tests.clocks import FrozenClock
from tests.databases import row_of
from tests.in_process import InProcess
from tests.money.shop import LONG_AGO, Shop, check_payments
from tests.stack import Api, Sandbox
from tests.waiting import eventually


def today() -> dict[str, str]:
    """Return a window that holds everything a test has done so far."""
    at = datetime.now(UTC)
    return {"from": (at - timedelta(hours=1)).isoformat(), "to": at.isoformat()}


def make_report(shop: Shop, admin: Actor) -> Json:
    """Request a report, let a worker make it, and return it."""
    answer = admin.call("POST", REPORTS, json=today())
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "requested"

    async def work(services: Services) -> None:
        while await services.reconciliation_service.sweep_reports():
            pass

    shop.work(work)
    report = json_of(admin.call("GET", f"{REPORTS}/{answer.json()['_id']}"))
    assert report["report"]["state"] == "done", report
    return report


def has_status(api: httpx.Client, payment: Json, expected: str) -> bool:
    return bool(status(api, payment)["status"] == expected)


def found(report: Json) -> list[str]:
    return [finding["kind"] for finding in report["findings"]]


def repair(admin: Actor, report: Json, number: int = 0) -> httpx.Response:
    report_id, finding = report["report"]["_id"], report["findings"][number]["_id"]
    return admin.call("POST", f"{REPORTS}/{report_id}/findings/{finding}/repair")


def repaired(shop: Shop, admin: Actor, report: Json) -> str:
    """Repair the only finding by one call, and see that nothing differs any more. Return the outcome."""
    answer = repair(admin, report)
    assert answer.status_code == 200, answer.text
    again = admin.call("GET", f"{REPORTS}/{report['report']['_id']}").json()["findings"][0]
    assert again["repairedAt"] is not None
    assert shop.differences() == []
    assert repair(admin, report).status_code == 200  # repeating it is harmless
    assert shop.differences() == []
    return str(answer.json()["outcome"])


def test_lost_webhooks_are_made_good_by_the_worker(
    api_server: Api, api: httpx.Client, shop: Shop, user: Actor
) -> None:
    shop.sandbox.deliver_to(api_server.url)
    dropped = shop.sandbox.fault("webhook_drop", times=None)
    payments = {outcome: user.new_payment() for outcome in ("success", "failure", "authorized")}
    for outcome, payment in payments.items():
        shop.sandbox.pay(payment["orderId"], outcome)
    assert {status(api, payment)["status"] for payment in payments.values()} == {"pending"}
    assert shop.sandbox.hits(dropped) > 0

    shop.worker()

    for outcome, end in (("success", "success"), ("failure", "failed"), ("authorized", "success")):
        eventually(partial(has_status, api, payments[outcome], end))
    assert user.history().json()[0]["status"] == "success"
    assert shop.row(payments["success"])["history"][-1]["source"] == "reconciliation"
    assert shop.differences() == []


def test_the_worker_waits_before_it_asks_the_gateway(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])

    async def sweep(services: Services) -> bool:
        return await services.reconciliation_service.check_due(services.settlement.unpaid)

    assert shop.work(sweep, timedelta(minutes=14), reconcile_after="15m") is False
    assert shop.work(sweep, timedelta(minutes=16), reconcile_after="15m") is True
    shop.assert_sound(payment)


def test_books_that_agree_make_an_empty_report(
    shop: Shop, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    bought, _ = user.buy(sandbox)
    user.new_payment()
    failed = user.new_payment()
    sandbox.pay(failed["orderId"], "failure")
    path = f"{PAYMENTS}/{bought['referenceId']}/refunds"
    admin.call("POST", path, json={"amount": 100, "idempotencyKey": "k"})
    sandbox.order(receipt="another application's")

    report = make_report(shop, admin)

    assert report["findings"] == []
    totals = report["report"]["totals"]
    assert (totals["payments"], totals["compared"], totals["findings"]) == (3, 3, 0)
    assert totals["foreignOrders"] == 1


def test_a_payment_the_gateway_does_not_know_is_given_up(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    shop.edit(payment, razorpayOrderId="order_Unknown0000001", orderId="order_Unknown0000001")
    # Its real order is a surplus one now.
    report = make_report(shop, admin)
    assert sorted(found(report)) == ["missing_there", "surplus_order"]

    for number in range(2):
        assert repair(admin, report, number).status_code in (200, 502)

    assert shop.row(payment)["status"] == "failed"
    assert shop.differences() == []


def test_an_order_whose_payment_is_gone_is_rebuilt(shop: Shop, user: Actor, admin: Actor) -> None:
    payment = user.new_payment()
    receipt = shop.receipt(payment)
    shop.store.payments.delete_many({})

    report = make_report(shop, admin)

    assert found(report) == ["missing_here"]
    assert report["findings"][0]["orderId"] == payment["orderId"]
    assert payment_id_of(receipt) is not None
    repaired(shop, admin, report)
    assert shop.row(payment)["razorpayOrderId"] == payment["orderId"]


def test_an_order_that_does_not_say_whose_it_is_is_told_but_not_repaired(
    shop: Shop, admin: Actor
) -> None:
    shop.sandbox.order(receipt=f"KP_{'0' * 24}")

    report = make_report(shop, admin)

    assert found(report) == ["missing_here"]
    assert_problem(repair(admin, report), 409, code="not_repairable")


def test_an_unattached_order_is_attached(shop: Shop, user: Actor, admin: Actor) -> None:
    shop.sandbox.fault("answer_lost", route="/v1/orders", method="POST")
    assert user.create(idempotencyKey="one-key").status_code == 503
    report = make_report(shop, admin)
    assert found(report) == ["unattached_order"]

    repaired(shop, admin, report)

    assert (
        user.create(idempotencyKey="one-key").json()["data"]["orderId"]
        == (report["findings"][0]["orderId"])
    )


@pytest.mark.parametrize("paid", [False, True])
def test_a_surplus_order_is_flagged_and_its_money_given_back(
    paid: bool, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    surplus = shop.sandbox.order(receipt=shop.receipt(payment))
    if paid:
        shop.sandbox.pay(surplus["id"])
    report = make_report(shop, admin)
    assert found(report) == ["surplus_order"]

    repaired(shop, admin, report)

    assert shop.row(payment)["surplusOrders"] == [surplus["id"]]
    assert shop.row(payment)["status"] == "success"
    refunds = shop.sandbox.call("GET", "/v1/refunds")["items"]
    assert [refund["amount"] for refund in refunds] == ([50000] if paid else [])


def test_another_amount_is_told_and_left_to_people(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.edit(payment, amount=40000)
    report = make_report(shop, admin)
    assert found(report) == ["amount"]
    assert report["findings"][0]["ours"] == "40000 INR success"
    assert report["findings"][0]["theirs"] == "50000 INR paid"

    answer = repair(admin, report)

    assert answer.status_code == 200
    assert "needs a decision" in answer.json()["outcome"]
    finding = admin.call("GET", f"{REPORTS}/{report['report']['_id']}").json()["findings"][0]
    assert finding["repairedAt"] is None
    assert shop.row(payment)["amount"] == 40000


@pytest.mark.parametrize("ours", ["pending", "failed"])
def test_a_missed_success_is_settled(ours: str, shop: Shop, user: Actor, admin: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])
    shop.edit(payment, status=ours)
    report = make_report(shop, admin)
    assert found(report) == ["status"]
    assert (report["findings"][0]["ours"], report["findings"][0]["theirs"]) == (ours, "paid")

    assert repaired(shop, admin, report) == "payment is success"

    shop.assert_sound(payment)


@pytest.mark.owasp(line="API10")
def test_a_success_the_gateway_denies_is_left_to_people(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    shop.edit(payment, status="success", razorpayPaymentId="pay_Unknown0000001")
    report = make_report(shop, admin)
    assert found(report) == ["status"]

    assert "needs a decision" in repair(admin, report).json()["outcome"]
    assert shop.row(payment)["status"] == "success"


def test_a_refund_we_missed_is_entered(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 12300)
    report = make_report(shop, admin)
    assert found(report) == ["refunds"]
    assert (report["findings"][0]["ours"], report["findings"][0]["theirs"]) == ("0", "12300")

    repaired(shop, admin, report)

    assert shop.assert_sound(payment)["amountRefunded"] == 12300


def test_a_second_payment_is_given_back(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    second = paid_twice(shop, payment)
    report = make_report(shop, admin)
    assert found(report) == ["second_payment"]
    assert report["findings"][0]["razorpayPaymentId"] == second

    repaired(shop, admin, report)

    row = shop.row(payment)
    assert (row["status"], row["amountRefunded"]) == ("success", 0)
    assert shop.sandbox.payment(second)["amount_refunded"] == 50000
    refunds = shop.sandbox.call("GET", "/v1/refunds")["items"]
    assert [refund["payment_id"] for refund in refunds] == [second]


def paid_twice(shop: Shop, payment: Json) -> str:
    """Give the gateway a second captured payment of the same order; return its id."""
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    first = next(row for row in books["payment"] if row["order_id"] == payment["orderId"])
    second = {**first, "id": f"{first['id'][:-4]}Twin"}
    books["payment"].append(second)
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    return str(second["id"])


def test_another_fee_is_taken_over(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    theirs = shop.sandbox.payment(checkout["razorpay_payment_id"])["fee"]
    assert shop.row(payment)["fee"] == theirs > 0
    shop.edit(payment, fee=1)
    report = make_report(shop, admin)
    assert found(report) == ["fee"]

    repaired(shop, admin, report)

    assert shop.row(payment)["fee"] == theirs


def test_a_settlement_of_what_we_call_unpaid_is_found(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.call("POST", "/_sandbox/settle")
    shop.edit(payment, status="failed")
    report = make_report(shop, admin)
    assert found(report) == ["settlement", "status"]
    assert report["report"]["totals"]["settlementRows"] == 1

    assert repair(admin, report, 0).json()["outcome"] == "payment is success"

    assert found(make_report(shop, admin)) == []


def test_settled_fees_and_amounts_add_up(shop: Shop, user: Actor, admin: Actor) -> None:
    rows = [shop.row(user.buy(shop.sandbox)[0]) for _ in range(3)]
    shop.sandbox.call("POST", "/_sandbox/settle")

    money = make_report(shop, admin)["report"]["money"]["INR"]

    assert money["settledFees"] == sum(row["fee"] for row in rows)
    assert money["settledCredit"] == sum(row["amount"] - row["fee"] for row in rows)


def test_the_gateways_rate_limit_is_respected(shop: Shop, user: Actor, admin: Actor) -> None:
    user.buy(shop.sandbox)
    fault = shop.sandbox.fault("rate_limit", times=2, route="/v1/*", method="GET")

    report = make_report(shop, admin)

    assert shop.sandbox.hits(fault) == 2
    assert report["findings"] == []


def test_calls_are_spread_to_the_rate_that_is_configured(shop: Shop, user: Actor) -> None:
    payments = [user.new_payment() for _ in range(6)]
    for payment in payments:
        shop.sandbox.pay(payment["orderId"])

    started = datetime.now(UTC)
    shop.work(check_payments, timedelta(minutes=30), reconcile_rate=5)

    # Six look-ups at five a second: the first at once, each other 200 ms later.
    assert datetime.now(UTC) - started >= timedelta(seconds=1)
    assert shop.differences() == []


def test_a_report_waits_for_a_gateway_that_is_down(shop: Shop, user: Actor, admin: Actor) -> None:
    user.buy(shop.sandbox)
    report_id = admin.call("POST", REPORTS, json=today()).json()["_id"]

    async def sweep(services: Services) -> bool:
        return await services.reconciliation_service.sweep_reports()

    assert shop.work(sweep, razorpay_key_secret="not_the_secret_of_this_key") is True
    report = admin.call("GET", f"{REPORTS}/{report_id}").json()["report"]
    assert (report["state"], bool(report["error"])) == ("running", True)
    assert shop.work(sweep) is False  # not again at once
    assert shop.work(sweep, timedelta(minutes=11)) is True

    report = admin.call("GET", f"{REPORTS}/{report_id}").json()["report"]
    assert (report["state"], report["error"]) == ("done", None)


def test_a_report_that_never_succeeds_is_given_up(shop: Shop, user: Actor, admin: Actor) -> None:
    report_id = admin.call("POST", REPORTS, json=today()).json()["_id"]

    async def sweep(services: Services) -> bool:
        return await services.reconciliation_service.sweep_reports()

    for _ in range(8):
        shop.store.reconciliation_reports.update_many({}, {"$set": {"leaseUntil": LONG_AGO}})
        shop.work(sweep, razorpay_key_secret="not_the_secret_of_this_key")

    assert admin.call("GET", f"{REPORTS}/{report_id}").json()["report"]["state"] == "failed"


@pytest.mark.anyio
async def test_a_report_whose_lease_has_ended_is_left_to_a_worker(
    in_process: InProcess, store: Store
) -> None:
    class HastyClock(FrozenClock):
        """The clock of a process that stands still for 50 minutes before each look at it."""

        def __call__(self) -> datetime:
            self.advance(minutes=50)
            return self.now

    at = datetime(2026, 1, 31, tzinfo=UTC)
    async with in_process(clock=HastyClock(at)) as client:
        window = at - timedelta(days=1), at
        try:
            with pytest.raises(Unavailable, match="lease"):
                await client.services.reconciliation_service.make_now(
                    Operator("hasty"), *window, lambda _, __: None
                )
        finally:
            await asyncio.to_thread(store.reconciliation_reports.delete_many, {"to": at})


def test_many_workers_make_one_nightly_report(shop: Shop) -> None:
    at = datetime.now(UTC)
    # Half past one in India; before one, the night before that is still the last.
    night = at.replace(hour=20, minute=0) + timedelta(days=1)

    async def order(services: Services) -> tuple[bool, bool]:
        nightly = services.reconciliation_service.request_nightly
        return await nightly(), await nightly()

    early = shop.work(order, night - timedelta(hours=1, minutes=30) - at)
    answers = [shop.work(order, night - at) for _ in range(2)]

    assert early == (True, False)
    assert answers == [(True, False), (False, False)]
    day = ((night + timedelta(hours=5, minutes=30)).date() - timedelta(days=1)).isoformat()
    assert shop.store.reconciliation_reports.count_documents({}) == 2
    row = row_of(shop.store.reconciliation_reports, night=day)
    assert row["to"] - row["from"] == timedelta(days=1)
    assert (row["to"].hour, row["to"].minute) == (18, 30)


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "to"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "to"),
        ({"from": "2999-01-01T00:00:00Z", "to": "2999-01-02T00:00:00Z"}, "to"),
        ({"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00"}, "from"),
        ({"from": "1999-12-31T23:59:59Z", "to": "2000-01-02T00:00:00Z"}, "from"),
        ({"from": "yesterday", "to": "2026-01-02T00:00:00Z"}, "from"),
    ],
)
def test_bad_windows_are_refused(
    window: dict[str, str], field: str, shop: Shop, admin: Actor
) -> None:
    assert_problem(admin.call("POST", REPORTS, json=window), 400, field=field)


@pytest.mark.owasp(line="API5")
def test_reports_are_for_administrators(shop: Shop, user: Actor, admin: Actor) -> None:
    nowhere = f"{REPORTS}/{'0' * 24}"
    for method, path in (
        ("POST", REPORTS),
        ("GET", REPORTS),
        ("GET", nowhere),
        ("POST", f"{nowhere}/findings/{'0' * 24}/repair"),
    ):
        assert_problem(user.call(method, path, json=today()), 403)
    assert_problem(admin.call("GET", nowhere), 404)
    assert_problem(admin.call("POST", f"{nowhere}/findings/{'0' * 24}/repair"), 404)


def test_the_command_line_tells_by_its_exit_code(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment = user.new_payment()
    agreeing = shop.kernapay("audit")
    assert (agreeing.returncode, "KernaPay and the gateway agree." in agreeing.stdout) == (0, True)
    checkout = shop.sandbox.pay(payment["orderId"])

    differing = shop.kernapay("audit")
    assert differing.returncode == 1, differing.stderr
    assert f"status            {payment['referenceId']}" in differing.stdout
    reported = shop.kernapay("reconcile")
    assert reported.returncode == 1, reported.stderr
    assert "1 difference(s)" in reported.stdout
    report_id = reported.stdout.split()[-1].rsplit("/", 1)[1]
    report = admin.call("GET", f"{REPORTS}/{report_id}").json()
    assert (report["report"]["state"], found(report)) == ("done", ["status"])

    silent = shop.kernapay("audit", RAZORPAY_KEY_SECRET="not_the_secret_of_this_key")
    assert silent.returncode == 2
    assert silent.stderr.splitlines()[-1].startswith("Error: The payment gateway refuse")
    assert "Traceback" not in silent.stderr

    assert verify(api, payment, checkout).status_code == 200
    assert shop.kernapay("audit").returncode == 0


@pytest.mark.owasp(line="API4")
def test_hundreds_of_unpaid_payments_of_one_account_do_not_hide_a_lost_one(
    shop: Shop, user: Actor, people: People
) -> None:
    """The worker finds it after a few checks, though it became due after all the others."""
    busy = people.new()
    model = shop.row(busy.new_payment())
    rows = [
        {
            **{name: value for name, value in model.items() if name not in ("_id", "orderId")},
            "referenceId": f"{model['referenceId'][:-3]}{number}",
            "idempotencyKey": f"busy-{number}",
            "razorpayOrderId": None,
            "checkAt": LONG_AGO + timedelta(seconds=number),
        }
        for number in range(300)
    ]
    shop.store.payments.insert_many(rows)
    lost = user.new_payment()
    shop.sandbox.pay(lost["orderId"])
    assert shop.row(lost)["status"] == "pending"

    async def check(services: Services) -> int:
        for number in range(1, 301):
            await services.reconciliation_service.check_due(services.settlement.unpaid)
            if await services.payment_repository.exists(
                reference_id=lost["referenceId"], status="success"
            ):
                return number
        raise AssertionError("it was not found")

    assert shop.work(check, timedelta(minutes=1)) <= 10
    # To pass over the rows of an account, only the index is read.
    due = {"status": "pending", "checkAt": {"$lte": now()}, "userId": {"$nin": [model["userId"]]}}
    plan = shop.store.payments.find(due).sort("checkAt", 1).limit(8).explain()
    assert plan["executionStats"]["totalDocsExamined"] <= 1


def test_a_payment_no_event_told_of_is_found_whatever_number_of_orders_is_unpaid(
    shop: Shop, user: Actor
) -> None:
    unpaid = [user.new_payment() for _ in range(30)]
    captured, authorised = user.new_payment(), user.new_payment()
    shop.sandbox.pay(captured["orderId"])
    shop.sandbox.pay(authorised["orderId"], "authorized")
    asked = shop.sandbox.fault(
        "delay", times=None, route="/v1/orders/*/payments", options={"seconds": 0}
    )

    async def sweep(services: Services) -> None:
        for _ in range(3):
            await services.lost_payments.sweep()

    shop.work(sweep, timedelta(minutes=20))

    for payment in (captured, authorised):
        assert shop.row(payment)["status"] == "success"
    assert {shop.row(payment)["status"] for payment in unpaid} == {"pending"}
    assert shop.sandbox.hits(asked) == 2, "one question for each paid one"


def test_the_list_of_lost_payments_leaves_the_young_to_the_events(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])

    def sweep(later: timedelta) -> None:
        look = lambda services: services.lost_payments.sweep()  # noqa: E731
        shop.work(look, later, reconcile_after="15m")

    sweep(timedelta(minutes=14))
    assert shop.row(payment)["status"] == "pending"
    sweep(timedelta(minutes=16))

    shop.assert_sound(payment)
