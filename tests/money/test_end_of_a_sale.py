"""A sale ends once, and says so. Money that comes later is never lost, and never brings the sale back silently."""

from datetime import timedelta

import httpx
import pytest

from tests.actors import PAYMENTS, Actor, People, assert_problem, send_event, status, verify
from tests.aliases import Json
from tests.factories import gateway_payment, signature_of
from tests.money.shop import Shop
from tests.stack import KEY_SECRET, Api
from tests.waiting import eventually

AFTER_THE_END = timedelta(days=7, hours=1)
TOO_LATE = timedelta(days=9)


def cancel(actor: Actor, payment: Json) -> httpx.Response:
    return actor.call("POST", f"{PAYMENTS}/{payment['referenceId']}/cancel")


def refunds_of(shop: Shop, checkout: Json) -> list[int]:
    path = f"/v1/payments/{checkout['razorpay_payment_id']}/refunds"
    return [refund["amount"] for refund in shop.sandbox.items(path)]


class TestFinal:
    def test_an_answer_says_until_when_a_payment_can_be_paid(
        self, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        created = user.create().json()["data"]
        assert created["final"] is False
        until = shop.row(created)["createdAt"] + timedelta(days=7)
        assert shop.row(created)["payableUntil"] == until
        for answer in (status(api, created), user.seen(created["referenceId"])):
            assert (answer["payableUntil"], answer["final"]) == (created["payableUntil"], False)

    def test_a_declined_attempt_is_not_the_end(
        self, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        facts = gateway_payment(payment["orderId"], status="failed", captured=False)
        send_event(api, "payment.failed", payment=facts)
        seen = status(api, payment)
        assert (seen["status"], seen["final"]) == ("failed", False)

        assert verify(api, payment, shop.sandbox.pay(payment["orderId"])).status_code == 200

        assert status(api, payment)["final"] is True
        steps = shop.assert_sound(payment)["history"]
        assert [step.get("final") for step in steps] == [None, None, True]

    @pytest.mark.parametrize("attempt", [None, "failure"])
    def test_the_end_by_time_alone_is_a_step(
        self, attempt: str | None, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        if attempt:
            shop.sandbox.pay(payment["orderId"], attempt)
        shop.settle_later(timedelta(days=6, hours=23))
        assert status(api, payment)["final"] is False

        shop.settle_later(AFTER_THE_END)

        seen = status(api, payment)
        assert (seen["status"], seen["final"]) == ("failed", True)
        assert user.history().json()[0]["final"] is True
        row = shop.row(payment)
        last = row["history"][-1]
        assert (last["event"], last["final"], "endsAt" in row) == ("expired", True, False)
        shop.settle_later(TOO_LATE)
        assert shop.row(payment)["history"] == row["history"]
        assert shop.differences() == []

    def test_a_sale_does_not_end_while_the_gateway_does_not_answer(
        self, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.pay(payment["orderId"])
        fault = shop.sandbox.fault("server_error", times=None, route="/v1/orders/*")
        shop.settle_later(AFTER_THE_END)
        assert shop.row(payment)["status"] == "pending"

        shop.sandbox.call("DELETE", f"/_sandbox/faults/{fault['id']}")
        shop.settle_later(AFTER_THE_END + timedelta(hours=1))

        shop.assert_sound(payment)


class TestLateMoney:
    @pytest.mark.parametrize("outcome", ["success", "authorized"])
    def test_for_a_day_the_sale_is_still_paid_and_says_late(
        self, outcome: str, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        shop.sandbox.pay(payment["orderId"], outcome)

        shop.settle_later(AFTER_THE_END + timedelta(hours=20))

        row = shop.assert_sound(payment)
        assert [step.get("late") for step in row["history"]] == [None, None, True]

    @pytest.mark.parametrize("outcome", ["success", "authorized"])
    def test_after_that_it_is_captured_and_goes_back(
        self, outcome: str, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        checkout = shop.sandbox.pay(payment["orderId"], outcome)

        shop.settle_later(TOO_LATE)

        seen = user.seen(payment["referenceId"])
        assert (seen["status"], seen["final"]) == ("failed", True)
        (surplus,) = seen["surplusPayments"]
        assert (surplus["reason"], surplus["status"]) == ("late_payment", "processed")
        assert refunds_of(shop, checkout) == [50_000]
        assert shop.differences() == []
        shop.settle_later(TOO_LATE + timedelta(days=2))
        assert refunds_of(shop, checkout) == [50_000]

    def test_capture_takes_it_whenever_it_comes(self, user: Actor, shop: Shop) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        shop.sandbox.pay(payment["orderId"], "authorized")
        shop.env = {**shop.env, "LATE_PAYMENTS": "capture"}

        shop.settle_later(TOO_LATE)

        assert shop.assert_sound(payment)["history"][-1]["late"] is True

    def test_hold_leaves_it_to_a_person(
        self, api: httpx.Client, user: Actor, admin: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        shop.sandbox.pay(payment["orderId"], "authorized")
        shop.env = {**shop.env, "LATE_PAYMENTS": "hold"}

        shop.settle_later(AFTER_THE_END + timedelta(hours=1))

        assert status(api, payment)["status"] == "failed"
        assert [each["reason"] for each in shop.row(payment)["mismatches"]] == ["late_payment"]
        assert shop.captured_at_gateway(payment) == []
        path = f"{PAYMENTS}/{payment['referenceId']}/capture"
        assert admin.call("POST", path).status_code == 200
        assert status(api, payment)["status"] == "success"

    def test_a_refund_that_the_bank_returns_is_made_anew(self, user: Actor, shop: Shop) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        checkout = shop.sandbox.pay(payment["orderId"])
        shop.sandbox.fault("refund_fails_later", options={"seconds": 3600})
        shop.settle_later(TOO_LATE)
        (surplus,) = shop.row(payment)["surplusPayments"]
        assert surplus["status"] == "pending", "not returned before the bank has it"

        shop.sandbox.advance(7200)
        shop.settle_later(TOO_LATE + timedelta(days=2))

        (surplus,) = shop.row(payment)["surplusPayments"]
        assert surplus["status"] == "processed"
        assert refunds_of(shop, checkout) == [50_000, 50_000]
        assert shop.sandbox.payment(checkout["razorpay_payment_id"])["amount_refunded"] == 50_000


class TestTwoAttempts:
    def test_an_authorised_one_counts_although_another_one_was_refunded(
        self, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.fault("auto_refund", options={"seconds": 0})
        shop.sandbox.pay(payment["orderId"], "authorized")
        shop.sandbox.advance(60)
        shop.sandbox.pay(payment["orderId"], "authorized")

        shop.settle_later()

        assert shop.row(payment)["status"] == "success"
        assert len(shop.captured_at_gateway(payment)) == 1

    def test_of_two_paid_ones_one_counts_and_the_other_goes_back(
        self, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.fault("late_authorization", options={"seconds": 600})
        shop.sandbox.fault("paid_twice")
        shop.sandbox.pay(payment["orderId"], "failure")
        first = shop.sandbox.pay(payment["orderId"])
        assert verify(api, payment, first).status_code == 200
        shop.sandbox.advance(1200)
        assert len(shop.captured_at_gateway(payment)) == 2
        second = next(
            attempt["id"]
            for attempt in shop.captured_at_gateway(payment)
            if attempt["id"] != first["razorpay_payment_id"]
        )
        assert [kind for kind, _, _ in shop.differences()] == ["second_payment"]
        facts = shop.sandbox.payment(second)

        send_event(api, "payment.captured", payment=facts)
        send_event(api, "order.paid", payment=facts)
        shop.settle_later()

        seen = user.seen(payment["referenceId"])
        assert (seen["status"], seen["amountRefunded"]) == ("success", 0)
        (surplus,) = seen["surplusPayments"]
        assert (surplus["paymentId"], surplus["reason"]) == (second, "second_payment")
        assert surplus["status"] == "processed"
        assert shop.sandbox.payment(second)["amount_refunded"] == 50_000
        assert refunds_of(shop, first) == []
        assert shop.differences() == []
        proof = signature_of(f"{payment['orderId']}|{second}".encode(), KEY_SECRET)
        checkout = {**first, "razorpay_payment_id": second, "razorpay_signature": proof}
        assert_problem(verify(api, payment, checkout), 409, code="evidence_mismatch")


class TestCancel:
    def test_the_payer_ends_the_sale_at_once(
        self, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        answer = cancel(user, payment)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] == status(api, payment)
        seen = user.seen(payment["referenceId"])
        assert (seen["status"], seen["final"]) == ("failed", True)
        assert (seen["history"][-1]["event"], seen["history"][-1]["final"]) == ("cancelled", True)
        assert user.history().json()[0]["status"] == "failed"
        assert cancel(user, payment).json() == answer.json(), "a repeat changes nothing"
        assert len(shop.row(payment)["history"]) == 2
        assert shop.differences() == []

    @pytest.mark.parametrize("road", ["verify", "webhook", "worker"])
    def test_money_that_comes_afterwards_goes_back(
        self, road: str, api_server: Api, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        cancel(user, payment)
        if road == "webhook":
            shop.sandbox.deliver_to(api_server.url)
        outcome = "success" if road == "webhook" else "authorized"
        checkout = shop.sandbox.pay(payment["orderId"], outcome)
        if road == "verify":
            assert_problem(verify(api, payment, checkout), 409, code="payment_returned")
        elif road == "webhook":
            eventually(lambda: shop.row(payment).get("surplusPayments"))

        shop.settle_later()

        seen = user.seen(payment["referenceId"])
        assert (seen["status"], seen["final"]) == ("failed", True)
        assert [each["reason"] for each in seen["surplusPayments"]] == ["cancelled_payment"]
        assert refunds_of(shop, checkout) == [50_000]
        assert shop.differences() == []
        assert_problem(verify(api, payment, checkout), 409, code="payment_returned")

    @pytest.mark.parametrize("outcome", ["success", "authorized"])
    def test_what_is_paid_is_settled_and_not_cancelled(
        self, outcome: str, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.pay(payment["orderId"], outcome)

        assert_problem(cancel(user, payment), 409, code="not_cancellable")

        shop.assert_sound(payment)

    def test_unknown_is_not_unpaid(self, api: httpx.Client, user: Actor, shop: Shop) -> None:
        payment = user.new_payment()
        shop.sandbox.fault("server_error", route="/v1/orders/*")

        assert_problem(cancel(user, payment), 503)

        assert status(api, payment)["final"] is False

    def test_what_has_ended_is_not_cancelled(self, user: Actor, shop: Shop) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        assert_problem(cancel(user, payment), 409, code="not_cancellable")

    def test_only_those_who_may_see_it_as_theirs(
        self, user: Actor, admin: Actor, people: People, shop: Shop
    ) -> None:
        payment = user.new_payment()
        assert_problem(cancel(people.new(), payment), 404)
        assert shop.row(payment)["status"] == "pending"
        assert cancel(admin, payment).status_code == 200

    def test_a_key_whose_payment_ended_without_an_order_buys_none(
        self, user: Actor, shop: Shop
    ) -> None:
        shop.sandbox.fault("reset", times=3, route="/v1/orders", method="POST")
        assert_problem(user.create(idempotencyKey="one-key"), 503)
        row = shop.store.payments.find_one()
        assert row is not None
        assert cancel(user, {"referenceId": row["referenceId"]}).status_code == 200

        assert_problem(user.create(idempotencyKey="one-key"), 409, code="sale_ended")

        assert shop.sandbox.order_count() == 0
