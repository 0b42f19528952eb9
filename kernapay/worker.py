"""The loops: sweep the webhook inbox."""

import asyncio
import signal
from typing import Final

import structlog

from kernapay.bootstrap import Services, build
from kernapay.core import logs
from kernapay.core.errors import KernaPayError
from kernapay.settings import Settings

_log = structlog.get_logger("kernapay.worker")
_IDLE_SECONDS: Final = 1.0


async def run(settings: Settings) -> None:
    """Work until told to stop; any number of workers may run side by side."""
    logs.configure(settings.log_level)
    services = build(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await services.open()
    _log.info("worker_started")
    try:
        await sweep_inbox(services, stop)
    finally:
        await services.close()
        _log.info("worker_stopped")


async def sweep_inbox(services: Services, stop: asyncio.Event) -> None:
    """Handle due events one after the other; rest when there are none or the database is away."""
    while not stop.is_set():
        try:
            busy = await services.inbox.sweep()
        except KernaPayError as error:
            _log.warning("sweep_failed", code=error.code)
            busy = False
        if not busy:
            await _rest(stop)


async def _rest(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            await stop.wait()
    except TimeoutError:
        return
