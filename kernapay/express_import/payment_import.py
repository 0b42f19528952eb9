"""Import the payments of the Express service: read them, ask the gateway, enter them, settle them by its answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from kernapay.core.background import gather_all
from kernapay.core.clock import Clock, now
from kernapay.express_import.account_plan import Plan
from kernapay.express_import.amounts import Unit, convert, prove
from kernapay.express_import.changes import Changes
from kernapay.express_import.findings import UNCHANGED, Finding, seen_of, unseen
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
from kernapay.express_import.row_values import CannotMove, Row
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
                together = payments[start : start + _AT_ONCE]
                await self._import_together(together, plan, known, report)
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
            report.payments[UNCHANGED] += 1
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

    async def _import_together(
        self,
        payments: Sequence[OldPayment],
        plan: Plan,
        known: Mapping[object, Payment],
        report: Report,
    ) -> None:
        # All are found first: a person may take long to answer, and sums are only held while payments are written.
        found = await gather_all(
            self._find(each, plan.payer_of(each.user_id), known.get(each.id), report)
            for each in payments
        )
        findings = [each for each in found if each is not None]
        written = [each for each in findings if self._writes and each.change != UNCHANGED]
        async with self._imported.holding([each.changing for each in written]):
            await gather_all(self._import(each, report) for each in findings)

    async def _find(
        self, old: OldPayment, payer: str, known: Payment | None, report: Report
    ) -> Finding | None:
        """Return what is known of a payment. Report a payment that cannot move, and return None."""
        facts = OrderFacts(problem=_LATER) if self._later else await self._orders.find(old.order_id)
        try:
            former, amount = await self._value(old, facts, known, report)
        except CannotMove as error:
            report.refuse_payment(f"payment {old.name}", str(error))
            return None
        former.seen = seen_of(old, facts)
        return Finding(old, payer, known, facts, former, amount)

    async def _import(self, finding: Finding, report: Report) -> None:
        old, row = finding.old, finding.known
        try:
            if self._later:
                if self._writes:
                    await self._enter(finding)
                report.add_deferred(old, finding.amount)
                return
            if row is not None:
                row = await self._correct(row, finding)
            if self._writes and finding.change != UNCHANGED:
                row = await self._store(finding, row, report)
        except (CannotMove, ImportConflict) as error:
            report.refuse_payment(f"payment {old.name}", str(error))
            return
        report.payments[finding.change] += 1
        self._report(finding, row if self._writes else None, report)

    async def _correct(self, known: Payment, finding: Finding) -> Payment:
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
        corrected = await self._imported.correct(
            known, unseen(finding.former), amount, order.receipt
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

    async def _store(self, finding: Finding, known: Payment | None, report: Report) -> Payment:
        old, facts = finding.old, finding.facts
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

    async def _enter(self, finding: Finding) -> Payment:
        old, order = finding.old, finding.facts.order
        receipt = order.receipt if order else None
        former = unseen(finding.former)
        draft = draft_of(old, finding.payer, finding.amount, former, receipt, live=self._live)
        row = await self._imported.enter(draft, old.status)
        _require_same(row, finding.amount)
        return row

    def _report(self, finding: Finding, row: Payment | None, report: Report) -> None:
        old, facts = finding.old, finding.facts
        status = row.status if row is not None else judge(facts.attempts, facts.refunds)
        report.add_payment(old, status, facts.problem, finding.amount)
        if twice := paid_twice(facts.attempts):
            report.note(PAID_TWICE, f"{old.name}: {', '.join(twice)}")


def _require_same(row: Payment, amount: int) -> None:
    """Raise CannotMove if the stored payment has another amount, or was not imported."""
    if row.former is None:
        raise CannotMove("a payment of KernaPay has its id")
    if row.amount != amount:
        raise CannotMove(f"it is here over {row.amount}, and by its order it is {amount}")
