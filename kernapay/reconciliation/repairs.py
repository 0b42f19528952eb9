"""Repair a finding: bring its payment to the state at the gateway, and refund what was paid twice."""

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict
from kernapay.gateway.base import PaymentGateway
from kernapay.payments.disputes.service import DisputeService
from kernapay.payments.models import Payment
from kernapay.payments.ordering import Ordering
from kernapay.payments.references import payment_id_of
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Status
from kernapay.reconciliation.comparison import Comparison
from kernapay.reconciliation.dispute_comparison import KINDS as DISPUTE_KINDS
from kernapay.reconciliation.dispute_comparison import DisputeComparison
from kernapay.reconciliation.models import Finding, Kind
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repository import FindingRepository
from kernapay.reconciliation.resync import Resync
from kernapay.security.principal import Actor


class NotRepairable(Conflict):
    """The finding belongs to no payment of KernaPay, so an administrator has to look at the gateway."""

    code = "not_repairable"


class RepairService:
    def __init__(
        self,
        findings: FindingRepository,
        payments: PaymentRepository,
        resync: Resync,
        settlement: Settlement,
        ordering: Ordering,
        refunds: RefundService,
        disputes: DisputeService,
        gateway: PaymentGateway,
        pace: Pace,
        audit: AuditLog,
        clock: Clock = now,
    ) -> None:
        self._findings = findings
        self._payments = payments
        self._resync = resync
        self._settlement = settlement
        self._ordering = ordering
        self._refunds = refunds
        self._disputes = disputes
        self._gateway = gateway
        self._pace = pace
        self._audit = audit
        self._clock = clock

    async def repair(self, actor: Actor, report_id: str, finding_id: str) -> str:
        """Repair a finding and return the outcome as a sentence for people.

        Raises NotFound, NotRepairable, GatewayError, Unavailable.
        """
        finding = await self._findings.get(id=finding_id, report_id=report_id)
        payment = await self._find_payment(finding)
        if payment is None:
            raise NotRepairable(
                "No payment belongs to this order. Look at the order in the gateway's dashboard."
            )
        async with self._audit.action(actor, "reconciliation.repair", f"finding:{finding_id}"):
            status = await self._repair(finding, payment)
            remains = await self._remains(finding, payment)
            outcome = f"payment is {status}"
            if remains:
                outcome += (
                    "; the difference remains and needs a decision in the gateway's dashboard"
                )
            await self._findings.record_repair(finding, actor.id, outcome, is_repaired=not remains)
            return outcome

    async def _repair(self, finding: Finding, payment: Payment) -> str:
        if finding.kind in DISPUTE_KINDS:
            return await self._enter_dispute(finding, payment)
        if finding.kind is Kind.MISSING_THERE:
            # Nobody can pay an order that the gateway does not know.
            return await self._resync.expire(payment)
        if finding.kind is Kind.SURPLUS_ORDER:
            await self._ordering.record_surplus(payment, [str(finding.order_id)])
        if finding.kind in (Kind.SURPLUS_ORDER, Kind.SECOND_PAYMENT):
            await self._return_surplus(finding, payment)
        elif finding.kind is Kind.FEE and payment.razorpay_payment_id is not None:
            payment_id = payment.razorpay_payment_id
            gateway_payment = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
            await self._settlement.record_fee(payment, gateway_payment)
        return await self._resync.payment(payment)

    async def _return_surplus(self, finding: Finding, payment: Payment) -> None:
        if finding.kind is Kind.SECOND_PAYMENT:
            ours = str(payment.razorpay_payment_id)
            first = await self._pace.call(lambda: self._gateway.fetch_payment(ours))
            if not first.is_captured:
                return  # our payment was not captured, so the other one is not surplus
        for extra in await self._new_comparison().find_unrefunded_captures(str(finding.order_id)):
            if extra.id != payment.razorpay_payment_id:
                await self._refunds.return_surplus(extra)

    async def _enter_dispute(self, finding: Finding, payment: Payment) -> str:
        if finding.kind is not Kind.DISPUTE_UNKNOWN:
            await self._disputes.refresh(str(finding.dispute_id))
        return payment.status.value

    async def _remains(self, finding: Finding, payment: Payment) -> bool:
        """Return whether the difference still exists."""
        payment = await self._payments.get(id=payment.pk)
        if finding.kind is Kind.MISSING_THERE:
            return payment.status is not Status.FAILED
        if finding.kind is Kind.SURPLUS_ORDER:
            return bool(
                await self._new_comparison().find_unrefunded_captures(str(finding.order_id))
            )
        if finding.kind in DISPUTE_KINDS:
            comparison = DisputeComparison(self._payments, self._gateway, self._pace)
            return bool(
                await comparison.compare_again(
                    str(finding.dispute_id), payment, str(finding.razorpay_payment_id)
                )
            )
        if payment.razorpay_order_id is None:
            return True
        differences = await self._new_comparison().compare_again(payment, payment.razorpay_order_id)
        return any(difference.kind is finding.kind for difference in differences)

    def _new_comparison(self) -> Comparison:
        at = self._clock()
        return Comparison(self._payments, self._gateway, self._pace, at, at)

    async def _find_payment(self, finding: Finding) -> Payment | None:
        if finding.reference_id is not None:
            return await self._payments.by_reference(finding.reference_id)
        if finding.order_id is None:
            return None
        order_id = finding.order_id
        order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        payment_id = payment_id_of(order.receipt)
        return await self._payments.get_one_or_none(id=payment_id) if payment_id else None
