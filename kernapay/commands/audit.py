"""`kernapay audit`: compare payments with the gateway, without changing anything."""

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from kernapay.commands.output import TIME, Progress, as_utc, exit_2_on_error, progress
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings

if TYPE_CHECKING:
    from kernapay.reconciliation.comparison import Difference


@click.command()
@click.option("--from", "after", type=TIME, help="Start, in UTC. Default: the first payment.")
@click.option("--to", "before", type=TIME, help="End, in UTC. Default: now.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare payments with the gateway, without changing anything.

    Every difference is printed. The exit code is 0 if there is none, 1 if there are some, 2 if the comparison failed.
    """
    with exit_2_on_error(), progress() as update:
        totals, differences = asyncio.run(
            audit(load_settings(), as_utc(after), as_utc(before), update, _show)
        )
    summary = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    click.echo(summary or "no payments")
    if differences:
        click.echo(f"{differences} difference(s). Next: kernapay reconcile")
    else:
        click.echo("KernaPay and the gateway agree.")
    sys.exit(1 if differences else 0)


def _show(difference: "Difference") -> None:
    subject = difference.payment.reference_id if difference.payment else difference.order_id
    click.echo(
        f"{difference.kind.value:<17} {subject}  "
        f"KernaPay: {difference.ours}  gateway: {difference.theirs}"
    )


async def audit(
    settings: Settings,
    after: datetime | None,
    before: datetime | None,
    progress: Progress,
    show: Callable[["Difference"], None],
) -> tuple[dict[str, int], int]:
    """Compare payments with the gateway. Return the totals, and the number of differences.

    `show` is called with each difference.
    """
    from kernapay.bootstrap.services import open_services
    from kernapay.core.clock import now

    async with open_services(settings) as services:
        before = before or now()
        after = after or await services.payment_repository.first_created_at() or before
        comparison = services.reconciliation_service.compare(after, before, progress)
        count = 0
        async for difference in comparison.run(settlements=False):
            show(difference)
            count += 1
        return dict(comparison.totals), count
