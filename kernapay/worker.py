"""The background work: one loop per queue, and the nightly reconciliation."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Final

import structlog

from kernapay import __version__
from kernapay.bootstrap.services import Services
from kernapay.bootstrap.tracing import traced
from kernapay.config.settings import Settings
from kernapay.core import logs
from kernapay.core.errors import KernaPayError, Unavailable
from kernapay.core.heartbeat import Heartbeat, beat
from kernapay.core.limits import raise_open_files
from kernapay.core.log_stream import LogStream
from kernapay.storage.signals import Alarm

Sweep = Callable[[], Awaitable[bool]]
"""Do one piece of due work. Return False if none is due."""

_log = structlog.get_logger("kernapay.worker")
_IDLE_SECONDS: Final = 1.0
# Under load, what comes in this time is worked on together.
_ALARM_SECONDS: Final = 0.05


def sweeps(services: Services) -> dict[str, Sweep]:
    """Return the work of each loop by name. One loop per queue, so that no kind of work waits for another.

    Work is claimed with atomic updates, so any number of workers may run.
    """
    reconciliation = services.reconciliation_service
    settlement = services.settlement
    payments = (
        settlement.unpaid,
        settlement.late,
        settlement.ending,
        services.refund_service.open,
    )
    surplus = services.surplus_payments
    return {
        "inbox": services.webhook_inbox.sweep,
        "outbox": services.outbox.sweep,
        **{queue.name: partial(reconciliation.check_due, queue) for queue in payments},
        "lost_payments": services.lost_payments.sweep,
        surplus.due.name: partial(surplus.due.sweep, surplus.give_back),
        "dispute_deadlines": services.dispute_deadlines.sweep,
        "nightly": reconciliation.request_nightly,
        "reports": reconciliation.sweep_reports,
        "customers": services.customer_follow_ups.sweep,
        "settlement_days": services.settlement_reader.sweep,
        "events": services.relay.sweep,
        "untold_steps": services.untold_steps.sweep,
        "exports": services.export_jobs.sweep,
        "statements": services.statement_mails.sweep,
        "paper_mails": services.paper_mails.sweep,
        "deliveries": services.delivery_dispatcher.sweep,
        "insights": services.insight_keeper.sweep,
        "endpoint_maintenance": services.endpoint_maintenance.sweep,
    }


def _listen(services: Services) -> dict[str, Alarm]:
    """Let signals wake loops that otherwise look from time to time. Return what wakes which."""
    relay = Alarm()
    services.payment_signals.listen(relay)
    services.delivery_signals.listen(services.delivery_dispatcher)
    return {"events": relay}


async def run(settings: Settings, heartbeat: Heartbeat, services: Services | None = None) -> None:
    """Run every loop until SIGINT or SIGTERM. Raises NotMigrated."""
    log_lines = logs.configure(settings.log_level)
    logs.catch_unhandled()
    raise_open_files()
    services = services or Services(settings, process="worker")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await services.open()
    services.process_metrics.start()
    services.background.start("report_stores", services.report_stores)
    services.background.start("report_account", services.report_account)
    try:
        async with (
            traced(settings, "kernapay-worker"),
            heartbeat.running(),
            _port(services, heartbeat, log_lines),
        ):
            await _wait_for_database(services, stop)
            _log.info(
                "worker_started",
                version=__version__,
                environment=settings.environment,
                gateway=settings.razorpay_base_url,
                live=settings.is_live,
            )
            alarms = _listen(services)
            async with asyncio.TaskGroup() as group:
                loops = []
                for name, sweep in sweeps(services).items():
                    swept = partial(sweep_if_ready, services, sweep)
                    loop_of = repeat(name, swept, stop, alarms.get(name))
                    loops.append(group.create_task(heartbeat.watch(name, loop_of), name=name))
                await stop.wait()
                await _end(loops, settings.razorpay_timeout.total_seconds())
    finally:
        await services.close()
        _log.info("worker_stopped")


@asynccontextmanager
async def _port(
    services: Services, heartbeat: Heartbeat, log_lines: LogStream
) -> AsyncIterator[None]:
    """Listen on WORKER_METRICS_PORT, if it is set, until the block ends."""
    settings = services.settings
    if settings.worker_metrics_port is None:
        yield
        return
    # Not before: without a port, a worker needs no server.
    from kernapay.health.worker_port import create_worker_app, listening

    sources = (heartbeat, *services.gauge_sources)
    app = create_worker_app(settings, services.metrics_dependencies(sources), heartbeat, log_lines)
    async with listening(app, settings.host, settings.worker_metrics_port):
        yield


async def _end(loops: list[asyncio.Task[None]], patience: float) -> None:
    """Wait for the work under way, for one timeout of the gateway, then cut it off. It is due again later."""
    _, late = await asyncio.wait(loops, timeout=patience)
    for task in late:
        _log.warning("sweep_cut_off", sweep=task.get_name())
        task.cancel()


async def _wait_for_database(services: Services, stop: asyncio.Event) -> None:
    """Wait until the database answers. Raises NotMigrated."""
    while not stop.is_set():
        try:
            await services.schema_watch.check_before_start()
        except Unavailable as error:
            _log.warning(
                "database_not_reached",
                code=error.code,
                fix="start MongoDB, or correct MONGODB_URL",
            )
            await _pause(stop)
        else:
            await services.schema_watch.start()
            return


async def sweep_if_ready(services: Services, sweep: Sweep) -> bool:
    """Sweep, unless the database lacks something or was not checked yet."""
    # If an index goes missing later, the work waits. The log of the watch says why.
    return services.schema_watch.is_ready and await sweep()


async def repeat(name: str, sweep: Sweep, stop: asyncio.Event, alarm: Alarm | None = None) -> None:
    """Sweep while there is work. Pause if there is none, or after an error, until the alarm rings."""
    while not stop.is_set():
        beat()
        begin = monotonic()
        if alarm is not None:
            alarm.reset()
        try:
            has_worked = await sweep()
        except KernaPayError as error:
            _log.warning("sweep_failed", sweep=name, code=error.code)
            has_worked = False
        except Exception as error:
            # A bug in one kind of work must not end the other loops. The work stays due.
            _log.error("sweep_broken", sweep=name, exc_info=error)
            has_worked = False
        if alarm is not None:
            await asyncio.sleep(begin + _ALARM_SECONDS - monotonic())
        if not has_worked:
            await _pause(stop, alarm)


async def _pause(stop: asyncio.Event, alarm: Alarm | None = None) -> None:
    events = (stop,) if alarm is None else (stop, alarm)
    waits = [asyncio.ensure_future(each.wait()) for each in events]
    try:
        await asyncio.wait(waits, timeout=_IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
