"""Collect the outcomes of attempts and the health of endpoints, and write them in groups."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock
from kernapay.core.crash_points import crash_point
from kernapay.core.metrics import Counter, Histogram, start_at_zero
from kernapay.deliveries.dispatch.endpoint_queue import EndpointQueue, Loaded, hold_until
from kernapay.deliveries.dispatch.repository import DispatchEndpointRepository, DueRepository
from kernapay.deliveries.dispatch.rows import Health, Note
from kernapay.deliveries.metrics import FAILING, GONE, report_disabled
from kernapay.deliveries.models import DeliveryState
from kernapay.deliveries.schedule import next_attempt, should_disable
from kernapay.deliveries.sender import Outcome, Verdict

_SUCCESS_PRECISION: Final = timedelta(minutes=1)  # a write for every success would be too much

ATTEMPTS: Final = Counter(
    "kernapay_delivery_attempts_total",
    "Attempts to deliver an event to an endpoint, by outcome",
    ("outcome",),
)
GIVEN_UP: Final = Counter(
    "kernapay_deliveries_given_up_total", "Deliveries that will not be attempted again"
)
SECONDS: Final = Histogram(
    "kernapay_delivery_seconds", "How long attempts to deliver took", ("outcome",)
)
start_at_zero(ATTEMPTS, list(Verdict))
start_at_zero(SECONDS, list(Verdict))


class OutcomeWriter:
    def __init__(
        self,
        due: DueRepository,
        endpoints: DispatchEndpointRepository,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._due = due
        self._endpoints = endpoints
        self._clock = clock
        self._jitter = jitter
        self._notes: dict[str, Note] = {}
        self._put_off: dict[datetime, list[str]] = {}
        self._health: dict[str, Health] = {}
        self._disabled: dict[str, str] = {}

    def add(self, note: Note) -> None:
        self._notes[note.row.id] = note
        if note.state is DeliveryState.FAILED:
            GIVEN_UP.inc()

    def add_outcome(self, queue: EndpointQueue, loaded: Loaded, outcome: Outcome) -> bool:
        """Record the outcome of an attempt. Return False if the endpoint has to be disabled."""
        ATTEMPTS.labels(outcome.verdict).inc()
        SECONDS.labels(outcome.verdict).observe(outcome.milliseconds / 1000)
        at = self._clock()
        row = loaded.row
        state, due = self._next(row.waiting_since, row.attempts + 1, outcome, at)
        note = Note(row, state, at, due, outcome)
        self.add(note)
        held = queue.end(loaded, due, note.attempts)
        until = hold_until(due, note.attempts)
        if held and until is not None:
            self._put_off.setdefault(until, []).extend(each.row.id for each in held)
        queue.breaker = queue.breaker.after(
            success=outcome.verdict is Verdict.DELIVERED, at=time.monotonic()
        )
        return self._note_health(queue, outcome.verdict, at)

    async def write(self, queues: Mapping[str, EndpointQueue]) -> bool:
        """Write what was collected. Return False if there was nothing.

        Raises Unavailable. What was not written then is kept for the next call.
        """
        has_written = bool(self._notes or self._health or self._disabled)
        if notes := list(self._notes.values()):
            await self._due.note(notes)
            crash_point("dispatch.noted")
            self._forget(notes, queues)
        if self._put_off:
            groups, self._put_off = self._put_off, {}
            await self._due.put_off(groups)
        if changes := list(self._health.values()):
            await self._endpoints.note_health(changes)
            for change in changes:
                if self._health.get(change.endpoint) is change:
                    del self._health[change.endpoint]
        for endpoint_id in list(self._disabled):
            await self._disable(endpoint_id, self._disabled[endpoint_id])
            del self._disabled[endpoint_id]
        return has_written

    def _forget(self, notes: list[Note], queues: Mapping[str, EndpointQueue]) -> None:
        written = time.monotonic()
        for note in notes:
            if self._notes.get(note.row.id) is note:
                del self._notes[note.row.id]
            queue = queues.get(note.row.endpoint)
            if queue is not None and note.row.id in queue.finished:
                queue.finished[note.row.id].noted_at = written

    def _next(
        self, waiting_since: datetime, attempts: int, outcome: Outcome, at: datetime
    ) -> tuple[DeliveryState, datetime | None]:
        """Return the state of a delivery after an attempt, and when a pending one is due again."""
        if outcome.verdict is Verdict.DELIVERED:
            return DeliveryState.DONE, None
        if outcome.verdict is Verdict.REFUSED:
            return DeliveryState.FAILED, None
        due = next_attempt(at, waiting_since, attempts, outcome.wish, self._jitter)
        return (DeliveryState.FAILED if due is None else DeliveryState.PENDING), due

    def _note_health(self, queue: EndpointQueue, verdict: Verdict, at: datetime) -> bool:
        name = queue.endpoint.id
        if verdict is Verdict.DELIVERED:
            noted = queue.success_noted_at
            if queue.failing_since or noted is None or at - noted >= _SUCCESS_PRECISION:
                queue.failing_since, queue.success_noted_at = None, at
                self._health[name] = Health(name, None, at)
            return True
        if queue.failing_since is None:
            queue.failing_since = at
            self._health[name] = Health(name, at, None)
        if verdict is Verdict.GONE:
            self._disabled[name] = GONE
        elif should_disable(at, queue.failing_since, at):
            self._disabled[name] = FAILING
        return name not in self._disabled

    async def _disable(self, endpoint_id: str, reason: str) -> None:
        if await self._endpoints.disable(endpoint_id, reason):
            report_disabled(endpoint_id, reason)
