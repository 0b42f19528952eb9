"""Plan the import of accounts: which are imported, under which address, and which account gets whose payments."""

from collections import defaultdict
from dataclasses import dataclass, field

from kernapay.express_import.account_rows import email_of
from kernapay.express_import.choices import KEEP, MERGE, Candidate, Choices
from kernapay.express_import.report import Progress
from kernapay.express_import.repository import ExpressDatabase
from kernapay.express_import.row_values import Row, text_of

UNDECIDED = "several accounts have its address, and the file does not say which one stays"
NO_ADDRESS = "its address is none, and the file gives it no other"


@dataclass(slots=True)
class Plan:
    """`addresses` has the new address of each account to import, and `waiting` the reason why another is not imported.

    `payers` has, by account, the account that gets its payments. All ids are those of the Express service.
    """

    addresses: dict[str, str] = field(default_factory=dict)
    payers: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    merged: int = 0

    def reason_to_wait(self, user_id: str) -> str | None:
        """Return why the payments of an account are not imported, None if they are."""
        return self.waiting.get(user_id) or self.waiting.get(self.payer_of(user_id))

    def payer_of(self, user_id: str) -> str:
        """Return the account that gets the payments of an account."""
        return self.payers.get(user_id, user_id)


class AccountPlanner:
    def __init__(self, old: ExpressDatabase, choices: Choices, *, production: bool) -> None:
        self._old = old
        self._choices = choices
        self._production = production

    async def plan(self, progress: Progress) -> Plan:
        """Read all accounts and return the plan. Raises Unavailable."""
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
