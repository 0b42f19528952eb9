"""`kernapay reconcile`: compare payments with the gateway and store a report."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import click

from kernapay.commands.output import TIME, Progress, as_utc, exit_2_on_error, progress
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings


@click.command()
@click.option("--from", "after", type=TIME, help="Start, in UTC. Default: one day before the end.")
@click.option("--to", "before", type=TIME, help="End, in UTC. Default: now.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare payments with the gateway and store a report.

    The exit code is 0 if both agree, 1 if they differ, 2 if the comparison failed.
    """
    end = as_utc(before) or datetime.now(UTC)
    start = as_utc(after) or end - timedelta(days=1)
    with exit_2_on_error(), progress() as update:
        report, differences = asyncio.run(reconcile(load_settings(), start, end, update))
    click.echo(
        f"{differences} difference(s) between {start:%Y-%m-%d %H:%MZ} and {end:%Y-%m-%d %H:%MZ}."
    )
    click.echo(f"Report {report}: GET /v1/api/reconciliation/reports/{report}")
    sys.exit(1 if differences else 0)


async def reconcile(
    settings: Settings, after: datetime, before: datetime, progress: Progress
) -> tuple[str, int]:
    """Make a report. Return its id, and the number of its findings."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        report, findings = await services.reconciliation_service.make_now(
            operator(), after, before, progress
        )
        return str(report.pk), findings
