"""Import the accounts of the Express service."""

from kernapay.core.background import gather_all
from kernapay.core.clock import Clock
from kernapay.express_import.account_plan import Plan
from kernapay.express_import.account_rows import read_user, seen_of
from kernapay.express_import.choices import Candidate
from kernapay.express_import.report import CANNOT_MOVE, Progress, Report
from kernapay.express_import.repository import ExpressDatabase
from kernapay.express_import.row_values import CannotMove, Row
from kernapay.storage.repository import DuplicateRow
from kernapay.users.models import User
from kernapay.users.repository import UserRepository

_TAKEN = "an account of KernaPay has its address"
# Concurrent imports share their writes to the database.
_AT_ONCE = 100


class AccountImport:
    def __init__(
        self, old: ExpressDatabase, users: UserRepository, clock: Clock, *, writes: bool
    ) -> None:
        self._old = old
        self._users = users
        self._clock = clock
        self._writes = writes

    async def import_all(self, plan: Plan, report: Report, progress: Progress) -> None:
        """Import every account of the plan that is new or has changed since the last import. Raises Unavailable."""
        for row_id in await self._old.odd_ids("users"):
            report.note(CANNOT_MOVE, f"account {row_id}: its _id is no ObjectId")
            report.users["cannot move"] += 1
        count = 0
        async for rows in self._old.batches("users"):
            movers = [row for row in rows if str(row["_id"]) in plan.addresses]
            known = {
                user.pk: user
                for user in await self._users.list_among([row["_id"] for row in movers])
            }
            for start in range(0, len(movers), _AT_ONCE):
                await gather_all(
                    self._import(row, known.get(row["_id"]), plan, report)
                    for row in movers[start : start + _AT_ONCE]
                )
            for row in rows:
                user_id = str(row["_id"])
                if user_id not in plan.addresses and (reason := plan.waiting.get(user_id)):
                    report.note(CANNOT_MOVE, f"account {user_id}: {reason}")
                    report.users["cannot move"] += 1
            count += len(rows)
            progress("accounts", count)
        report.users["merged into another"] += plan.merged

    async def _import(self, row: Row, known: User | None, plan: Plan, report: Report) -> None:
        user_id = str(row["_id"])
        email = plan.addresses[user_id]
        if known is not None and known.former_seen == seen_of(row):
            report.users["unchanged"] += 1
            return
        try:
            old = read_user(row, email, self._clock())
            done = await self._store(old.user, known)
        except CannotMove as error:
            plan.waiting[user_id] = str(error)
            report.note(CANNOT_MOVE, f"account {user_id}: {error}")
            report.users["cannot move"] += 1
            if str(error) == _TAKEN:
                plan.candidates.append(Candidate(user_id, email, *await self._count(user_id)))
            return
        report.users[done] += 1
        report.odd.update(f"account {each}" for each in old.odd)

    async def _store(self, user: User, known: User | None) -> str:
        if known is None:
            taken = await self._users.get_one_or_none(email=user.email)
            if taken is not None:
                raise CannotMove(_TAKEN)
            if self._writes:
                try:
                    await self._users.add(user)
                except DuplicateRow:
                    raise CannotMove(_TAKEN) from None
            return "new"
        if known.former_seen is None:
            raise CannotMove("an account of KernaPay has its id")
        if known.erased_at is not None:
            return "unchanged"
        if self._writes:
            await self._users.take_over(known, user)
        return "changed"

    async def _count(self, user_id: str) -> tuple[int, int]:
        return await self._old.count_payments(user_id)
