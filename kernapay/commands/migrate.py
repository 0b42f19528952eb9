"""`kernapay migrate`: apply, revert and list migrations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kernapay.config.loading import load_settings

if TYPE_CHECKING:
    from kernapay.storage.migrations import Migrator


@click.group()
def command() -> None:
    """Apply, revert and list the migrations of the database."""


@contextmanager
def _migrator() -> Iterator["Migrator"]:
    from pymongo.errors import PyMongoError

    from kernapay.storage.migration_files import MigrationError
    from kernapay.storage.migrations import Migrator
    from kernapay.storage.mongo import open_database

    url = load_settings().mongodb_url.get_secret_value()
    try:
        client, db = open_database(url)
        with client:
            yield Migrator(db)
    except MigrationError as error:
        raise click.ClickException(str(error)) from error
    except PyMongoError as error:
        raise click.ClickException(
            f"MONGODB_URL: {type(error).__name__}: {error}. "
            "Fix: start MongoDB, and check the host, user and password in MONGODB_URL."
        ) from error


@command.command("up", epilog="Example: kernapay migrate up")
def up() -> None:
    """Apply the pending migrations, and make indexes again that are missing.

    Several machines may run this at once.
    """
    with _migrator() as migrator:
        names = migrator.up()
        for name in names:
            click.echo(f"applied {name}")
        for place in migrator.restore_indexes():
            click.echo(f"made the index {place} again")
    click.echo(f"{len(names)} applied; the database is up to date.")


@command.command("down", epilog="Example: kernapay migrate down --steps 2")
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of migrations to revert.",
)
def down(steps: int) -> None:
    """Revert the last migrations, newest first."""
    with _migrator() as migrator:
        names = migrator.down(steps)
    for name in names:
        click.echo(f"reverted {name}")
    click.echo(f"{len(names)} reverted.")


@command.command("status", epilog="Example: kernapay migrate status")
def status() -> None:
    """List every migration and when it was applied.

    The exit code is 1 if any is not applied.
    """
    with _migrator() as migrator:
        states = migrator.status()
    for state in states:
        when = f"{state.applied_at:%Y-%m-%d %H:%M:%SZ}" if state.applied_at else "not applied"
        click.echo(f"{when:<20}  {state.name}")
    if any(state.applied_at is None for state in states):
        click.echo("Next: kernapay migrate up")
        sys.exit(1)
