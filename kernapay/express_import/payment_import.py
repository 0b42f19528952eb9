"""Import the payments of the Express service: read them, ask the gateway, enter them, settle them by its answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from kernapay.core.background import gather_all
from kernapay.core.clock import Clock, now
from kernapay.express_import.account_plan import Plan
from kernapay.express_import.amounts import Unit, convert, prove
from kernapay.express_import.changes import Changes
from kernapay.express_import.gateway_orders import GatewayOrders, OrderFacts
from kernapay.express_import.payment_rows import (
    SERVICE,
    OldPayment,
    draft_of,
    hash_of_row,
    read_payment,
)
from kernapay.express_import.report import (
    ASSUMED,
    DOES_NOT_FIT,
    PAID_TWICE,
    Progress,
    Report,
)
from kernapay.express_import.repository import ExpressDatabase
from kernapay.express_import.row_values import CannotMove, Row, hash_of
from kernapay.gateway.base import GatewayMissing, GatewayTooOld
from kernapay.payments.imported.models import Former
from kernapay.payments.imported.service import ImportConflict, ImportedPayments, judge, paid_twice
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import EvidenceMismatch

# Concurrent imports share the answers of the gateway's lists and their writes to the database.
_AT_ONCE: Final = 100
_ORDER: Final = "order"
_OPERATOR: Final = "operator"
_LATER: Final = "the gateway is asked later"

AskUnit = Callable[[OldPayment, str], Awaitable[Unit | None]]
"""Ask a person for the unit of an amount that the gateway cannot prove, and why. None means nobody knows."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """What an import knows of one payment. The amount is in minor units; `payer` is the id of an account."""

    old: OldPayment
    payer: str
    facts: OrderFacts
    former: Former
    amount: int


class PaymentImport:
    def __init__(
        self,
        old: ExpressDatabase,
        imported: ImportedPayments,
        orders: GatewayOrders,
        changes: Changes,
        ask: AskUnit,
        clock: Clock = now,
        *,
        live: bool,
        writes: bool,
        later: bool,
    ) -> None:
        """`later` enters new payments without asking the gateway, which another import has to do."""
        self._later = later
        self._old = old
        self._imported = imported
        self._orders = orders
        self._changes = changes
        self._ask = ask
        self._clock = clock
        self._live = live
        self._writes = writes

    async def import_all(self, plan: Plan, report: Report, progress: Progress) -> None:
        """Import every payment that is new or has changed since the last import.

        Raises GatewayError, Unavailable. What was imported before the error stays, and another run continues.
        """
        for row_id in await self._old.odd_ids("payments"):
            report.refuse_payment(f"payment {row_id}", "its _id is no ObjectId")
        count = 0
        async for rows in self._old.batches("payments"):
            read = [each for row in rows if (each := self._read(row, plan, report))]
            payments = await self._changed(read, report)
            if not self._later:
                await self._orders.prefetch(payments)
            known = await self._imported.known([each.id for each in payments])
            for start in range(0, len(payments), _AT_ONCE):
                await gather_all(
                    self._import(each, plan.payer_of(each.user_id), known.get(each.id), report)
                    for each in payments[start : start + _AT_ONCE]
                )
            count += len(rows)
            progress("payments", count)

    async def _changed(self, payments: Sequence[OldPayment], report: Report) -> list[OldPayment]:
        """Return the payments that are new or have changed. Report the others as they are stored here."""
        here = await self._imported.views([each.id for each in payments])
        changed = []
        for old in payments:
            known = here.get(str(old.id))
            if known is None or (not self._later and self._changes.has(old, known)):
                changed.append(old)
                continue
            if known.former and known.former.seen is None:
                report.add_deferred(old, known.amount)
                continue
            report.payments["unchanged"] += 1
            problem = known.former.problem if known.former else None
            report.add_payment(old, known.status, problem, known.amount)
        return changed

    def _read(self, row: Row, plan: Plan, report: Report) -> OldPayment | None:
        try:
            old = read_payment(row, self._clock())
            if (reason := plan.reason_to_wait(old.user_id)) is not None:
                raise CannotMove(f"it is of account {old.user_id}, which waits: {reason}")
        except CannotMove as error:
            report.refuse_payment(f"payment {row['_id']}", str(error))
            return None
        report.odd.update(f"payment {each}" for each in old.odd)
        return old

    async def _import(
        self, old: OldPayment, payer: str, known: Payment | None, report: Report
    ) -> None:
        if self._later:
            await self._enter_only(old, payer, report)
            return
        facts = await self._orders.find(old.order_id)
        try:
            former, amount = await self._value(old, facts, known, report)
            former.seen = hash_of(*_seen(old, facts))
            finding = _Finding(old, payer, facts, former, amount)
            if known is None:
                done = "new"
            else:
                known = await self._correct(known, finding)
                done = (
                    "unchanged" if known.former and known.former.seen == former.seen else "changed"
                )
            row = known
            if self._writes and done != "unchanged":
                row = await self._store(finding, known, report)
        except (CannotMove, ImportConflict) as error:
            report.refuse_payment(f"payment {old.name}", str(error))
            return
        report.payments[done] += 1
        self._report(finding, row if self._writes else None, report)

    async def _enter_only(self, old: OldPayment, payer: str, report: Report) -> None:
        """Enter a payment as unpaid. A later import asks the gateway about it."""
        try:
            former, amount = await self._value(old, OrderFacts(problem=_LATER), None, report)
            if self._writes:
                draft = draft_of(old, payer, amount, _unseen(former), None, live=self._live)
                async with self._holding(old):
                    _require_same(await self._imported.enter(draft, old.status), amount)
        except (CannotMove, ImportConflict) as error:
            report.refuse_payment(f"payment {old.name}", str(error))
            return
        report.add_deferred(old, amount)

    @asynccontextmanager
    async def _holding(self, payment: OldPayment | Payment) -> AsyncIterator[None]:
        """Let no stored sums with this payment be used during the block, which changes it.

        After an error of the database or the gateway the hold stays, because a write may still be carried out.
        """
        hold = await self._imported.hold(payment.id, payment.created_at)
        try:
            yield
        except (CannotMove, ImportConflict):
            await self._imported.release(hold, payment.provider_id)
            raise
        await self._imported.release(hold, payment.provider_id)

    async def _correct(self, known: Payment, finding: _Finding) -> Payment:
        """Give a payment that no import has looked up yet the amount and the receipt of its order.

        Raises CannotMove if any other payment is stored over another amount, or was not imported.
        """
        amount = finding.amount
        is_open = known.former is not None and known.former.seen is None
        order = None if known.status.is_paid else finding.facts.order
        if not is_open or order is None:
            _require_same(known, amount)
        is_right = order and (known.amount, known.receipt) == (amount, order.receipt)
        if order is None or is_right or not self._writes:
            return known
        async with self._holding(known):
            corrected = await self._imported.correct(
                known, _unseen(finding.former), amount, order.receipt
            )
        if corrected is None:
            _require_same(known, amount)
        return corrected or known

    async def _value(
        self, old: OldPayment, facts: OrderFacts, known: Payment | None, report: Report
    ) -> tuple[Former, int]:
        """Return what the Express service stored, and the amount in minor units. Raises CannotMove."""
        if facts.order is not None:
            unit, proof = prove(old.amount, old.currency, facts.order), _ORDER
        elif known is not None and known.former is not None:
            # It was converted once, and no later answer converts it again.
            unit, proof = Unit(known.former.unit), known.former.proof
            if known.former.seen is None and proof == _OPERATOR:
                report.note(ASSUMED, f"{old.name}: {old.amount} {unit} ({facts.problem})")
        else:
            reason = facts.problem or "nothing is known of its order"
            chosen = await self._ask(old, reason)
            if chosen is None:
                raise CannotMove(
                    f"{reason}, so that its amount cannot be proved: --amounts rupees or paise says what it is"
                )
            unit, proof = chosen, _OPERATOR
            if reason != _LATER:
                report.note(ASSUMED, f"{old.name}: {old.amount} {unit} ({reason})")
        report.units[f"{unit}, by the {proof}"] += 1
        amount = facts.order.amount if facts.order else convert(old.amount, old.currency, unit)
        former = Former(
            service=SERVICE,
            reference=old.reference,
            status=old.status,
            amount=str(old.amount),
            unit=unit.value,
            proof=proof,
            row=hash_of_row(old),
            problem=facts.problem,
        )
        return former, amount

    async def _store(self, finding: _Finding, known: Payment | None, report: Report) -> Payment:
        old, facts = finding.old, finding.facts
        async with self._holding(known or old):
            row = known or await self._enter(finding)
            if facts.problem is None:
                try:
                    row = await self._imported.settle(row, facts.attempts, facts.refunds)
                except EvidenceMismatch as error:
                    report.note(DOES_NOT_FIT, f"{old.name}: {error.reason}")
                except (GatewayMissing, GatewayTooOld) as error:
                    # Another amount was paid than ordered, and the gateway no longer says whether that is right.
                    report.note(DOES_NOT_FIT, f"{old.name}: {error.detail}")
            if not await self._imported.note(row, finding.former, is_known=facts.problem is None):
                raise CannotMove("it changed here in this moment: run the command again")
        return row

    async def _enter(self, finding: _Finding) -> Payment:
        old, order = finding.old, finding.facts.order
        receipt = order.receipt if order else None
        former = _unseen(finding.former)
        draft = draft_of(old, finding.payer, finding.amount, former, receipt, live=self._live)
        row = await self._imported.enter(draft, old.status)
        _require_same(row, finding.amount)
        return row

    def _report(self, finding: _Finding, row: Payment | None, report: Report) -> None:
        old, facts = finding.old, finding.facts
        status = row.status if row is not None else judge(facts.attempts, facts.refunds)
        report.add_payment(old, status, facts.problem, finding.amount)
        if twice := paid_twice(facts.attempts):
            report.note(PAID_TWICE, f"{old.name}: {', '.join(twice)}")


def _unseen(former: Former) -> Former:
    """Return the values of the earlier service, without what an import learned."""
    return Former(**{name: getattr(former, name) for name in _KEPT})


_KEPT: Final = ("service", "reference", "status", "amount", "unit", "proof")


def _require_same(row: Payment, amount: int) -> None:
    """Raise CannotMove if the stored payment has another amount, or was not imported."""
    if row.former is None:
        raise CannotMove("a payment of KernaPay has its id")
    if row.amount != amount:
        raise CannotMove(f"it is here over {row.amount}, and by its order it is {amount}")


def _seen(old: OldPayment, facts: OrderFacts) -> Sequence[object]:
    """Return the values that an import decides by. While they stay the same, there is nothing to import."""
    order = facts.order
    return (
        hash_of_row(old),
        [order.status, order.amount, order.amount_paid] if order else [facts.problem],
        sorted([each.id, each.status, each.amount_refunded or 0] for each in facts.attempts),
        sorted([each.id, each.status] for many in facts.refunds.values() for each in many),
    )
