"""What the worker does with surplus money, case by case, over a gateway in memory."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from kernapay.gateway.base import (
    GatewayPayment,
    GatewayRefund,
    GatewayUnknown,
)
from kernapay.payments.evidence import Evidence
from kernapay.payments.models import Dispute, Payment, SurplusPayment
from kernapay.payments.outcomes import Outcome
from kernapay.payments.refund_checks import PaymentDisputed
from kernapay.payments.states import (
    DisputeStatus,
    Event,
    RefundState,
    Source,
    SurplusReason,
)
from kernapay.payments.surplus_refunds import Surplus
from kernapay.storage.updates import RowChanged
from tests.aliases import Json, Store
from tests.money.desk import AMOUNT, TOO_LATE, WEBHOOK, Desk, counted

pytestmark = pytest.mark.anyio


async def surplus(desk: Desk) -> tuple[Payment, GatewayPayment]:
    """Store a sold payment with a second one of its order, entered as surplus."""
    payment, _ = await desk.sold()
    second = desk.pay(payment, doubles=True)
    before = counted("kernapay_surplus_payments_total", reason="second_payment")
    result = await desk.settle(Event.CAPTURED, second)
    assert (result.outcome, result.reason) == (Outcome.SURPLUS, "second_payment")
    assert counted("kernapay_surplus_payments_total", reason="second_payment") == before + 1
    return result.payment, second


async def give_back(desk: Desk, payment: Payment) -> SurplusPayment:
    """Let the worker look after a payment's surplus once; return the entry afterwards."""
    await desk.services.surplus_payments.give_back(await desk.row(payment))
    return (await desk.row(payment)).surplus_payments[0]


def refunds(desk: Desk, paid: GatewayPayment) -> list[tuple[int, str]]:
    found = desk.gateway.refunds.values()
    return [(each.amount, each.status) for each in found if each.payment_id == paid.id]


async def hear_of(desk: Desk, payment: Payment, refund_id: str) -> None:
    """Let the row name a refund of its surplus."""
    change = {"$set": {"surplusPayments.0.refundId": refund_id}}
    await desk.services.payment_ledger.update_where({"id": payment.pk}, __raw__=change)


def state(entry: SurplusPayment) -> tuple[str, str | None]:
    return entry.status.value, entry.refund_id


async def test_it_goes_back_once_and_in_full(desk: Desk) -> None:
    payment, second = await surplus(desk)
    for _ in range(2):
        entry = await give_back(desk, payment)
    (refund,) = desk.gateway.refunds.values()
    assert (refund.payment_id, refund.amount, refund.receipt) == (
        *(second.id, AMOUNT, f"surplus_{second.id}"),
    )
    assert state(entry) == ("processed", refund.id)
    row = await desk.row(payment)
    assert row.surplus_at is None
    step = row.history[-1]
    assert (step.reason, step.source, step.razorpay_payment_id) == (
        *("surplus refund processed", Source.RECONCILIATION, second.id),
    )


async def test_it_is_returned_only_when_the_bank_has_it(desk: Desk) -> None:
    payment, second = await surplus(desk)
    desk.gateway.refunds_wait = True
    entry = await give_back(desk, payment)
    assert (entry.status, refunds(desk, second)) == ("pending", [(AMOUNT, "pending")])
    desk.gateway.end_refund(str(entry.refund_id), "processed")
    assert state(await give_back(desk, payment)) == ("processed", entry.refund_id)


async def test_a_refund_that_failed_is_made_anew_with_another_receipt(desk: Desk) -> None:
    payment, second = await surplus(desk)
    entry = await give_back(desk, payment)
    desk.gateway.end_refund(str(entry.refund_id), "failed")
    failed = desk.gateway.refunds[str(entry.refund_id)]
    await desk.settle(None, second, refund=failed)
    entry = await give_back(desk, payment)
    assert refunds(desk, second) == [(AMOUNT, "failed"), (AMOUNT, "processed")]
    assert state(entry) == ("processed", list(desk.gateway.refunds)[-1])
    assert list(desk.gateway.refunds.values())[-1].receipt == f"surplus_{second.id}_1"


async def test_what_somebody_returned_in_part_is_returned_in_the_rest(desk: Desk) -> None:
    payment, second = await surplus(desk)
    desk.gateway.refund_in_the_dashboard(second.id, 700, waits=False)
    assert (await give_back(desk, payment)).status is RefundState.PROCESSED
    assert refunds(desk, second) == [(700, "processed"), (AMOUNT - 700, "processed")]


async def test_what_is_authorised_only_is_captured_first(desk: Desk) -> None:
    payment, second = await surplus(desk)
    desk.keep(second, status="authorized", captured=False)
    assert (await give_back(desk, payment)).status is RefundState.PROCESSED
    assert (desk.gateway.captures, refunds(desk, second)) == (1, [(AMOUNT, "processed")])


@pytest.mark.parametrize("failures", [4, 5])
async def test_after_five_failures_it_is_left_to_a_person(desk: Desk, failures: int) -> None:
    payment, second = await surplus(desk)
    for _ in range(failures):
        refund = desk.gateway.refund_now(second.id, AMOUNT, None)
        desk.gateway.end_refund(refund.id, "failed")

    await hear_of(desk, payment, "rfnd_last")
    before = counted("kernapay_payment_mismatches_total", source="reconciliation")
    entry = await give_back(desk, payment)

    if failures < 5:
        assert entry.status is RefundState.PROCESSED
        return
    assert state(entry) == ("failed", "rfnd_last")
    assert counted("kernapay_payment_mismatches_total", source="reconciliation") == before + 1
    assert len(refunds(desk, second)) == 5
    row = await desk.row(payment)
    (mismatch,) = row.mismatches
    assert mismatch.to_mongo() == {
        "at": desk.clock(),
        "source": "reconciliation",
        "reason": "surplus_not_returned",
        "event": "surplus",
        "orderId": payment.razorpay_order_id,
        "paymentId": second.id,
        "amount": AMOUNT,
        "currency": "INR",
    }
    assert row.surplus_at is None
    assert (await give_back(desk, payment)).status is RefundState.FAILED, "nobody tries again"
    assert len(refunds(desk, second)) == 5


async def test_a_refusal_for_good_is_left_to_a_person(desk: Desk) -> None:
    payment, second = await surplus(desk)
    desk.keep(second, captured=False, status="captured")
    entry = await give_back(desk, payment)
    assert (entry.status, refunds(desk, second)) == (RefundState.FAILED, [])
    assert await desk.mismatches(payment) == ["surplus_not_returned"]
    desk.keep(second, captured=True)
    await give_back(desk, payment)
    assert refunds(desk, second) == [], "a person decides"


@pytest.mark.parametrize("is_refused", [False, True])
async def test_the_last_paisa_goes_back_or_is_left_to_a_person(
    desk: Desk, is_refused: bool
) -> None:
    payment, second = await surplus(desk)
    desk.gateway.refund_in_the_dashboard(second.id, AMOUNT - 1, waits=False)
    if is_refused:
        desk.keep(desk.gateway.payments[second.id], captured=False)
    entry = await give_back(desk, payment)
    if is_refused:
        assert entry.status is RefundState.FAILED
        assert [each.amount for each in (await desk.row(payment)).mismatches] == [1]
        return
    assert entry.status is RefundState.PROCESSED
    assert refunds(desk, second) == [(AMOUNT - 1, "processed"), (1, "processed")]


async def test_what_somebody_returned_just_before_is_returned(desk: Desk) -> None:
    payment, second = await surplus(desk)
    desk.gateway.is_raced = True
    entry = await give_back(desk, payment)
    assert state(entry) == ("processed", next(iter(desk.gateway.refunds)))
    assert (refunds(desk, second), await desk.mismatches(payment)) == (
        *([(AMOUNT, "processed")], []),
    )


async def test_one_that_has_gone_back_does_not_hold_up_the_next(desk: Desk) -> None:
    payment, _ = await surplus(desk)
    await give_back(desk, payment)
    third = desk.pay(payment, doubles=True)
    await desk.settle(Event.CAPTURED, third)
    await give_back(desk, payment)
    assert refunds(desk, third) == [(AMOUNT, "processed")]


async def test_of_what_the_bank_took_back_in_full_nothing_is_returned(desk: Desk) -> None:
    payment, second = await surplus(desk)
    await dispute(desk, payment, second, held=AMOUNT, lost=AMOUNT)
    assert state(await give_back(desk, payment)) == ("processed", None)
    assert refunds(desk, second) == []


async def test_a_gateway_that_does_not_answer_leaves_it_due(desk: Desk) -> None:
    payment, _ = await surplus(desk)
    desk.gateway.silent = "before"
    with pytest.raises(GatewayUnknown):
        await give_back(desk, payment)
    row = await desk.row(payment)
    assert (row.surplus_payments[0].status, row.surplus_at) == (
        *(RefundState.REQUESTED, desk.clock()),
    )
    assert row.mismatches == []


async def test_one_that_cannot_be_returned_does_not_hold_up_the_next(desk: Desk) -> None:
    payment, _ = await surplus(desk)
    third = desk.pay(payment, doubles=True)
    await desk.settle(Event.CAPTURED, third)
    desk.gateway.silent = "question"
    with pytest.raises(GatewayUnknown):
        await give_back(desk, payment)
    states = [each.status.value for each in (await desk.row(payment)).surplus_payments]
    assert states == ["requested", "processed"]


async def test_another_amount_than_was_entered_is_believed_when_it_is_said_twice(
    desk: Desk,
) -> None:
    payment, second = await surplus(desk)
    desk.gateway.lie = "amount"
    with pytest.raises(GatewayUnknown):
        await give_back(desk, payment)
    assert refunds(desk, second) == []
    desk.keep(second, amount=AMOUNT + 7)
    await give_back(desk, payment)
    assert refunds(desk, second) == [(AMOUNT + 7, "processed")]


def disputed(second: GatewayPayment, held: int, lost: int, status: DisputeStatus) -> Dispute:
    return Dispute(
        dispute_id="disp_1",
        payment_id=second.id,
        amount=held,
        currency="INR",
        phase="chargeback",
        status=status,
        held=held,
        lost=lost,
        source=Source.WEBHOOK,
    )


async def dispute(
    desk: Desk, payment: Payment, second: GatewayPayment, held: int, lost: int
) -> None:
    status = DisputeStatus.LOST if lost else DisputeStatus.OPEN
    entry = disputed(second, held, lost, status)
    entry.created_at = entry.updated_at = desk.clock()
    await desk.services.payment_ledger.update_where({"id": payment.pk}, push__disputes=entry)


async def test_what_a_bank_may_take_back_waits_and_of_what_it_took_the_rest_goes_back(
    desk: Desk,
) -> None:
    payment, second = await surplus(desk)
    await dispute(desk, payment, second, held=20_000, lost=0)
    assert (await give_back(desk, payment)).status is RefundState.REQUESTED
    assert refunds(desk, second) == []
    with pytest.raises(PaymentDisputed):
        await desk.services.surplus_payments.return_rest(second)

    await desk.services.payment_ledger.update_where({"id": payment.pk}, set__disputes=[])
    await dispute(desk, payment, second, held=20_000, lost=20_000)
    assert (await give_back(desk, payment)).status is RefundState.PROCESSED
    assert refunds(desk, second) == [(AMOUNT - 20_000, "processed")]


async def test_what_a_bank_took_back_is_subtracted_from_the_rest(desk: Desk) -> None:
    payment, second = await surplus(desk)
    await dispute(desk, payment, second, held=20_000, lost=20_000)
    for _ in range(2):
        await desk.services.surplus_payments.return_rest(second)
    assert refunds(desk, second) == [(AMOUNT - 20_000, "processed")]


async def test_the_rest_of_what_nobody_disputes_is_all_of_it(desk: Desk) -> None:
    _, second = await surplus(desk)
    await desk.services.surplus_payments.return_rest(second)
    assert refunds(desk, second) == [(AMOUNT, "processed")]


async def test_what_counts_never_goes_back_although_it_was_entered(desk: Desk) -> None:
    payment, paid = await desk.sold()
    entry = SurplusPayment(
        payment_id=paid.id,
        amount=AMOUNT,
        reason=SurplusReason.LATE,
        at=desk.clock(),
        status=RefundState.REQUESTED,
    )
    await desk.services.payment_ledger.update_where(
        {"id": payment.pk}, push__surplus_payments=entry
    )
    await give_back(desk, payment)
    assert refunds(desk, paid) == []


async def test_somebody_who_tries_again_what_was_given_up_brings_it_back_to_the_worker(
    desk: Desk,
) -> None:
    payment, second = await surplus(desk)
    desk.keep(second, captured=False, status="captured")
    await hear_of(desk, payment, "rfnd_last")
    await give_back(desk, payment)
    desk.keep(second, captured=True)
    desk.gateway.refunds_wait = True

    await desk.services.surplus_payments.return_rest(second)

    row = await desk.row(payment)
    assert state(row.surplus_payments[0]) == ("requested", "rfnd_last")
    assert row.surplus_at == desk.clock() + timedelta(minutes=2)
    assert row.surplus_checks == 1


class TestNews:
    """News of refunds of surplus, as events bring them."""

    @pytest.mark.parametrize(
        ("state", "refund", "news", "after"),
        [
            (RefundState.REQUESTED, None, {"status": "pending"}, ("requested", "rfnd_1")),
            (RefundState.REQUESTED, None, {"status": "processed"}, ("processed", "rfnd_1")),
            (RefundState.PENDING, "rfnd_1", {"status": "processed"}, ("processed", "rfnd_1")),
            (RefundState.PENDING, "rfnd_1", {"status": "failed"}, ("requested", "rfnd_1")),
            (RefundState.PROCESSED, "rfnd_1", {"status": "failed"}, ("requested", "rfnd_1")),
            (RefundState.PROCESSED, "rfnd_1", {"status": "processed"}, ("processed", "rfnd_1")),
            (RefundState.PROCESSED, "rfnd_1", {"status": "pending"}, ("processed", "rfnd_1")),
            # A part does not return the whole.
            (
                RefundState.PENDING,
                "rfnd_1",
                {"status": "processed", "amount": AMOUNT - 1},
                ("pending", "rfnd_1"),
            ),
            # Of two refunds, the worker asks the gateway.
            (RefundState.PENDING, "rfnd_0", {"status": "processed"}, ("pending", "rfnd_0")),
            # Old news: it has failed since.
            (RefundState.REQUESTED, "rfnd_1", {"status": "processed"}, ("requested", "rfnd_1")),
            # Given up: only what a person has made counts.
            (RefundState.FAILED, "rfnd_0", {"status": "failed"}, ("failed", "rfnd_0")),
            (RefundState.FAILED, "rfnd_0", {"status": "processed"}, ("requested", "rfnd_1")),
        ],
    )
    async def test_each_state_after_each_news(
        self,
        desk: Desk,
        state: RefundState,
        refund: str | None,
        news: Mapping[str, Any],
        after: tuple[str, str | None],
    ) -> None:
        payment, second = await surplus(desk)
        await desk.services.payment_ledger.update_where(
            {"id": payment.pk},
            __raw__={
                "$set": {
                    "surplusPayments.0.status": state.value,
                    "surplusPayments.0.refundId": refund,
                }
            },
        )
        before = await desk.row(payment)
        facts = {"id": "rfnd_1", "payment_id": second.id, "amount": AMOUNT, "currency": "INR"}

        result = await desk.settle(None, second, refund=GatewayRefund(**{**facts, **news}))

        row = await desk.row(payment)
        entry = row.surplus_payments[0]
        assert (entry.status.value, entry.refund_id) == after
        is_news = after != (state.value, refund)
        assert result.outcome is (Outcome.MOVED if is_news else Outcome.UNCHANGED)
        assert len(row.history) == len(before.history) + is_news

    async def test_news_of_what_somebody_changed_meanwhile_is_to_be_brought_again(
        self, desk: Desk
    ) -> None:
        payment, second = await surplus(desk)
        await give_back(desk, payment)
        refund = GatewayRefund("rfnd_1", second.id, AMOUNT, "INR", "processed")
        note = desk.services.surplus_payments.note_refund
        with pytest.raises(RowChanged):
            await note(payment, payment.surplus_payments[0], refund, WEBHOOK)


class TestEntering:
    async def test_a_person_who_has_just_decided_is_not_overruled(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment, "authorized")
        await desk.services.payment_ledger.approve(payment, WEBHOOK, paid)
        enter = desk.services.surplus_payments.enter
        with pytest.raises(RowChanged):
            await enter(payment, Evidence(WEBHOOK, paid), SurplusReason.LATE)
        assert await desk.surplus(payment) == []

    async def test_it_is_entered_once_and_looked_after_at_once(self, desk: Desk) -> None:
        payment, second = await surplus(desk)
        enter = desk.services.surplus_payments.enter
        again = await enter(payment, Evidence(WEBHOOK, second), SurplusReason.LATE)
        assert (again.outcome, again.reason) == (Outcome.SURPLUS, "second_payment")
        row = await desk.row(payment)
        (entry,) = row.surplus_payments
        assert (entry.amount, entry.at, entry.status) == (
            *(AMOUNT, desk.clock(), RefundState.REQUESTED),
        )
        assert (row.surplus_at, row.surplus_checks) == (desk.clock(), 0)
        step = row.history[-1]
        assert (step.status, step.reason) == ("success", f"second_payment, goes back: {AMOUNT}")
        assert (step.event_id, step.razorpay_payment_id) == ("evt_1", second.id)

    @pytest.mark.parametrize(
        ("reason", "late"),
        [
            (SurplusReason.SECOND, None),
            (SurplusReason.LATE, True),
            (SurplusReason.CANCELLED, True),
        ],
    )
    async def test_what_comes_after_the_end_of_a_sale_is_late(
        self, desk: Desk, reason: SurplusReason, late: bool | None
    ) -> None:
        payment = await desk.ended()
        paid = desk.pay(payment)
        await desk.services.payment_ledger.add_surplus(payment, paid, reason, WEBHOOK)
        assert (await desk.row(payment)).late is late

    async def test_what_counts_is_not_entered(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        enter = desk.services.surplus_payments.enter
        result = await enter(payment, Evidence(WEBHOOK, paid), SurplusReason.LATE)
        assert (result.outcome, await desk.surplus(payment)) == (Outcome.UNCHANGED, [])

    async def test_what_goes_back_is_not_sold_and_what_is_sold_not_approved(
        self, desk: Desk
    ) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment)
        await desk.settle(Event.CAPTURED, paid)
        ledger = desk.services.payment_ledger
        row = await ledger.approve(payment, WEBHOOK, paid)
        assert (row.approved_payment_id, row.status) == (None, "failed")
        moved = await ledger.move(Event.CAPTURED, payment, WEBHOOK, paid, late=True)
        assert moved is None


class TestRows:
    """What the updates leave in a row."""

    async def stored(self, store: Store, payment: Payment) -> Json:
        found = await asyncio.to_thread(lambda: list(store.payments.find({"_id": payment.pk})))
        (row,) = found
        return row

    async def test_what_is_entered_and_what_becomes_of_it_is_stored_with_its_steps(
        self, desk: Desk, store: Store
    ) -> None:
        payment, first = await surplus(desk)
        ledger = desk.services.payment_ledger
        await ledger.update_where({"id": payment.pk}, set__surplus_checks=3)
        desk.clock.advance(minutes=1)
        third = desk.pay(payment, doubles=True)
        payment = (await desk.settle(Event.CAPTURED, third)).payment
        row = await self.stored(store, payment)
        at = desk.clock()
        entered = {
            "paymentId": third.id,
            "amount": AMOUNT,
            "reason": "second_payment",
            "at": at,
            "status": "requested",
        }
        earlier, entry = row["surplusPayments"]
        assert (earlier["paymentId"], entry) == (first.id, entered)
        step = {
            "status": "success",
            "updatedAt": at,
            "source": "webhook",
            "event": "payment.captured",
            "eventId": "evt_1",
            "razorpayPaymentId": third.id,
        }
        reason = f"second_payment, goes back: {AMOUNT}"
        assert row["history"][-1] == {**step, "reason": reason}
        assert (row["updatedAt"], row["announce"]) == (at, at)
        assert (row["surplusAt"], row["surplusChecks"]) == (at, 0), "it has its own attempts"

        desk.clock.advance(minutes=1)
        known, fields = payment.surplus_payments[1], row.keys()
        await ledger.record_surplus(payment, known, RefundState.PROCESSED, "$amount", WEBHOOK)
        row = await self.stored(store, payment)
        assert row.keys() == fields
        done = {"status": "processed", "refundId": "$amount"}
        assert row["surplusPayments"] == [earlier, {**entered, **done}]
        assert row["history"][-1] == {
            **step,
            "updatedAt": desk.clock(),
            "reason": "surplus refund processed",
        }
        assert (row["surplusAt"], row["surplusChecks"]) == (at, 0), "the other waits still"

    @pytest.mark.parametrize(
        ("state", "was_due", "checks", "due", "counted"),
        [
            # What is due before stays so. What was given up begins again.
            (RefundState.PENDING, 30, 0, 2, 1),
            (RefundState.PENDING, 30, 1, 15, 2),
            (RefundState.PENDING, 1, 1, 1, 2),
            (RefundState.PROCESSED, None, 2, 60, 3),
            (RefundState.FAILED, None, 4, 2, 1),
        ],
    )
    async def test_what_is_to_be_requested_again_is_so_after_a_pause_that_grows(
        self,
        desk: Desk,
        state: RefundState,
        was_due: int | None,
        checks: int,
        due: int,
        counted: int,
    ) -> None:
        payment, _ = await surplus(desk)
        minutes = [None if each is None else timedelta(minutes=each) for each in (was_due, due)]
        look, expected = (None if each is None else desk.clock() + each for each in minutes)
        ledger = desk.services.payment_ledger
        change = {"$set": {"surplusPayments.0.status": state.value, "surplusChecks": checks}}
        await ledger.update_where({"id": payment.pk}, __raw__=change)
        await ledger.update_where({"id": payment.pk}, set__surplus_at=look)
        payment = await desk.row(payment)

        (entry,) = payment.surplus_payments
        after = await ledger.record_surplus(
            payment, entry, RefundState.REQUESTED, "rfnd_1", WEBHOOK
        )

        assert (after.surplus_at, after.surplus_checks) == (expected, counted)


SECOND = GatewayPayment("pay_2", 1000, "INR", "captured", captured=True)


def refund(amount: int, status: str) -> GatewayRefund:
    return GatewayRefund("rfnd_1", "pay_2", amount, "INR", status)


@pytest.mark.parametrize(
    ("made", "lost", "returned", "remaining", "is_returned"),
    [
        ([], 0, 0, 1000, False),
        ([(600, "processed")], 0, 600, 400, False),
        ([(600, "processed"), (400, "pending")], 0, 600, 0, False),
        ([(600, "processed"), (400, "processed")], 0, 1000, 0, True),
        ([(1000, "failed")], 0, 0, 1000, False),
        ([(600, "processed")], 399, 600, 1, False),
        ([(600, "processed")], 400, 600, 0, True),
    ],
)
async def test_what_is_returned_and_what_remains(
    made: list[tuple[int, str]], lost: int, returned: int, remaining: int, is_returned: bool
) -> None:
    found = Surplus(SECOND, [refund(*each) for each in made], lost)
    assert (found.returned, found.remaining, found.is_returned) == (
        *(returned, remaining, is_returned),
    )


async def test_each_attempt_has_its_own_receipt_and_its_key_the_amount() -> None:
    first = Surplus(SECOND, [refund(300, "processed")], 0)
    assert (first.receipt, first.key) == ("surplus_pay_2", "surplus_pay_2_700")
    third = Surplus(SECOND, [refund(300, "failed"), refund(1000, "failed")], 0)
    assert (third.receipt, third.key) == ("surplus_pay_2_2", "surplus_pay_2_2_1000")


async def test_the_gateway_is_asked_again_only_about_another_amount(desk: Desk) -> None:
    payment, _ = await surplus(desk)
    desk.gateway.fetched = 0
    await give_back(desk, payment)
    assert desk.gateway.fetched == 2, "before the refund and after it"
