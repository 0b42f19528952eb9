"""Repair a finding: ask the gateway what is true now, take one audited step, and look again."""

from dataclasses import dataclass, replace
from functools import partial

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, NotFound
from kernapay.gateway.base import GatewayMissing, GatewayPayment, GatewayUnreadable, PaymentGateway
from kernapay.payments.disputes.service import DisputeService
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.rebuilding import Rebuilding, can_rebuild
from kernapay.payments.references import receipt_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import find_surplus, sum_remaining
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Status
from kernapay.payments.surplus import SurplusPayments
from kernapay.reconciliation.dispute_comparison import DISPUTE_KINDS, DisputeComparison
from kernapay.reconciliation.models import Finding, Kind
from kernapay.reconciliation.order_comparison import OrderComparison
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repair_steps import (
    ON_ITS_WAY,
    PERSON,
    Step,
    describe_difference,
    describe_returns,
    explain_rest,
)
from kernapay.reconciliation.repository import FindingRepository
from kernapay.reconciliation.resync import Resync
from kernapay.security.principal import Actor

_REBUILD = "rebuild the payment, which our database lost, from the gateway's order"
_UNSETTLED = "it is not settled: ask the gateway's support for it, with its payment id"


class NotRepairable(Conflict):
    """The finding belongs to no payment of KernaPay, so an administrator has to look at the gateway."""

    code = "not_repairable"


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did, or would do. `is_repaired` says that the difference is gone and the money where it belongs."""

    outcome: str
    is_repaired: bool
    rebuilt_for: str | None = None
    """The id of the user whose payment was rebuilt."""


class RepairService:
    def __init__(
        self,
        findings: FindingRepository,
        payments: PaymentRepository,
        resync: Resync,
        settlement: Settlement,
        ordering: Ordering,
        surplus: SurplusPayments,
        rebuilding: Rebuilding,
        disputes: DisputeService,
        gateway: PaymentGateway,
        pace: Pace,
        audit: AuditLog,
    ) -> None:
        self._findings = findings
        self._payments = payments
        self._resync = resync
        self._settlement = settlement
        self._ordering = ordering
        self._surplus = surplus
        self._rebuilding = rebuilding
        self._disputes = disputes
        self._gateway = gateway
        self._pace = pace
        self._audit = audit
        self._each = OrderComparison(payments, gateway, pace)

    async def repair(
        self,
        actor: Actor,
        report_id: str,
        finding_id: str,
        *,
        is_dry_run: bool = False,
        is_look_audited: bool = True,
    ) -> Repair:
        """Repair a finding. A dry run asks the gateway, and says which step a repair would take now.

        Unless `is_look_audited`, only a step that does something is. Raises NotFound, NotRepairable, GatewayError,
        Unavailable. A repeat asks again, so it is harmless.
        """
        finding = await self._findings.get(id=finding_id, report_id=report_id)
        try:
            payment = await self._find_payment(finding)
            step = await (
                self._plan(finding, payment) if payment else self._plan_rebuilding(finding)
            )
        except GatewayUnreadable as error:
            raise NotRepairable(
                "The gateway's record cannot be read. Look at the order in the gateway's dashboard."
            ) from error
        if is_dry_run:
            return Repair(f"would {step.text}", is_repaired=False)
        if step.act is None and not is_look_audited:
            return (await self._conclude(actor, finding))[0]
        async with self._audit.action(
            actor, "reconciliation.repair", f"finding:{finding_id}", after={"step": step.text}
        ):
            if step.act is not None:
                await step.act()
            done, payment = await self._conclude(actor, finding)
            is_rebuilt = step.text == _REBUILD
            return replace(done, rebuilt_for=str(payment.user_id)) if is_rebuilt else done

    async def _conclude(self, actor: Actor, finding: Finding) -> tuple[Repair, Payment]:
        payment = await self._find_payment(finding)
        if payment is None:
            raise NotFound("The payment is gone.")
        rest = await self._find_rest(finding, payment)
        outcome = f"payment is {payment.status}" + (f"; {rest}" if rest else "")
        await self._findings.record_repair(finding, actor.id, outcome, is_repaired=not rest)
        return Repair(outcome, is_repaired=not rest), payment

    async def _plan(self, finding: Finding, payment: Payment) -> Step:
        """Ask the gateway, and return the step that its answer calls for."""
        if finding.kind in DISPUTE_KINDS:
            return self._plan_dispute(finding)
        if finding.kind is Kind.UNSETTLED:
            is_settled = payment.settled_at is not None
            return Step(f"do nothing: {'it is settled now' if is_settled else _UNSETTLED}")
        if _is_surplus(finding, payment):
            return await self._plan_surplus(finding, payment)
        if finding.kind is Kind.SECOND_PAYMENT:
            return await self._plan_second(finding, payment)
        differences = await self._each.look_up(payment)
        if any(each.kind is Kind.MISSING_THERE for each in differences):
            return await self._plan_unknown(payment)
        if finding.kind is Kind.FEE:
            return await self._plan_fee(payment)
        if not differences:
            return Step("do nothing: KernaPay and the gateway agree now")
        text = ", ".join(describe_difference(each) for each in differences)
        return Step(
            f"bring the payment to its state at the gateway: {text}",
            partial(self._resync.payment, payment),
        )

    async def _plan_rebuilding(self, finding: Finding) -> Step:
        """Plan to rebuild a payment that our database lost. Raises NotRepairable."""
        order_id = finding.order_id
        if finding.kind is not Kind.MISSING_HERE or order_id is None:
            raise NotRepairable(
                "No payment belongs to this finding. Look at it in the gateway's dashboard."
            )
        named = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        orders = await self._pace.call(lambda: self._gateway.find_orders(str(named.receipt)))
        # As for a new payment: a paid order first, then the oldest. Any other one is surplus.
        order = min(
            (each for each in orders if can_rebuild(each)),
            key=lambda each: (each.amount_paid == 0, each.created_at, each.id),
            default=named,
        )

        async def act() -> None:
            payment = await self._rebuilding.rebuild(order)
            if payment is not None:
                await self._resync.payment(payment)

        if not can_rebuild(order):
            raise NotRepairable(
                "The payment is lost, and the notes of its order do not say whose it was. Look at the order in the "
                "gateway's dashboard."
            )
        return Step(_REBUILD, act)

    def _plan_dispute(self, finding: Finding) -> Step:
        if finding.kind is Kind.DISPUTE_UNKNOWN:
            return Step("do nothing: the gateway does not know the dispute")
        refresh = partial(self._disputes.refresh, str(finding.dispute_id))
        return Step("take the dispute over as the gateway has it", refresh)

    async def _plan_unknown(self, payment: Payment) -> Step:
        # Another order of the payment may have been paid, which its customer did for this payment.
        receipt = receipt_of(payment)
        orders = await self._pace.call(lambda: self._gateway.find_orders(receipt))
        paid = [order.id for order in orders if order.amount_paid or order.status == "paid"]
        if paid:
            return Step(f"do nothing: another order of this payment was paid: {', '.join(paid)}")
        if payment.status is not Status.PENDING:
            return Step(
                "do nothing: the payment is paid here, and its order is unknown to the gateway"
            )
        return Step(
            "end the payment as failed: nobody can pay an order that the gateway does not know",
            partial(self._resync.expire, payment),
        )

    async def _plan_surplus(self, finding: Finding, payment: Payment) -> Step:
        order_id = str(finding.order_id)
        unreturned = await self._each.find_unreturned(order_id, payment)

        async def act() -> None:
            await self._ordering.record_surplus(payment, [order_id])
            for each in unreturned:
                await self._surplus.return_rest(each.payment)

        return Step(f"note the order as surplus{describe_returns(unreturned)}", act)

    async def _plan_second(self, finding: Finding, payment: Payment) -> Step:
        captures = await self._each.find_unreturned(str(finding.order_id), payment)
        unreturned = {each.payment.id: each for each in captures}
        second = unreturned.get(str(finding.razorpay_payment_id))
        if second is None:
            return Step("do nothing: the second payment was returned")
        # What was entered as surplus goes back whatever became of the first, if there was one.
        is_entered = find_surplus(payment, second.payment.id) is not None
        if second.payment.id == payment.razorpay_payment_id and not is_entered:
            return Step("do nothing: this payment is the one that counts now")
        first = unreturned.get(str(payment.razorpay_payment_id))
        is_first_kept = first is not None and first.remaining > 0 and sum_remaining(payment) > 0
        if not (is_entered or is_first_kept):
            return Step(
                "do nothing: the first payment was returned, so the second is all that the customer has paid"
            )
        if second.remaining < 1:
            return Step(f"do nothing: {ON_ITS_WAY}")
        return Step(
            f"leave the first payment{describe_returns([second])}",
            partial(self._resync.return_second, second.payment),
        )

    async def _plan_fee(self, payment: Payment) -> Step:
        payment_id = payment.razorpay_payment_id
        if payment_id is None:
            return Step("do nothing: nobody has paid")
        theirs = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
        if theirs.fee is None or theirs.fee == payment.fee:
            return Step("do nothing: the fee is that of the gateway's payment")
        return Step(
            f"take over the fee {theirs.fee}", partial(self._take_over_fee, payment, theirs)
        )

    async def _take_over_fee(self, payment: Payment, theirs: GatewayPayment) -> None:
        await self._settlement.record_fee(payment, theirs)

    async def _find_rest(self, finding: Finding, payment: Payment) -> str | None:
        """Look again. Return what remains of the difference, as a sentence for people, or None."""
        if finding.kind in DISPUTE_KINDS:
            disputes = DisputeComparison(self._payments, self._gateway, self._pace)
            about = (str(finding.dispute_id), payment, str(finding.razorpay_payment_id))
            return PERSON if await disputes.compare_again(*about) else None
        if finding.kind is Kind.UNSETTLED:
            return None if payment.settled_at is not None else _UNSETTLED
        if _is_surplus(finding, payment):
            return explain_rest(await self._each.find_unreturned(str(finding.order_id), payment))
        differences = await self._each.look_up(payment)
        if finding.kind is Kind.SECOND_PAYMENT:
            ids = {each.razorpay_payment_id for each in differences if each.kind is finding.kind}
            if finding.razorpay_payment_id not in ids:
                return None
            unreturned = await self._each.find_unreturned(str(finding.order_id), payment)
            return explain_rest(
                [s for s in unreturned if s.payment.id == finding.razorpay_payment_id]
            )
        if finding.kind is Kind.MISSING_THERE and payment.status is Status.FAILED:
            return None
        remaining = {each.kind for each in differences}
        if finding.kind in (Kind.MISSING_THERE, Kind.MISSING_HERE, Kind.UNREADABLE):
            return PERSON if remaining else None
        if finding.kind is Kind.SETTLEMENT:
            return None if payment.status.is_paid else PERSON
        if finding.kind is Kind.AMOUNT and (finding.theirs or "").isdecimal():
            # From a settlement, which the gateway's order need not contradict.
            return None if finding.theirs == str(payment.amount_captured) else PERSON
        return PERSON if finding.kind in remaining else None

    async def _find_payment(self, finding: Finding) -> Payment | None:
        if finding.reference_id is not None:
            return await self._payments.by_reference(finding.reference_id)
        if finding.order_id is None:
            return None
        order_id = finding.order_id
        try:
            order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        except GatewayMissing:
            return None
        return await self._payments.by_receipt(order.receipt)


def _is_surplus(finding: Finding, payment: Payment) -> bool:
    return finding.kind in (Kind.SURPLUS_ORDER, Kind.MISSING_HERE) and (
        payment.razorpay_order_id not in (None, finding.order_id)
    )
