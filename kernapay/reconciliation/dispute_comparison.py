"""Compare the disputes that are stored with the gateway's."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import structlog

from kernapay.gateway.base import (
    GatewayDispute,
    GatewayMissing,
    GatewayUnknown,
    PaymentGateway,
)
from kernapay.payments.disputes.news import EVENT_PREFIX, News, changes, find_dispute
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.returns import sum_reserved
from kernapay.payments.states import Source
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.pacing import Pace

_log = structlog.get_logger("kernapay.reconciliation")
# Razorpay: the largest page.
_PAGE: Final = 100
_LIST_REFUSED: Final = (400, 404)
_ORIGIN: Final = Origin(Source.RECONCILIATION, f"{EVENT_PREFIX}compared")
DISPUTE_KINDS: Final = (
    Kind.DISPUTE,
    Kind.DISPUTE_MISSING,
    Kind.DISPUTE_UNKNOWN,
    Kind.DISPUTE_REFUNDED,
)


class DisputeDifference(NamedTuple):
    kind: Kind
    dispute_id: str
    razorpay_payment_id: str
    payment: Payment | None = None
    order_id: str | None = None
    ours: str | None = None
    theirs: str | None = None


class DisputeComparison:
    """One pass over all disputes: Razorpay's list takes no window of time. `totals` grows while it runs."""

    def __init__(
        self,
        payments: PaymentRepository,
        gateway: PaymentGateway,
        pace: Pace,
        totals: Counter[str] | None = None,
    ) -> None:
        self._payments = payments
        self._gateway = gateway
        self._pace = pace
        self._totals = Counter() if totals is None else totals

    async def run(self) -> AsyncIterator[DisputeDifference]:
        """Yield every difference. Raises Unavailable, and GatewayUnknown when the gateway keeps failing."""
        seen: set[str] = set()
        async for dispute in self._pages():
            if dispute.id in seen:
                continue  # new disputes shift the pages
            seen.add(dispute.id)
            self._totals["gatewayDisputes"] += 1
            payment = await self._find_payment(dispute)
            if payment is None:
                self._totals["foreignDisputes"] += 1
            elif _compare(payment, dispute):
                # Either side may have changed since it was read. Report only what still differs now.
                difference = await self.compare_again(dispute.id, payment, dispute.payment_id)
                if difference is not None:
                    yield difference
        async for payment in self._payments.stream_undecided_disputes():
            for ours in payment.disputes:
                self._totals["disputes"] += 1
                if not ours.status.is_decided and ours.dispute_id not in seen:
                    difference = await self.compare_again(ours.dispute_id, payment, ours.payment_id)
                    if difference is not None:
                        yield difference

    async def compare_again(
        self, dispute_id: str, payment: Payment, payment_id: str
    ) -> DisputeDifference | None:
        """Read one dispute again on both sides, and return its difference."""
        current = await self._payments.get(id=payment.pk)
        try:
            theirs = await self._pace.call(lambda: self._gateway.fetch_dispute(dispute_id))
        except GatewayMissing as error:
            ours = find_dispute(current, dispute_id)
            return DisputeDifference(
                Kind.DISPUTE_UNKNOWN,
                dispute_id,
                payment_id,
                current,
                current.razorpay_order_id,
                ours=_describe(ours) if ours else None,
                theirs=error.detail,
            )
        return _compare(current, theirs)

    async def _pages(self) -> AsyncIterator[GatewayDispute]:
        skip = 0
        while True:
            try:
                page = await self._pace.call(
                    lambda skip=skip: self._gateway.list_disputes(skip=skip, count=_PAGE)  # type: ignore[misc]
                )
            except (GatewayMissing, GatewayUnknown) as error:
                if error.http_status not in _LIST_REFUSED:
                    raise
                # Razorpay refuses so what an account is not allowed to use. The report says that nothing was compared.
                _log.warning("disputes_not_listed", status=error.http_status, reason=error.reason)
                self._totals["disputesNotListed"] = 1
                return
            for dispute in page:
                yield dispute
            skip += len(page)
            if len(page) < _PAGE:
                return

    async def _find_payment(self, dispute: GatewayDispute) -> Payment | None:
        """Return the payment that a dispute of the gateway belongs to, None if it is not of KernaPay."""
        for where in (
            {"disputes__dispute_id": dispute.id},
            {"razorpay_payment_id": dispute.payment_id},
        ):
            payment = await self._payments.get_one_or_none(**where)
            if payment is not None:
                return payment
        try:
            theirs = await self._pace.call(lambda: self._gateway.fetch_payment(dispute.payment_id))
        except GatewayMissing:
            return None
        order_id = theirs.order_id
        if order_id is None:
            return None
        payment = await self._payments.by_order(order_id)
        if payment is not None:
            return payment
        order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        return await self._payments.by_receipt(order.receipt)


def _compare(payment: Payment, theirs: GatewayDispute) -> DisputeDifference | None:
    ours = find_dispute(payment, theirs.id)
    if ours is None:
        kind, text = Kind.DISPUTE_MISSING, None
    elif changes(News(theirs, _ORIGIN, is_asked=True), ours):
        kind, text = Kind.DISPUTE, _describe(ours)
    elif _is_returned_twice(payment, ours):
        kind, text = Kind.DISPUTE_REFUNDED, f"refunded {sum_reserved(payment)}, lost {ours.lost}"
    else:
        return None
    return DisputeDifference(
        kind,
        theirs.id,
        theirs.payment_id,
        payment,
        payment.razorpay_order_id,
        ours=text,
        theirs=_describe(theirs),
    )


def _is_returned_twice(payment: Payment, dispute: Dispute) -> bool:
    """Return whether the bank took money of a payment that was refunded too, and nobody was told of it."""
    return bool(
        dispute.lost
        and dispute.payment_id == payment.razorpay_payment_id
        and sum_reserved(payment)
        and all(each.dispute_id != dispute.dispute_id for each in payment.mismatches)
    )


def _describe(dispute: Dispute | GatewayDispute) -> str:
    return (
        f"{dispute.amount} {dispute.currency} {dispute.phase} {dispute.status}, "
        f"deducted {dispute.amount_deducted or 0}"
    )
