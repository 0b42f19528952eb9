"""The queue of one endpoint in the memory of its worker: which deliveries wait and which are under way, in order."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kernapay.deliveries.addresses import Target
from kernapay.deliveries.dispatch.rows import DispatchEndpoint, DueRow
from kernapay.deliveries.schedule import ATTEMPTS_IN_ORDER, Breaker

CAPACITY: Final = 48
"""Deliveries in memory. An endpoint that does not answer has many, and is then not read for."""
IN_FLIGHT: Final = 8
BEHIND: Final = timedelta(milliseconds=50)
"""How long after a delivery the one after it is due."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A delivery with the bytes to send."""

    row: DueRow
    body: bytes


@dataclass(slots=True)
class Finished:
    """A delivery whose attempt has ended."""

    due: datetime | None
    """When it is due again, None if it never is."""
    attempts: int
    noted_at: float | None = None
    """When this was written to its row (monotonic seconds). A read that began earlier may still return the delivery."""


@dataclass(slots=True)
class EndpointQueue:
    endpoint: DispatchEndpoint
    target: Target
    keys: tuple[tuple[bytes, datetime | None], ...]
    """Each key with the time until which it signs."""
    breaker: Breaker = field(default_factory=Breaker)
    failing_since: datetime | None = None
    success_noted_at: datetime | None = None
    waiting: dict[str, deque[Loaded]] = field(default_factory=dict)
    """By subject, in the order of their sequence."""
    in_flight: dict[str, Loaded] = field(default_factory=dict)
    """By subject: one at a time keeps their order."""
    finished: dict[str, Finished] = field(default_factory=dict)
    """By the delivery's id."""
    _held: set[str] = field(default_factory=set)
    """The ids of all waiting and running deliveries, for quick look-ups: each read asks for hundreds."""

    @property
    def room(self) -> int:
        return CAPACITY - len(self._held)

    @property
    def is_hungry(self) -> bool:
        """Whether to read more deliveries now: at least half of the room is free."""
        return self.room >= CAPACITY // 2

    @property
    def known(self) -> int:
        """How many deliveries a read may return although they are in memory, or were until a moment ago."""
        return len(self._held) + len(self.finished)

    def signing_keys(self, at: datetime) -> list[bytes]:
        return [key for key, until in self.keys if until is None or until > at]

    def knows(self, delivery_id: str) -> bool:
        """Return whether a delivery is in memory, or was until a moment ago: a read may still return it."""
        return delivery_id in self.finished or self.holds(delivery_id)

    def holds(self, delivery_id: str) -> bool:
        return delivery_id in self._held

    def forget_noted(self, before: float) -> None:
        """Forget the deliveries whose rows were marked as ended before this time."""
        self.finished = {
            delivery_id: each
            for delivery_id, each in self.finished.items()
            if each.noted_at is None or each.noted_at >= before
        }

    def hold_of(self, predecessor: str) -> datetime | None:
        """Return until when to hold the delivery after one that has just ended, None to send it."""
        ended = self.finished[predecessor]
        return hold_until(ended.due, ended.attempts)

    def may_follow(self, predecessor: str) -> bool:
        """Return whether the next delivery may enter the queue: its predecessor is in it, or need not be waited for."""
        return self.holds(predecessor) or (
            predecessor in self.finished and self.hold_of(predecessor) is None
        )

    def admit(self, loaded: Loaded) -> None:
        """Add a delivery, in the order of its subject."""
        self._held.add(loaded.row.id)
        queue = self.waiting.setdefault(loaded.row.subject, deque())
        queue.append(loaded)
        if len(queue) > 1:
            self.waiting[loaded.row.subject] = deque(sorted(queue, key=lambda each: each.row.seq))

    def take(self, at: float) -> Loaded | None:
        """Return a delivery that may be sent now and mark it as in flight, None if there is none."""
        if self.breaker.room(len(self.in_flight), IN_FLIGHT, at) == 0:
            return None
        for subject, queue in self.waiting.items():
            if subject in self.in_flight:
                continue
            loaded = queue.popleft()
            if not queue:
                del self.waiting[subject]
            self.in_flight[subject] = loaded
            return loaded
        return None

    def end(self, loaded: Loaded, due: datetime | None, attempts: int) -> list[Loaded]:
        """Record the end of an attempt. Remove and return the deliveries that must wait for its next one."""
        self.in_flight.pop(loaded.row.subject, None)
        self._held.discard(loaded.row.id)
        self.finished[loaded.row.id] = Finished(due, attempts)
        if hold_until(due, attempts) is None:
            return []
        return self._release(loaded.row.subject)

    def drop(self, loaded: Loaded) -> None:
        """Remove a delivery if its attempt was cancelled, and those behind it. Their rows are still due.

        After `end`, there is nothing to remove.
        """
        subject = loaded.row.subject
        if self.in_flight.get(subject) is loaded:
            del self.in_flight[subject]
            self._held.discard(loaded.row.id)
            self._release(subject)

    def drop_waiting(self) -> None:
        """Remove every delivery that is not in flight."""
        for subject in list(self.waiting):
            self._release(subject)

    def _release(self, subject: str) -> list[Loaded]:
        released = list(self.waiting.pop(subject, ()))
        self._held.difference_update(each.row.id for each in released)
        return released


def hold_until(due: datetime | None, attempts: int) -> datetime | None:
    """Return until when to hold the next delivery of the same subject, None to send it."""
    return None if due is None or attempts >= ATTEMPTS_IN_ORDER else due + BEHIND
