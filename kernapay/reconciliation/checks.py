"""Ask the gateway about one payment because a person wants to know, and apply what it says."""

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, now
from kernapay.core.errors import NotFound
from kernapay.core.fair_share import FairShare
from kernapay.payments.repository import PaymentRepository
from kernapay.reconciliation.dtos import PaymentChecked
from kernapay.reconciliation.resync import Resync
from kernapay.security.principal import Principal


class PaymentChecks:
    def __init__(
        self,
        payments: PaymentRepository,
        resync: Resync,
        audit: AuditLog,
        share: FairShare,
        clock: Clock = now,
    ) -> None:
        """`share` bounds the calls to the gateway of one account at once."""
        self._payments = payments
        self._resync = resync
        self._audit = audit
        self._share = share
        self._clock = clock

    async def check(self, actor: Principal, reference_id: str) -> PaymentChecked:
        """Bring a payment to its state at the gateway. Raises NotFound, TooManyRequests, GatewayError, Unavailable."""
        payment = await self._payments.by_reference(reference_id)
        if payment is None:
            raise NotFound("No payment has this reference.", field="referenceId")
        async with (
            self._share.turn(actor.id),
            self._audit.action(actor, "payment.check", f"payment:{reference_id}"),
        ):
            await self._resync.payment(payment)
        after = await self._payments.by_reference(reference_id) or payment
        has_changed = (len(after.history), len(after.mismatches)) != (
            len(payment.history),
            len(payment.mismatches),
        )
        return PaymentChecked(reference_id, after.status, has_changed, self._clock())
