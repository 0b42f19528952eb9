"""Store the gateway's data on disputes, and show them.

Events may come late, twice or in any order: the newest state by the gateway's own facts is stored. The payment inside
an event about a dispute is not read, because Razorpay sends it in an old or wrong state.
"""

from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import NotFound, RetryLater
from kernapay.gateway.base import GatewayDispute, GatewayMissing, PaymentGateway
from kernapay.payments.disputes.double_returns import REASON, may_be_doubled, sum_returned
from kernapay.payments.disputes.dtos import DisputeDetail
from kernapay.payments.disputes.news import (
    EVENT_PREFIX,
    News,
    build_dispute,
    changes,
    describe,
    find_dispute,
    is_newer,
    is_unsure,
)
from kernapay.payments.disputes.repository import DisputeRepository
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.metrics import MISMATCHES
from kernapay.payments.models import Dispute, Mismatch, Payment
from kernapay.payments.outcomes import EvidenceMismatch, Outcome
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import DisputeStatus, Event, Source
from kernapay.security.principal import STAFF, Principal

_log = structlog.get_logger("kernapay.disputes")
_ATTEMPTS: Final = 5


class DisputeInFlux(RetryLater):
    """The dispute changed again and again while this change was written. Repeat the call."""

    code = "in_progress"
    title = "Still in progress"


class DisputeService:
    def __init__(
        self,
        payments: PaymentRepository,
        disputes: DisputeRepository,
        ledger: PaymentLedger,
        settlement: Settlement,
        gateway: PaymentGateway,
        clock: Clock = now,
    ) -> None:
        self._payments = payments
        self._disputes = disputes
        self._ledger = ledger
        self._settlement = settlement
        self._gateway = gateway
        self._clock = clock

    async def apply_event(self, dispute: GatewayDispute, origin: Origin, at: int | None) -> Outcome:
        """Enter the dispute of an event. `at` is the gateway's time of the event, in Unix seconds.

        Raises UnknownOrder, RecordMissing, DisputeInFlux, GatewayError, Unavailable.
        """
        return await self._apply(News(dispute, origin, at))

    async def refresh(self, dispute_id: str, actor: str | None = None) -> Outcome:
        """Ask the gateway for a dispute and enter it.

        Raises UnknownOrder, RecordMissing, DisputeInFlux, GatewayError, Unavailable.
        """
        origin = Origin(Source.RECONCILIATION, f"{EVENT_PREFIX}checked", actor=actor)
        dispute = await self._gateway.fetch_dispute(dispute_id)
        return await self._apply(News(dispute, origin, is_asked=True))

    async def show(self, principal: Principal, dispute_id: str) -> DisputeDetail:
        """Return a dispute. Raises NotFound, also when the caller may not see it."""
        payee_id = None if principal.role in STAFF else principal.id
        found = await self._disputes.detail(dispute_id, payee_id)
        if found is None:
            raise NotFound("No dispute that you may see has this id.")
        return found

    async def list_disputes(
        self,
        principal: Principal,
        status: DisputeStatus | None,
        count: int,
        skip: int,
        cursor: str | None,
    ) -> list[DisputeDetail]:
        """Return a page of the disputes that the caller may see, the nearest deadline first.

        Raises NotFound when the cursor is no dispute that the caller may see.
        """
        payee_id = None if principal.role in STAFF else principal.id
        after = None
        if cursor is not None:
            after = await self._disputes.detail(cursor, payee_id)
            if after is None:
                raise NotFound("No dispute that you may see has this id.", field="cursor")
        return await self._disputes.page(status, payee_id, count, skip, after)

    async def _apply(self, news: News) -> Outcome:
        for _ in range(_ATTEMPTS):
            payment = await self._find_payment(news)
            known = find_dispute(payment, news.dispute.id)
            latest = news
            if not news.is_asked and is_unsure(news, known):
                latest = await self._ask(news)
            crash_point("dispute.checked")
            if known is not None and not is_newer(latest, known):
                await self._report_double_return(payment, known, news.origin)
                return Outcome.UNCHANGED
            dispute = build_dispute(payment, known, latest, self._clock())
            row = await self._ledger.record_dispute(
                payment, known, dispute, news.origin, describe(dispute)
            )
            if row is not None:
                self._log(row, known, dispute, latest)
                await self._report_double_return(row, dispute, news.origin)
                return Outcome.MOVED
        raise DisputeInFlux("This dispute is being changed. Repeat the call.", retry_after=1)

    async def _ask(self, news: News) -> News:
        """Return the gateway's present data on a dispute, or the event's if the gateway does not know the dispute."""
        try:
            current = await self._gateway.fetch_dispute(news.dispute.id)
        except GatewayMissing as error:
            _log.warning("dispute_not_shown", dispute=news.dispute.id, reason=error.reason)
            return news
        if (current.id, current.payment_id) != (news.dispute.id, news.dispute.payment_id):
            _log.error("dispute_contradicts", dispute=news.dispute.id)
            return news
        return News(current, news.origin, news.at, is_asked=True)

    async def _find_payment(self, news: News) -> Payment:
        dispute = news.dispute
        payment = await self._disputes.payment_of(dispute.id)
        if payment is not None:
            return payment
        payment = await self._payments.get_one_or_none(razorpay_payment_id=dispute.payment_id)
        if payment is not None and payment.status.is_paid:
            return payment
        # Only what was captured is disputed, so we have not heard of the capture yet, or this is a second payment.
        gateway_payment = await self._gateway.fetch_payment(dispute.payment_id)
        refunds = (
            tuple(await self._gateway.refunds_of(gateway_payment.id))
            if gateway_payment.is_captured and gateway_payment.amount_refunded
            else ()
        )
        evidence = Evidence(news.origin, gateway_payment, known_refunds=refunds)
        event = Event.CAPTURED if gateway_payment.is_captured else None
        try:
            return (await self._settlement.settle(event, evidence)).payment
        except EvidenceMismatch:
            # It belongs to a payment, although it does not settle it: such as one of a surplus order.
            return await self._settlement.find(gateway_payment)

    async def _report_double_return(
        self, payment: Payment, dispute: Dispute, origin: Origin
    ) -> None:
        """Store a finding for a person if more of a payment went back, to its customer or the bank, than came in.

        It is stored again for a repeat: the process may have died before it the first time.
        """
        if not may_be_doubled(payment, dispute):
            return
        refunded, excess = await sum_returned(self._gateway, payment, dispute)
        if excess < 1:
            return
        mismatch = Mismatch(
            at=self._clock(),
            source=Source.RECONCILIATION,
            reason=REASON,
            event=origin.event,
            event_id=origin.event_id,
            actor=origin.actor,
            order_id=payment.razorpay_order_id,
            payment_id=dispute.payment_id,
            dispute_id=dispute.dispute_id,
            amount=dispute.lost,
            currency=dispute.currency,
        )
        if await self._ledger.record_mismatch(payment, mismatch):
            MISMATCHES.labels(origin.source.value).inc()
            _log.error(
                REASON,
                reference=payment.reference_id,
                dispute=dispute.dispute_id,
                lost=dispute.lost,
                refunded=refunded,
            )

    def _log(self, payment: Payment, known: Dispute | None, dispute: Dispute, news: News) -> None:
        facts = {
            "reference": payment.reference_id,
            "dispute": dispute.dispute_id,
            "status": dispute.status.value,
            "phase": dispute.phase,
        }
        if known is None or changes(news, known):
            _log.info("dispute_changed", **facts)
        if dispute.currency != payment.currency:
            _log.warning("dispute_in_another_currency", currency=dispute.currency, **facts)
