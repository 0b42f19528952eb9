"""A sale ends once, and says so. Money that comes later is never lost, and never brings the sale back silently."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import msgspec
import pytest
from pymongo.read_concern import ReadConcern

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import Outcome, Settled
from kernapay.payments.states import Source, SurplusReason
from tests.actors import PAYMENTS, Actor, People, assert_problem, send_event, status, verify
from tests.aliases import Json
from tests.factories import event_body, gateway_payment, signature_of
from tests.money.shop import Shop
from tests.stack import KEY_SECRET, Api
from tests.waiting import eventually

AFTER_THE_END = timedelta(days=7, hours=1)
TOO_LATE = timedelta(days=9)


def cancel(actor: Actor, payment: Json) -> httpx.Response:
    return actor.call("POST", f"{PAYMENTS}/{payment['referenceId']}/cancel")


def capture(actor: Actor, payment: Json) -> httpx.Response:
    return actor.call("POST", f"{PAYMENTS}/{payment['referenceId']}/capture")


def authorize_too_late(shop: Shop, user: Actor) -> tuple[Json, str]:
    """Let a sale end, and the bank authorise a payment of it days later. Return both."""
    payment = user.new_payment()
    shop.settle_later(AFTER_THE_END)
    shop.edit(payment, payableUntil=now() - timedelta(days=3))
    shop.sandbox.pay(payment["orderId"], "authorized")
    (attempt,) = shop.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
    return payment, str(attempt["id"])


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

    @pytest.mark.parametrize("way", ["by time", "cancelled"])
    def test_a_sale_whose_order_is_paid_does_not_end_though_no_payment_is_listed(
        self, way: str, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.sandbox.pay(payment["orderId"])
        books = shop.sandbox.call("GET", "/_sandbox/snapshot")
        hidden = [p for p in books["payment"] if p["order_id"] == payment["orderId"]]
        cut = {**books, "payment": [p for p in books["payment"] if p not in hidden]}
        shop.sandbox.call("PUT", "/_sandbox/snapshot", cut)

        if way == "cancelled":
            assert_problem(cancel(user, payment), 503, code="gateway_unavailable")
        else:
            shop.settle_later(AFTER_THE_END)

        assert (shop.row(payment)["status"], shop.row(payment).get("final")) == ("pending", None)
        shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
        shop.settle_later(AFTER_THE_END + timedelta(hours=2))
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
        assert shop.row(payment)["late"] is True
        assert shop.differences() == []
        shop.settle_later(TOO_LATE + timedelta(days=2))
        assert refunds_of(shop, checkout) == [50_000]

    def test_capture_takes_it_whenever_it_comes(self, user: Actor, shop: Shop) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        shop.sandbox.pay(payment["orderId"], "authorized")
        shop.env = {**shop.env, "LATE_PAYMENTS": "capture"}

        shop.settle_later(TOO_LATE)

        row = shop.assert_sound(payment)
        assert (row["history"][-1]["late"], row["late"]) == (True, True)

    def test_hold_leaves_it_to_a_person(
        self, api: httpx.Client, user: Actor, admin: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        shop.sandbox.pay(payment["orderId"], "authorized")
        shop.env = {**shop.env, "LATE_PAYMENTS": "hold"}

        shop.settle_later(AFTER_THE_END + timedelta(hours=1))

        assert status(api, payment)["status"] == "failed"
        row = shop.row(payment)
        assert [each["reason"] for each in row["mismatches"]] == ["late_payment"]
        assert row["late"] is True
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

    @pytest.mark.parametrize(
        ("came", "state"),
        [
            (timedelta(hours=-28), "success"),
            (timedelta(hours=-1), "failed"),
            (timedelta(hours=1), "failed"),
            (timedelta(days=-365), "failed"),
        ],
        ids=["in time", "too late", "by a clock that is ahead", "before the sale"],
    )
    def test_it_is_judged_by_the_time_of_an_event_that_had_to_wait(
        self, came: timedelta, state: str, api: httpx.Client, user: Actor, shop: Shop
    ) -> None:
        payment = user.new_payment()
        shop.settle_later(AFTER_THE_END)
        ended = now() - timedelta(hours=30)
        shop.edit(payment, createdAt=ended - timedelta(days=7), payableUntil=ended)
        checkout = shop.sandbox.pay(payment["orderId"])
        facts = shop.sandbox.payment(checkout["razorpay_payment_id"])
        event = msgspec.json.decode(event_body("payment.captured", payment=facts))
        event["created_at"] = int((now() + came).timestamp())

        send_event(api, body=msgspec.json.encode(event))

        assert status(api, payment)["status"] == state
        assert shop.surplus_states(payment) == ([] if state == "success" else ["requested"])


class TestADecisionAboutLateMoney:
    """A person's decision to capture is stored first, so one payment is never both sold and given back."""

    def test_holds_although_the_event_of_the_capture_comes_before_its_answer(
        self, api_server: Api, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, authorized = authorize_too_late(shop, user)
        shop.sandbox.deliver_to(api_server.url)
        route = f"/v1/payments/{authorized}/capture"
        shop.sandbox.fault("delay", route=route, options={"seconds": 1})

        answer = capture(admin, payment)

        assert answer.status_code == 200, answer.text
        sources = [step["source"] for step in shop.assert_sound(payment)["history"]]
        assert sources[-2:] == ["admin", "webhook"], "the event was first"
        assert shop.surplus_states(payment) == []

    def test_holds_for_a_repeat_after_an_answer_was_lost(
        self, api_server: Api, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, authorized = authorize_too_late(shop, user)
        shop.sandbox.deliver_to(api_server.url)
        shop.sandbox.fault("answer_lost", route=f"/v1/payments/{authorized}/capture")
        assert_problem(capture(admin, payment), 503)
        eventually(lambda: status(api, payment)["status"] == "success")

        for _ in range(2):
            answer = capture(admin, payment)
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, "success")

        shop.settle_later()
        shop.assert_sound(payment)
        assert shop.refunds_at_gateway(payment) == []

    def test_holds_for_the_worker_when_nobody_else_comes(
        self, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, authorized = authorize_too_late(shop, user)
        shop.sandbox.fault("reset", times=None, route=f"/v1/payments/{authorized}/capture")
        assert_problem(capture(admin, payment), 503)
        shop.sandbox.call("DELETE", "/_sandbox/faults")
        assert status(api, payment)["status"] == "failed"

        shop.settle_later(TOO_LATE)

        assert shop.assert_sound(payment)["history"][-1]["late"] is True

    def test_holds_against_an_event_that_was_judged_before_it(
        self, shop: Shop, user: Actor, admin: Actor
    ) -> None:
        payment, authorized = authorize_too_late(shop, user)

        async def read(services: Services) -> Payment:
            return await services.payment_repository.get(reference_id=payment["referenceId"])

        stale = shop.work(read)
        assert capture(admin, payment).status_code == 200

        async def enter(services: Services) -> Settled:
            paid = await services.payment_gateway.fetch_payment(authorized)
            evidence = Evidence(Origin(Source.WEBHOOK, "payment.captured"), paid)
            return await services.surplus_payments.enter(stale, evidence, SurplusReason.LATE)

        assert shop.work(enter).outcome is Outcome.UNCHANGED
        shop.settle_later()
        shop.assert_sound(payment)
        assert shop.surplus_states(payment) == []

    def test_sold_money_that_an_earlier_version_entered_as_surplus_stays(
        self, shop: Shop, user: Actor
    ) -> None:
        payment, checkout = user.buy(shop.sandbox)
        at = shop.row(payment)["createdAt"]
        entry = {
            "paymentId": checkout["razorpay_payment_id"],
            "amount": 50_000,
            "reason": "late_payment",
            "at": at,
            "status": "requested",
        }
        shop.edit(payment, surplusPayments=[entry], surplusAt=at)

        shop.settle_later()

        shop.assert_sound(payment)
        assert refunds_of(shop, checkout) == []


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
        assert shop.row(payment)["late"] is True
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

    def test_who_waits_for_its_order_meanwhile_hears_that_it_has_ended(
        self, user: Actor, shop: Shop
    ) -> None:
        """Else a page would ask a customer for money that goes back."""
        slow = {"seconds": 1}
        shop.sandbox.fault("delay", route="/v1/orders", method="POST", options=slow)
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(user.create, idempotencyKey="one-key")
            # Until a majority has the row, the API says that it does not know yet.
            confirmed = shop.store.payments.with_options(read_concern=ReadConcern("majority"))
            row = eventually(confirmed.find_one)
            assert cancel(user, {"referenceId": row["referenceId"]}).status_code == 200
            assert_problem(made.result(), 409, code="sale_ended")

        paid = shop.sandbox.pay(shop.row(row)["razorpayOrderId"])["razorpay_payment_id"]
        shop.settle_later()
        assert shop.surplus_states(row) == ["processed"]
        assert shop.sandbox.payment(paid)["amount_refunded"] == 50000
