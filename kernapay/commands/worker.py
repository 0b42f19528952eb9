"""`kernapay worker`: run the background work."""

import asyncio
from pathlib import Path

import click

from kernapay.commands.addresses import check_address
from kernapay.commands.configuration_warnings import log_configuration_warnings
from kernapay.config.loading import load_settings
from kernapay.core.gc import frozen_start
from kernapay.core.heartbeat import Heartbeat, find_silence


@click.command()
@click.option(
    "--heartbeat",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for heartbeats, in a directory that nobody else may write to.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Start nothing. Exit with 1 if the worker that writes the --heartbeat hangs.",
)
def command(heartbeat: Path | None, check: bool) -> None:
    """Run the background work.

    It retries webhook events and messages, checks open payments and refunds, and reconciles every night.
    """
    if check:
        if heartbeat is None:
            raise click.UsageError("--check needs --heartbeat, with the file of the worker.")
        if problems := find_silence(heartbeat):
            raise click.ClickException("\n".join(problems))
        return
    settings = load_settings()
    if settings.worker_metrics_port is not None:
        check_address(settings.host, settings.worker_metrics_port, "HOST", "WORKER_METRICS_PORT")
    log_configuration_warnings(settings)
    with frozen_start():
        from kernapay.worker import run
    asyncio.run(run(settings, Heartbeat(heartbeat)))
