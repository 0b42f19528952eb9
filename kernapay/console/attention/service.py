"""Counts what needs a person."""

import asyncio
from typing import Final, NamedTuple

from kernapay.administration.dtos import UserSearch
from kernapay.administration.repository import AccountRepository
from kernapay.console.attention.dtos import Attention
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.payments.disputes.repository import DisputeRepository
from kernapay.payments.open_mismatches import OpenMismatches
from kernapay.payments.states import DisputeStatus
from kernapay.reconciliation.nightly_reports import NightlyReports
from kernapay.reconciliation.repository import FindingRepository
from kernapay.webhooks.models import EventStatus
from kernapay.webhooks.repository import WebhookRepository

_MOST_COUNTED: Final = 10_000


class Sources(NamedTuple):
    """Where each kind of work is counted."""

    mismatches: OpenMismatches
    findings: FindingRepository
    events: WebhookRepository
    deliveries: DeliveryRepository
    disputes: DisputeRepository
    accounts: AccountRepository
    nights: NightlyReports


class AttentionService:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def look(self) -> Attention:
        """Count the work that waits for a person. Raises Unavailable."""
        sources = self._sources
        # By approval alone: so an index serves it.
        waiting = UserSearch(approved=False)
        mismatches, findings, nights = await asyncio.gather(
            sources.mismatches.count(), sources.findings.count_open(), sources.nights.standing()
        )
        parked, failed, undecided, (_, providers) = await asyncio.gather(
            sources.events.count_up_to(_MOST_COUNTED, EventStatus.PARKED),
            sources.deliveries.count_failed(),
            sources.disputes.list_undecided(),
            sources.accounts.search(waiting, 1, 0),
        )
        unanswered = [each for each in undecided if each.status == DisputeStatus.OPEN]
        deadlines = [each.respond_by for each in unanswered if each.respond_by is not None]
        return Attention(
            mismatches=mismatches.total(),
            findings=findings.total(),
            parked_events=parked,
            failed_deliveries=failed,
            open_disputes=len(unanswered),
            next_deadline=min(deadlines, default=None),
            providers_to_approve=providers,
            last_good_night=nights.last_good,
            nights_missing=len(nights.missing),
        )
