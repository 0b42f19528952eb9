"""`kernapay serve`: serve the API with Granian."""

import errno
import os
import shutil
import socket
import tempfile
from typing import Final

import click
import structlog

from kernapay import __version__
from kernapay.commands.doubts import log_doubts
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core import logs
from kernapay.core.gc import frozen_start
from kernapay.core.limits import raise_open_files

METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_CONNECTIONS: Final = 4096
_log = structlog.get_logger("kernapay.serve")


class CannotListen(click.ClickException):
    """The address cannot be listened on. The message contains the reason and a fix."""


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
    check_address(host, port)
    log_doubts(settings)
    logs.catch_unhandled()
    _check_database(settings)
    run(settings, host, port, workers)


def run(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it."""
    metrics_folder = _share_metrics() if workers > 1 else None
    from granian.constants import HTTPModes, Interfaces, Loops

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
            websockets=False,
            log_access=False,
            log_level="warning",
            workers_kill_timeout=30,
            # Granian would let each worker have 1024 connections divided by their number, idle ones included.
            backlog=_CONNECTIONS,
            backpressure=min(_CONNECTIONS, max(128, raise_open_files() // 2)),
        ).serve()
    finally:
        if metrics_folder is not None:
            shutil.rmtree(metrics_folder, ignore_errors=True)


def _check_database(settings: Settings) -> None:
    from kernapay.storage.schema_watch import check_before_start

    check_before_start(settings.mongodb_url.get_secret_value())


def check_address(host: str, port: int) -> None:
    """Raise CannotListen for an address that is taken or does not belong to this machine.

    Granian listens with SO_REUSEPORT, so it would share a taken port with another server.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # Allow a restart while closed connections are still in TIME_WAIT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except UnicodeError as error:
        raise CannotListen(
            "The host is neither a host name nor an IP address. Fix: check --host or HOST."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} is taken on {host}. Fix: stop the program that uses it, or set --port or PORT."
            ) from error
        raise CannotListen(
            f"{host} port {port} cannot be listened on ({error.strerror}). "
            "Fix: check --host or HOST, and --port or PORT."
        ) from error


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
