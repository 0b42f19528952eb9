"""Compare the disputes that are stored with the gateway's."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import structlog

from kernapay.gateway.base import (
    GatewayDispute,
    GatewayMissing,
    GatewayTooOld,
    GatewayUnknown,
    OddEntity,
    PaymentGateway,
)
from kernapay.payments.disputes.double_returns import may_be_doubled, sum_returned
from kernapay.payments.disputes.news import EVENT_PREFIX, News, changes, find_dispute
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Source
from kernapay.reconciliation.differences import Difference, unreadable
from kernapay.reconciliation.guarding import Guard
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

    async def run(self, guard: Guard) -> AsyncIterator[Difference]:
        """Yield every difference. Raises Unavailable, and GatewayError when the gateway keeps failing."""
        seen: set[str] = set()
        async for dispute in self._pages():
            self._totals["gatewayDisputes"] += 1
            if dispute.id is not None:
                seen.add(dispute.id)
            if isinstance(dispute, OddEntity):
                yield replace(unreadable(dispute, None, dispute.payment_id), dispute_id=dispute.id)
                continue
            for difference in await guard.run(
                lambda dispute=dispute: self._compare_listed(dispute),  # type: ignore[misc]
                dispute.id,
                razorpay_payment_id=dispute.payment_id,
                dispute_id=dispute.id,
            ):
                yield difference
        async for payment in self._payments.stream_undecided_disputes():
            for ours in payment.disputes:
                self._totals["disputes"] += 1
                if ours.status.is_decided or ours.dispute_id in seen:
                    continue
                for difference in await guard.run(
                    lambda ours=ours, payment=payment: self.compare_again(  # type: ignore[misc]
                        ours.dispute_id, payment, ours.payment_id
                    ),
                    ours.dispute_id,
                    payment,
                    order_id=payment.razorpay_order_id,
                    razorpay_payment_id=ours.payment_id,
                    dispute_id=ours.dispute_id,
                ):
                    yield difference

    async def _compare_listed(self, dispute: GatewayDispute) -> list[Difference]:
        payment = await self._find_payment(dispute)
        if payment is None:
            self._totals["foreignDisputes"] += 1
            return []
        if not _compare(payment, dispute):
            return []
        # Either side may have changed since it was read. Report only what still differs now.
        return await self.compare_again(dispute.id, payment, dispute.payment_id)

    async def compare_again(
        self, dispute_id: str, payment: Payment, payment_id: str
    ) -> list[Difference]:
        """Read one dispute again on both sides, and return its difference, if there is one."""
        current = await self._payments.get(id=payment.pk)
        try:
            theirs = await self._pace.call(lambda: self._gateway.fetch_dispute(dispute_id))
        except GatewayMissing as error:
            ours = find_dispute(current, dispute_id)
            return [
                Difference(
                    Kind.DISPUTE_UNKNOWN,
                    current,
                    current.razorpay_order_id,
                    payment_id,
                    dispute_id,
                    ours=_describe(ours) if ours else None,
                    theirs=error.detail,
                )
            ]
        ours = find_dispute(current, dispute_id)
        found = _compare(current, theirs)
        if ours is None or not any(each.kind is Kind.DISPUTE_REFUNDED for each in found):
            return found
        refunded, excess = await self._pace.call(lambda: sum_returned(self._gateway, current, ours))
        text = f"refunded {refunded}, lost {ours.lost}"
        return [replace(each, ours=text) for each in found] if excess else []

    async def _pages(self) -> AsyncIterator[GatewayDispute | OddEntity]:
        """Yield each dispute of the gateway's list once: new ones shift its pages."""
        skip = 0
        seen: set[str | None] = set()
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
            new = [each for each in page if each.id is None or each.id not in seen]
            for dispute in new:
                yield dispute
            skip += len(page)
            # A list that ignores `skip` gives the same page for ever.
            if len(page) < _PAGE or seen.issuperset(each.id for each in page):
                return
            seen.update(each.id for each in page)

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
        try:
            order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        except GatewayTooOld:
            # No row of ours has this order, and what is so old is not asked for in vain each night.
            return None
        return await self._payments.by_receipt(order.receipt)


def _compare(payment: Payment, theirs: GatewayDispute) -> list[Difference]:
    ours = find_dispute(payment, theirs.id)
    if ours is None:
        kind, text = Kind.DISPUTE_MISSING, None
    elif changes(News(theirs, _ORIGIN, is_asked=True), ours):
        kind, text = Kind.DISPUTE, _describe(ours)
    elif may_be_doubled(payment, ours):
        kind, text = Kind.DISPUTE_REFUNDED, f"lost {ours.lost}"
    else:
        return []
    return [
        Difference(
            kind,
            payment,
            payment.razorpay_order_id,
            theirs.payment_id,
            theirs.id,
            ours=text,
            theirs=_describe(theirs),
        )
    ]


def _describe(dispute: Dispute | GatewayDispute) -> str:
    return (
        f"{dispute.amount} {dispute.currency} {dispute.phase} {dispute.status}, "
        f"deducted {dispute.amount_deducted or 0}"
    )
