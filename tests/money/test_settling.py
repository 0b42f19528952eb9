"""Settlement over a real database and a gateway in memory: each piece of evidence, in each state of a payment."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from kernapay.core.errors import Unavailable
from kernapay.gateway.base import (
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    Order,
)
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import (
    EvidenceMismatch,
    NotCapturable,
    NotCapturedYet,
    NotPaid,
    Outcome,
    Settled,
    UnknownOrder,
)
from kernapay.payments.returns import PaymentReturned
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, Source, Status
from kernapay.storage.updates import RowChanged
from tests.money.desk import ADMIN, AMOUNT, TOO_LATE, WEBHOOK, Desk, counted

pytestmark = pytest.mark.anyio


class Dying(PaymentLedger):
    """The ledger of a process that ends before it brings a refund to its state."""

    async def record_refund(self, *_: object) -> Payment:
        raise Unavailable("The database cannot be reached.")


def dying(desk: Desk) -> Settlement:
    services = desk.services
    payments, lifetimes = services.payment_repository, services.lifetimes
    ledger = Dying(services.mongo, payments, lifetimes, services.payment_signals)
    surplus, share = services.surplus_payments, services.gateway_share
    return Settlement(payments, ledger, surplus, desk.gateway, lifetimes, share, desk.clock)


class TestEvents:
    async def test_a_capture_sells(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)

        result = await desk.settle(Event.CAPTURED, paid)

        row = await desk.row(payment)
        assert result.outcome is Outcome.MOVED
        assert (row.status, row.final, row.ends_at) == (Status.SUCCESS, True, None)
        assert (row.razorpay_payment_id, row.amount_paid) == (paid.id, AMOUNT)
        assert (row.fee, row.tax, row.payment_method) == (paid.fee, paid.tax, "upi")
        step = row.history[-1]
        assert (step.source, step.event, step.event_id) == (
            *(Source.WEBHOOK, "payment.captured", "evt_1"),
        )
        assert (step.razorpay_payment_id, step.final, step.late) == (paid.id, True, None)

    async def test_a_repeat_changes_nothing(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        result = await desk.settle(Event.CAPTURED, paid)
        assert (result.outcome, result.reason) == (Outcome.UNCHANGED, None)
        assert len((await desk.row(payment)).history) == 2

    async def test_a_refusal_is_not_the_end_and_says_why(self, desk: Desk) -> None:
        payment = await desk.payment()
        declined = desk.keep(desk.pay(payment, "failed"), error_reason="payment_failed")

        result = await desk.settle(Event.DECLINED, declined)

        row = await desk.row(payment)
        assert (result.outcome, row.status, row.final) == (Outcome.MOVED, Status.FAILED, None)
        assert row.ends_at == row.payable_until
        assert (row.history[-1].reason, row.razorpay_payment_id) == ("payment_failed", declined.id)
        paid = desk.pay(payment)
        assert (await desk.settle(Event.CAPTURED, paid)).payment.status is Status.SUCCESS
        late = await desk.settle(Event.DECLINED, declined)
        assert (late.outcome, late.payment.status) == (Outcome.UNCHANGED, Status.SUCCESS)

    async def test_an_authorisation_is_noted_once_and_looked_at_at_once(self, desk: Desk) -> None:
        payment = await desk.payment()
        desk.clock.advance(minutes=5)
        attempt = desk.pay(payment, "authorized")

        first = await desk.settle(Event.AUTHORIZED, attempt)
        desk.clock.advance(minutes=5)
        second = await desk.settle(Event.AUTHORIZED, attempt)

        assert (first.outcome, second.outcome) == (Outcome.MOVED, Outcome.UNCHANGED)
        row = await desk.row(payment)
        assert (row.status, row.authorized_at) == (
            *(Status.PENDING, desk.clock() - timedelta(minutes=5)),
        )
        assert row.check_at == payment.created_at, "what is due before stays so"
        assert [step.razorpay_payment_id for step in row.history] == [None, attempt.id]
        assert desk.gateway.captures == 0

    async def test_without_an_event_nothing_is_changed(self, desk: Desk) -> None:
        payment = await desk.payment()
        result = await desk.settle(None, desk.pay(payment))
        assert (result.outcome, result.payment.status) == (Outcome.UNCHANGED, Status.PENDING)

    async def test_what_does_not_fit_is_kept_once_and_changes_nothing(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.keep(desk.pay(payment), currency="USD")
        before = counted("kernapay_payment_mismatches_total", source="webhook")
        for _ in range(2):
            with pytest.raises(EvidenceMismatch) as refused:
                await desk.settle(Event.CAPTURED, paid)
            assert refused.value.reason == "currency"
        row = await desk.row(payment)
        (mismatch,) = row.mismatches
        assert (row.status, mismatch.currency, mismatch.event_id) == (
            *(Status.PENDING, "USD", "evt_1"),
        )
        assert mismatch.at == desk.clock()
        assert counted("kernapay_payment_mismatches_total", source="webhook") == before + 2

    async def test_an_event_that_contradicts_the_gateways_status_does_not_fit(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        with pytest.raises(EvidenceMismatch) as refused:
            await desk.settle(Event.CAPTURED, desk.pay(payment, "authorized"))
        assert refused.value.reason == "status"

    async def test_a_payment_without_an_order_is_nobodys(self, desk: Desk) -> None:
        paid = desk.pay(await desk.payment())
        with pytest.raises(UnknownOrder):
            await desk.settle(Event.CAPTURED, replace(paid, order_id=None))

    async def test_an_order_that_is_not_attached_yet_is_found_by_its_receipt(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        await desk.services.payment_ledger.update_where(
            {"id": payment.pk}, unset__order_id=True, unset__razorpay_order_id=True
        )
        result = await desk.settle(Event.CAPTURED, desk.pay(payment))
        assert result.payment.razorpay_order_id == payment.razorpay_order_id
        assert result.payment.status is Status.SUCCESS


class TestSecondPayments:
    async def test_of_two_captures_the_first_counts_and_the_second_goes_back(
        self, desk: Desk
    ) -> None:
        payment, first = await desk.sold()
        second = desk.pay(payment, doubles=True)

        result = await desk.settle(Event.CAPTURED, second)
        again = await desk.settle(Event.CAPTURED, second)

        assert result.outcome is again.outcome is Outcome.SURPLUS
        assert result.reason == again.reason == "second_payment"
        row = await desk.row(payment)
        assert (row.status, row.razorpay_payment_id) == (Status.SUCCESS, first.id)
        assert await desk.surplus(payment) == [(second.id, "second_payment")]
        assert (await desk.settle(Event.CAPTURED, first)).outcome is Outcome.UNCHANGED

    async def test_an_authorisation_beside_a_paid_one_is_left_to_lapse(self, desk: Desk) -> None:
        payment, _ = await desk.sold()
        second = desk.pay(payment, "authorized", doubles=True)
        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, second))
        assert result.outcome is Outcome.UNCHANGED
        assert (desk.gateway.captures, await desk.surplus(payment)) == (0, [])
        assert await desk.mismatches(payment) == []


class TestCapture:
    async def test_an_authorised_payment_is_captured_with_its_own_amount(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.pay(payment, "authorized", differs_by=1180)
        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, attempt))
        assert (result.outcome, result.payment.amount_paid) == (Outcome.MOVED, AMOUNT + 1180)
        assert desk.gateway.payments[attempt.id].captured

    async def test_what_does_not_fit_is_not_captured(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.keep(desk.pay(payment, "authorized"), currency="USD")
        with pytest.raises(EvidenceMismatch):
            await desk.settlement.capture_and_settle(Evidence(WEBHOOK, attempt))
        assert (desk.gateway.captures, await desk.mismatches(payment)) == (0, ["currency"])

    async def test_what_is_captured_already_is_settled(self, desk: Desk) -> None:
        payment = await desk.payment()
        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, desk.pay(payment)))
        assert (result.payment.status, desk.gateway.captures) == (Status.SUCCESS, 0)

    async def test_what_failed_is_declined(self, desk: Desk) -> None:
        payment = await desk.payment()
        declined = desk.pay(payment, "failed")
        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, declined))
        assert (result.payment.status, result.payment.final) == (Status.FAILED, None)

    async def test_a_refused_capture_settles_what_became_of_the_payment(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.pay(payment, "authorized")
        desk.gateway.refusal = replace(attempt, status="captured", captured=True)
        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, attempt))
        assert result.payment.status is Status.SUCCESS

    async def test_a_refused_capture_of_what_waits_still_is_an_error(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.gateway.refusal = desk.pay(payment, "authorized")
        with pytest.raises(GatewayRejected):
            await desk.settlement.capture_and_settle(Evidence(WEBHOOK, attempt))
        assert (await desk.row(payment)).status is Status.PENDING

    async def test_an_administrator_captures_what_the_bank_authorised(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.pay(payment, "authorized")
        order_id = str(payment.razorpay_order_id)
        result = await desk.settlement.capture_authorized(payment, order_id, ADMIN)
        step = result.payment.history[-1]
        assert (step.source, step.event, step.actor) == (Source.ADMIN, "capture", ADMIN)
        assert (step.status, step.razorpay_payment_id) == (Status.SUCCESS, attempt.id)
        assert result.payment.approved_payment_id is None

    @pytest.mark.parametrize("outcome", [None, "failed"])
    async def test_without_an_authorised_payment_there_is_nothing_to_capture(
        self, desk: Desk, outcome: str | None
    ) -> None:
        payment = await desk.payment()
        if outcome:
            desk.pay(payment, outcome)
        order_id = str(payment.razorpay_order_id)
        with pytest.raises(NotCapturable):
            await desk.settlement.capture_authorized(payment, order_id, ADMIN)

    async def test_a_person_may_decide_that_late_money_counts(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        attempt = desk.pay(payment, "authorized")
        order_id = str(payment.razorpay_order_id)

        result = await desk.settlement.capture_authorized(payment, order_id, ADMIN)

        row = result.payment
        assert (row.status, row.approved_payment_id) == (Status.SUCCESS, attempt.id)
        assert [step.reason for step in row.history][-2:] == ["late payment approved", None]
        assert [step.razorpay_payment_id for step in row.history][-2:] == [attempt.id] * 2
        assert [step.late for step in row.history][-2:] == [None, True]
        assert await desk.surplus(payment) == []

    async def test_nobody_decides_about_a_cancelled_sale(self, desk: Desk) -> None:
        payment = await desk.payment()
        cancelled = await desk.settlement.cancel(payment, Origin(Source.API, "cancelled"))
        attempt = desk.pay(payment, "authorized")
        order_id = str(payment.razorpay_order_id)
        with pytest.raises(PaymentReturned):
            await desk.settlement.capture_authorized(cancelled, order_id, ADMIN)
        row = await desk.row(payment)
        assert (row.status, row.approved_payment_id) == (Status.FAILED, None)
        assert await desk.surplus(payment) == [(attempt.id, "cancelled_payment")]


class TestLateMoney:
    async def test_for_a_day_it_is_taken_and_says_late(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(hours=23)
        paid = desk.pay(payment)

        result = await desk.settle(Event.CAPTURED, paid)

        assert (result.outcome, result.payment.status) == (Outcome.MOVED, Status.SUCCESS)
        assert [step.late for step in result.payment.history] == [None, None, True]
        assert [step.final for step in result.payment.history] == [None, True, True]
        assert (await desk.settle(Event.CAPTURED, paid)).outcome is Outcome.UNCHANGED

    @pytest.mark.parametrize("outcome", ["captured", "authorized"])
    async def test_after_that_it_goes_back(self, desk: Desk, outcome: str) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment, outcome)

        result = await desk.settlement.capture_and_settle(Evidence(WEBHOOK, paid))

        assert (result.outcome, result.reason) == (Outcome.SURPLUS, "late_payment")
        assert (await desk.row(payment)).status is Status.FAILED
        assert await desk.surplus(payment) == [(paid.id, "late_payment")]
        assert desk.gateway.payments[paid.id].captured

    async def test_of_a_cancelled_sale_it_goes_back_at_once(self, desk: Desk) -> None:
        payment = await desk.payment()
        await desk.settlement.cancel(payment, Origin(Source.API, "cancelled"))
        paid = desk.pay(payment)
        result = await desk.settle(Event.CAPTURED, paid)
        assert (result.outcome, result.reason) == (Outcome.SURPLUS, "cancelled_payment")

    async def test_an_event_that_waited_is_judged_by_its_own_time(self, desk: Desk) -> None:
        payment = await desk.ended()
        paid = desk.pay(payment)
        in_time = int(desk.clock().timestamp())
        desk.clock.advance(TOO_LATE)
        result = await desk.settle(Event.CAPTURED, paid, happened_at=in_time)
        assert result.outcome is Outcome.MOVED

    @pytest.mark.parametrize("late_payments", ["capture"])
    async def test_the_operator_may_take_it_whenever_it_comes(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        result = await desk.settle(Event.CAPTURED, desk.pay(payment))
        assert (result.outcome, result.payment.history[-1].late) == (Outcome.MOVED, True)

    @pytest.mark.parametrize("late_payments", ["hold"])
    @pytest.mark.parametrize("outcome", ["captured", "authorized"])
    async def test_the_operator_may_leave_it_to_a_person(self, desk: Desk, outcome: str) -> None:
        payment = await desk.ended()
        paid = desk.pay(payment, outcome)
        with pytest.raises(EvidenceMismatch) as held:
            await desk.settlement.capture_and_settle(Evidence(WEBHOOK, paid))
        assert held.value.reason == "late_payment"
        assert (desk.gateway.captures, await desk.surplus(payment)) == (0, [])
        assert await desk.mismatches(payment) == ["late_payment"]

        order_id = str(payment.razorpay_order_id)
        result = await desk.settlement.capture_authorized(await desk.row(payment), order_id, ADMIN)
        assert result.payment.status is Status.SUCCESS

    @pytest.mark.parametrize("late_payments", ["hold"])
    async def test_what_does_not_fit_is_named_before_what_is_late(self, desk: Desk) -> None:
        payment = await desk.ended()
        attempt = desk.keep(desk.pay(payment, "authorized"), currency="USD")
        with pytest.raises(EvidenceMismatch) as refused:
            await desk.settlement.capture_and_settle(Evidence(WEBHOOK, attempt))
        assert refused.value.reason == "currency"


class TestEnds:
    @pytest.mark.parametrize("event", [Event.EXPIRED, Event.CANCELLED])
    async def test_a_sale_ends_once(self, desk: Desk, event: Event) -> None:
        payment = await desk.payment()
        origin = Origin(Source.RECONCILIATION, event.value)
        first = await desk.settlement.end(event, payment, origin)
        second = await desk.settlement.end(event, first.payment, origin)
        assert (first.outcome, second.outcome) == (Outcome.MOVED, Outcome.UNCHANGED)
        row = second.payment
        assert (row.status, row.final, row.ends_at) == (Status.FAILED, True, None)
        assert (row.cancelled_at is not None) is (event is Event.CANCELLED)
        assert [step.final for step in row.history] == [None, True]

    async def test_not_while_the_gateways_order_is_paid(self, desk: Desk) -> None:
        payment = await desk.payment()
        desk.pay(payment)
        with pytest.raises(GatewayUnknown):
            await desk.settlement.end(Event.EXPIRED, payment, WEBHOOK)
        assert (await desk.row(payment)).final is None

    async def test_without_an_order_nobody_is_asked(self, desk: Desk) -> None:
        payment = await desk.payment()
        await desk.services.payment_ledger.update_where(
            {"id": payment.pk}, unset__order_id=True, unset__razorpay_order_id=True
        )
        desk.gateway.silent = "question"
        row = await desk.row(payment)
        assert (await desk.settlement.end(Event.EXPIRED, row, WEBHOOK)).payment.final is True
        row = await desk.settlement.cancel(row, WEBHOOK)
        assert row.cancelled_at is None, "the end by time was first"

    async def test_a_paid_one_is_not_cancelled_but_settled(self, desk: Desk) -> None:
        for outcome in ("captured", "authorized"):
            payment = await desk.payment()
            desk.pay(payment, outcome)
            row = await desk.settlement.cancel(payment, WEBHOOK)
            assert (row.status, row.cancelled_at) == (Status.SUCCESS, None)

    async def test_a_failed_one_is_cancelled(self, desk: Desk) -> None:
        payment = await desk.payment()
        desk.pay(payment, "failed")
        row = await desk.settlement.cancel(payment, Origin(Source.API, "cancelled", actor="me"))
        assert (row.status, row.final, row.cancelled_at) == (Status.FAILED, True, desk.clock())
        assert (row.history[-1].event, row.history[-1].actor) == ("cancelled", "me")

    async def test_what_has_ended_is_not_asked_about(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.gateway.silent = "question"
        await desk.settlement.cancel(payment, WEBHOOK)
        await desk.settlement.end(Event.EXPIRED, payment, WEBHOOK)
        assert desk.gateway.silent == "question"


class TestCheckout:
    async def verify(self, desk: Desk, payment: Payment, paid: GatewayPayment) -> Settled:
        return await desk.settlement.settle_checkout(payment, paid.id, "signature")

    @pytest.mark.parametrize("outcome", ["captured", "authorized"])
    async def test_what_checkout_named_is_sold_with_its_signature(
        self, desk: Desk, outcome: str
    ) -> None:
        payment = await desk.payment()
        before = counted("kernapay_payment_moves_total", status="success", source="checkout")
        result = await self.verify(desk, payment, desk.pay(payment, outcome))
        assert desk.gateway.asked_for_refunds == 0
        after = counted("kernapay_payment_moves_total", status="success", source="checkout")
        assert after == before + 1
        row = result.payment
        assert (row.status, row.razorpay_signature) == (Status.SUCCESS, "signature")
        assert (row.history[-1].source, row.history[-1].event) == (Source.CHECKOUT, "verify")

    async def test_a_repeat_asks_nobody(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        desk.gateway.fetched = 0
        result = await self.verify(desk, payment, paid)
        assert (result.outcome, result.payment, desk.gateway.fetched) == (
            *(Outcome.UNCHANGED, payment, 0),
        )

    async def test_the_payment_of_another_order_is_refused(self, desk: Desk) -> None:
        payment, other = await desk.payment(), await desk.payment()
        with pytest.raises(EvidenceMismatch) as refused:
            await self.verify(desk, payment, desk.pay(other))
        assert refused.value.reason == "order"
        assert (await desk.row(other)).status is Status.PENDING

    async def test_what_failed_or_waits_is_not_paid(self, desk: Desk) -> None:
        payment = await desk.payment()
        attempt = desk.pay(payment, "failed")
        with pytest.raises(NotPaid):
            await self.verify(desk, payment, attempt)
        waiting = desk.keep(attempt, status="created")
        with pytest.raises(NotCapturedYet) as waits:
            await self.verify(desk, payment, waiting)
        assert waits.value.retry_after == 5
        assert len((await desk.row(payment)).history) == 1

    async def test_what_was_let_go_without_a_capture_is_not_paid(self, desk: Desk) -> None:
        payment = await desk.payment()
        let_go = desk.keep(desk.pay(payment, "authorized"), status="refunded")
        with pytest.raises(NotPaid, match="without capturing"):
            await self.verify(desk, payment, let_go)

    async def test_what_was_refunded_in_part_is_sold_with_its_refund(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        refund = desk.gateway.refund_now(paid.id, 700, None)
        result = await self.verify(desk, payment, paid)
        row = result.payment
        assert (row.status, row.amount_refunded) == (Status.SUCCESS, 700)
        assert [each.refund_id for each in row.refunds] == [refund.id]

    async def test_what_was_refunded_in_full_is_not_delivered(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        desk.gateway.refund_now(paid.id, AMOUNT, None)
        for _ in range(2):
            with pytest.raises(PaymentReturned):
                await self.verify(desk, await desk.row(payment), paid)
        row = await desk.row(payment)
        assert (row.status, row.amount_refunded) == (Status.REFUNDED, AMOUNT)

    async def test_it_is_never_sold_without_the_refunds_that_were_known(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        refund = desk.gateway.refund_now(paid.id, 700, None)
        with pytest.raises(Unavailable):
            await dying(desk).settle_checkout(payment, paid.id, "signature")
        row = await desk.row(payment)
        assert row.status is Status.SUCCESS
        assert [(r.refund_id, r.status.value) for r in row.refunds] == [(refund.id, "requested")]
        assert (row.check_at, row.checks) == (desk.clock(), 0)

    async def test_what_the_gateway_calls_refunded_is_not_delivered_though_it_lists_no_refund(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        paid = desk.keep(desk.pay(payment), amount_refunded=AMOUNT)
        with pytest.raises(PaymentReturned):
            await self.verify(desk, payment, paid)

    async def test_a_second_payment_is_not_the_one_that_was_sold(self, desk: Desk) -> None:
        payment, _ = await desk.sold()
        with pytest.raises(EvidenceMismatch) as refused:
            await self.verify(desk, payment, desk.pay(payment, doubles=True))
        assert refused.value.reason == "second_payment"

    async def test_what_came_too_late_is_not_delivered(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment)
        for _ in range(2):
            with pytest.raises(PaymentReturned):
                await self.verify(desk, await desk.row(payment), paid)
        assert await desk.surplus(payment) == [(paid.id, "late_payment")]


class TestRefunds:
    def refund(self, desk: Desk, paid: GatewayPayment, amount: int, **more: Any) -> GatewayRefund:
        return desk.gateway.refund_now(paid.id, amount, None, **more)

    async def test_a_refund_is_entered_once(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        refund = self.refund(desk, paid, 700)
        first = await desk.settle(None, paid, refund=refund)
        second = await desk.settle(None, paid, refund=refund)
        assert (first.outcome, second.outcome) == (Outcome.MOVED, Outcome.UNCHANGED)
        row = await desk.row(payment)
        assert (row.amount_refunded, len(row.refunds), len(row.history)) == (700, 1, 3)

    async def test_a_refund_proves_a_capture_of_which_nobody_heard(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        result = await desk.settle(None, paid, refund=self.refund(desk, paid, 700))
        row = result.payment
        assert (row.status, row.amount_refunded, row.amount_paid) == (
            *(Status.SUCCESS, 700, AMOUNT),
        )
        assert [step.status for step in row.history] == ["pending", "success", "success"]

    async def test_such_a_capture_is_never_stored_without_its_refund(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        refund = self.refund(desk, paid, 700)
        with pytest.raises(Unavailable):
            await dying(desk).settle(None, Evidence(WEBHOOK, paid, refund=refund))
        row = await desk.row(payment)
        assert row.status is Status.SUCCESS
        assert [(r.refund_id, r.status.value) for r in row.refunds] == [(refund.id, "requested")]
        assert row.history[-1].refund_status == row.refund_status == "requested"

    async def test_of_what_was_never_captured_nothing_was_paid(self, desk: Desk) -> None:
        payment = await desk.payment()
        let_go = desk.keep(desk.pay(payment, "authorized"), status="refunded")
        refund = GatewayRefund("rfnd_1", let_go.id, AMOUNT, "INR", "processed")
        result = await desk.settle(None, let_go, refund=refund)
        assert (result.payment.status, result.payment.refunds) == (Status.FAILED, [])
        assert result.payment.final is None

    @pytest.mark.parametrize(
        "changes", [{"payment_id": "pay_2"}, {"currency": "USD"}, {"amount": AMOUNT + 1}]
    )
    async def test_a_refund_of_something_else_does_not_fit(
        self, desk: Desk, changes: dict[str, Any]
    ) -> None:
        payment, paid = await desk.sold()
        other = replace(self.refund(desk, paid, 700), **changes)
        with pytest.raises(EvidenceMismatch) as refused:
            await desk.settle(None, paid, refund=other)
        assert refused.value.reason == "refund_of_another_payment"
        assert (await desk.row(payment)).refunds == []

    async def test_a_refund_of_surplus_is_noted_there(self, desk: Desk) -> None:
        payment, _ = await desk.sold()
        second = desk.pay(payment, doubles=True)
        await desk.settle(Event.CAPTURED, second)
        refund = self.refund(desk, second, AMOUNT)
        assert (await desk.settle(None, second, refund=refund)).outcome is Outcome.MOVED
        row = await desk.row(payment)
        assert (row.refunds, row.amount_refunded) == ([], 0)
        assert [(s.status.value, s.refund_id) for s in row.surplus_payments] == [
            ("processed", refund.id)
        ]

    async def test_a_refund_of_late_money_of_which_nobody_heard_enters_it(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment)
        await desk.settle(None, paid, refund=self.refund(desk, paid, AMOUNT))
        row = await desk.row(payment)
        assert (row.status, row.refunds) == (Status.FAILED, [])
        assert [(s.payment_id, s.status.value) for s in row.surplus_payments] == [
            (paid.id, "processed")
        ]

    @pytest.mark.parametrize("late_payments", ["hold"])
    async def test_a_refund_of_held_money_changes_nothing(self, desk: Desk) -> None:
        payment = await desk.ended()
        paid = desk.pay(payment)
        with pytest.raises(EvidenceMismatch) as held:
            await desk.settle(None, paid, refund=self.refund(desk, paid, AMOUNT))
        assert held.value.reason == "late_payment"
        assert (await desk.row(payment)).refunds == []

    async def test_a_refund_of_a_second_payment_of_which_nobody_heard_is_kept(
        self, desk: Desk
    ) -> None:
        payment, _ = await desk.sold()
        second = desk.pay(payment, doubles=True)
        with pytest.raises(EvidenceMismatch) as refused:
            await desk.settle(None, second, refund=self.refund(desk, second, 700))
        assert refused.value.reason == "refund_of_second_payment"
        assert (await desk.row(payment)).amount_refunded == 0


class TestRows:
    async def test_a_row_that_was_changed_by_hand_meanwhile_is_not_moved(self, desk: Desk) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        await desk.services.payment_ledger.update_where({"id": payment.pk}, set__amount=1)
        with pytest.raises(RowChanged):
            await desk.settlement.end(Event.EXPIRED, await self.stale(desk, payment), WEBHOOK)
        assert paid.captured

    async def stale(self, desk: Desk, payment: Payment) -> Payment:
        desk.gateway.orders[str(payment.razorpay_order_id)] = Order(
            str(payment.razorpay_order_id), AMOUNT, "INR", "attempted"
        )
        return payment

    async def test_the_fee_is_stored_as_the_gateway_has_it(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        await desk.settlement.record_fee(payment, replace(paid, fee=7, tax=3))
        row = await desk.row(payment)
        assert (row.fee, row.tax) == (7, 3)
