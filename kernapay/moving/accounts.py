"""Decide which accounts of the Express service move, to which address, and whose payments go where."""

from collections import defaultdict
from dataclasses import dataclass, field

from kernapay.moving.choices import KEEP, MERGE, Candidate, Choices
from kernapay.moving.report import Progress
from kernapay.moving.repository import ExpressDatabase
from kernapay.moving.rows import Row, text_of
from kernapay.moving.users import email_of

UNDECIDED = "several accounts have its address, and the file does not say which one stays"
NO_ADDRESS = "its address is none, and the file gives it no other"


@dataclass(slots=True)
class Plan:
    """`addresses` has the accounts that move, `payers` to whom payments go, and `waiting` why others do not move."""

    addresses: dict[str, str] = field(default_factory=dict)
    payers: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    merged: int = 0

    def reason_to_wait(self, user_id: str) -> str | None:
        """Return why the payments of an account do not move: it does not, or the account that they go to."""
        return self.waiting.get(user_id) or self.waiting.get(self.payers.get(user_id, user_id))


class Accounts:
    def __init__(self, old: ExpressDatabase, choices: Choices, *, production: bool) -> None:
        self._old = old
        self._choices = choices
        self._production = production

    async def plan(self, progress: Progress) -> Plan:
        """Return the plan. Raises Unavailable."""
        groups: dict[str, list[str]] = defaultdict(list)
        shown: dict[str, str] = {}
        plan = Plan()
        count = 0
        async for rows in self._old.batches("users"):
            count += len(rows)
            progress("addresses", count)
            for row in rows:
                user_id = str(row["_id"])
                email = self._address_of(row, user_id)
                if email is None:
                    plan.waiting[user_id] = NO_ADDRESS
                    await self._ask(plan, user_id, text_of(row, "email") or "")
                    continue
                groups[email].append(user_id)
                shown[user_id] = text_of(row, "email") or ""
        for email, ids in groups.items():
            await self._plan_group(plan, email, ids, shown)
        return plan

    def _address_of(self, row: Row, user_id: str) -> str | None:
        chosen = self._choices.get(user_id, KEEP)
        if chosen not in (KEEP, MERGE):
            return chosen
        return email_of(row, production=self._production)

    async def _plan_group(
        self, plan: Plan, email: str, ids: list[str], shown: dict[str, str]
    ) -> None:
        kept = [each for each in ids if self._choices.get(each) not in (None, MERGE)]
        merged = [each for each in ids if self._choices.get(each) == MERGE]
        if len(ids) == 1 and not merged:
            kept = ids
        elif len(ids) > 1:
            for each in ids:
                await self._ask(plan, each, shown[each])
        if len(kept) != 1 or len(kept) + len(merged) != len(ids):
            plan.waiting |= dict.fromkeys(ids, UNDECIDED)
            return
        plan.addresses[kept[0]] = email
        plan.payers |= dict.fromkeys(ids, kept[0])
        plan.merged += len(merged)

    async def _ask(self, plan: Plan, user_id: str, email: str) -> None:
        payments, paid = await self._old.count_payments(user_id)
        plan.candidates.append(Candidate(user_id, email, payments, paid))
