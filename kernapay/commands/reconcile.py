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
    from kernapay.reconciliation.restoring import Rebuilt


@click.command()
@click.option("--from", "after", type=TIME, help="Start, in UTC. Default: one day before the end.")
@click.option("--to", "before", type=TIME, help="End, in UTC. Default: now.")
@click.option(
    "--since",
    type=TIME,
    help="After a restore: the time of the copy, in UTC. Rebuilds and repairs payments from the gateway's records.",
)
def command(after: datetime | None, before: datetime | None, since: datetime | None) -> None:
    """Compare payments with the gateway and store a report.

    With --since, empty the caches, and repair every finding until nothing differs any more: payments made after the
    copy are rebuilt from the gateway's orders. Users who are missing are named.

    The exit code is 0 if both agree, 1 if they differ, 2 if the comparison failed, 3 if both agree as far as they
    could be compared.
    """
    if since is not None:
        if after is not None or before is not None:
            raise click.UsageError(
                "--since cannot be combined with --from or --to: its window ends now."
            )
        sys.exit(_rebuild(since.replace(tzinfo=UTC)))
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


def _rebuild(since: datetime) -> int:
    """Rebuild, print what came of it, and return the exit code."""
    with exit_2_on_error(), progress() as update:
        result = asyncio.run(rebuild(load_settings(), since, update))
    click.echo(f"{result.rebuilt} payment(s) rebuilt, {result.repaired} finding(s) repaired.")
    for user_id, count in sorted(result.unknown_users.items()):
        click.echo(f"unknown user      {user_id}, of {count} payment(s)")
    for each in result.open:
        click.echo(f"open              {each}")
    if result.unchecked:
        show_unchecked(result.unchecked)
    if result.open:
        return 1
    return INCOMPLETE if result.unchecked else 0


async def rebuild(settings: Settings, since: datetime, progress: Progress) -> "Rebuilt":
    """Bring a database that was restored from an older copy to what the gateway knows."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        # What was cached is of the database that is gone, and sums may be of another moment than their payments.
        await services.empty_caches()
        await services.insight_sums.note_all_changed()
        result = await services.restoring.rebuild(operator(), since, progress)
        await services.payout_entering.enter_again(since)
        await services.empty_caches()
        return result


async def reconcile(
    settings: Settings, after: datetime, before: datetime, progress: Progress
) -> tuple["Report", int]:
    """Make a report. Return it, and the number of its findings."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator

    async with open_services(settings) as services:
        return await services.reconciliation_service.make_now(operator(), after, before, progress)
