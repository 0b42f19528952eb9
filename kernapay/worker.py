"""The loops: webhooks that are due, payments without an end, comparisons with the gateway."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from kernapay.bootstrap.services import Services
from kernapay.config.settings import Settings
from kernapay.core import logs
from kernapay.core.errors import KernaPayError

Sweep = Callable[[], Awaitable[bool]]
"""Do one piece of due work; False when there is none."""

_log = structlog.get_logger("kernapay.worker")
_IDLE_SECONDS: Final = 1.0


def sweeps(services: Services) -> dict[str, Sweep]:
    """Name every loop. Each claims its work by an atomic update, so any number of workers may run.

    One loop a queue: no class of work waits for another.
    """
    reconciliation = services.reconciliation_service
    payments = (services.settlement.unpaid, services.settlement.late, services.refund_service.open)
    return {
        "inbox": services.webhook_inbox.sweep,
        "outbox": services.outbox.sweep,
        **{queue.name: partial(reconciliation.check_due, queue) for queue in payments},
        "nightly": reconciliation.request_nightly,
        "reports": reconciliation.sweep_reports,
    }


async def run(settings: Settings) -> None:
    """Work until told to stop."""
    logs.configure(settings.log_level)
    services = Services(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await services.open()
    _log.info("worker_started")
    try:
        async with asyncio.TaskGroup() as group:
            for name, sweep in sweeps(services).items():
                group.create_task(repeat(name, sweep, stop))
    finally:
        await services.close()
        _log.info("worker_stopped")


async def repeat(name: str, sweep: Sweep, stop: asyncio.Event) -> None:
    """Sweep as long as there is work; rest when there is none, or when it cannot be done now."""
    while not stop.is_set():
        try:
            busy = await sweep()
        except KernaPayError as error:
            _log.warning("sweep_failed", sweep=name, code=error.code)
            busy = False
        except Exception as error:
            # A bug in one piece of work must not end the others; it is logged whole, and the work stays due.
            _log.error("sweep_broken", sweep=name, exc_info=error)
            busy = False
        if not busy:
            await _rest(stop)


async def _rest(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            await stop.wait()
    except TimeoutError:
        return
