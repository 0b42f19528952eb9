"""`kernapay serve`: Granian in front of the application."""

import errno
import os
import shutil
import socket
import tempfile

import click

from kernapay.config.settings import load_settings
from kernapay.core.gc import frozen_start


class CannotListen(click.ClickException):
    """The address cannot be listened on; the message says why, and what to do."""


@click.command()
@click.option("--host", help="Address to listen on; HOST otherwise.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; PORT otherwise.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
def command(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API; one worker per core is right for production."""
    settings = load_settings()
    run(host or settings.host, port or settings.port, workers)


def run(host: str, port: int, workers: int) -> None:
    """Serve until a signal. Raises CannotListen."""
    check_address(host, port)
    metrics_folder = _metrics_folder() if workers > 1 else None
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.server import Server

    with frozen_start():
        # Granian forks: its workers, also one that takes the place of a dead one, begin with what is here.
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


def check_address(host: str, port: int) -> None:
    """Raise CannotListen for an address that is taken, or is none of this machine's.

    Granian listens with SO_REUSEPORT, and would share a taken port with whoever has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # What is left of closed connections (TIME_WAIT) must not hold up a restart.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except UnicodeError as error:
        raise CannotListen("the host is no name and no address: check --host or HOST") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"port {port} is taken on {host}: end what listens there, or choose another by --port or PORT"
            ) from error
        raise CannotListen(
            f"{host} port {port} cannot be listened on ({error.strerror}): check --host or HOST, --port or PORT"
        ) from error


def _metrics_folder() -> str | None:
    # prometheus-client adds up the workers' numbers through files; it must know before it is imported.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return None
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="kernapay-metrics-")
    return folder
