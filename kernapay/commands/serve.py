"""`kernapay serve`: serve the API with Granian."""

import os
import shutil
import tempfile
from typing import Final

import click
import structlog

from kernapay import __version__
from kernapay.commands.addresses import check_address
from kernapay.commands.configuration_warnings import log_configuration_warnings
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core import logs
from kernapay.core.gc import frozen_start
from kernapay.core.limits import most_connections, raise_open_files

METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_BACKLOG: Final = 4096
# Longer than proxies keep an idle connection (nginx, AWS: 60 s): what they send on one that is just being closed gets
# no answer. The head of a request may take as long.
_IDLE_MS: Final = 75_000
_log = structlog.get_logger("kernapay.serve")


@click.command()
@click.option("--host", help="Address to listen on. Default: HOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on. Default: PORT.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of worker processes. In production, use one per CPU core.",
)
def command(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API."""
    settings = load_settings()
    host, port = host or settings.host, port or settings.port
    check_address(host, port, "--host or HOST", "--port or PORT")
    log_configuration_warnings(settings)
    logs.catch_unhandled()
    _check_database(settings)
    run(settings, host, port, workers)


def run(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it."""
    metrics_folder = _share_metrics() if workers > 1 else None
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings

    from kernapay.commands.api_server import ApiServer

    with frozen_start():
        # Granian forks its workers, also those that replace a dead one: they start with these imports done.
        import kernapay.asgi  # noqa: F401
    _announce(settings, host, port, workers)
    try:
        ApiServer(
            "kernapay.asgi:app",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=_IDLE_MS),
            websockets=False,
            log_access=False,
            log_level="warning",
            workers_kill_timeout=30,
            # Granian would let each worker have 1024 connections divided by their number, idle ones included.
            backlog=_BACKLOG,
            backpressure=most_connections(settings.live_streams, raise_open_files()),
        ).serve()
    finally:
        if metrics_folder is not None:
            shutil.rmtree(metrics_folder, ignore_errors=True)


def _check_database(settings: Settings) -> None:
    from kernapay.storage.schema_watch import check_before_start

    check_before_start(settings.mongodb_url.get_secret_value())


def _share_metrics() -> str | None:
    """Name a folder in which the workers add up their metrics. Return it if it is ours to remove."""
    # `kernapay.core.metrics` reads the variable when it is imported.
    chosen = os.environ.get(METRICS_FOLDER)
    try:
        if chosen:
            os.makedirs(chosen, exist_ok=True)
            return None
        folder = os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="kernapay-metrics-")
    except OSError as error:
        os.environ.pop(METRICS_FOLDER, None)
        _log.warning("metrics_not_shared", error=str(error), fix=f"set {METRICS_FOLDER}")
        return None
    return folder


def _announce(settings: Settings, host: str, port: int, workers: int) -> None:
    _log.info(
        "serving",
        version=__version__,
        address=f"http://{f'[{host}]' if ':' in host else host}:{port}",
        workers=workers,
        environment=settings.environment,
        gateway=settings.razorpay_base_url,
        live=settings.is_live,
    )
