"""What each write of the ledger needs and leaves in the row, over a real database."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Dispute, Mismatch, Payment
from kernapay.payments.order_notes import hash_key
from kernapay.payments.references import new_reference_id
from kernapay.payments.states import DisputeStatus, Event, Source, Status
from kernapay.storage.updates import RowChanged
from tests.money.desk import AMOUNT, WEBHOOK, Desk, counted

pytestmark = pytest.mark.anyio
CREATED = Origin(Source.API, "created", actor="user:1")
LEASE = timedelta(seconds=30)


@pytest.fixture
def ledger(desk: Desk) -> PaymentLedger:
    return desk.services.payment_ledger


def new(desk: Desk, **changes: Any) -> Payment:
    user_id = changes.get("user_id", ObjectId())
    return Payment(
        **{
            "user_id": user_id,
            "amount": AMOUNT,
            "currency": "INR",
            "reference_id": new_reference_id(str(user_id), desk.clock()),
            "service_type": "CONSULTATION",
            "idempotency_key": str(ObjectId()),
            "created_at": desk.clock(),
            **changes,
        }
    )


class TestClaims:
    async def test_a_payment_begins_pending_and_says_until_when_it_can_be_paid(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        labels = {"status": "pending", "method": "none", "source": "api"}
        before = counted("kernapay_payments_total", **labels)
        payment, is_new = await ledger.claim(new(desk, notes={"order": "7"}), CREATED)
        row = await desk.row(payment)
        at = desk.clock()
        assert (is_new, row.status, row.check_at) == (True, Status.PENDING, at)
        assert row.ends_at == row.payable_until == at + timedelta(days=7)
        (step,) = row.history
        assert (step.status, step.at, step.source, step.event, step.actor) == (
            *(Status.PENDING, at, Source.API, "created", "user:1"),
        )
        assert len(row.note_hashes) == 1
        assert counted("kernapay_payments_total", **labels) == before + 1

    async def test_a_key_has_one_payment_of_its_user(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        user_id = ObjectId()
        first, _ = await ledger.claim(new(desk, user_id=user_id, idempotency_key="k"), CREATED)
        second, is_new = await ledger.claim(
            new(desk, user_id=user_id, idempotency_key="k"), CREATED
        )
        assert (second.pk, is_new) == (first.pk, False)
        third, is_new = await ledger.claim(new(desk, idempotency_key="k"), CREATED)
        assert (third.pk != first.pk, is_new) == (True, True)

    async def rebuilt(self, desk: Desk, ledger: PaymentLedger, user_id: ObjectId) -> Payment:
        lost = new(desk, user_id=user_id, idempotency_key=None, key_hash=hash_key(user_id, "k"))
        return await ledger.restore(lost, Origin(Source.RECONCILIATION, "rebuilt"))

    async def test_a_rebuilt_payment_answers_its_key(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        user_id = ObjectId()
        lost = await self.rebuilt(desk, ledger, user_id)
        for _ in range(2):
            found, is_new = await ledger.claim(
                new(desk, user_id=user_id, idempotency_key="k"), CREATED
            )
            assert (found.pk, is_new) == (lost.pk, False)
        row = await desk.row(lost)
        assert (row.idempotency_key, row.key_hash) == ("k", None)

    async def test_a_key_that_nobody_can_know_is_not_looked_for(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        user_id = ObjectId()
        lost = await self.rebuilt(desk, ledger, user_id)
        payment = new(desk, user_id=user_id, idempotency_key="k")
        found, is_new = await ledger.claim(payment, CREATED, is_key_known=False)
        assert (found.pk != lost.pk, is_new) == (True, True)
        # Bought again: from now on, the later payment answers the key.
        again, is_new = await ledger.claim(new(desk, user_id=user_id, idempotency_key="k"), CREATED)
        assert (again.pk, is_new) == (found.pk, False)
        row = await desk.row(lost)
        assert (row.idempotency_key, row.key_hash) == (None, None)

    async def test_a_payment_is_restored_once(self, desk: Desk, ledger: PaymentLedger) -> None:
        payment = new(desk, id=ObjectId())
        first = await ledger.restore(payment, CREATED)
        second = await ledger.restore(payment, CREATED)
        assert first.pk == second.pk == payment.pk
        assert len((await desk.row(payment)).history) == 1


class TestOrderLeases:
    async def test_one_caller_has_it_until_it_ends(self, desk: Desk, ledger: PaymentLedger) -> None:
        payment, _ = await ledger.claim(new(desk), CREATED)
        taken = await ledger.take_order_lease(payment, LEASE)
        assert taken is not None
        assert taken.order_lease_until == desk.clock() + LEASE
        desk.clock.advance(LEASE)
        assert await ledger.take_order_lease(payment, LEASE) is None, "it ends after its time"
        desk.clock.advance(seconds=1)
        again = await ledger.take_order_lease(payment, LEASE)
        assert again is not None
        assert not await ledger.release_order_lease(taken), "it is another caller's"
        assert await ledger.release_order_lease(again)
        assert await ledger.take_order_lease(payment, LEASE) is not None

    async def test_not_for_a_sale_that_ended_or_has_an_order(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        assert await ledger.take_order_lease(await desk.payment(), LEASE) is None
        unordered, _ = await ledger.claim(new(desk), CREATED)
        await desk.settlement.end(Event.CANCELLED, unordered, CREATED)
        assert await ledger.take_order_lease(unordered, LEASE) is None

    async def test_a_client_sees_nothing_of_it(self, desk: Desk, ledger: PaymentLedger) -> None:
        payment, _ = await ledger.claim(new(desk), CREATED)
        before = (await desk.row(payment)).updated_at
        desk.clock.advance(seconds=1)
        taken = await ledger.take_order_lease(payment, LEASE)
        assert taken is not None
        assert (await desk.row(payment)).updated_at == before
        await ledger.release_order_lease(taken)
        assert (await desk.row(payment)).updated_at == before

    async def test_the_first_order_stays(self, desk: Desk, ledger: PaymentLedger) -> None:
        payment, _ = await ledger.claim(new(desk), CREATED)
        stale = await desk.row(payment)
        first = await ledger.attach_order(payment, "order_first")
        second = await ledger.attach_order(stale, "order_second")
        row = await desk.row(payment)
        for each in (first, second, row):
            assert (each.order_id, each.razorpay_order_id) == ("order_first", "order_first")


class TestMoves:
    @pytest.mark.parametrize(
        "change", [{"razorpay_order_id": "order_2"}, {"amount": 1}, {"currency": "USD"}]
    )
    async def test_what_was_compared_has_to_be_what_is_stored(
        self, desk: Desk, ledger: PaymentLedger, change: dict[str, Any]
    ) -> None:
        payment = await desk.payment()
        ((name, value),) = change.items()
        await ledger.update_where({"id": payment.pk}, **{f"set__{name}": value})
        with pytest.raises(RowChanged):
            await ledger.move(Event.EXPIRED, payment, WEBHOOK)
        assert (await desk.row(payment)).status is Status.PENDING

    async def test_late_needs_an_end_that_nobody_chose(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        payment = await desk.payment()
        paid = desk.pay(payment)
        assert await ledger.move(Event.CAPTURED, payment, WEBHOOK, paid, late=True) is None
        desk.gateway.orders[str(paid.order_id)] = replace(
            desk.gateway.orders[str(paid.order_id)], status="attempted", amount_paid=0
        )
        await desk.settlement.end(Event.CANCELLED, payment, WEBHOOK)
        for late in (False, True):
            assert await ledger.move(Event.CAPTURED, payment, WEBHOOK, paid, late=late) is None
        assert (await desk.row(payment)).status is Status.FAILED

    async def test_a_paid_one_is_not_moved(self, desk: Desk, ledger: PaymentLedger) -> None:
        payment, paid = await desk.sold()
        for event in (Event.CAPTURED, Event.DECLINED, Event.EXPIRED, Event.CANCELLED):
            assert await ledger.move(event, payment, WEBHOOK, paid) is None
        assert len((await desk.row(payment)).history) == 2

    async def test_a_second_attempt_that_failed_leaves_no_step(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        payment = await desk.payment()
        assert await ledger.move(Event.DECLINED, payment, WEBHOOK, desk.pay(payment, "failed"))
        second = desk.pay(payment, "failed")
        assert await ledger.move(Event.DECLINED, payment, WEBHOOK, second) is None
        assert len((await desk.row(payment)).history) == 2


class TestNotes:
    def mismatch(self, desk: Desk, **changes: Any) -> Mismatch:
        facts = {"source": Source.WEBHOOK, "reason": "amount", "payment_id": "pay_1"}
        facts |= {"order_id": "order_1", "dispute_id": "disp_1"}
        return Mismatch(at=desk.clock(), **{**facts, **changes})

    @pytest.mark.parametrize(
        "change",
        [
            {"source": Source.ADMIN},
            {"reason": "currency"},
            {"payment_id": "pay_2"},
            {"order_id": "order_2"},
            {"dispute_id": None},
        ],
    )
    async def test_what_does_not_fit_is_stored_once(
        self, desk: Desk, ledger: PaymentLedger, change: dict[str, Any]
    ) -> None:
        payment = await desk.payment()
        before = (await desk.row(payment)).updated_at
        desk.clock.advance(seconds=1)
        assert await ledger.record_mismatch(payment, self.mismatch(desk))
        desk.clock.advance(seconds=1)
        assert not await ledger.record_mismatch(payment, self.mismatch(desk, amount=7))
        assert await ledger.record_mismatch(payment, self.mismatch(desk, **change))
        row = await desk.row(payment)
        assert (len(row.mismatches), row.updated_at) == (2, before), "a client sees none of it"

    async def test_a_warning_is_ended_unless_the_dispute_changed(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        payment, _ = await desk.sold()
        at = desk.clock()
        dispute = Dispute(
            dispute_id="disp_1",
            payment_id="pay_1",
            amount=1,
            currency="INR",
            phase="chargeback",
            status=DisputeStatus.OPEN,
            source=Source.WEBHOOK,
            warn_at=at,
            created_at=at,
            updated_at=at,
        )
        row = await ledger.record_dispute(payment, None, dispute, WEBHOOK, "dispute open")
        assert row is not None
        step = row.history[-1]
        assert (step.reason, step.razorpay_payment_id, step.status) == (
            *("dispute open", "pay_1", Status.SUCCESS),
        )
        stale = Dispute(dispute_id="disp_1", warn_at=at - timedelta(days=1))
        other = Dispute(dispute_id="disp_2", warn_at=at)
        assert not await ledger.end_warning(payment, stale)
        assert not await ledger.end_warning(payment, other)
        assert await ledger.end_warning(payment, dispute)
        assert not await ledger.end_warning(payment, dispute)
        assert (await desk.row(payment)).disputes[0].warn_at is None

    async def test_an_authorisation_brings_a_look_at_once(
        self, desk: Desk, ledger: PaymentLedger
    ) -> None:
        payment = await desk.payment()
        later = desk.clock() + timedelta(days=1)
        await ledger.update_where({"id": payment.pk}, set__check_at=later, set__checks=4)
        desk.clock.advance(minutes=1)
        row = await ledger.record_authorization(payment, WEBHOOK, desk.pay(payment, "authorized"))
        assert row is not None
        assert (row.check_at, row.checks, row.authorized_at) == (desk.clock(), 0, desk.clock())
        paid, captured = await desk.sold()
        assert await ledger.record_authorization(paid, WEBHOOK, captured) is None
