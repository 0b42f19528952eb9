"""`kernapay serve`: serve the API with Granian."""

import errno
import os
import shutil
import socket
import tempfile

import click

from kernapay.commands.doubts import log_doubts
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.core.gc import frozen_start


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
    log_doubts(settings)
    host, port = host or settings.host, port or settings.port
    check_address(host, port)
    _check_database(settings)
    run(host, port, workers)


def run(host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it."""
    metrics_folder = _metrics_folder() if workers > 1 else None
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.server import Server

    with frozen_start():
        # Granian forks its workers, also those that replace a dead one: they start with these imports done.
        import kernapay.asgi  # noqa: F401
    try:
        Server(
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
            log_level="warning",  # type: ignore[arg-type]
            respawn_failed_workers=True,
            workers_kill_timeout=30,
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


def _metrics_folder() -> str | None:
    # prometheus-client adds up the workers' numbers through files. It reads this variable when it is imported.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return None
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="kernapay-metrics-")
    return folder
