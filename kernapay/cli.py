"""The command line: `kernapay COMMAND --help` says the rest."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from kernapay import __version__
from kernapay.core.errors import Unavailable
from kernapay.core.garbage import kept
from kernapay.settings import ConfigurationError, load_settings


class _Group(click.Group):
    """Imports the commands that are written elsewhere when one is asked for: the others start sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "demo", "dev", "sandbox"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match cmd_name:
            case "demo":
                from kernapay.devstack.demo import demo as found
            case "dev":
                from kernapay.devstack.cli import dev as found
            case "sandbox":
                from kernapay.sandbox.cli import sandbox as found
            case _:
                return super().get_command(ctx, cmd_name)
        return found


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """KernaPay: payments through Razorpay that are never lost, doubled or misreported.

    New here? `kernapay dev` starts everything, `kernapay demo` makes a payment against it.
    """


def main() -> None:
    try:
        cli()
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except Unavailable as error:
        click.echo(f"Error: {error.detail}", err=True)
        sys.exit(1)


@cli.command()
@click.option("--host", help="Address to listen on; HOST otherwise.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; PORT otherwise.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API; one worker per core is right for production."""
    from kernapay import server

    settings = load_settings()
    try:
        server.run(host or settings.host, port or settings.port, workers)
    except server.CannotListen as error:
        raise click.ClickException(str(error)) from error


@cli.command()
def worker() -> None:
    """Handle what could not be handled at once, look after open payments, compare the books nightly."""
    with kept():
        from kernapay.worker import run
    asyncio.run(run(load_settings()))


@cli.group()
def migrate() -> None:
    """Bring the database to the form this version needs."""


@contextmanager
def _migrator() -> Iterator[Any]:
    from pymongo.errors import PyMongoError

    from kernapay.core.migrations import MigrationError, Migrator
    from kernapay.core.mongo import open_database

    url = load_settings().mongodb_url.get_secret_value()
    try:
        client, db = open_database(url)
        with client:
            yield Migrator(db)
    except MigrationError as error:
        raise click.ClickException(str(error)) from error
    except PyMongoError as error:
        raise click.ClickException(f"MONGODB_URL: {type(error).__name__}: {error}") from error


@migrate.command("up")
def migrate_up() -> None:
    """Apply what is new. Safe to start from several machines at once."""
    with _migrator() as migrator:
        done = migrator.up()
    for name in done:
        click.echo(f"applied {name}")
    click.echo(f"{len(done)} applied; the database is up to date.")


@migrate.command("down")
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True)
def migrate_down(steps: int) -> None:
    """Take the last migrations back."""
    with _migrator() as migrator:
        done = migrator.down(steps)
    for name in done:
        click.echo(f"reverted {name}")
    click.echo(f"{len(done)} reverted.")


@migrate.command("status")
def migrate_status() -> None:
    """List every migration and when it was applied; exit code 1 when some are not."""
    with _migrator() as migrator:
        states = migrator.status()
    for state in states:
        when = f"{state.applied_at:%Y-%m-%d %H:%M:%SZ}" if state.applied_at else "not applied"
        click.echo(f"{when:<20}  {state.name}")
    if any(state.applied_at is None for state in states):
        click.echo("Next: kernapay migrate up")
        sys.exit(1)


@cli.command()
@click.option(
    "--dependencies", is_flag=True, help="Check what is installed against published advisories."
)
def doctor(dependencies: bool) -> None:
    """Check everything the service stands on, and say what to do; exit code 1 when something fails."""
    from kernapay.core import logs
    from kernapay.doctor.dependencies import examine_dependencies
    from kernapay.doctor.examination import examine
    from kernapay.doctor.findings import Finding, Level

    levels = set()

    def tell(finding: Finding) -> None:
        click.echo(finding)
        levels.add(finding.level)

    async def look() -> None:
        logs.configure("WARNING", sys.stderr)  # the output is the findings
        async for finding in examine(load_settings()):
            tell(finding)

    if dependencies:
        for finding in examine_dependencies():
            tell(finding)
    else:
        try:
            asyncio.run(look())
        except ConfigurationError as error:
            for line in str(error).splitlines()[1:]:
                tell(Finding(Level.FAIL, "configuration", line.strip(), "correct it"))
    sys.exit(Level.FAIL in levels)


@cli.command("create-admin")
@click.option("--email", required=True)
@click.option("--name", default="Administrator", show_default=True)
@click.option(
    "--password",
    envvar="KERNAPAY_ADMIN_PASSWORD",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for when neither this nor KERNAPAY_ADMIN_PASSWORD is given.",
)
@click.option("--mobile-number", default="9876543210", show_default=True)
@click.option("--country-code", default="+91", show_default=True)
@click.option(
    "--promote",
    is_flag=True,
    help="Take over an account that is there: it becomes ADMIN, gets this password, and is signed out everywhere.",
)
def create_admin(
    email: str, name: str, password: str, mobile_number: str, country_code: str, promote: bool
) -> None:
    """Open an ADMIN account. An account that is there is refused, unless you --promote it."""
    from kernapay.accounts import AccountError, open_admin

    fields = {
        "email": email,
        "name": name,
        "password": password,
        "confirmPassword": password,
        "mobileNumber": mobile_number,
        "countryCode": country_code,
        "type": "ADMIN",
    }
    try:
        click.echo(asyncio.run(open_admin(load_settings(), fields, promote=promote)))
    except AccountError as error:
        raise click.ClickException(str(error)) from error


@cli.command()
def seed() -> None:
    """Open one demo account per role; for development only."""
    from kernapay.accounts import AccountError, open_demo_accounts

    settings = load_settings()
    if settings.production:
        raise click.ClickException("Demo accounts have known passwords: not in production.")
    try:
        asyncio.run(open_demo_accounts(settings))
    except AccountError as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; else printed."
)
def openapi(output: Path | None) -> None:
    """Write the OpenAPI document."""
    from kernapay.app import create_app
    from kernapay.ops.schema import document

    # The document does not depend on the configuration: any will do.
    app = create_app(
        load_settings(
            None,
            app_env="development",
            mongodb_url="mongodb://localhost/kernapay",
            jwt_secret="unused",  # noqa: S106
            razorpay_key_id="rzp_test_unused",
            razorpay_key_secret="unused",  # noqa: S106
            razorpay_webhook_secret="unused",  # noqa: S106
        )
    )
    written = msgspec.json.encode(document(app))
    text = msgspec.json.format(written, indent=2).decode() + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"wrote {output}")


_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@cli.command()
@click.option("--from", "after", type=_MOMENT, help="UTC; a day ago otherwise.")
@click.option("--to", "before", type=_MOMENT, help="UTC; now otherwise.")
def reconcile(after: datetime | None, before: datetime | None) -> None:
    """Compare a window with the gateway's books and keep a report.

    The exit code is 0 when they agree, 1 when they differ, 2 when that could not be found out.
    """
    from kernapay import books

    end = _utc(before) or datetime.now(UTC)
    start = _utc(after) or end - timedelta(days=1)
    with _books(), _told() as progress:
        report, found = asyncio.run(books.reconcile(load_settings(), start, end, progress))
    click.echo(f"{found} difference(s) between {start:%Y-%m-%d %H:%MZ} and {end:%Y-%m-%d %H:%MZ}.")
    click.echo(f"Report {report}: GET /v1/api/reconciliation/reports/{report}")
    sys.exit(1 if found else 0)


@cli.command()
@click.option("--from", "after", type=_MOMENT, help="UTC; the first payment otherwise.")
@click.option("--to", "before", type=_MOMENT, help="UTC; now otherwise.")
def audit(after: datetime | None, before: datetime | None) -> None:
    """Compare every payment with the gateway's books, changing nothing.

    The exit code is 0 when they agree, 1 when they differ, 2 when that could not be found out.
    """
    from kernapay import books
    from kernapay.reconciliation.comparison import Difference

    def tell(difference: Difference) -> None:
        what = difference.payment.reference_id if difference.payment else difference.order_id
        click.echo(
            f"{difference.kind.value:<17} {what}  ours: {difference.ours}  theirs: {difference.theirs}"
        )

    with _books(), _told() as progress:
        totals, found = asyncio.run(
            books.audit(load_settings(), _utc(after), _utc(before), progress, tell)
        )
    counted = ", ".join(f"{name} {count}" for name, count in sorted(totals.items()))
    click.echo(f"{counted or 'no payments'}")
    click.echo(f"{found} difference(s): run kernapay reconcile." if found else "The books agree.")
    sys.exit(1 if found else 0)


@cli.group()
def inbox() -> None:
    """Look at the webhook events that came, and handle them again."""


@inbox.command("list")
@click.option("--status", type=click.Choice(["pending", "processed", "ignored", "parked"]))
def inbox_list(status: str | None) -> None:
    """List the newest hundred events."""
    from kernapay import books
    from kernapay.webhooks.models import EventStatus

    with _books():
        found = asyncio.run(books.events(load_settings(), EventStatus(status) if status else None))
    for event in found:
        line = f"{event.created_at:%Y-%m-%d %H:%M:%SZ}  {event.status.value:<9}  {event.event:<24}"
        click.echo(f"{line}  {event.event_id}  {event.error or event.outcome or ''}")
    click.echo(f"{len(found)} event(s).")


@inbox.command("replay")
@click.argument("event_id", required=False)
@click.option("--status", type=click.Choice(["parked", "pending"]), help="All of this status.")
def inbox_replay(event_id: str | None, status: str | None) -> None:
    """Handle one event again, or all of a status; harmless for what was handled already."""
    if (event_id is None) == (status is None):
        raise click.UsageError("Say which: an event id, or --status parked.")
    from kernapay import books
    from kernapay.webhooks.models import EventStatus

    with _books():
        count = asyncio.run(
            books.replay(load_settings(), event_id, EventStatus(status or "parked"))
        )
    click.echo(f"{count} event(s) handled again. See what became of them: kernapay inbox list")


class _NoAnswer(click.ClickException):
    exit_code = 2


@contextmanager
def _books() -> Iterator[None]:
    """Say what went wrong, with an exit code of its own: 1 means that the books differ."""
    from kernapay.core.errors import KernaPayError

    try:
        yield
    except KernaPayError as error:
        raise _NoAnswer(error.detail) from error


@contextmanager
def _told() -> Iterator[Callable[[str, int], None]]:
    """Show how far long work has come, on standard error and only to a person."""
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description} {task.completed}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, count: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=None)
            progress.update(tasks[what], completed=count)

        yield tell


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
