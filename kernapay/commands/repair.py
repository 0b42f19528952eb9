"""`kernapay repair`: repair the findings of a report."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import click

from kernapay.commands.output import exit_2_on_error
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core.errors import InvalidInput

_OBJECT_ID: Final = 24


@click.command()
@click.argument("report")
@click.argument("finding", required=False)
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Say what would be done, and do nothing."
)
def command(report: str, finding: str | None, is_dry_run: bool) -> None:
    """Repair the findings of a report that are open, or one of them.

    Each asks the gateway first, and acts on what is true now. The exit code is 0 if nothing is open afterwards, 1 if
    something is, 2 if the gateway or the database did not answer.
    """
    with exit_2_on_error():
        open_count = asyncio.run(repair(load_settings(), report, finding, is_dry_run, click.echo))
    sys.exit(1 if open_count else 0)


async def repair(
    settings: Settings,
    report_id: str,
    finding_id: str | None,
    is_dry_run: bool,
    show: Callable[[str], None],
) -> int:
    """Repair the findings, and `show` a line for each. Return how many are open afterwards."""
    from kernapay.bootstrap.services import open_services
    from kernapay.commands.operator import operator
    from kernapay.reconciliation.repair_runs import repair_each

    _check_id(report_id, "REPORT")
    if finding_id is not None:
        _check_id(finding_id, "FINDING")
    open_count = 0
    async with open_services(settings) as services:
        if finding_id is None:
            await services.report_repository.get(id=report_id)
            ids = await services.finding_repository.open_ids(report_id)
        else:
            ids = [finding_id]
        runs = repair_each(
            services.repair_service, operator(), report_id, ids, is_dry_run=is_dry_run
        )
        async for each, done in runs:
            show(f"{each}  {done.outcome}")
            open_count += not done.is_repaired
    return open_count


def _check_id(value: str, name: str) -> None:
    if len(value) != _OBJECT_ID or not all(c in "0123456789abcdef" for c in value):
        raise InvalidInput(f"{name} must be an id of 24 hexadecimal digits.")
