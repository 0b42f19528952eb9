"""`kernapay worker`: run the background work."""

import asyncio

import click

from kernapay.commands.doubts import log_doubts
from kernapay.config.loading import load_settings
from kernapay.core.gc import frozen_start


@click.command()
def command() -> None:
    """Run the background work.

    It retries webhook events and messages, checks open payments and refunds, and reconciles every night.
    """
    settings = load_settings()
    log_doubts(settings)
    with frozen_start():
        from kernapay.worker import run
    asyncio.run(run(settings))
