"""Settlements on request, before the ordinary one."""

import re
from typing import Final

from kernapay.sandbox.account_entities import InstantSettlement
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.errors import bad_request, not_applicable
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.settlements import AdjustmentTerms, Settlements
from kernapay.sandbox.store import Store

MIN_AMOUNT: Final = 100
_DESCRIPTION: Final = re.compile(r"[A-Za-z0-9 .]{0,30}")
# Ours: the vendor's samples show two hours.
PROCESSING_SECONDS: Final = 60


class InstantSettlements(Resource[InstantSettlement]):
    def __init__(
        self, store: Store, clock: Clock, scheduler: Scheduler, settlements: Settlements
    ) -> None:
        super().__init__("setlod", store.instant_settlements)
        self._clock = clock
        self._scheduler = scheduler
        self._settlements = settlements
        scheduler.register("instant_settlement.process", self._process)

    def create(self, owner: str, fields: Fields) -> InstantSettlement:
        """Pay out an amount, in paise, or all that is owed. Raise RazorpayError if the balance does not cover it."""
        amount = fields.require_integer("amount")
        is_full = fields.flag("settle_full_balance") or False
        description, notes = fields.text("description") or "", fields.notes() or {}
        fields.reject_unread()
        if not _DESCRIPTION.fullmatch(description):
            raise bad_request("The description format is invalid.", "description")
        balance = self._settlements.balance(owner)
        if is_full:
            amount = balance
        if amount < MIN_AMOUNT:
            raise not_applicable("Minimum amount that can be settled is ₹ 1.")
        if amount > balance:
            # The vendor's words for it are not published.
            raise not_applicable("The amount requested is greater than the available balance.")
        fees, tax = instant_fee(amount)
        instant = self._table.add(
            InstantSettlement(
                id=new_id("setlod"),
                owner=owner,
                created_at=self._clock.timestamp(),
                payout_id=new_id("setlodp"),
                amount=amount,
                fees=fees,
                tax=tax,
                settle_full_balance=is_full,
                description=description,
                notes=notes,
            )
        )
        # The next ordinary settlement pays so much less.
        terms = AdjustmentTerms(debit=amount, description=f"Instant settlement {instant.id}")
        self._settlements.adjust(owner, terms)
        self._scheduler.schedule(PROCESSING_SECONDS, "instant_settlement.process", instant.id)
        return instant

    def _process(self, instant_id: str) -> None:
        instant = self._table.get(instant_id)
        if instant is None or instant.status != "initiated":
            return
        now = self._clock.timestamp()
        instant.status = "processed"
        instant.initiated_at = instant.created_at + 1
        instant.processed_at = now
        instant.utr = f"{now}{new_id('utr')[-2:]}"
        self._table.save(instant)


def instant_fee(amount: int) -> tuple[int, int]:
    """Return fees, which include the tax, and tax: 0.25 % and 18 % of that, as in the vendor's samples."""
    base = (amount * 25 + 5_000) // 10_000
    tax = (base * 18 + 50) // 100
    return base + tax, tax
