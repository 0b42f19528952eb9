"""`kernapay reconcile`: compare a window with the gateway's books and keep a report."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import click

from kernapay.commands.output import MOMENT, Progress, as_utc, exit_2_on_error, progress
from kernapay.config.settings import Settings, load_settings


@click.command()
@click.option("--from", "after", type=MOMENT, help="UTC; a day ago otherwise.")
@click.option("--to", "before", type=MOMENT, help="UTC; now otherwise.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare a window with the gateway's books and keep a report.

    The exit code is 0 when they agree, 1 when they differ, 2 when that could not be found out.
    """
    end = as_utc(before) or datetime.now(UTC)
    start = as_utc(after) or end - timedelta(days=1)
    with exit_2_on_error(), progress() as shown:
        report, found = asyncio.run(reconcile(load_settings(), start, end, shown))
    click.echo(f"{found} difference(s) between {start:%Y-%m-%d %H:%MZ} and {end:%Y-%m-%d %H:%MZ}.")
    click.echo(f"Report {report}: GET /v1/api/reconciliation/reports/{report}")
    sys.exit(1 if found else 0)


async def reconcile(
    settings: Settings, after: datetime, before: datetime, progress: Progress
) -> tuple[str, int]:
    """Make a report of the window now; return its id, and how many findings it has."""
    from kernapay.bootstrap.services import opened

    async with opened(settings) as services:
        report, found = await services.reconciliation_service.make_now(
            after, before, "cli", progress
        )
        return str(report.pk), found
