"""Work queues in MongoDB: rows are claimed under a lease, retried with back-off, and parked after the last attempt.

A queue is one kind of work: the rows of a collection that match its query. Each row stores when it is due and how
often it was attempted, so a queue needs no collection of its own. After a crash, the lease of a row ends and the row
is due again.

Each queue has its own worker loop, so no kind of work waits for another. A claim takes a limited number of rows, and
work on a row is cancelled when its lease ends. Outcomes are counted, and `/metrics` shows the depth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Generic

import structlog

from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError, RetryLater
from kernapay.storage.filters import LimitOffset, OrderBy
from kernapay.storage.queue_metrics import OUTCOMES, start_counting
from kernapay.storage.queue_rules import Depth, Rules, step_of
from kernapay.storage.repository import DocumentT, Repository, Where
from kernapay.storage.turns import Turns

__all__ = ["Depth", "Queue", "Rules"]
_log = structlog.get_logger("kernapay.queue")
# Other workers claim the same rows at the head of the queue, so read a few more than needed.
_SPARE: Final = 7
_MAX_COUNT: Final = 10_000
_UNREADABLE_PAUSE: Final = timedelta(hours=1)
_NEVER_ENDED: Final = "no attempt ended: the log of the workers has the reasons"


class Queue(Generic[DocumentT]):
    def __init__(
        self,
        name: str,
        rows: Repository[DocumentT],
        rules: Rules,
        key: Callable[[DocumentT], Where] = lambda row: {"id": row.pk},
    ) -> None:
        """`key` returns the conditions for one row. For a sharded collection they must include the shard key."""
        self.name = name
        start_counting(name)
        self._rows = rows
        self._rules = rules
        self.leases = rules.leases
        self._key = key
        self._clock: Clock = rows.clock
        self._writing = asyncio.Lock()
        self._turns = Turns(rows, rules.owner)

    async def claim(self, count: int = 1) -> list[DocumentT]:
        """Claim up to `count` due rows, which no other worker gets before their lease ends.

        A row whose attempts are used up is parked instead. This happens when the last one did not come to `fail`.
        """
        rules = self._rules
        claimed: list[DocumentT] = []
        for row in await self._list_due(count + _SPARE):
            leased = await self.take_lease(row)
            if leased is None:
                continue
            if rules.limit is not None and self.attempt_of(leased) > rules.limit:
                await self.park(leased, getattr(leased, "error", None) or _NEVER_ENDED)
                continue
            claimed.append(leased)
            self._turns.record(leased)
            if len(claimed) == count:
                break
        self._count("claimed", len(claimed))
        return claimed

    async def sweep(self, work: Callable[[DocumentT], Awaitable[None]], count: int = 1) -> bool:
        """Claim up to `count` rows and work on them concurrently. Return False if none was due.

        Work on a row is cancelled when its lease ends: another worker may claim the row then.
        """
        claimed = await self.claim(count)
        await asyncio.gather(*(self._work(row, work) for row in claimed))
        return bool(claimed)

    @asynccontextmanager
    async def hold(self, row: DocumentT) -> AsyncIterator[None]:
        """Hold a claimed row while the block works on it.

        Raises TimeoutError inside the block when the lease ends. A queue with `renews` extends the lease meanwhile.
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
        """Start the lease again. Return False if it has ended and another worker holds the row."""
        until = self._lease_end(self.attempt_of(row))
        return await self._update_held(row, **{f"set__{self._rules.due}": until})

    async def fail(
        self,
        row: DocumentT,
        error: str,
        *,
        hopeless: bool = False,
        at_least: timedelta = timedelta(0),
    ) -> bool:
        """Record a failed attempt and return True: the row is due again after its back-off, and after `at_least`.

        If the failure is `hopeless`, or this was the last attempt, park the row and return False.
        """
        rules = self._rules
        attempt = self.attempt_of(row)
        if hopeless or (rules.limit is not None and attempt >= rules.limit):
            await self.park(row, error)
            return False
        pause = max(self.pause_after(attempt), at_least)
        is_held = await self._update_held(
            row,
            **{f"set__{rules.due}": self._clock() + pause, f"set__{rules.attempts}": attempt},
            set__error=error,
        )
        self._count("retried" if is_held else "lost")
        return True

    async def park(self, row: DocumentT, error: str) -> None:
        """Give up on a row: it is not claimed again, unless it is replayed."""
        is_held = await self._update_held(
            row,
            **{f"set__{self._rules.attempts}": self.attempt_of(row)},
            set__error=error,
            **(self._rules.parked(self._clock()) if self._rules.parked else {}),
        )
        self._count("parked" if is_held else "lost")

    async def finish(self, row: DocumentT, **change: Any) -> None:
        """Store the result of a row's work, even if its lease has ended meanwhile. It may only set and unset fields."""
        key, is_visible = self._key(row), self._rules.is_visible
        is_made = await self._rows.assign(key, is_visible=is_visible, **change)
        # Of a batch, it may not be known. The row may have been deleted by hand.
        is_made = is_made or await self._rows.exists(**key)
        self._count("finished" if is_made else "lost")

    async def replay(self, where: Where, **change: Any) -> DocumentT | None:
        """Claim the row that matches, due or not, to do its work again. Return None if no row matches.

        Its attempts are counted from the start.
        """
        rules = self._rules
        again = {f"set__{rules.due}": self._lease_end(1), f"set__{rules.attempts}": 0}
        row = await self._update(where, {**again, **change})
        if row is not None:
            self.begin(row)
            self._count("replayed")
        return row

    def begin(self, row: DocumentT) -> None:
        """Set a row that was not claimed to its first attempt. `fail` stores the count."""
        setattr(row, self._rules.attempts, 1)

    def attempt_of(self, row: DocumentT) -> int:
        """Return the number of the current attempt, 1 for the first."""
        return int(getattr(row, self._rules.attempts) or 0)

    def pause_after(self, attempt: int) -> timedelta:
        """Return the pause after a failed attempt."""
        return step_of(self._rules.backoff, attempt) if self._rules.backoff else timedelta(0)

    async def depth(self) -> Depth:
        """Count the due rows. Raises Unavailable."""
        at = self._clock()
        rules = self._rules
        where = self._where_due(at)
        oldest = await self._rows.list(OrderBy(rules.due), LimitOffset(1 + _SPARE), **where)
        parked = 0
        if rules.is_parked is not None:
            parked = await self._rows.count(LimitOffset(_MAX_COUNT), **rules.is_parked)
        if not oldest:
            return Depth(0, 0.0, parked)
        since: datetime = getattr(oldest[0], rules.due) + rules.offset
        count = await self._rows.count(LimitOffset(_MAX_COUNT), **where)
        return Depth(count, (at - since).total_seconds(), parked)

    async def _list_due(self, count: int) -> list[DocumentT]:
        """Return due rows. Those that cannot be read are tried again in an hour: they must not fill the head."""
        while True:
            due, unreadable = await self._turns.list_due(
                OrderBy(self._rules.due), LimitOffset(count), **self._where_due(self._clock())
            )
            until = self._clock() + _UNREADABLE_PAUSE - self._rules.offset
            for row_id in unreadable:
                if await self._rows.set_aside(row_id, **{self._rules.due: until}):
                    self._count("unreadable")
            if due or not unreadable:
                return due

    def _where_due(self, at: datetime) -> Where:
        return {**self._rules.waiting(at), f"{self._rules.due}__lte": at - self._rules.offset}

    async def take_lease(self, row: DocumentT) -> DocumentT | None:
        """Return the row with a new lease, None if it has changed since it was read."""
        rules = self._rules
        attempt = self.attempt_of(row) + 1
        change = {f"set__{rules.due}": self._lease_end(attempt), **(rules.claimed or {})}
        if rules.counts_claims:
            change[f"set__{rules.attempts}"] = attempt
        leased = await self._update(self._unchanged(row), change)
        if leased is not None:
            setattr(leased, rules.attempts, attempt)
        return leased

    async def _update_held(self, row: DocumentT, **change: Any) -> bool:
        """Update a row that this worker still holds. Return False if it has lost it."""
        # One at a time: a renewal changes the lease that the next condition names.
        async with self._writing:
            updated = await self._update(self._unchanged(row), change)
            if updated is not None:
                setattr(row, self._rules.due, getattr(updated, self._rules.due))
        return updated is not None

    async def _work(self, row: DocumentT, work: Callable[[DocumentT], Awaitable[None]]) -> None:
        try:
            async with self.hold(row):
                await work(row)
            await self.pause(row)
        except TimeoutError:
            self._record_stop(row, "expired")
        except KernaPayError as error:
            self._record_stop(row, "interrupted", code=error.code)
            if not isinstance(error, RetryLater):
                await self._pause_safely(row)
        except Exception as error:
            self._record_stop(row, "broken", exc_info=error)
            await self._pause_safely(row)

    async def _renew(self, row: DocumentT, deadline: asyncio.Timeout) -> None:
        lease = step_of(self._rules.leases, self.attempt_of(row)).total_seconds()
        while True:
            await asyncio.sleep(lease / 3)
            try:
                if await self.extend(row):
                    deadline.reschedule(asyncio.get_running_loop().time() + lease)
            except KernaPayError as error:
                # There is time for another attempt before the lease ends.
                _log.warning("lease_not_extended", queue=self.name, code=error.code)
            except Exception as error:
                # If this task ended, the work would be cancelled when the lease ends.
                _log.error("renewal_broken", queue=self.name, exc_info=error)

    def _record_stop(self, row: DocumentT, outcome: str, **facts: Any) -> None:
        # Write nothing: the row is due again when its lease ends. The other rows of the claim must not wait.
        self._count(outcome)
        log = _log.error if "exc_info" in facts else _log.warning
        log(f"work_{outcome}", queue=self.name, **self._rules.name(row), **facts)

    async def pause(self, row: DocumentT) -> None:
        """Let a row wait for its next attempt, unless its work has set its due time, or another worker holds it."""
        rules = self._rules
        if not rules.pauses:
            return
        attempt = self.attempt_of(row)
        until = self._clock() + step_of(rules.pauses, attempt) - rules.offset
        # Not `_unchanged`: work that changed the row may have put it into another queue with the same due time.
        same_lease = {**self._key(row), rules.due: getattr(row, rules.due)}
        change = {f"set__{rules.due}": until, f"set__{rules.attempts}": attempt}
        paused = await self._update(same_lease, change)
        self._count("paused" if paused is not None else "moved")

    async def _pause_safely(self, row: DocumentT) -> None:
        try:
            await self.pause(row)
        except KernaPayError as error:
            # The row is due again when its lease ends.
            _log.warning("pause_not_stored", queue=self.name, code=error.code)

    async def _update(self, where: Where, change: Where) -> DocumentT | None:
        return await self._rows.update_where(where, is_visible=self._rules.is_visible, **change)

    def _unchanged(self, row: DocumentT) -> dict[str, Any]:
        """Return the conditions under which this worker still holds the row."""
        # The due time doubles as the lease: every claim changes it.
        rules = self._rules
        same_lease = {rules.due: getattr(row, rules.due)}
        return {**self._key(row), **rules.waiting(self._clock()), **same_lease}

    def _lease_end(self, attempt: int) -> datetime:
        return self._clock() + step_of(self._rules.leases, attempt) - self._rules.offset

    def _count(self, outcome: str, rows: int = 1) -> None:
        if rows:
            OUTCOMES.labels(self.name, outcome).inc(rows)
