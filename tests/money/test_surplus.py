"""Money that is not for its sale goes back once, whatever else happens to it, and the night knows of it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from kernapay.bootstrap.services import Services
from tests.actors import PAYMENTS, Actor, assert_problem, send_event
from tests.aliases import Json
from tests.money.books import compare, kinds, pay_twice, refunds_of, repair, window
from tests.money.disputes import FIRST, invented, raise_dispute, resolve, tell
from tests.money.shop import Shop
from tests.waiting import eventually

AFTER_THE_END = timedelta(days=7, hours=1)
TOO_LATE = timedelta(days=9)


def cancel(user: Actor, payment: Json) -> None:
    path = f"{PAYMENTS}/{payment['referenceId']}/cancel"
    assert user.call("POST", path).status_code == 200


def test_a_second_payment_of_which_no_event_told_is_found_and_goes_back(
    shop: Shop, user: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    second = pay_twice(shop, payment)
    route = f"/v1/orders/{payment['orderId']}/payments"
    unread = shop.sandbox.fault("refused", route=route)

    async def find(services: Services) -> None:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(shop.surplus_states, payment):
                await services.lost_payments.sweep()
                await asyncio.sleep(0.1)

    shop.work(find, timedelta(minutes=5))
    assert shop.sandbox.hits(unread) == 1, "it was tried again"
    shop.settle_later(timedelta(minutes=20))

    assert shop.surplus_states(payment) == ["processed"]
    assert "late" not in shop.row(payment)
    assert refunds_of(shop, second) == [(50_000, "processed")]
    assert refunds_of(shop, checkout["razorpay_payment_id"]) == []
    assert shop.differences() == []


def let_refunds_come_back(shop: Shop) -> None:
    """Let the customers' banks return every refund, and the gateway tell nobody."""
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    for refund in books["refund"]:
        refund["status"] = "failed"
    for each in books["payment"]:
        each.update(amount_refunded=0, refund_status=None, status="captured")
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)


def pay_after_the_end(shop: Shop, payment: Json) -> str:
    """Let a sale end, and its customer pay so late that the money goes back. Return the payment's id."""
    shop.settle_later(AFTER_THE_END)
    return str(shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"])


@pytest.mark.parametrize(
    ("decision", "goes_back"), [("won", 50_000), ("closed", 50_000), ("lost", 20_000)]
)
def test_what_a_bank_took_back_is_not_returned_and_the_rest_is(
    decision: str, goes_back: int, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    dispute = raise_dispute(shop, paid, amount=30_000)
    tell(user.client, "created", dispute)
    shop.settle_later()
    assert (shop.surplus_states(payment), refunds_of(shop, paid)) == (["requested"], [])
    assert [kind for kind, _, _ in shop.differences()] == ["second_payment"]

    decided = resolve(shop, dispute, decision)
    tell(user.client, decision, decided, at=FIRST + 1)
    shop.settle_later(timedelta(days=2))

    assert shop.surplus_states(payment) == ["processed"]
    assert refunds_of(shop, paid) == [(goes_back, "processed")]
    assert shop.differences() == []


@pytest.mark.parametrize("by", [-700, 700])
def test_a_wrong_amount_that_the_gateway_says_once_does_not_change_what_goes_back(
    by: int, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.sandbox.fault("wrong_amount", route="/v1/payments/pay_*", method="GET", options={"by": by})
    shop.settle_later()
    shop.settle_later(timedelta(days=1))

    assert shop.surplus_states(payment) == ["processed"]
    assert refunds_of(shop, paid) == [(50_000, "processed")]


def test_a_dispute_lost_after_surplus_went_back_is_told_to_a_person(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.settle_later()
    assert refunds_of(shop, paid) == [(50_000, "processed")]

    lost = {**invented(paid, amount=30_000), "status": "lost", "amount_deducted": 30_000}
    for _ in range(2):
        tell(user.client, "lost", lost)

    (mismatch,) = shop.row(payment)["mismatches"]
    assert (mismatch["reason"], mismatch["paymentId"]) == ("dispute_lost_after_refund", paid)


@pytest.fixture
def revived(shop: Shop, user: Actor) -> tuple[Json, str]:
    """A payment, and its attempt: the row names it as it failed, and its money came after the cancellation."""
    payment = user.new_payment()
    shop.sandbox.fault("late_authorization", options={"seconds": 3600})
    shop.sandbox.pay(payment["orderId"], "failure")
    shop.settle_later()
    (attempt,) = shop.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
    assert shop.row(payment)["razorpayPaymentId"] == attempt["id"]
    cancel(user, payment)
    shop.sandbox.advance(7200)
    return payment, str(attempt["id"])


def test_money_of_an_attempt_that_had_failed_is_no_difference(
    shop: Shop, revived: tuple[Json, str]
) -> None:
    payment, paid = revived
    shop.settle_later(timedelta(days=1))

    assert (shop.row(payment)["status"], shop.surplus_states(payment)) == ("failed", ["processed"])
    assert refunds_of(shop, paid) == [(50_000, "processed")]
    assert shop.differences() == []


def test_a_dispute_lost_after_such_money_went_back_is_told_to_a_person(
    shop: Shop, user: Actor, revived: tuple[Json, str]
) -> None:
    payment, paid = revived
    shop.settle_later(timedelta(days=1))

    tell(user.client, "lost", {**invented(paid, amount=30_000), "status": "lost"})

    (mismatch,) = shop.row(payment)["mismatches"]
    assert (mismatch["reason"], mismatch["paymentId"]) == ("dispute_lost_after_refund", paid)


def test_the_night_finds_surplus_that_was_refunded_after_the_bank_had_taken_it(
    shop: Shop, user: Actor, revived: tuple[Json, str]
) -> None:
    payment, paid = revived
    lost = resolve(shop, raise_dispute(shop, paid, amount=30_000), "lost")
    tell(user.client, "lost", lost)
    shop.settle_later(timedelta(days=1))
    assert refunds_of(shop, paid) == [(20_000, "processed")]
    assert kinds(compare(shop, *window())[1]) == []

    shop.sandbox.refund(paid, 100)  # in the dashboard
    _, (finding,) = compare(shop, *window())

    assert (finding["kind"], finding["ours"]) == ("dispute_refunded", "refunded 20100, lost 30000")
    repair(shop, finding)
    assert [each["reason"] for each in shop.row(payment)["mismatches"]] == [
        "dispute_lost_after_refund"
    ]
    assert kinds(compare(shop, *window())[1]) == []


def test_that_the_bank_paid_it_out_is_no_finding(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    pay_after_the_end(shop, payment)
    # Before the refund, which would leave nothing to pay out.
    shop.sandbox.call("POST", "/_sandbox/settle", {})
    shop.settle_later(TOO_LATE)

    assert shop.surplus_states(payment) == ["processed"]
    assert kinds(compare(shop, *window())[1]) == []


def test_a_second_payment_that_a_repair_returns_is_shown_with_its_payment(
    shop: Shop, user: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    second = pay_twice(shop, payment)
    _, (finding,) = compare(shop, *window())
    assert finding["kind"] == "second_payment"

    assert repair(shop, finding)[1] is True
    shop.settle_later()

    (shown,) = user.seen(payment["referenceId"])["surplusPayments"]
    assert (shown["paymentId"], shown["reason"]) == (second, "second_payment")
    assert shown["status"] == "processed"
    assert refunds_of(shop, second) == [(50_000, "processed")]
    assert shop.differences() == []


def test_a_refund_that_came_back_is_made_anew_although_old_news_says_it_arrived(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.sandbox.fault("refund_fails_later", options={"seconds": 3600})
    shop.settle_later()
    shop.sandbox.advance(7200)
    (refund,) = shop.sandbox.items(f"/v1/payments/{paid}/refunds")
    assert refund["status"] == "failed"
    facts = shop.sandbox.payment(paid)

    send_event(user.client, "refund.failed", payment=facts, refund=refund)
    old_news = {**refund, "status": "processed"}
    send_event(user.client, "refund.processed", payment=facts, refund=old_news)
    shop.settle_later(timedelta(days=2))

    assert shop.surplus_states(payment) == ["processed"]
    assert sorted(refunds_of(shop, paid)) == [(50_000, "failed"), (50_000, "processed")]


def test_a_refund_that_came_back_while_the_worker_looked_is_made_anew(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.sandbox.fault("refund_pending", options={"seconds": 3600})
    shop.settle_later()
    assert shop.surplus_states(payment) == ["pending"]
    shop.sandbox.advance(7200)
    assert refunds_of(shop, paid) == [(50_000, "processed")]

    async def look(services: Services) -> None:
        surplus = services.surplus_payments
        await surplus.due.sweep(surplus.give_back)

    # The gateway says `processed`, and before this arrives, the bank sends the money back.
    old_answer = shop.sandbox.fault(
        "delay", route=f"/v1/payments/{paid}/refunds", method="GET", options={"seconds": 3}
    )
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(shop.work, look, timedelta(days=1))
        eventually(lambda: shop.sandbox.hits(old_answer) > 0)
        let_refunds_come_back(shop)
        (refund,) = shop.sandbox.items(f"/v1/payments/{paid}/refunds")
        facts = shop.sandbox.payment(paid)
        send_event(user.client, "refund.failed", payment=facts, refund=refund)
        assert shop.surplus_states(payment) == ["requested"]
        looking.result()

    assert shop.surplus_states(payment) == ["requested"]
    shop.settle_later(timedelta(days=4))
    assert shop.surplus_states(payment) == ["processed"]
    assert sorted(refunds_of(shop, paid)) == [(50_000, "failed"), (50_000, "processed")]


def count_given_up(shop: Shop) -> int:
    async def count(services: Services) -> int:
        return (await services.surplus_payments.due.depth()).parked

    return int(shop.work(count))


def test_refunds_that_keep_failing_are_made_after_pauses_and_left_to_a_person_in_the_end(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    fault = shop.sandbox.fault("refund_fails_later", times=None, options={"seconds": 1})
    told: set[str] = set()

    def return_later(later: timedelta) -> int:
        """Let the worker return the money, and the bank send it back. Return how often it has done so."""
        shop.settle_later(later)
        shop.sandbox.advance(2)
        for each in shop.sandbox.items(f"/v1/payments/{paid}/refunds?count=100"):
            if each["id"] not in told:
                told.add(each["id"])
                facts = shop.sandbox.payment(paid)
                send_event(user.client, "refund.failed", payment=facts, refund=each)
        return len(told)

    assert [return_later(timedelta(seconds=second)) for second in (5, 6, 7)] == [1, 1, 1]
    made = [return_later(timedelta(days=day)) for day in range(1, 8)]
    assert made == [2, 3, 4, 5, 5, 5, 5]
    assert (shop.surplus_states(payment), count_given_up(shop)) == (["failed"], 1)
    (mismatch,) = shop.row(payment)["mismatches"]
    assert (mismatch["reason"], mismatch["paymentId"]) == ("surplus_not_returned", paid)

    shop.sandbox.call("DELETE", f"/_sandbox/faults/{fault['id']}")
    _, (finding,) = compare(shop, *window())
    assert repair(shop, finding)[1] is True
    shop.settle_later(timedelta(days=8))

    assert (shop.surplus_states(payment), count_given_up(shop)) == (["processed"], 0)
    assert shop.differences() == []


@pytest.mark.parametrize(("fault", "state"), [("refusal", "failed"), ("server_error", "requested")])
def test_one_that_cannot_be_returned_does_not_hold_up_the_next(
    fault: str, state: str, shop: Shop, user: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    first, second = pay_twice(shop, payment, 1), pay_twice(shop, payment, 2)
    options = {"description": "The payment is more than 6 months old"} if fault == "refusal" else {}
    armed = shop.sandbox.fault(
        fault, times=None, route=f"/v1/payments/{first}/refund", method="POST", options=options
    )
    for each in (first, second):
        send_event(user.client, "payment.captured", payment=shop.sandbox.payment(each))

    shop.settle_later()

    assert refunds_of(shop, second) == [(50_000, "processed")]
    assert shop.surplus_states(payment) == [state, "processed"]
    assert count_given_up(shop) == (state == "failed")
    shop.sandbox.call("DELETE", f"/_sandbox/faults/{armed['id']}")
    if state == "failed":
        shop.sandbox.refund(first)  # in the dashboard
        (refund,) = shop.sandbox.items(f"/v1/payments/{first}/refunds")
        facts = shop.sandbox.payment(first)
        send_event(user.client, "refund.processed", payment=facts, refund=refund)
    shop.settle_later(timedelta(days=1))
    assert refunds_of(shop, first) == [(50_000, "processed")]
    assert shop.surplus_states(payment) == ["processed", "processed"]


def test_a_refund_that_came_back_without_a_word_is_found_and_repaired(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.settle_later()
    assert shop.surplus_states(payment) == ["processed"]
    let_refunds_come_back(shop)
    _, (finding,) = compare(shop, *window())
    assert finding["kind"] == "second_payment"

    assert repair(shop, finding)[1] is True

    assert sorted(refunds_of(shop, paid)) == [(50_000, "failed"), (50_000, "processed")]
    assert shop.differences() == []


def test_another_amount_than_was_paid_is_found(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.edit(payment, amountPaid=50_007)
    assert shop.differences() == [("amount", "50007", "50000")]


def test_a_person_cannot_capture_what_was_cancelled(shop: Shop, user: Actor, admin: Actor) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    shop.sandbox.pay(payment["orderId"], "authorized")

    path = f"{PAYMENTS}/{payment['referenceId']}/capture"
    assert_problem(admin.call("POST", path), 409, code="payment_returned")

    shop.settle_later()
    assert shop.surplus_states(payment) == ["processed"]
    assert shop.differences() == []
