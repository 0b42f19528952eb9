"""Which events the changes of a payment make, and what they say."""

from collections.abc import AsyncIterator

import pytest

from kernapay.payments.states import DisputeStatus, Event, SurplusReason
from kernapay.storage.mongo import Mongo
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.deliveries.desk import ORIGIN, Desk, gateway_payment, gateway_refund, open_desk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(mongo: Mongo, store: Store, redis_url: str) -> AsyncIterator[Desk]:
    async with open_desk(mongo, store, redis_url, FrozenClock()) as desk:
        yield desk


class TestThePayment:
    async def test_a_new_one_is_told_of_with_its_order(self, desk: Desk) -> None:
        payment = await desk.create(metadata={"cart": "₹ 😀"}, description='</script>"')
        assert await desk.types(payment) == [(0, "payment.created")]
        (created,) = await desk.told(payment.reference_id)
        assert created.data == {
            **created.data,
            "_id": str(payment.pk),
            "userId": str(payment.user_id),
            "referenceId": payment.reference_id,
            "orderId": payment.order_id,
            "status": "pending",
            "amount": 1000,
            "metadata": {"cart": "₹ 😀"},
            "description": '</script>"',
            "sequence": 0,
            "previous": None,
            "final": False,
        }

    async def test_success_says_what_was_before(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.move(payment, Event.DECLINED)
        await desk.move(payment, Event.CAPTURED)
        # The attempt that was declined may still be followed by one that is not: no event tells of it.
        assert await desk.types(payment) == [(0, "payment.created"), (2, "payment.succeeded")]
        _, paid = await desk.told(payment.reference_id)
        assert (paid.data["previous"], paid.data["status"], paid.data["late"]) == (
            "failed",
            "success",
            False,
        )
        assert paid.data["razorpayPaymentId"] == f"pay_{payment.pk}"
        assert (paid.data["amountPaid"], paid.data["paymentMethod"]) == (1000, "upi")
        assert (paid.data["final"], paid.data["reason"]) == (True, None)

    async def test_an_event_says_nothing_of_what_came_after_it(self, desk: Desk) -> None:
        """Also when the relay comes long afterwards."""
        payment = await desk.paid()
        await desk.tell()
        created, _ = await desk.told(payment.reference_id)
        absent = ("razorpayPaymentId", "paymentMethod", "paidAt", "amountPaid", "cancelledAt")
        assert {name: created.data[name] for name in absent} == dict.fromkeys(absent)
        assert (created.data["status"], created.data["final"]) == ("pending", False)
        assert created.data["updatedAt"] == created.data["createdAt"]

    async def test_nobody_tried_to_pay(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.move(payment, Event.EXPIRED)
        assert await desk.types(payment) == [(0, "payment.created"), (1, "payment.expired")]

    async def test_every_attempt_was_declined(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.move(payment, Event.DECLINED)
        await desk.move(payment, Event.EXPIRED)
        assert await desk.types(payment) == [(0, "payment.created"), (2, "payment.failed")]
        _, failed = await desk.told(payment.reference_id)
        assert failed.data["reason"] == "insufficient_funds"
        assert failed.data["razorpayPaymentId"] == f"pay_{payment.pk}"
        assert (failed.data["previous"], failed.data["final"]) == ("failed", True)

    async def test_one_that_was_cancelled_says_when(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.move(payment, Event.CANCELLED)
        assert await desk.types(payment) == [(0, "payment.created"), (1, "payment.cancelled")]
        _, cancelled = await desk.told(payment.reference_id)
        assert cancelled.data["cancelledAt"] == cancelled.data["updatedAt"]

    async def test_late_money_pays_an_expired_sale(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.move(payment, Event.EXPIRED)
        await desk.move(payment, Event.CAPTURED, late=True)
        assert (await desk.types(payment))[1:] == [(1, "payment.expired"), (2, "payment.succeeded")]
        *_, expired, paid = await desk.told(payment.reference_id)
        assert (expired.data["late"], paid.data["late"]) == (False, True)

    async def test_of_an_authorisation_and_of_surplus_no_event_tells(self, desk: Desk) -> None:
        payment = await desk.create()
        await desk.ledger.record_authorization(payment, ORIGIN, gateway_payment(payment))
        await desk.move(payment, Event.CAPTURED)
        second = gateway_payment(payment, id="pay_second")
        paid = await desk.ledger.get(id=payment.pk)
        await desk.ledger.add_surplus(paid, second, SurplusReason.SECOND, ORIGIN)
        assert await desk.types(payment) == [(0, "payment.created"), (2, "payment.succeeded")]
        assert await desk.marked() == 0


class TestRefunds:
    async def test_each_state_is_told_of_once(self, desk: Desk) -> None:
        payment = await desk.paid()
        refund = await desk.reserve(payment)
        for status in ("pending", "processed"):
            await desk.record(payment, gateway_refund(payment, refund, status))
        # Only the bank's reference is new.
        arn = {"arn": "10000000000000"}
        await desk.record(payment, gateway_refund(payment, refund, "processed", acquirer_data=arn))
        assert (await desk.types(payment))[2:] == [(2, "refund.requested"), (4, "refund.processed")]
        *_, requested, processed = await desk.told(payment.reference_id)
        assert requested.data == {
            **requested.data,
            "referenceId": payment.reference_id,
            "amount": 400,
            "status": "requested",
            "refundId": None,
            "reason": "Appointment cancelled",
            "previous": None,
            "amountRefunded": 0,
            "refundStatus": "requested",
            "arn": None,
        }
        assert processed.data == {
            **processed.data,
            "refundId": "rfnd_1",
            "status": "processed",
            "previous": "pending",
            "amountRefunded": 400,
            "refundStatus": "requested",
            "paymentStatus": "success",
            "arn": None,
        }

    async def test_sums_are_those_of_the_step(self, desk: Desk) -> None:
        payment = await desk.paid()
        refunds = [await desk.reserve(payment, amount) for amount in (400, 600)]
        for refund in refunds:
            found = gateway_refund(payment, refund, "processed", id=f"rfnd_{refund.amount}")
            await desk.record(payment, found)
        await desk.tell()
        told = await desk.told(payment.reference_id)
        sums = [
            (each.data["amountRefunded"], each.data["refundStatus"], each.data["paymentStatus"])
            for each in told[2:]
        ]
        assert sums == [
            (0, "requested", "success"),
            (0, "requested", "success"),
            (400, "requested", "success"),
            (1000, "completed", "refunded"),
        ]

    async def test_one_that_the_gateway_refuses_has_failed(self, desk: Desk) -> None:
        payment = await desk.paid()
        refund = await desk.reserve(payment)
        desk.clock.advance(seconds=1)
        await desk.ledger.refuse_refund(payment, refund, "The balance is too low.", ORIGIN)
        assert (await desk.types(payment))[2:] == [(2, "refund.requested"), (3, "refund.failed")]
        *_, failed = await desk.told(payment.reference_id)
        assert failed.data["failure"] == "The balance is too low."
        assert failed.data["refundStatus"] == "not_requested"

    async def test_one_that_was_made_elsewhere(self, desk: Desk) -> None:
        payment = await desk.paid()
        await desk.record(payment, gateway_refund(payment, None, "pending"))
        await desk.record(payment, gateway_refund(payment, None, "processed"))
        await desk.record(payment, gateway_refund(payment, None, "failed"))
        assert (await desk.types(payment))[2:] == [
            (2, "refund.requested"),
            (3, "refund.processed"),
            (4, "refund.failed"),
        ]
        *_, failed = await desk.told(payment.reference_id)
        assert (failed.data["amountRefunded"], failed.data["previous"]) == (0, "processed")

    async def test_one_whose_receipt_comes_to_light_is_not_told_of_twice(self, desk: Desk) -> None:
        payment = await desk.paid()
        refund = await desk.reserve(payment)
        await desk.record(payment, gateway_refund(payment, None, "processed"))
        await desk.record(payment, gateway_refund(payment, refund, "processed"))
        assert (await desk.types(payment))[2:] == [(2, "refund.requested"), (3, "refund.processed")]

    async def test_those_that_come_with_the_capture(self, desk: Desk) -> None:
        payment = await desk.create()
        paid = gateway_refund(payment, None, "processed", payment_id=f"pay_{payment.pk}")
        row = await desk.move(payment, Event.CAPTURED, refunds=[paid])
        await desk.record(row, paid)
        assert (await desk.types(payment))[1:] == [
            (1, "payment.succeeded"),
            (2, "refund.processed"),
        ]
        _, succeeded, _ = await desk.told(payment.reference_id)
        assert succeeded.data["refundStatus"] == "requested"


class TestDisputes:
    async def test_from_its_opening_to_its_loss(self, desk: Desk) -> None:
        payment = await desk.paid()
        payment, known = await desk.dispute(payment, None, DisputeStatus.OPEN, held=1000)
        payment, known = await desk.dispute(payment, known, DisputeStatus.UNDER_REVIEW, held=1000)
        payment, known = await desk.dispute(
            payment, known, DisputeStatus.OPEN, held=1000, phase="pre_arbitration"
        )
        payment, known = await desk.dispute(
            payment, known, DisputeStatus.LOST, amount_deducted=900, held=900, lost=900
        )
        # The same again.
        await desk.dispute(
            payment, known, DisputeStatus.LOST, amount_deducted=900, held=900, lost=900
        )
        assert (await desk.types(payment))[2:] == [
            (2, "dispute.opened"),
            (4, "dispute.action_required"),
            (5, "dispute.lost"),
        ]
        *_, opened, _, lost = await desk.told(payment.reference_id)
        assert opened.data == {
            **opened.data,
            "disputeId": "disp_1",
            "referenceId": payment.reference_id,
            "status": "open",
            "previous": None,
            "held": 1000,
            "lost": 0,
        }
        assert (lost.data["previous"], lost.data["lost"], lost.data["amountDeducted"]) == (
            "open",
            900,
            900,
        )

    async def test_one_that_was_won_may_come_back(self, desk: Desk) -> None:
        payment = await desk.paid()
        known = None
        for status in (DisputeStatus.OPEN, DisputeStatus.WON, DisputeStatus.OPEN):
            payment, known = await desk.dispute(payment, known, status)
        await desk.dispute(payment, known, DisputeStatus.CLOSED)
        assert [name for _, name in (await desk.types(payment))[2:]] == [
            "dispute.opened",
            "dispute.won",
            "dispute.opened",
            "dispute.closed",
        ]
