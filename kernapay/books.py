"""The command line's view of the books: compare them with the gateway's, replay events."""

from collections.abc import Callable
from datetime import datetime

from kernapay.bootstrap import opened
from kernapay.core.clock import now
from kernapay.core.filters import LimitOffset, OrderBy
from kernapay.reconciliation.comparison import Difference
from kernapay.settings import Settings
from kernapay.webhooks.dtos import WebhookEventView
from kernapay.webhooks.models import EventStatus

Progress = Callable[[str, int], None]


async def reconcile(
    settings: Settings, after: datetime, before: datetime, progress: Progress
) -> tuple[str, int]:
    """Make a report of the window now: its id, and how many findings it has."""
    async with opened(settings) as services:
        report = await services.reconciliation.request(after, before, "cli", make_here=True)
        return str(report.pk), await services.reconciliation.make(report, progress)


async def audit(
    settings: Settings,
    after: datetime | None,
    before: datetime | None,
    progress: Progress,
    tell: Callable[[Difference], None],
) -> tuple[dict[str, int], int]:
    """Compare every payment with the gateway's books and change nothing: totals, and how many differences."""
    async with opened(settings) as services:
        before = before or now()
        if after is None:
            oldest = await services.payment_rows.list(OrderBy("created_at"), LimitOffset(1))
            after = oldest[0].created_at if oldest else before
        comparison = services.reconciliation.compare(after, before, progress)
        found = 0
        async for difference in comparison.run(settlements=False):
            tell(difference)
            found += 1
        return dict(comparison.totals), found


async def events(settings: Settings, status: EventStatus | None) -> list[WebhookEventView]:
    async with opened(settings) as services:
        return await services.events.page(status, None, skip=0, count=100)


async def replay(settings: Settings, event_id: str | None, status: EventStatus) -> int:
    """Handle one event again, or the oldest of a status; how many. Raises NotFound."""
    async with opened(settings) as services:
        if event_id is None:
            return await services.inbox.replay_all(status)
        await services.inbox.replay(event_id)
        return 1
