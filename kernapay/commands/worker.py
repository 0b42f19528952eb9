"""`kernapay worker`: the loops that finish what requests could not."""

import asyncio

import click

from kernapay.config.settings import load_settings
from kernapay.core.gc import frozen_start


@click.command()
def command() -> None:
    """Handle what could not be handled at once, look after open payments, compare the books nightly."""
    with frozen_start():
        from kernapay.worker import run
    asyncio.run(run(load_settings()))
