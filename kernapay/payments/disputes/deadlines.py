"""The deadlines for evidence: a line in the log when one comes near, and the numbers for `/metrics`."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock, now
from kernapay.core.metrics import GaugeMetricFamily
from kernapay.payments.disputes.repository import DisputeRepository
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Dispute, Payment
from kernapay.payments.states import PHASES, UNDECIDED, DisputeStatus

_log = structlog.get_logger("kernapay.disputes")
# The gateway may add phases, and a label must not have any number of values.
_OTHER: Final = "other"
# How much time is left for evidence: up to what, by its name. Each dispute counts once, at the first that fits.
_TERMS: Final = {
    "missed": timedelta(0),
    "24h": timedelta(hours=24),
    "48h": timedelta(hours=48),
    "7d": timedelta(days=7),
    "later": timedelta.max,
}
_NO_DEADLINE: Final = "none"


class DisputeDeadlines:
    def __init__(
        self, disputes: DisputeRepository, ledger: PaymentLedger, clock: Clock = now
    ) -> None:
        self._disputes = disputes
        self._ledger = ledger
        self._clock = clock

    async def sweep(self) -> bool:
        """Log the deadlines that have come near. Return False if there was none.

        A worker that dies after the line and before the note of it logs the line again.
        """
        at = self._clock()
        has_warned = False
        for payment in await self._disputes.list_to_warn(at):
            for dispute in payment.disputes:
                if dispute.warn_at is not None and dispute.warn_at <= at:
                    _warn(payment, dispute, at)
                    has_warned |= await self._ledger.end_warning(payment, dispute)
        return has_warned

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return how many disputes wait, and the time until the next deadline. Raises Unavailable."""
        undecided = await self._disputes.list_undecided()
        waiting = GaugeMetricFamily(
            "kernapay_disputes_undecided",
            "Disputes that wait for evidence (open) or a decision (under_review)",
            labels=("status", "phase"),
        )
        counts = Counter(
            {(status.value, phase): 0 for status in UNDECIDED for phase in (*PHASES, _OTHER)}
        )
        counts.update(
            (each.status, each.phase if each.phase in PHASES else _OTHER) for each in undecided
        )
        for labels, count in counts.items():
            waiting.add_metric(labels, count)
        next_one = GaugeMetricFamily(
            "kernapay_dispute_deadline_seconds",
            "Time until the next deadline for evidence; negative if it was missed, absent without one",
        )
        at = self._clock()
        unanswered = [
            None if each.respond_by is None else each.respond_by - at
            for each in undecided
            if each.status == DisputeStatus.OPEN
        ]
        left = [each for each in unanswered if each is not None]
        if left:
            next_one.add_metric((), min(left).total_seconds())
        by_deadline = GaugeMetricFamily(
            "kernapay_disputes_open",
            "Disputes that wait for evidence, by the time left until its deadline",
            labels=("deadline",),
        )
        terms = Counter(_term_of(each) for each in unanswered)
        for term in (*_TERMS, _NO_DEADLINE):
            by_deadline.add_metric((term,), terms[term])
        return [waiting, next_one, by_deadline]


def _term_of(left: timedelta | None) -> str:
    if left is None:
        return _NO_DEADLINE
    return next(term for term, longest in _TERMS.items() if left <= longest)


def _warn(payment: Payment, dispute: Dispute, at: datetime) -> None:
    if dispute.respond_by is None:
        return
    _log.warning(
        "dispute_deadline_near",
        reference=payment.reference_id,
        dispute=dispute.dispute_id,
        phase=dispute.phase,
        respond_by=dispute.respond_by.isoformat(),
        hours_left=round((dispute.respond_by - at).total_seconds() / 3600, 1),
    )
