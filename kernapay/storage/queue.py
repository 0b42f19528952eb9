"""Rows that are due for work: claimed under a lease, retried with back-off, parked when hopeless.

One queue is one class of work: the rows of a collection that fit its query. The row itself carries when it is due and
how often it was tried, so a queue needs no store of its own, and a crash leaves nothing but a lease that runs out.

Fair: every queue has a worker loop of its own, so no class of work waits for another. Bounded: a claim takes a given
number of rows, and the work on a row is stopped when its lease ends. Observable: outcomes are counted, and `depth`
is shown by `/metrics`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic

import structlog
from prometheus_client import Counter

from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.repository import DocumentT, Repository, Where

_log = structlog.get_logger("kernapay.queue")
OUTCOMES: Final = Counter(
    "kernapay_queue_rows_total",
    "Rows of the work queues, by what became of them",
    ("queue", "outcome"),
)
# Other workers claim the head of the queue at the same time: read a little past it.
_SPARE: Final = 7
_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Depth:
    """How much work is due: rows (counted up to 10,000), and for how many seconds the oldest has been."""

    due: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What makes a queue out of the rows of a collection. Field names are the document's."""

    waiting: Callable[[datetime], Where]
    """The query of rows that wait, for the present time; leave the due time out."""
    due: str
    """The field that says from when a row is due."""
    attempts: str
    """The field that counts attempts; an attempt counts when it begins."""
    leases: Sequence[timedelta]
    """For how long a claim holds, by attempt; the last one is for all that follow."""
    backoff: Sequence[timedelta] = ()
    """The pause after a failed attempt, by attempt. With none, a row is due again when its lease ends."""
    limit: int | None = None
    """The attempt after which a row is hopeless."""
    offset: timedelta = timedelta(0)
    """How long after its due time a row is really due."""
    claimed: Where | None = None
    """What else a claim changes."""
    parked: Callable[[datetime], Where] | None = None
    """What parking changes, at the present time; the error goes into the field `error`."""
    renews: bool = False
    """Whether the lease is extended for as long as the work on a row takes."""


class Queue(Generic[DocumentT]):
    def __init__(
        self,
        name: str,
        rows: Repository[DocumentT],
        rules: Rules,
        key: Callable[[DocumentT], Where] = lambda row: {"id": row.pk},
    ) -> None:
        """`key` returns the conditions that name one row; a sharded collection needs its shard key in there."""
        self.name = name
        self._rows = rows
        self._rules = rules
        self._key = key
        self._clock: Clock = rows.clock

    async def claim(self, count: int = 1) -> list[DocumentT]:
        """Take up to `count` due rows, the longest due first; nobody else gets them before their lease ends.

        A row that reached the limit of attempts without ever failing in order, because its worker was killed each
        time, is parked instead.
        """
        at = self._clock()
        rules = self._rules
        due = await self._rows.list(
            OrderBy(rules.due),
            LimitOffset(count + _SPARE),
            **rules.waiting(at),
            **{f"{rules.due}__lte": at - rules.offset},
        )
        claimed: list[DocumentT] = []
        for row in due:
            taken = await self._take(row)
            if taken is None:
                continue
            if rules.limit is not None and self.attempt_of(taken) > rules.limit:
                await self.park(taken, getattr(taken, "error", None) or "every worker was killed")
                continue
            claimed.append(taken)
            if len(claimed) == count:
                break
        self._count("claimed", len(claimed))
        return claimed

    async def sweep(self, work: Callable[[DocumentT], Awaitable[None]], count: int = 1) -> bool:
        """Claim up to `count` rows and work on them side by side; False when none is due.

        Work on a row ends when its lease does: another worker may have the row then.
        """
        claimed = await self.claim(count)
        await asyncio.gather(*(self._work(row, work) for row in claimed))
        return bool(claimed)

    @asynccontextmanager
    async def hold(self, row: DocumentT) -> AsyncIterator[None]:
        """Hold a claimed row while the block works on it.

        The block ends with TimeoutError when the lease does. A queue that renews extends the lease meanwhile.
        """
        lease_end: datetime = getattr(row, self._rules.due) + self._rules.offset
        async with asyncio.timeout((lease_end - self._clock()).total_seconds()) as deadline:
            if not self._rules.renews:
                yield
                return
            renewal = asyncio.get_running_loop().create_task(self._renew(row, deadline))
            try:
                yield
            finally:
                renewal.cancel()

    async def extend(self, row: DocumentT) -> bool:
        """Begin the lease anew; False when it has ended and somebody else holds the row."""
        until = self._lease_end(self.attempt_of(row))
        extended = await self._rows.update_where(
            self._held(row), **{f"set__{self._rules.due}": until}
        )
        if extended is not None:
            setattr(row, self._rules.due, until)
        return extended is not None

    async def fail(
        self,
        row: DocumentT,
        error: str,
        *,
        hopeless: bool = False,
        at_least: timedelta = timedelta(0),
    ) -> bool:
        """Note a failed attempt: the row is due again after its back-off, or parked when there is no hope.

        False when it was parked.
        """
        rules = self._rules
        attempt = self.attempt_of(row)
        if hopeless or (rules.limit is not None and attempt >= rules.limit):
            await self.park(row, error)
            return False
        pause = max(self.pause_after(attempt), at_least)
        held = await self._rows.update_where(
            self._held(row),
            **{f"set__{rules.due}": self._clock() + pause, f"set__{rules.attempts}": attempt},
            set__error=error,
        )
        self._count("retried" if held is not None else "lost")
        return True

    async def park(self, row: DocumentT, error: str) -> None:
        """Give a row up, and keep it for people."""
        held = await self._rows.update_where(
            self._held(row),
            **{f"set__{self._rules.attempts}": self.attempt_of(row)},
            set__error=error,
            **(self._rules.parked(self._clock()) if self._rules.parked else {}),
        )
        self._count("parked" if held is not None else "lost")

    async def finish(self, row: DocumentT, **change: Any) -> None:
        """Close a row whose work is done, also when the lease has ended meanwhile."""
        await self._rows.update_where(self._key(row), **change)
        self._count("finished")

    async def replay(self, where: Where, **change: Any) -> DocumentT | None:
        """Claim a row by other conditions than its time, to do its work again; None when there is none.

        Its attempts are counted anew.
        """
        rules = self._rules
        row = await self._rows.update_where(
            where,
            **{
                f"set__{rules.due}": self._clock() + rules.leases[0],
                f"set__{rules.attempts}": 0,
                **change,
            },
        )
        if row is not None:
            self.begin(row)
            self._count("replayed")
        return row

    def begin(self, row: DocumentT) -> None:
        """Make the attempt that is beginning the first one of a row that was not claimed.

        The row counts it when it fails.
        """
        setattr(row, self._rules.attempts, 1)

    def lease(self) -> timedelta:
        """Return how long the first claim of a row holds."""
        return self._rules.leases[0]

    def attempt_of(self, row: DocumentT) -> int:
        """Return the number of the attempt under way."""
        return int(getattr(row, self._rules.attempts) or 0)

    def pause_after(self, attempt: int) -> timedelta:
        """Return the pause after a failed attempt."""
        return _at(self._rules.backoff, attempt) if self._rules.backoff else timedelta(0)

    async def depth(self) -> Depth:
        """Count the due rows. Raises Unavailable."""
        at = self._clock()
        rules = self._rules
        where = {**rules.waiting(at), f"{rules.due}__lte": at - rules.offset}
        oldest = await self._rows.list(OrderBy(rules.due), LimitOffset(1), **where)
        if not oldest:
            return Depth(0, 0.0)
        since: datetime = getattr(oldest[0], rules.due) + rules.offset
        count = await self._rows.count(LimitOffset(_COUNTED), **where)
        return Depth(count, (at - since).total_seconds())

    async def _take(self, row: DocumentT) -> DocumentT | None:
        rules = self._rules
        return await self._rows.update_where(
            self._held(row),
            **{
                f"set__{rules.due}": self._lease_end(self.attempt_of(row) + 1),
                f"inc__{rules.attempts}": 1,
                **(rules.claimed or {}),
            },
        )

    async def _work(self, row: DocumentT, work: Callable[[DocumentT], Awaitable[None]]) -> None:
        try:
            async with self.hold(row):
                await work(row)
        except TimeoutError:
            self._stopped(row, "expired")
        except KernaPayError as error:
            self._stopped(row, "interrupted", code=error.code)
        except Exception as error:
            self._stopped(row, "broken", exc_info=error)

    async def _renew(self, row: DocumentT, deadline: asyncio.Timeout) -> None:
        lease = _at(self._rules.leases, self.attempt_of(row)).total_seconds()
        while True:
            await asyncio.sleep(lease / 3)
            try:
                if await self.extend(row):
                    deadline.reschedule(asyncio.get_running_loop().time() + lease)
            except KernaPayError as error:
                # There is time for another try before the lease ends.
                _log.warning("lease_not_extended", queue=self.name, code=error.code)

    def _stopped(self, row: DocumentT, outcome: str, **facts: Any) -> None:
        # Nothing is written: the lease runs out, and the row is due again. The other rows must not wait for it.
        self._count(outcome)
        _log.warning(f"work_{outcome}", queue=self.name, row=str(row.pk), **facts)

    def _held(self, row: DocumentT) -> dict[str, Any]:
        # The due time is the lease: whoever claims the row changes it.
        rules = self._rules
        unchanged = {rules.due: getattr(row, rules.due)}
        return {**self._key(row), **rules.waiting(self._clock()), **unchanged}

    def _lease_end(self, attempt: int) -> datetime:
        return self._clock() + _at(self._rules.leases, attempt) - self._rules.offset

    def _count(self, outcome: str, rows: int = 1) -> None:
        if rows:
            OUTCOMES.labels(self.name, outcome).inc(rows)


def _at(steps: Sequence[timedelta], attempt: int) -> timedelta:
    return steps[min(max(attempt, 1), len(steps)) - 1]
