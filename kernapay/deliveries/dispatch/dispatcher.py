"""Send events to endpoints. Each endpoint has a queue, which one worker at a time sends from under a lease."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from kernapay.core.clock import Clock
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import InvalidInput, Unavailable
from kernapay.core.keys import BrokenSeal, Sealer
from kernapay.core.metrics import GaugeMetricFamily
from kernapay.deliveries.addresses import AddressRules
from kernapay.deliveries.dispatch.endpoint_queue import EndpointQueue, Loaded
from kernapay.deliveries.dispatch.feeder import Feeder
from kernapay.deliveries.dispatch.outcomes import OutcomeWriter
from kernapay.deliveries.dispatch.repository import DispatchEndpointRepository, DueRepository
from kernapay.deliveries.dispatch.rows import DispatchEndpoint
from kernapay.deliveries.sender import Outcome, Sender, Verdict
from kernapay.deliveries.signing import key_of

_log = structlog.get_logger("kernapay.deliveries")
_LEASE: Final = timedelta(seconds=3)
_RENEW_SECONDS: Final = 0.7
# Nothing is sent in the last third: our clock may run more slowly than MongoDB's, and a request takes a moment to stop.
_USABLE: Final = 0.7
_IDLE_SECONDS: Final = 0.2
# Under load, the outcomes of this time are written together.
_TURN_SECONDS: Final = 0.02
_DRAIN_SECONDS: Final = 3.0
_OUR_FAULT: Final = "not sent: KernaPay has a fault, which is in its log"


class Dispatcher:
    """The queues of one worker.

    Each `sweep` writes outcomes, extends leases and reads due deliveries, while attempts go on in tasks of their own.
    """

    def __init__(
        self,
        endpoints: DispatchEndpointRepository,
        due: DueRepository,
        feeder: Feeder,
        sender: Sender,
        rules: AddressRules,
        sealer: Sealer,
        clock: Clock,
        *,
        trusts_shops: bool,
        jitter: Callable[[], float] = random.random,
        lease: timedelta = _LEASE,
    ) -> None:
        self._endpoints = endpoints
        self._due = due
        self._feeder = feeder
        self._sender = sender
        self._rules = rules
        self._sealer = sealer
        self._clock = clock
        self._trusts_shops = trusts_shops
        self._lease = lease
        self._notes = OutcomeWriter(due, endpoints, clock, jitter)
        self._worker = secrets.token_hex(8)
        self._queues: dict[str, EndpointQueue] = {}
        self._broken: dict[str, DispatchEndpoint] = {}
        self._wanted: set[str] = set()
        self._tasks: dict[asyncio.Task[None], EndpointQueue] = {}
        self._usable_until = 0.0
        self._renew_at = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()

    async def sweep(self) -> bool:
        """Do one turn. Return False if this worker holds the lease of no endpoint. Raises Unavailable."""
        begin = time.monotonic()
        self._wake.clear()
        # Write first, so that an endpoint which was just disabled is not read as on.
        is_busy = await self._notes.write(self._queues)
        if begin >= self._renew_at:
            await self._hold_leases()
        if self._is_usable():
            turn = await self._feeder.fill(self._queues)
            for note in turn.notes:
                self._notes.add(note)
            is_busy |= turn.is_full
            for queue in list(self._queues.values()):
                self._start(queue)
        if not self._queues:
            return False
        await self._pause(begin, is_busy=is_busy)
        return True

    def hear(self, _: str) -> None:
        """Read due deliveries at once, because new ones were stored."""
        self._wake.set()

    def doubt(self) -> None:
        """Read due deliveries at once, because signals may have been lost."""
        self._wake.set()

    async def close(self) -> None:
        """Wait up to three seconds for running attempts, write their outcomes, and release the leases."""
        if not (self._queues or self._tasks):
            return
        for queue in self._queues.values():
            queue.drop_waiting()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        self._cut_off()
        try:
            await self._notes.write(self._queues)
            await self._endpoints.release(self._worker, self._queues)
        except Unavailable as error:
            # Their deliveries are attempted again once the leases have ended.
            _log.warning("delivery_notes_lost", code=error.code)

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return how many deliveries are due. Raises Unavailable."""
        on = await self._endpoints.list_on()
        count, oldest = await self._due.depth(sorted(each.id for each in on))
        age = (self._clock() - oldest).total_seconds() if oldest else 0.0
        return [
            GaugeMetricFamily(
                "kernapay_deliveries_due",
                "Deliveries that are due, counted up to 10,000",
                value=count,
            ),
            GaugeMetricFamily(
                "kernapay_deliveries_oldest_seconds",
                "How long the oldest delivery has been due",
                value=age,
            ),
        ]

    async def _pause(self, begin: float, *, is_busy: bool) -> None:
        """Wait for work. Under load, wait a moment too, so that outcomes are written in batches."""
        shortest = _TURN_SECONDS - (time.monotonic() - begin)
        if shortest > 0:
            await asyncio.sleep(shortest)
        if is_busy:
            return
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _hold_leases(self) -> None:
        begin = time.monotonic()
        await self._endpoints.extend(self._worker, self._wanted, self._lease)
        crash_point("dispatch.leased")
        on = await self._endpoints.list_on()
        mine = {each.id: each for each in on if each.lease and each.lease.owner == self._worker}
        free = {each.id for each in on if each.free}
        self._wanted = mine.keys() | free
        self._renew_at = begin + (_RENEW_SECONDS if not free - mine.keys() else 0.0)
        self._usable_until = begin + self._lease.total_seconds() * _USABLE
        self._watch()
        for endpoint_id in self._queues.keys() - mine.keys():
            self._close_queue(endpoint_id)
        for endpoint in mine.values():
            self._open_queue(endpoint)

    def _open_queue(self, endpoint: DispatchEndpoint) -> None:
        """Open the endpoint's queue, or update it to the present settings and keep its deliveries."""
        old = self._queues.get(endpoint.id)
        if old is not None and old.endpoint == endpoint:
            return
        may_be_internal = self._trusts_shops or endpoint.owner is None
        try:
            target = self._rules.read(endpoint.url, may_be_internal=may_be_internal)
            # Without those that have ended: if one cannot be opened, that must not stop the endpoint.
            keys = tuple(
                (key_of(self._sealer.open(each.sealed)), each.until)
                for each in endpoint.secrets
                if each.until is None or each.until > self._clock()
            )
        except (BrokenSeal, InvalidInput) as error:
            self._report_broken(endpoint, error)
            self._close_queue(endpoint.id)
            return
        self._broken.pop(endpoint.id, None)
        if old is None:
            self._queues[endpoint.id] = EndpointQueue(
                endpoint, target, keys, failing_since=endpoint.failing_since
            )
        else:
            old.endpoint, old.target, old.keys = endpoint, target, keys

    def _report_broken(self, endpoint: DispatchEndpoint, error: Exception) -> None:
        """Log once per change of the endpoint why nothing can be sent. Its deliveries wait for an operator."""
        if self._broken.get(endpoint.id) != endpoint:
            self._broken[endpoint.id] = endpoint
            _log.error(
                "endpoint_paused",
                endpoint=endpoint.id,
                problem="the secret was encrypted with another JWT_SECRET"
                if isinstance(error, BrokenSeal)
                else "the URL is not allowed by DELIVERY_PORTS and DELIVERY_ALLOWED_HOSTS",
                fix="set JWT_SECRET_PREVIOUS to that secret, or rotate the endpoint's secret with overlapSeconds 0"
                if isinstance(error, BrokenSeal)
                else "allow its host and port, or change the URL",
            )

    def _close_queue(self, endpoint_id: str) -> None:
        queue = self._queues.pop(endpoint_id, None)
        for task, owner in self._tasks.items():
            if owner is queue:
                task.cancel()

    def _start(self, queue: EndpointQueue) -> None:
        """Start an attempt for each delivery that may be sent now."""
        if not self._is_usable() or self._queues.get(queue.endpoint.id) is not queue:
            return
        while (loaded := queue.take(time.monotonic())) is not None:
            task = asyncio.get_running_loop().create_task(self._send(queue, loaded))
            self._tasks[task] = queue
            task.add_done_callback(partial(self._ended, queue, loaded))

    async def _send(self, queue: EndpointQueue, loaded: Loaded) -> None:
        outcome = await self._sender.attempt(
            queue.target,
            queue.signing_keys(self._clock()),
            queue.endpoint.headers,
            loaded.row.event,
            loaded.body,
        )
        crash_point("dispatch.sent")
        self._note(queue, loaded, outcome)

    def _note(self, queue: EndpointQueue, loaded: Loaded, outcome: Outcome) -> None:
        if not self._notes.add_outcome(queue, loaded, outcome):
            queue.drop_waiting()
            self._queues.pop(queue.endpoint.id, None)

    def _ended(self, queue: EndpointQueue, loaded: Loaded, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("delivery_broken", delivery=loaded.row.id, exc_info=error)
            # As after any failure, there is a pause: a bug must not keep the worker busy.
            at = self._clock()
            self._note(queue, loaded, Outcome(Verdict.FAILED, at, 0, excerpt=_OUR_FAULT))
        queue.drop(loaded)
        self._wake.set()
        self._start(queue)

    def _is_usable(self) -> bool:
        return time.monotonic() < self._usable_until

    def _watch(self) -> None:
        """Cancel running attempts when the leases end, even while this worker waits for the database."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        delay = max(self._usable_until - time.monotonic(), 0)
        self._watchdog = asyncio.get_running_loop().call_later(delay, self._cut_off)

    def _cut_off(self) -> None:
        for task in list(self._tasks):
            task.cancel()
