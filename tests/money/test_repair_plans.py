"""What the night finds, what a repair would do about it now, and what it does, over a gateway in memory."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.core.errors import NotFound
from kernapay.gateway.base import GatewayPayment, GatewayTooOld, Order
from kernapay.payments.models import Payment
from kernapay.payments.states import Event, Status
from kernapay.reconciliation.differences import Difference
from kernapay.reconciliation.models import Finding, Kind
from kernapay.reconciliation.order_comparison import OrderComparison
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repairs import NotRepairable
from kernapay.security.principal import Principal, Role
from tests.aliases import Store
from tests.money.desk import AMOUNT, TOO_LATE, WEBHOOK, Desk

pytestmark = pytest.mark.anyio
OPERATOR = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="repairs")
AGREE = "would do nothing: KernaPay and the gateway agree now"


def window(desk: Desk, back: timedelta = timedelta(hours=1)) -> tuple[datetime, datetime]:
    """Return a window that ends with what has just happened."""
    desk.clock.advance(seconds=1)
    return desk.clock() - back, desk.clock()


async def compare(desk: Desk, **back: timedelta) -> list[Finding]:
    """Compare a window and return the findings."""
    make = desk.services.reconciliation_service.make_now
    report, _ = await make(OPERATOR, *window(desk, **back), lambda _, __: None)
    stored = await desk.services.report_repository.get(id=report.pk)
    assert stored.is_complete, stored.unchecked
    return list(await desk.services.finding_repository.list(report_id=report.pk))


async def find(desk: Desk, kind: str, **back: timedelta) -> Finding:
    (finding,) = await compare(desk, **back)
    assert finding.kind == kind
    return finding


async def plan(desk: Desk, finding: Finding) -> str:
    ids = (str(finding.report_id), str(finding.pk))
    repair = await desk.services.repair_service.repair(OPERATOR, *ids, is_dry_run=True)
    assert repair.is_repaired is False
    return repair.outcome


async def repair(desk: Desk, finding: Finding) -> tuple[str, bool]:
    """Repair a finding. Return the outcome, and whether it is repaired, as both are stored."""
    ids = (str(finding.report_id), str(finding.pk))
    done = await desk.services.repair_service.repair(OPERATOR, *ids)
    stored = await desk.services.finding_repository.get(id=finding.pk)
    assert (stored.outcome, stored.repaired_by) == (done.outcome, OPERATOR.id)
    assert (stored.repaired_at == desk.clock()) is done.is_repaired
    assert done.is_repaired or stored.repaired_at is None
    return done.outcome, done.is_repaired


def refunds(desk: Desk, paid: GatewayPayment) -> list[int]:
    found = desk.gateway.refunds.values()
    return [each.amount for each in found if each.payment_id == paid.id]


async def test_books_that_agree_have_no_findings(desk: Desk) -> None:
    await desk.sold()
    await desk.payment()
    desk.pay(await desk.payment(), "failed")
    assert await compare(desk) == []


async def test_a_paid_order_of_which_nobody_heard_is_settled(desk: Desk) -> None:
    payment = await desk.payment()
    paid = desk.pay(payment)
    finding = await find(desk, "status")
    assert (finding.reference_id, finding.order_id, finding.razorpay_payment_id) == (
        *(payment.reference_id, payment.razorpay_order_id, paid.id),
    )
    assert (finding.ours, finding.theirs) == ("pending", "paid")
    assert await plan(desk, finding) == (
        "would bring the payment to its state at the gateway: status pending here, paid there"
    )
    assert (await desk.row(payment)).status is Status.PENDING, "a dry run changes nothing"

    assert await repair(desk, finding) == ("payment is success", True)

    row = await desk.row(payment)
    assert (row.status, row.razorpay_payment_id) == (Status.SUCCESS, paid.id)
    assert await plan(desk, finding) == AGREE
    assert await repair(desk, finding) == ("payment is success", True)


async def test_a_refund_of_which_nobody_heard_is_entered(desk: Desk) -> None:
    payment, paid = await desk.sold()
    desk.gateway.refund_in_the_dashboard(paid.id, 700, waits=False)
    finding = await find(desk, "refunds")
    assert (finding.ours, finding.theirs, finding.razorpay_payment_id) == ("0", "700", paid.id)
    assert await repair(desk, finding) == ("payment is success", True)
    assert (await desk.row(payment)).amount_refunded == 700


async def test_another_fee_is_taken_over(desk: Desk) -> None:
    payment, paid = await desk.sold()
    desk.keep(paid, fee=77, tax=7)
    finding = await find(desk, "fee")
    assert await plan(desk, finding) == "would take over the fee 77"
    assert await repair(desk, finding) == ("payment is success", True)
    row = await desk.row(payment)
    assert (row.fee, row.tax) == (77, 7)
    assert "do nothing: the fee is that of the gateway's payment" in await plan(desk, finding)
    unpaid = await desk.payment()
    finding.reference_id = unpaid.reference_id
    await desk.services.finding_repository.put(finding)
    assert await plan(desk, finding) == "would do nothing: nobody has paid"


@pytest.mark.parametrize("late_payments", ["hold"])
async def test_money_that_waits_for_a_person_is_not_called_repaired(desk: Desk) -> None:
    payment = await desk.ended()
    desk.clock.advance(TOO_LATE)
    paid = desk.pay(payment)
    finding = await find(desk, "status")
    outcome, is_repaired = await repair(desk, finding)
    assert (is_repaired, "needs a decision" in outcome) == (False, True)
    assert refunds(desk, paid) == []


async def test_an_order_that_is_not_attached_is_attached(desk: Desk) -> None:
    payment = await desk.payment()
    await desk.services.payment_ledger.update_where(
        {"id": payment.pk}, unset__order_id=True, unset__razorpay_order_id=True
    )
    desk.pay(payment)
    finding = await find(desk, "unattached_order")
    assert await repair(desk, finding) == ("payment is success", True)
    row = await desk.row(payment)
    assert row.razorpay_order_id == row.order_id == payment.razorpay_order_id


class TestSecondPayments:
    async def second(self, desk: Desk) -> tuple[Payment, GatewayPayment, GatewayPayment, Finding]:
        payment, first = await desk.sold()
        second = desk.pay(payment, doubles=True)
        finding = await find(desk, "second_payment")
        assert (finding.razorpay_payment_id, finding.ours) == (second.id, first.id)
        assert finding.theirs == f"{AMOUNT} INR, returned 0"
        return payment, first, second, finding

    async def test_the_second_goes_back_and_the_first_stays(self, desk: Desk) -> None:
        payment, first, second, finding = await self.second(desk)
        assert await plan(desk, finding) == (
            f"would leave the first payment, and return {AMOUNT} INR of {second.id}"
        )
        assert await repair(desk, finding) == ("payment is success", True)
        assert (refunds(desk, first), refunds(desk, second)) == ([], [AMOUNT])
        assert await desk.surplus(payment) == [(second.id, "second_payment")]
        assert await plan(desk, finding) == "would do nothing: the second payment was returned"

    async def test_what_is_on_its_way_is_not_repaired_yet(self, desk: Desk) -> None:
        _, _, second, finding = await self.second(desk)
        desk.gateway.refunds_wait = True
        outcome, is_repaired = await repair(desk, finding)
        assert (is_repaired, "on its way" in outcome) == (False, True)
        assert "on its way" in await plan(desk, finding)
        assert refunds(desk, second) == [AMOUNT]

    @pytest.mark.parametrize("amount", [AMOUNT, AMOUNT - 1])
    async def test_it_stays_if_the_first_was_returned(self, desk: Desk, amount: int) -> None:
        _, first, second, finding = await self.second(desk)
        desk.gateway.refund_in_the_dashboard(first.id, amount, waits=False)
        if amount < AMOUNT:
            assert await repair(desk, finding) == ("payment is success", True)
            assert refunds(desk, second) == [AMOUNT]
            return
        assert await plan(desk, finding) == (
            "would do nothing: the first payment was returned, "
            "so the second is all that the customer has paid"
        )
        outcome, is_repaired = await repair(desk, finding)
        assert (is_repaired, "needs a decision" in outcome) == (False, True)
        assert refunds(desk, second) == []

    async def test_it_stays_while_the_first_is_on_its_way_back(self, desk: Desk) -> None:
        payment, first, second, finding = await self.second(desk)
        desk.gateway.refund_in_the_dashboard(first.id, AMOUNT, waits=True)
        assert (await desk.row(payment)).refunds == []
        assert "the first payment was returned" in await plan(desk, finding)
        await repair(desk, finding)
        assert refunds(desk, second) == []

    async def test_it_stays_if_our_record_has_the_first_returned(self, desk: Desk) -> None:
        payment, first, second, finding = await self.second(desk)
        refund = desk.gateway.refund_now(first.id, AMOUNT, None)
        await desk.settle(None, first, refund=refund)
        desk.keep(first, amount_refunded=0)
        desk.gateway.refunds.clear()
        assert "the first payment was returned" in await plan(desk, finding)
        assert (await desk.row(payment)).status is Status.REFUNDED
        assert refunds(desk, second) == []

    async def test_what_was_entered_goes_back_whatever_became_of_the_first(
        self, desk: Desk
    ) -> None:
        _, first, second, finding = await self.second(desk)
        await desk.settle(Event.CAPTURED, second)
        desk.gateway.refund_in_the_dashboard(first.id, AMOUNT, waits=False)
        await repair(desk, finding)
        assert refunds(desk, second) == [AMOUNT]

    async def test_late_money_that_has_not_gone_back_is_found(self, desk: Desk) -> None:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        paid = desk.pay(payment)
        await desk.settle(Event.CAPTURED, paid)
        finding = await find(desk, "second_payment")
        assert await repair(desk, finding) == ("payment is failed", True)
        assert refunds(desk, paid) == [AMOUNT]


class TestOrders:
    async def test_a_second_order_is_noted_and_its_money_goes_back(self, desk: Desk) -> None:
        payment, first = await desk.sold()
        other = await desk.order(payment)
        paid = desk.gateway.attempt(other.id, "captured")
        assert paid is not None
        finding = await find(desk, "surplus_order")
        assert (finding.ours, finding.order_id) == (payment.razorpay_order_id, other.id)
        assert await plan(desk, finding) == (
            f"would note the order as surplus, and return {AMOUNT} INR of {paid.id}"
        )
        assert await repair(desk, finding) == ("payment is success", True)
        assert (await desk.row(payment)).surplus_orders == [other.id]
        assert (refunds(desk, first), refunds(desk, paid)) == ([], [AMOUNT])
        assert await compare(desk) == []

    async def test_a_second_order_without_money_is_noted(self, desk: Desk) -> None:
        payment, _ = await desk.sold()
        other = await desk.order(payment)
        finding = await find(desk, "surplus_order")
        assert await plan(desk, finding) == "would note the order as surplus"
        assert await repair(desk, finding) == ("payment is success", True)
        assert (await desk.row(payment)).surplus_orders == [other.id]

    async def test_an_order_that_the_gateway_does_not_know_ends_its_payment(
        self, desk: Desk
    ) -> None:
        payment = await desk.payment()
        desk.gateway.orders.clear()
        finding = await find(desk, "missing_there")
        assert (await plan(desk, finding)).startswith("would end the payment as failed")
        assert await repair(desk, finding) == ("payment is failed", True)
        row = await desk.row(payment)
        assert (row.status, row.final, row.history[-1].event) == (Status.FAILED, True, "expired")

    async def test_one_that_was_paid_here_is_left_to_a_person(self, desk: Desk) -> None:
        payment, _ = await desk.sold()
        desk.gateway.orders.clear()
        desk.gateway.payments.clear()
        finding = await find(desk, "missing_there")
        assert "would do nothing: the payment is paid here" in await plan(desk, finding)
        assert (await repair(desk, finding))[1] is False
        assert (await desk.row(payment)).status is Status.SUCCESS

    @pytest.mark.parametrize("changes", [{"status": "paid"}, {"amount_paid": 1}])
    async def test_one_of_which_another_order_was_paid_is_left_to_a_person(
        self, desk: Desk, changes: dict[str, object]
    ) -> None:
        payment = await desk.payment()
        desk.gateway.orders.clear()
        (finding,) = await compare(desk)
        other = await desk.order(payment)
        desk.gateway.orders[other.id] = replace(other, **changes)
        assert await plan(desk, finding) == (
            f"would do nothing: another order of this payment was paid: {other.id}"
        )
        third = await desk.order(payment)
        desk.gateway.orders[third.id] = replace(third, **changes)
        assert (await plan(desk, finding)).endswith(f"was paid: {other.id}, {third.id}")
        await repair(desk, finding)
        assert (await desk.row(payment)).status is Status.PENDING

    async def test_an_order_that_is_there_again_is_not_given_up(self, desk: Desk) -> None:
        payment = await desk.payment()
        orders = dict(desk.gateway.orders)
        desk.gateway.orders.clear()
        (finding,) = await compare(desk)
        desk.gateway.orders.update(orders)
        assert await plan(desk, finding) == AGREE
        assert await repair(desk, finding) == ("payment is pending", True)
        assert (await desk.row(payment)).final is None


class TestLostPayments:
    async def lose(self, desk: Desk, payment: Payment) -> None:
        await desk.services.payment_ledger.delete_where(id=payment.pk)

    async def test_a_payment_that_our_database_lost_is_rebuilt(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        await self.lose(desk, payment)
        finding = await find(desk, "missing_here")
        assert (finding.reference_id, finding.order_id) == (None, payment.razorpay_order_id)
        assert (await plan(desk, finding)).startswith("would rebuild the payment")

        assert await repair(desk, finding) == ("payment is success", True)

        row = await desk.row(payment)
        assert (row.reference_id, row.razorpay_payment_id) == (payment.reference_id, paid.id)
        assert (row.user_id, row.amount_paid) == (payment.user_id, AMOUNT)
        assert await compare(desk) == []

    async def test_of_two_orders_the_paid_one_is_its_order(self, desk: Desk) -> None:
        payment = await desk.payment()
        other = await desk.order(payment)
        desk.gateway.attempt(other.id, "captured")
        await self.lose(desk, payment)
        findings = await compare(desk)
        assert [each.kind for each in findings] == ["missing_here", "missing_here"]
        first = next(each for each in findings if each.order_id == payment.razorpay_order_id)
        await repair(desk, first)
        row = await desk.row(payment)
        assert (row.razorpay_order_id, row.status) == (other.id, Status.SUCCESS)

    async def test_without_our_note_nobody_can_say_whose_it_was(self, desk: Desk) -> None:
        payment = await desk.payment()
        await self.lose(desk, payment)
        order_id = str(payment.razorpay_order_id)
        desk.gateway.orders[order_id] = replace(desk.gateway.orders[order_id], notes=[])
        finding = await find(desk, "missing_here")
        with pytest.raises(NotRepairable, match="do not say whose it was"):
            await plan(desk, finding)

    async def test_orders_of_other_applications_are_counted_and_left_alone(
        self, desk: Desk
    ) -> None:
        await desk.gateway.create_order(amount=1, currency="INR", receipt="SHOP_7", notes={})
        comparison = desk.services.reconciliation_service.compare(*window(desk))
        assert [each async for each in comparison.run()] == []
        assert comparison.totals["foreignOrders"] == 1


async def test_the_sums_count_each_payment_once(desk: Desk) -> None:
    _, paid = await desk.sold()
    refund = desk.gateway.refund_now(paid.id, 700, None)
    await desk.settle(None, paid, refund=refund)
    desk.pay(await desk.payment())
    comparison = desk.services.reconciliation_service.compare(*window(desk))
    found = [each async for each in comparison.run()]
    assert [each.kind for each in found] == ["status"]
    assert comparison.money == {
        "INR": {
            "paidHere": AMOUNT,
            "refundedHere": 700,
            "paidThere": 2 * AMOUNT,
            "refundedThere": 700,
        }
    }
    assert comparison.totals["gatewayOrders"] == comparison.totals["gatewayPayments"] == 2
    assert (comparison.totals["compared"], comparison.totals["payments"]) == (2, 2)


class TestOneOrder:
    """What the comparison of one order says, and what it asks for that."""

    @pytest.fixture
    def orders(self, desk: Desk) -> OrderComparison:
        return OrderComparison(desk.services.payment_repository, desk.gateway, Pace(1000))

    async def detached(self, desk: Desk) -> tuple[Payment, Order]:
        payment = await desk.payment()
        order = desk.gateway.orders[str(payment.razorpay_order_id)]
        await desk.services.payment_ledger.update_where(
            {"id": payment.pk}, unset__order_id=True, unset__razorpay_order_id=True
        )
        return await desk.row(payment), order

    async def test_the_order_of_a_payment_without_one_is_looked_for(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment, order = await self.detached(desk)
        await desk.order(payment)
        expected = Difference(
            Kind.UNATTACHED_ORDER, payment, order.id, theirs=f"{AMOUNT} INR created"
        )
        assert await orders.look_up(payment) == [expected]
        assert await orders.compare(payment, order) == [expected]
        desk.gateway.orders.clear()
        assert await orders.look_up(payment) == []
        assert orders.money == {}

    async def test_an_order_that_the_gateway_lost_is_told_unless_its_payment_failed(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment, paid = await desk.sold()
        refund = desk.gateway.refund_now(paid.id, 700, None)
        await desk.settle(None, paid, refund=refund)
        ended = await desk.ended()
        desk.gateway.orders.clear()
        row = await desk.row(payment)
        assert await orders.look_up(row) == [
            Difference(
                Kind.MISSING_THERE,
                row,
                row.razorpay_order_id,
                ours=f"{AMOUNT} INR success",
                theirs="The id provided does not exist.",
            )
        ]
        assert await orders.look_up(ended) == []
        assert orders.money == {"INR": {"paidHere": AMOUNT, "refundedHere": 700}}

    async def test_an_order_that_is_too_old_to_be_asked_for_is_found_by_its_receipt(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment = await desk.payment()
        await desk.order(payment)
        desk.pay(payment)
        desk.gateway.too_old.add(str(payment.razorpay_order_id))
        (found,) = await orders.look_up(payment)
        assert (found.kind, found.order_id) == (Kind.STATUS, payment.razorpay_order_id)
        del desk.gateway.orders[str(payment.razorpay_order_id)]
        with pytest.raises(GatewayTooOld):
            await orders.look_up(payment)

    async def test_attempts_that_are_known_are_not_asked_for_and_money_counts_in_its_currency(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment, paid = await desk.sold()
        refund = desk.gateway.refund_now(paid.id, 700, None)
        await desk.settle(None, paid, refund=refund)
        paid = desk.gateway.payments[paid.id]
        order = desk.gateway.orders[str(payment.razorpay_order_id)]
        desk.gateway.listed_attempts = 0
        waiting = replace(paid, id="pay_2", status="authorized", captured=False)
        row = await desk.row(payment)
        assert await orders.compare(row, order, [paid, waiting]) == []
        assert desk.gateway.listed_attempts == 0
        assert await orders.compare(row, order) == []
        assert desk.gateway.listed_attempts == 1
        paid_twice, refunded_twice = 2 * AMOUNT, 2 * 700
        assert orders.money == {
            "INR": {
                "paidHere": paid_twice,
                "paidThere": paid_twice,
                "refundedHere": refunded_twice,
                "refundedThere": refunded_twice,
            }
        }
        unpaid = await desk.payment()
        dollars = replace(paid, currency="USD", amount_refunded=None)
        orders.money.clear()
        order = desk.gateway.orders[str(unpaid.razorpay_order_id)]
        await orders.compare(unpaid, order, [dollars])
        assert orders.money == {
            "INR": {"refundedHere": 0},
            "USD": {"paidThere": AMOUNT, "refundedThere": 0},
        }

    async def test_what_agrees_when_it_is_read_again_is_no_difference(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        stale = await desk.payment()
        paid = desk.pay(stale)
        order = desk.gateway.orders[str(stale.razorpay_order_id)]
        await desk.settle(Event.CAPTURED, paid)
        assert await orders.compare(stale, order, [paid]) == []
        # A refund that is pending, or failed, may be in the gateway's sum.
        desk.gateway.refund_in_the_dashboard(paid.id, 700, waits=True)
        assert await orders.compare(await desk.row(stale), order) == []
        desk.gateway.refund_in_the_dashboard(paid.id, 300, waits=False)
        row = await desk.row(stale)
        assert await orders.compare(row, order) == [
            Difference(Kind.REFUNDS, row, order.id, paid.id, ours="0", theirs="1000")
        ]

    async def test_a_second_payment_says_how_much_of_it_was_returned(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment, first = await desk.sold()
        second = desk.pay(payment, doubles=True)
        order = desk.gateway.orders[str(payment.razorpay_order_id)]
        desk.gateway.refund_in_the_dashboard(second.id, AMOUNT - 1, waits=False)
        # With another difference beside it, which stays when the money is back. A pending refund is none.
        desk.gateway.refund_in_the_dashboard(first.id, 700, waits=True)
        desk.keep(desk.gateway.payments[first.id], fee=7)
        returned = f"{AMOUNT} INR, returned {AMOUNT - 1}"
        row = await desk.row(payment)
        doubled = Difference(
            Kind.SECOND_PAYMENT, row, order.id, second.id, ours=first.id, theirs=returned
        )
        fee = Difference(Kind.FEE, row, order.id, first.id, ours="1180", theirs="7")
        assert await orders.compare(row, order) == [fee, doubled]
        (surplus,) = await orders.find_unreturned(order.id, await self.refunded(desk, first))
        assert (surplus.payment.id, surplus.remaining) == (second.id, 1)
        desk.gateway.refund_in_the_dashboard(second.id, 1, waits=False)
        assert await orders.compare(row, order) == [fee]
        third, fourth = (desk.pay(payment, doubles=True) for _ in range(2))
        found = await orders.compare(row, order)
        ids = [each.razorpay_payment_id for each in found]
        assert ids == [first.id, third.id, fourth.id]

    async def refunded(self, desk: Desk, paid: GatewayPayment) -> Payment:
        """Return the row of a payment that a dispute took back in full."""
        dispute = desk.gateway.dispute(paid.id, AMOUNT, "chargeback")
        lost = replace(dispute, status="lost", amount_deducted=AMOUNT)
        desk.gateway.move_dispute("lost", lost)
        await desk.services.dispute_service.refresh(dispute.id)
        return await desk.services.payment_repository.get(razorpay_payment_id=paid.id)

    async def test_an_order_beside_the_payments_own_is_harmless_once_it_is_noted_and_empty(
        self, desk: Desk, orders: OrderComparison
    ) -> None:
        payment, _ = await desk.sold()
        other = await desk.order(payment)
        told = Difference(
            Kind.SURPLUS_ORDER,
            payment,
            other.id,
            ours=payment.razorpay_order_id,
            theirs=f"{AMOUNT} INR created",
        )
        assert await orders.compare(payment, other) == [told]
        await desk.services.payment_ledger.record_surplus_orders(payment, [other.id])
        payment = await desk.row(payment)
        desk.gateway.attempt(other.id, "authorized")
        assert await orders.compare(payment, other) == []
        (attempt,) = [each for each in desk.gateway.payments.values() if each.order_id == other.id]
        desk.gateway.capture_now(attempt.id)
        assert [each.kind for each in await orders.compare(payment, other)] == [told.kind]


async def invent(desk: Desk, payment: Payment, kind: Kind, **more: Any) -> Finding:
    """Store a finding of a night that is past."""
    finding = Finding(
        report_id=ObjectId(),
        kind=kind,
        reference_id=payment.reference_id,
        order_id=payment.razorpay_order_id,
        **more,
    )
    findings = desk.services.finding_repository
    return await findings.get(id=await findings.put(finding))


class TestDisputes:
    async def test_a_dispute_of_which_nobody_heard_is_taken_over(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        dispute = desk.gateway.dispute(paid.id, 700, "chargeback")
        finding = await find(desk, "dispute_missing")
        assert finding.dispute_id == dispute.id
        assert await plan(desk, finding) == "would take the dispute over as the gateway has it"
        assert await repair(desk, finding) == ("payment is success", True)
        (entry,) = (await desk.row(payment)).disputes
        assert (entry.dispute_id, entry.held) == (dispute.id, 700)
        assert await compare(desk) == []

    async def test_one_that_the_gateway_does_not_know_is_left_to_a_person(self, desk: Desk) -> None:
        _, paid = await desk.sold()
        desk.gateway.dispute(paid.id, 700, "chargeback")
        await repair(desk, await find(desk, "dispute_missing"))
        desk.gateway.disputes.clear()
        finding = await find(desk, "dispute_unknown")
        assert await plan(desk, finding) == (
            "would do nothing: the gateway does not know the dispute"
        )
        outcome, is_repaired = await repair(desk, finding)
        assert (is_repaired, "needs a decision" in outcome) == (False, True)


async def test_what_was_not_settled_is_repaired_by_the_bank_alone(desk: Desk) -> None:
    payment, paid = await desk.sold()
    finding = await invent(desk, payment, Kind.UNSETTLED, razorpay_payment_id=paid.id)
    assert (await plan(desk, finding)).startswith("would do nothing: it is not settled")
    assert (await repair(desk, finding))[1] is False
    await desk.services.payment_ledger.update_where(
        {"id": payment.pk}, set__settled_at=desk.clock()
    )
    assert await plan(desk, finding) == "would do nothing: it is settled now"
    assert await repair(desk, finding) == ("payment is success", True)


async def test_a_second_payment_that_counts_now_stays(desk: Desk) -> None:
    payment, paid = await desk.sold()
    desk.pay(payment, doubles=True)
    finding = await invent(desk, payment, Kind.SECOND_PAYMENT, razorpay_payment_id=paid.id)
    assert await plan(desk, finding) == (
        "would do nothing: this payment is the one that counts now"
    )
    await repair(desk, finding)
    assert refunds(desk, paid) == []


async def test_late_money_goes_back_although_the_row_names_its_payment(desk: Desk) -> None:
    """An attempt that had failed, and was authorised after the end of its sale."""
    payment = await desk.payment()
    attempt = desk.pay(payment, "failed")
    await desk.settle(Event.DECLINED, attempt)
    desk.clock.advance(TOO_LATE)
    await desk.settlement.end(Event.EXPIRED, payment, WEBHOOK)
    desk.gateway.authorize_late(attempt.id)
    paid = desk.gateway.payments[attempt.id]
    await desk.settle(Event.CAPTURED, paid)
    assert (await desk.row(payment)).razorpay_payment_id == paid.id
    finding = await find(desk, "second_payment", back=timedelta(days=10))
    assert await repair(desk, finding) == ("payment is failed", True)
    assert refunds(desk, paid) == [AMOUNT]


async def test_only_the_finding_that_was_named_is_repaired_and_written_down(
    desk: Desk, store: Store
) -> None:
    payments = [await desk.payment() for _ in range(2)]
    for payment in payments:
        desk.pay(payment)
    first, second = await compare(desk)
    assert await repair(desk, second) == ("payment is success", True)
    assert (await desk.services.finding_repository.get(id=first.pk)).outcome is None
    rows = [await desk.row(payment) for payment in payments]
    statuses = {row.reference_id: row.status for row in rows}
    assert statuses == {first.reference_id: "pending", second.reference_id: "success"}
    entries = await asyncio.to_thread(
        lambda: list(store.audit_log.find({"target": f"finding:{second.pk}"}))
    )
    assert {entry["action"] for entry in entries} == {"reconciliation.repair"}
    assert {entry["after"]["step"] for entry in entries} == {
        "bring the payment to its state at the gateway: status pending here, paid there"
    }
    with pytest.raises(NotFound):
        await desk.services.repair_service.repair(OPERATOR, str(ObjectId()), str(first.pk))


async def test_a_repair_says_whose_payment_it_rebuilt(desk: Desk) -> None:
    payment, _ = await desk.sold()
    await desk.services.payment_ledger.delete_where(id=payment.pk)
    finding = await find(desk, "missing_here")
    ids = (str(finding.report_id), str(finding.pk))
    done = await desk.services.repair_service.repair(OPERATOR, *ids)
    assert done.rebuilt_for == str(payment.user_id)
    again = await desk.services.repair_service.repair(OPERATOR, *ids)
    assert (again.rebuilt_for, again.is_repaired) == (None, True)
