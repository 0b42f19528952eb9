"""`kernapay audit`: compare every payment with the gateway's books, changing nothing."""

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kernapay.commands.output import MOMENT, Progress, as_utc, exit_2_on_error, progress
from kernapay.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from kernapay.reconciliation.comparison import Difference


@click.command()
@click.option("--from", "after", type=MOMENT, help="UTC; the first payment otherwise.")
@click.option("--to", "before", type=MOMENT, help="UTC; now otherwise.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare every payment with the gateway's books, changing nothing.

    The exit code is 0 when they agree, 1 when they differ, 2 when that could not be found out.
    """
    with exit_2_on_error(), progress() as shown:
        totals, found = asyncio.run(
            audit(load_settings(), as_utc(after), as_utc(before), shown, _show)
        )
    counted = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    click.echo(f"{counted or 'no payments'}")
    click.echo(f"{found} difference(s): run kernapay reconcile." if found else "The books agree.")
    sys.exit(1 if found else 0)


def _show(difference: "Difference") -> None:
    subject = difference.payment.reference_id if difference.payment else difference.order_id
    click.echo(
        f"{difference.kind.value:<17} {subject}  ours: {difference.ours}  theirs: {difference.theirs}"
    )


async def audit(
    settings: Settings,
    after: datetime | None,
    before: datetime | None,
    progress: Progress,
    show: Callable[["Difference"], None],
) -> tuple[dict[str, int], int]:
    """Compare every payment with the gateway's books and change nothing.

    `show` gets each difference. Return the totals, and how many differences there are.
    """
    from kernapay.bootstrap.services import opened
    from kernapay.core.clock import now

    async with opened(settings) as services:
        before = before or now()
        after = after or await services.payment_repository.first_created_at() or before
        comparison = services.reconciliation_service.compare(after, before, progress)
        found = 0
        async for difference in comparison.run(settlements=False):
            show(difference)
            found += 1
        return dict(comparison.totals), found
