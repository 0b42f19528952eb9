"""An API, or a worker, on a machine whose clock is wrong: `python -m tests.wrong_clock api --port N`, or `worker`.

MINUTES says by how many minutes, from when on the file WRONG_FROM exists. Without that file the clock is right.
"""

import asyncio
import os
import sys
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from granian.constants import Interfaces, Loops
from litestar import Litestar

from kernapay import worker
from kernapay.app import create_app
from kernapay.bootstrap.services import Services
from kernapay.commands.api_server import ApiServer
from kernapay.config.loading import load_settings
from kernapay.core import logs
from kernapay.core.clock import now
from kernapay.core.heartbeat import Heartbeat
from kernapay.devstack.ports import HOST
from kernapay.storage.schema_watch import SchemaWatch

_SINCE = Path(os.environ.get("WRONG_FROM", "/"))
_OFF = timedelta(minutes=float(os.environ.get("MINUTES", "0")))


def machine_clock() -> datetime:
    return now() + (_OFF if _SINCE.exists() else timedelta(0))


class _Services(Services):
    @cached_property
    def schema_watch(self) -> SchemaWatch:
        return SchemaWatch(self.mongo, super().schema_watch.max_skew, machine_clock)


def app() -> Litestar:
    """Return the application."""
    settings = load_settings()
    return create_app(settings, _Services(settings, clock=machine_clock))


def main(kind: str, *options: str) -> None:
    """Serve or work until a signal."""
    if kind == "worker":
        settings = load_settings()
        services = _Services(settings, clock=machine_clock, process="worker")
        asyncio.run(worker.run(settings, Heartbeat(None), services))
        return
    logs.configure()
    ApiServer(
        "tests.wrong_clock:app",
        factory=True,
        address=HOST,
        port=int(options[1]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        websockets=False,
        log_level="warning",
    ).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
