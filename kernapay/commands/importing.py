"""`kernapay import express`: move in from the Express service that KernaPay replaces."""

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kernapay.commands.importing_output import list_writer, show_comparison, show_report
from kernapay.commands.output import Progress, exit_2_on_error, progress
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core.clock import now

if TYPE_CHECKING:
    from kernapay.bootstrap.services import Services
    from kernapay.express_import.amounts import Unit
    from kernapay.express_import.changes import Changes
    from kernapay.express_import.comparison import Comparison
    from kernapay.express_import.payment_import import AskUnit
    from kernapay.express_import.payment_rows import OldPayment
    from kernapay.express_import.report import Report
    from kernapay.express_import.repository import ExpressDatabase

_ASK: Final = "ask"
_LEAVE: Final = "leave"
# Clocks differ, here and at the gateway.
_OVERLAP: Final = timedelta(hours=1)


def _writable(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path that cannot be written now, and not hours later at the end of the import."""
    if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.BadParameter(f"{path} cannot be written.")
    return path


@click.group()
def command() -> None:
    """Import accounts and payments of an earlier service."""


@command.command("express", epilog="Example: kernapay import express --dry-run")
@click.option(
    "--from",
    "source",
    envvar="EXPRESS_MONGODB_URL",
    required=True,
    help="MongoDB URL of the Express service, which is only read. Default: EXPRESS_MONGODB_URL.",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Report, and write nothing.")
@click.option(
    "--amounts",
    type=click.Choice(["rupees", "paise", _ASK]),
    default=_ASK,
    show_default=True,
    help="The unit of amounts that the gateway's orders do not prove.",
)
@click.option(
    "--duplicates",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_writable,
    help="CSV file with your choice among accounts with the same address. It is created for you to fill in.",
)
@click.option(
    "--report",
    "lists",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_writable,
    help="CSV file for the full lists of the report. The screen shows the first ten lines of each.",
)
@click.option(
    "--all",
    "asks_all",
    is_flag=True,
    help="Ask the gateway about every payment again, not only about those that have changed.",
)
@click.option(
    "--statuses-later",
    "later",
    is_flag=True,
    help="Import new payments as unpaid, without asking the gateway. The next import asks it. Needs --amounts.",
)
def express(
    source: str,
    is_dry_run: bool,
    amounts: str,
    duplicates: Path | None,
    lists: Path | None,
    asks_all: bool,
    later: bool,
) -> None:
    """Import the accounts and payments of the Express service that KernaPay replaces.

    Repeat it as often as you like until your clients use KernaPay: each run imports what is new or has changed.
    Statuses come from the gateway, which is only read: nothing is captured or refunded.

    The exit code is 0 if everything is imported and agrees with the gateway, 1 if something is missing or differs, and
    2 if the import was interrupted: repeat it then.
    """
    if later and amounts == _ASK:
        raise click.UsageError("--statuses-later needs --amounts rupees or --amounts paise.")
    settings = load_settings()
    run = _Run(
        settings,
        source,
        amounts,
        duplicates,
        writes=not is_dry_run,
        asks_all=asks_all,
        later=later,
    )
    with exit_2_on_error(), list_writer(lists) as write, progress(asks=amounts == _ASK) as update:
        report, comparison = asyncio.run(run.run(update, write))
    show_report(report, is_dry_run=is_dry_run)
    if lists is not None:
        click.echo(f"The full lists are in {lists}.")
    if run.has_candidates:
        click.echo(run.explain_choices())
    if comparison is None:
        click.echo("Nothing was written.")
        sys.exit(1 if report.has_open else 0)
    show_comparison(comparison)
    if later:
        click.echo(
            "\nNothing was asked of the gateway. Repeat the command without --statuses-later."
        )
        sys.exit(1)
    differences = _audit(settings, run.since)
    with exit_2_on_error():
        asyncio.run(run.finish())
    sys.exit(1 if differences or report.has_open or comparison.differences else 0)


def _audit(settings: Settings, since: datetime | None) -> int:
    """Compare payments with the gateway, from `since` on or all. Print the differences and return their number."""
    from kernapay.commands.audit import audit, show_difference

    scope = f" since {since:%Y-%m-%d %H:%MZ}" if since else ""
    click.echo(f"\nCompared with the gateway{scope}:")
    with exit_2_on_error(), progress() as update:
        audited = asyncio.run(audit(settings, since, None, update, show_difference))
    for each in audited.unchecked:
        click.echo(f"not compared      {each}")
    click.echo(
        f"{audited.differences} difference(s), {len(audited.unchecked)} could not be compared."
    )
    return audited.differences


class _Run:
    def __init__(
        self,
        settings: Settings,
        source: str,
        amounts: str,
        duplicates: Path | None,
        *,
        writes: bool,
        asks_all: bool,
        later: bool,
    ) -> None:
        """After `run`, `since` is the time from which on payments have to be compared, None for all."""
        self._asks_all = asks_all
        self._later = later
        self._began_at = now()
        self._checkpoint = ""
        self.since: datetime | None = None
        self._settings = settings
        self._source = source
        self._amounts = amounts
        self._duplicates = duplicates
        self._writes = writes
        self.has_candidates = False

    async def run(
        self, update: Progress, write: Callable[[str, str], object]
    ) -> tuple["Report", "Comparison | None"]:
        """Import or, without `writes`, only report. Raises KernaPayError."""
        from kernapay.bootstrap.services import open_services
        from kernapay.commands.operator import operator
        from kernapay.express_import.comparison import compare
        from kernapay.express_import.repository import ExpressDatabase

        old = ExpressDatabase(self._source)
        try:
            async with open_services(self._settings) as services:
                counts = await old.check()
                found = ", ".join(f"{count} {name}" for name, count in counts.items())
                click.echo(f"Database {old.name}: {found}.")
                self._checkpoint = f"express:{old.name}"
                if not self._writes:
                    return await self._move(old, services, update, write), None
                action = services.audit_log.action(operator(), "express.import", f"db:{old.name}")
                async with action:
                    report = await self._move(old, services, update, write)
                imported = services.imported_payments
                return report, await compare(old, services.user_repository, imported, update)
        finally:
            old.close()

    async def finish(self) -> None:
        """Move the checkpoint to the start of this run. Raises KernaPayError."""
        from kernapay.bootstrap.services import open_services
        from kernapay.express_import.checkpoints.repository import CheckpointRepository

        async with open_services(self._settings) as services:
            await CheckpointRepository(services.mongo).finish(self._checkpoint, self._began_at)

    async def _read_changes(self, services: "Services") -> "Changes":
        from kernapay.express_import.changes import Changes
        from kernapay.express_import.checkpoints.repository import CheckpointRepository

        changes = Changes(services.payment_gateway, services.pace)
        checkpoints = CheckpointRepository(services.mongo)
        checkpoint = await checkpoints.find(self._checkpoint)
        if checkpoint is not None and not self._asks_all and not self._later:
            await changes.read(checkpoint.since)
            if checkpoint.is_complete:
                self.since = checkpoint.since - _OVERLAP
        if self._writes:
            await checkpoints.begin(self._checkpoint, self._began_at)
        return changes

    async def _move(
        self,
        old: "ExpressDatabase",
        services: "Services",
        update: Progress,
        write: Callable[[str, str], object],
    ) -> "Report":
        from kernapay.express_import.account_import import AccountImport
        from kernapay.express_import.account_plan import AccountPlanner
        from kernapay.express_import.choices import read_choices, write_choices
        from kernapay.express_import.gateway_orders import GatewayOrders
        from kernapay.express_import.payment_import import PaymentImport
        from kernapay.express_import.report import Report

        production = self._settings.is_production
        path = self._duplicates
        choices = {}
        if path is not None and path.exists():
            choices = read_choices(path, production=production)
        plan = await AccountPlanner(old, choices, production=production).plan(update)
        report = Report(write=write)
        writes = self._writes
        await AccountImport(old, services.user_repository, now, writes=writes).import_all(
            plan, report, update
        )
        self.has_candidates = any(each.id in plan.waiting for each in plan.candidates)
        if path is not None and plan.candidates:
            write_choices(path, plan.candidates, choices)
        payments = PaymentImport(
            old,
            services.imported_payments,
            GatewayOrders(services.payment_gateway, services.pace),
            await self._read_changes(services),
            self._make_ask(),
            live=self._settings.is_live,
            writes=writes,
            later=self._later,
        )
        await payments.import_all(plan, report, update)
        return report

    def explain_choices(self) -> str:
        if self._duplicates is None:
            return "Some accounts need your choice: --duplicates FILE makes a file for that."
        return f"Which accounts stay is in {self._duplicates}: fill in what is empty, and repeat the command."

    def _make_ask(self) -> "AskUnit":
        from kernapay.express_import.amounts import Unit

        chosen: list[Unit | None] = []
        if self._amounts != _ASK:
            chosen.append(Unit(self._amounts))
        elif not sys.stdin.isatty():
            chosen.append(None)
        lock = asyncio.Lock()

        async def ask(old: "OldPayment", reason: str) -> "Unit | None":
            async with lock:
                if not chosen:
                    text = (
                        f"\n{old.name} is over {old.amount} {old.currency}, and {reason}. "
                        "What are such amounts?"
                    )
                    kinds = click.Choice([*(unit.value for unit in Unit), _LEAVE])
                    answer = await asyncio.to_thread(click.prompt, text, type=kinds)
                    chosen.append(None if answer == _LEAVE else Unit(answer))
                return chosen[0]

        return ask
