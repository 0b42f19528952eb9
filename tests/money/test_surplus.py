"""Money that is not for its sale goes back once, whatever else happens to it, and the night knows of it."""

from datetime import timedelta

import pytest

from tests.actors import PAYMENTS, Actor, assert_problem, send_event
from tests.aliases import Json
from tests.money.books import compare, kinds, pay_twice, repair, window
from tests.money.disputes import FIRST, invented, raise_dispute, resolve, tell
from tests.money.shop import Shop

AFTER_THE_END = timedelta(days=7, hours=1)
TOO_LATE = timedelta(days=9)


def refunds_of(shop: Shop, payment_id: str) -> list[tuple[int, str]]:
    refunds = shop.sandbox.items(f"/v1/payments/{payment_id}/refunds")
    return [(refund["amount"], refund["status"]) for refund in refunds]


def cancel(user: Actor, payment: Json) -> None:
    path = f"{PAYMENTS}/{payment['referenceId']}/cancel"
    assert user.call("POST", path).status_code == 200


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


def test_money_of_an_attempt_that_had_failed_is_no_difference(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.fault("late_authorization", options={"seconds": 3600})
    shop.sandbox.pay(payment["orderId"], "failure")
    shop.settle_later()
    (attempt,) = shop.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
    assert shop.row(payment)["razorpayPaymentId"] == attempt["id"]
    cancel(user, payment)

    shop.sandbox.advance(7200)
    shop.settle_later(timedelta(days=1))

    assert (shop.row(payment)["status"], shop.surplus_states(payment)) == ("failed", ["processed"])
    assert refunds_of(shop, attempt["id"]) == [(50_000, "processed")]
    assert shop.differences() == []


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


def test_a_refund_that_came_back_without_a_word_is_found_and_repaired(
    shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    cancel(user, payment)
    paid = shop.sandbox.pay(payment["orderId"])["razorpay_payment_id"]
    shop.settle_later()
    assert shop.surplus_states(payment) == ["processed"]
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    for refund in books["refund"]:
        refund["status"] = "failed"
    for each in books["payment"]:
        each.update(amount_refunded=0, refund_status=None, status="captured")
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
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
