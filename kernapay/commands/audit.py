"""`kernapay audit`: compare payments with the gateway, without changing anything."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

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
    from kernapay.reconciliation.differences import Difference

# What the gateway has of so many days is held in memory at once.
_CHUNK: Final = timedelta(days=31)


@dataclass(slots=True)
class Audited:
    """What an audit counted, and what it could not compare."""

    totals: Counter[str] = field(default_factory=Counter)
    differences: int = 0
    unchecked: list[str] = field(default_factory=list)


@click.command()
@click.option("--from", "after", type=TIME, help="Start, in UTC. Default: the first payment.")
@click.option("--to", "before", type=TIME, help="End, in UTC. Default: now.")
def command(after: datetime | None, before: datetime | None) -> None:
    """Compare payments with the gateway, without changing anything.

    Every difference is printed. The exit code is 0 if there is none, 1 if there are some, 2 if the comparison failed,
    3 if there is none but something could not be compared.
    """
    with exit_2_on_error(), progress() as update:
        audited = asyncio.run(
            audit(load_settings(), as_utc(after), as_utc(before), update, show_difference)
        )
    summary = ", ".join(f"{name} {count}" for name, count in sorted(audited.totals.items()))
    click.echo(summary or "no payments")
    if audited.unchecked:
        show_unchecked(audited.unchecked)
    if audited.differences:
        click.echo(f"{audited.differences} difference(s). Next: kernapay reconcile")
        sys.exit(1)
    if audited.unchecked:
        sys.exit(INCOMPLETE)
    click.echo("KernaPay and the gateway agree.")


def show_difference(difference: "Difference") -> None:
    click.echo(
        f"{difference.kind.value:<17} {difference.subject}  "
        f"KernaPay: {difference.ours}  gateway: {difference.theirs}"
    )


async def audit(
    settings: Settings,
    after: datetime | None,
    before: datetime | None,
    progress: Progress,
    show: Callable[["Difference"], None],
) -> Audited:
    """Compare payments with the gateway. `show` is called with each difference.

    Raises InvalidInput if the window is empty or ends in the future, GatewayError, Unavailable.
    """
    from kernapay.bootstrap.services import open_services
    from kernapay.gateway.base import EARLIEST

    async with open_services(settings) as services:
        reconciliation = services.reconciliation_service
        start, end = await reconciliation.audit_window(after, before)
        audited = Audited()
        done: set[str] = set()
        while start < end:
            # Of the time before that, the gateway has nothing.
            until = min(end, max(start + _CHUNK, EARLIEST))
            comparison = reconciliation.compare(start, until, progress, done)
            async for difference in comparison.run(settlements=False):
                show(difference)
                audited.differences += 1
            audited.totals += comparison.totals
            audited.unchecked += comparison.unchecked
            start = until
        return audited
