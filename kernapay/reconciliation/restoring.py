"""After a restore of an older copy, compare and repair until our database matches the gateway."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput
from kernapay.gateway.base import EARLIEST
from kernapay.reconciliation.models import Report
from kernapay.reconciliation.repair_runs import repair_each
from kernapay.reconciliation.repairs import RepairService
from kernapay.reconciliation.repository import FindingRepository
from kernapay.reconciliation.service import ReconciliationService
from kernapay.security.principal import Actor
from kernapay.users.repository import UserRepository

# A repair may bring up another difference: a payment that is rebuilt may have been paid twice.
_MOST_ROUNDS: Final = 5
# The longest window of a report.
_CHUNK: Final = timedelta(days=31)
# The copy may lack the last writes of the minutes before it.
_MARGIN: Final = timedelta(hours=1)


@dataclass(slots=True)
class Rebuilt:
    """What was rebuilt and repaired, which findings are open, and what could not be compared.

    `unknown_users` counts the rebuilt payments of users that are not in the database, by their ids.
    """

    rebuilt: int = 0
    repaired: int = 0
    unknown_users: Counter[str] = field(default_factory=Counter)
    open: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


class Restoring:
    def __init__(
        self,
        reconciliation: ReconciliationService,
        repairs: RepairService,
        findings: FindingRepository,
        users: UserRepository,
        clock: Clock = now,
    ) -> None:
        self._reconciliation = reconciliation
        self._repairs = repairs
        self._findings = findings
        self._users = users
        self._clock = clock

    async def rebuild(
        self, actor: Actor, since: datetime, progress: Callable[[str, int], None]
    ) -> Rebuilt:
        """Rebuild and repair all that happened since a copy was made. A repeat goes on where it was interrupted.

        Raises InvalidInput, GatewayError, Unavailable.
        """
        if since >= self._clock():
            raise InvalidInput("Must be in the past.", field="since")
        if since < EARLIEST:
            raise InvalidInput(f"Must be {EARLIEST.year} or later.", field="since")
        result = Rebuilt()
        for _ in range(_MOST_ROUNDS):
            repaired_before = result.repaired
            result.open, result.unchecked = [], []
            start, end = max(since - _MARGIN, EARLIEST), self._clock()
            while start < end:
                until = min(end, start + _CHUNK)
                report, _ = await self._reconciliation.make_now(actor, start, until, progress)
                result.unchecked += report.unchecked
                await self._repair_all(actor, report, result)
                progress("payments rebuilt", result.rebuilt)
                start = until
            if result.repaired == repaired_before:
                break
        return result

    async def _repair_all(self, actor: Actor, report: Report, result: Rebuilt) -> None:
        report_id = str(report.pk)
        open_ids = await self._findings.open_ids(report_id)
        async for finding_id, done in repair_each(self._repairs, actor, report_id, open_ids):
            if done.rebuilt_for is not None:
                result.rebuilt += 1
                if not await self._users.exists(id=done.rebuilt_for):
                    result.unknown_users[done.rebuilt_for] += 1
            if done.is_repaired:
                result.repaired += 1
            else:
                result.open.append(f"finding {finding_id} of report {report_id}: {done.outcome}")
