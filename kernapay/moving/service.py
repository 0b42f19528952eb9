"""Move payments of the Express service: read them, ask the gateway, enter them, settle them by its word."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kernapay.core.clock import Clock, now
from kernapay.gateway.base import GatewayMissing, GatewayTooOld
from kernapay.moving.accounts import Plan
from kernapay.moving.amounts import Unit, convert, prove
from kernapay.moving.books import Found, OrderBooks
from kernapay.moving.changes import Changes
from kernapay.moving.payments import SERVICE, OldPayment, draft_of, hash_of_row, read_payment
from kernapay.moving.report import (
    ASSUMED,
    CANNOT_MOVE,
    DOES_NOT_FIT,
    PAID_TWICE,
    Progress,
    Report,
)
from kernapay.moving.repository import ExpressDatabase
from kernapay.moving.rows import CannotMove, Row, hash_of
from kernapay.moving.telling import leave, tell
from kernapay.moving.together import together
from kernapay.payments.former.models import Former
from kernapay.payments.former.service import FormerPayments, FormerTaken, judge, paid_twice
from kernapay.payments.models import Payment
from kernapay.payments.outcomes import EvidenceMismatch

# At once, so that the gateway's and the database's answers are waited for together.
_AT_ONCE: Final = 100
_ORDER: Final = "order"
_OPERATOR: Final = "operator"
_LATER: Final = "the gateway is asked later"

AskUnit = Callable[[OldPayment, str], Awaitable[Unit | None]]
"""Ask a person for the unit of an amount that the gateway cannot prove, and why. None means nobody knows."""


class Payments:
    def __init__(
        self,
        old: ExpressDatabase,
        former: FormerPayments,
        books: OrderBooks,
        changes: Changes,
        ask: AskUnit,
        clock: Clock = now,
        *,
        live: bool,
        writes: bool,
        later: bool,
    ) -> None:
        """`later` enters what is new, and leaves it to another import to ask the gateway."""
        self._later = later
        self._old = old
        self._former = former
        self._books = books
        self._changes = changes
        self._ask = ask
        self._clock = clock
        self._live = live
        self._writes = writes

    async def move_all(self, plan: Plan, report: Report, progress: Progress) -> None:
        """Bring every payment that is not here, or of which something has changed since.

        Raises GatewayError, Unavailable. What is here stays: another run goes on.
        """
        for row_id in await self._old.odd_ids("payments"):
            self._refuse(report, f"payment {row_id}", "its _id is no ObjectId")
        count = 0
        async for rows in self._old.batches("payments"):
            read = [each for row in rows if (each := self._read(row, plan, report))]
            payments = await self._changed(read, report)
            if not self._later:
                await self._books.open(payments)
            known = await self._former.known([each.id for each in payments])
            for start in range(0, len(payments), _AT_ONCE):
                await together(
                    self._move(each, plan.payers.get(each.user_id), known.get(each.id), report)
                    for each in payments[start : start + _AT_ONCE]
                )
            count += len(rows)
            progress("payments", count)

    async def _changed(self, payments: Sequence[OldPayment], report: Report) -> list[OldPayment]:
        """Return those that are not here, or of which something has changed. Report what is known of the others."""
        here = await self._former.moved([each.id for each in payments])
        changed = []
        for old in payments:
            known = here.get(str(old.id))
            if known is None or (not self._later and self._changes.has(old, known)):
                changed.append(old)
                continue
            if known.former and known.former.seen is None:
                leave(old, known.amount, report)
                continue
            report.payments["unchanged"] += 1
            problem = known.former.problem if known.former else None
            tell(old, known.status, problem, known.amount, report)
        return changed

    def _read(self, row: Row, plan: Plan, report: Report) -> OldPayment | None:
        try:
            old = read_payment(row, self._clock())
            if (reason := plan.reason_to_wait(old.user_id)) is not None:
                raise CannotMove(f"it is of account {old.user_id}, which waits: {reason}")
        except CannotMove as error:
            self._refuse(report, f"payment {row['_id']}", str(error))
            return None
        report.odd.update(f"payment {each}" for each in old.odd)
        return old

    async def _move(
        self, old: OldPayment, payer: str | None, known: Payment | None, report: Report
    ) -> None:
        if self._later:
            await self._enter_only(old, payer or old.user_id, report)
            return
        found = await self._books.find(old.order_id)
        try:
            former, amount = await self._value(old, found, known, report)
            former.seen = hash_of(*_seen(old, found))
            if known is None:
                done = "new"
            else:
                known = await self._correct(known, former, amount, found)
                done = (
                    "unchanged" if known.former and known.former.seen == former.seen else "changed"
                )
            row = known
            if self._writes and done != "unchanged":
                row = await self._store(
                    old, payer or old.user_id, known, former, amount, found, report
                )
        except (CannotMove, FormerTaken) as error:
            self._refuse(report, f"payment {old.name}", str(error))
            return
        report.payments[done] += 1
        self._compare(old, found, row if self._writes else None, amount, report)

    async def _enter_only(self, old: OldPayment, payer: str, report: Report) -> None:
        """Enter a payment as unpaid. Another import asks the gateway about it."""
        try:
            former, amount = await self._value(old, Found(problem=_LATER), None, report)
            if self._writes:
                draft = draft_of(old, payer, amount, _unseen(former), None, live=self._live)
                hold = await self._former.hold(old.id, old.created_at)
                try:
                    _require_same(await self._former.enter(draft, old.status), amount)
                except (CannotMove, FormerTaken):
                    await self._former.release(hold, old.provider_id)
                    raise
                await self._former.release(hold, old.provider_id)
        except (CannotMove, FormerTaken) as error:
            self._refuse(report, f"payment {old.name}", str(error))
            return
        leave(old, amount, report)

    async def _correct(self, known: Payment, former: Former, amount: int, found: Found) -> Payment:
        """Return a payment with the amount and the receipt of its order, by which more or less money is taken for it.

        Raises CannotMove if it is here over another amount.
        """
        is_open = known.former is not None and known.former.seen is None
        order = None if known.status.is_paid else found.order
        if not is_open or order is None:
            _require_same(known, amount)
        is_right = order and (known.amount, known.receipt) == (amount, order.receipt)
        if order is None or is_right or not self._writes:
            return known
        hold = await self._former.hold(known.pk, known.created_at)
        corrected = await self._former.correct(known, _unseen(former), amount, order.receipt)
        await self._former.release(hold, known.provider_id)
        if corrected is None:
            _require_same(known, amount)
        return corrected or known

    async def _value(
        self, old: OldPayment, found: Found, known: Payment | None, report: Report
    ) -> tuple[Former, int]:
        """Return what was stored, and the amount in minor units. Raises CannotMove."""
        if found.order is not None:
            unit, proof = prove(old.amount, old.currency, found.order), _ORDER
        elif known is not None and known.former is not None:
            # Converted once. No later answer converts it again.
            unit, proof = Unit(known.former.unit), known.former.proof
            if known.former.seen is None and proof == _OPERATOR:
                report.note(ASSUMED, f"{old.name}: {old.amount} {unit} ({found.problem})")
        else:
            reason = found.problem or "nothing is known of its order"
            chosen = await self._ask(old, reason)
            if chosen is None:
                raise CannotMove(
                    f"{reason}, so that its amount cannot be proved: --amounts rupees or paise says what it is"
                )
            unit, proof = chosen, _OPERATOR
            if reason != _LATER:
                report.note(ASSUMED, f"{old.name}: {old.amount} {unit} ({reason})")
        report.units[f"{unit}, by the {proof}"] += 1
        amount = found.order.amount if found.order else convert(old.amount, old.currency, unit)
        former = Former(
            service=SERVICE,
            reference=old.reference,
            status=old.status,
            amount=str(old.amount),
            unit=unit.value,
            proof=proof,
            row=hash_of_row(old),
            problem=found.problem,
        )
        return former, amount

    async def _store(
        self,
        old: OldPayment,
        payer: str,
        known: Payment | None,
        former: Former,
        amount: int,
        found: Found,
        report: Report,
    ) -> Payment:
        of = known or old
        hold = await self._former.hold(old.id, of.created_at)
        try:
            row = await self._write(old, payer, known, former, amount, found, report)
        except (CannotMove, FormerTaken):
            await self._former.release(hold, of.provider_id)
            raise
        await self._former.release(hold, of.provider_id)
        return row

    async def _write(
        self,
        old: OldPayment,
        payer: str,
        known: Payment | None,
        former: Former,
        amount: int,
        found: Found,
        report: Report,
    ) -> Payment:
        row = known
        if row is None:
            receipt = found.order.receipt if found.order else None
            draft = draft_of(old, payer, amount, _unseen(former), receipt, live=self._live)
            row = await self._former.enter(draft, old.status)
            _require_same(row, amount)
        if found.problem is None:
            try:
                row = await self._former.settle(row, found.attempts, found.refunds)
            except EvidenceMismatch as error:
                report.note(DOES_NOT_FIT, f"{old.name}: {error.reason}")
            except (GatewayMissing, GatewayTooOld) as error:
                # Another amount was paid than ordered, and the gateway no longer says whether that is right.
                report.note(DOES_NOT_FIT, f"{old.name}: {error.detail}")
        if not await self._former.note(row, former, is_known=found.problem is None):
            raise CannotMove("it changed here in this moment: run the command again")
        return row

    def _compare(
        self, old: OldPayment, found: Found, row: Payment | None, amount: int, report: Report
    ) -> None:
        status = row.status if row is not None else judge(found.attempts, found.refunds)
        tell(old, status, found.problem, amount, report)
        if twice := paid_twice(found.attempts):
            report.note(PAID_TWICE, f"{old.name}: {', '.join(twice)}")

    def _refuse(self, report: Report, subject: str, reason: str) -> None:
        report.payments["cannot move"] += 1
        report.note(CANNOT_MOVE, f"{subject}: {reason}")


def _unseen(former: Former) -> Former:
    """Return what the earlier service stored, without what an import saw."""
    return Former(**{name: getattr(former, name) for name in _KEPT})


_KEPT: Final = ("service", "reference", "status", "amount", "unit", "proof")


def _require_same(row: Payment, amount: int) -> None:
    """Raise CannotMove if a payment is here over another amount, or is no import."""
    if row.former is None:
        raise CannotMove("a payment of KernaPay has its id")
    if row.amount != amount:
        raise CannotMove(f"it is here over {row.amount}, and by its order it is {amount}")


def _seen(old: OldPayment, found: Found) -> Sequence[object]:
    """Return all of a payment by which an import decides."""
    order = found.order
    return (
        hash_of_row(old),
        [order.status, order.amount, order.amount_paid] if order else [found.problem],
        sorted([each.id, each.status, each.amount_refunded or 0] for each in found.attempts),
        sorted([each.id, each.status] for many in found.refunds.values() for each in many),
    )
