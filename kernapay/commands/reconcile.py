"""`kernapay reconcile`: compare payments with the gateway and store a report."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from kernapay.commands.output import (
    INCOMPLETE,
    TIME,
    Progress,
    as_utc,
    exit_2_on_error,
    progress,
    show_unchecked,
)
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings

if TYPE_CHECKING:
    from kernapay.reconciliation.models import Report


@click.command()
@click.option("--from", "after", type=TIME, help="Start, in UTC. Default: one day before the end.")
@click.option("--to", "before", type=TIME, help="End, in UTC. Default: now.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare payments with the gateway and store a report.

    The exit code is 0 if both agree, 1 if they differ, 2 if the comparison failed, 3 if both agree as far as they
    could be compared.
    """
    end = as_utc(before) or datetime.now(UTC)
    start = as_utc(after) or end - timedelta(days=1)
    with exit_2_on_error(), progress() as update:
        report, differences = asyncio.run(reconcile(load_settings(), start, end, update))
    click.echo(
        f"{differences} difference(s) between {start:%Y-%m-%d %H:%MZ} and {end:%Y-%m-%d %H:%MZ}."
    )
    if report.unchecked:
        show_unchecked(report.unchecked)
    click.echo(f"Report {report.pk}: GET /v1/api/reconciliation/reports/{report.pk}")
    if differences:
        sys.exit(1)
    sys.exit(INCOMPLETE if report.unchecked else 0)


async def reconcile(
    settings: Settings, after: datetime, before: datetime, progress: Progress
) -> tuple["Report", int]:
    """Make a report. Return it, and the number of its findings."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        return await services.reconciliation_service.make_now(operator(), after, before, progress)
