"""`kernapay migrate`: apply, revert and list migrations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kernapay.config.settings import load_settings

if TYPE_CHECKING:
    from kernapay.storage.migrations import Migrator


@click.group()
def command() -> None:
    """Bring the database to the form this version needs."""


@contextmanager
def _migrator() -> Iterator["Migrator"]:
    from pymongo.errors import PyMongoError

    from kernapay.storage.migrations import MigrationError, Migrator
    from kernapay.storage.mongo import open_database

    url = load_settings().mongodb_url.get_secret_value()
    try:
        client, db = open_database(url)
        with client:
            yield Migrator(db)
    except MigrationError as error:
        raise click.ClickException(str(error)) from error
    except PyMongoError as error:
        raise click.ClickException(f"MONGODB_URL: {type(error).__name__}: {error}") from error


@command.command("up")
def up() -> None:
    """Apply what is new. Safe to start from several machines at once."""
    with _migrator() as migrator:
        done = migrator.up()
    for name in done:
        click.echo(f"applied {name}")
    click.echo(f"{len(done)} applied; the database is up to date.")


@command.command("down")
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True)
def down(steps: int) -> None:
    """Take the last migrations back."""
    with _migrator() as migrator:
        done = migrator.down(steps)
    for name in done:
        click.echo(f"reverted {name}")
    click.echo(f"{len(done)} reverted.")


@command.command("status")
def status() -> None:
    """List every migration and when it was applied; exit code 1 when some are not."""
    with _migrator() as migrator:
        states = migrator.status()
    for state in states:
        when = f"{state.applied_at:%Y-%m-%d %H:%M:%SZ}" if state.applied_at else "not applied"
        click.echo(f"{when:<20}  {state.name}")
    if any(state.applied_at is None for state in states):
        click.echo("Next: kernapay migrate up")
        sys.exit(1)
