"""Find payments at the gateway that no event reported, by one list: unpaid orders cost no calls."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import GatewayPayment, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import find_surplus, is_counted
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.resync import Resync

_log = structlog.get_logger("kernapay.reconciliation")
# Razorpay: an attempt ends after 15 minutes at most. Later money comes by the checks of its payment, and at night.
_LOOK_BACK: Final = timedelta(minutes=30)
_LONGEST_PAUSE: Final = timedelta(minutes=1)
# Of the calls that reconciliation may make, other work keeps nine tenths.
_SHARE: Final = 10
_BATCH: Final = 100


class LostPayments:
    def __init__(
        self,
        payments: PaymentRepository,
        resync: Resync,
        gateway: PaymentGateway,
        pace: Pace,
        check_after: timedelta,
        clock: Clock = now,
    ) -> None:
        """Payments younger than `check_after` are left to the events."""
        self._payments = payments
        self._resync = resync
        self._gateway = gateway
        self._pace = pace
        self._check_after = check_after
        self._clock = clock
        self._due = 0.0
        self._known: set[str] = set()

    async def sweep(self) -> bool:
        """Settle what was paid lately and is not settled here, be it the first payment of its order or another one.

        Return False, since a list is read now and then only.

        Raises GatewayError, Unavailable.
        """
        started = monotonic()
        if started < self._due:
            return False
        before = self._clock() - self._check_after
        try:
            found = await self._list(before - _LOOK_BACK, before)
            new: dict[str, list[GatewayPayment]] = {}
            for each in found:
                if each.id not in self._known:
                    new.setdefault(str(each.order_id), []).append(each)
            order_ids, waiting = list(new), set[str]()
            for start in range(0, len(order_ids), _BATCH):
                waiting |= await self._settle(order_ids[start : start + _BATCH], new)
            self._known = {each.id for each in found} - waiting
        finally:
            pause = min(self._check_after, _LONGEST_PAUSE).total_seconds()
            self._due = max(started + pause, monotonic() + _SHARE * (monotonic() - started))
        return False

    async def _list(self, after: datetime, before: datetime) -> list[GatewayPayment]:
        listing = Listing(self._gateway, self._pace, GatewayPayment)
        return [
            each
            async for each in listing.read(after, before)
            # One that cannot be read is a finding of the night.
            if isinstance(each, GatewayPayment)
            and each.order_id is not None
            and (each.is_captured or each.status == "authorized")
        ]

    async def _settle(
        self, order_ids: list[str], new: Mapping[str, list[GatewayPayment]]
    ) -> set[str]:
        """Settle what is not settled yet. Return the gateway's payments for which that failed."""
        waiting: set[str] = set()
        for payment in await self._payments.with_any("razorpay_order_id", order_ids):
            listed = new[str(payment.razorpay_order_id)]
            if all(_is_settled(payment, each) for each in listed):
                continue
            try:
                status = await self._resync.payment(payment)
            except KernaPayError as error:
                # The next list tells of it again, and the others must not wait for it.
                waiting |= {each.id for each in listed}
                _log.warning("lost_payment_waits", reference=payment.reference_id, code=error.code)
            else:
                _log.info("lost_payment_found", reference=payment.reference_id, status=status)
        return waiting


def _is_settled(payment: Payment, listed: GatewayPayment) -> bool:
    """Return whether nothing is left to do about a payment of the gateway's list."""
    if is_counted(payment, listed.id) or find_surplus(payment, listed.id):
        return True
    # Razorpay: what nobody captures goes back by itself.
    return payment.status.is_paid and not listed.is_captured
