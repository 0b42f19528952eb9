"""The rules of a work queue: which rows wait, when they are due, and what a claim, a failure and parking do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kernapay.storage.repository import Where


@dataclass(frozen=True, slots=True)
class Depth:
    """How many rows are due and parked, each counted up to 10,000, and since how many seconds the oldest is due."""

    due: int
    oldest_seconds: float
    parked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the rows of a collection form a queue. Field names are the document's attributes."""

    waiting: Callable[[datetime], Where]
    """Return the conditions for rows that wait, at a given time. The due time is added to them."""
    due: str
    """The field with the time from which a row is due."""
    attempts: str
    """The field that counts attempts."""
    leases: Sequence[timedelta]
    """How long a lease lasts, by attempt. The last value is for all further attempts."""
    backoff: Sequence[timedelta] = ()
    """The pause after a failed attempt, by attempt. If empty, a row is due again when its lease ends."""
    limit: int | None = None
    """The last attempt. A row that fails it is parked."""
    counts_claims: bool = True
    """Whether an attempt counts from its claim, so that a row that kills its workers is parked, or when it fails."""
    offset: timedelta = timedelta(0)
    """How long after its due time a row may be claimed."""
    claimed: Where | None = None
    """Further changes that a claim makes."""
    parked: Callable[[datetime], Where] | None = None
    """Return the changes that parking makes, at a given time. The error is stored in the field `error`."""
    is_parked: Where | None = None
    """The conditions for parked rows, which wait for a person."""
    pauses: Sequence[timedelta] = ()
    """The pause after work that ended, or failed by an error that a repeat would meet again, by attempt.

    After other errors, and without pauses, the row is due again when its lease ends."""
    is_visible: bool = True
    """Whether the queue's own changes move `updatedAt`."""
    renews: bool = False
    """Whether the lease is extended while the work on a row goes on."""
    owner: str | None = None
    """The field with a row's owner, if owners take turns. Else the longest due row is the next one."""
    reference: str | None = None
    """The field by which people know a row, for the log. Else the log has its id."""

    def name(self, row: Any) -> dict[str, str]:
        """Return the name of a row for the log."""
        known = None if self.reference is None else getattr(row, self.reference)
        return {"reference": known} if known else {"row": str(row.pk)}


def step_of(steps: Sequence[timedelta], attempt: int) -> timedelta:
    """Return the duration for an attempt, 1 for the first. The last one is for all further attempts."""
    return steps[min(max(attempt, 1), len(steps)) - 1]
