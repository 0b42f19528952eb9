"""Compare our payments of a window with the gateway's books, both ways."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from bson import ObjectId

from kernapay.gateway.base import GatewayPayment, GatewayRejected, Order, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.references import payment_id_of, receipt_of
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.states import Status
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.pacing import Pace
from kernapay.storage.filters import BeforeAfter, OrderBy

_PAGE: Final = 100
_FEED_PAGE: Final = 1000
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))  # where the feed's days begin and end
# The gateway's order is made a little after our record: look a little further than the window.
_EDGE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Kind
    payment: Payment | None = None
    order_id: str | None = None
    razorpay_payment_id: str | None = None
    ours: str | None = None
    theirs: str | None = None


class Comparison:
    """One pass over a window. `totals` grows as it goes; `progress` is told after every page."""

    def __init__(
        self,
        payments: PaymentRepository,
        gateway: PaymentGateway,
        pace: Pace,
        after: datetime,
        before: datetime,
        progress: Callable[[str, int], None] = lambda _, __: None,
    ) -> None:
        self._payments = payments
        self._gateway = gateway
        self._pace = pace
        self._after = after
        self._before = before
        self._progress = progress
        self._attempts: dict[str, dict[str, GatewayPayment]] = defaultdict(dict)
        self.totals: Counter[str] = Counter()

    async def run(self, *, settlements: bool = True) -> AsyncIterator[Difference]:
        """Yield every difference. Raises GatewayUnknown when the gateway stays silent, Unavailable."""
        seen: set[ObjectId] = set()
        async for attempt in self._pages("payments", self._gateway.list_payments):
            self.totals["gatewayPayments"] += 1
            if attempt.order_id is not None:
                self._attempts[attempt.order_id][attempt.id] = attempt
        async for order in self._pages("orders", self._gateway.list_orders):
            self.totals["gatewayOrders"] += 1
            payment_id = payment_id_of(order.receipt)
            if payment_id is None:
                self.totals["foreignOrders"] += 1  # another application's of the same account
                continue
            payment = await self._payments.get_one_or_none(id=payment_id)
            if payment is None:
                yield Difference(Kind.MISSING_HERE, order_id=order.id, theirs=_money(order))
                continue
            async for difference in self._compare(payment, order, seen):
                yield difference
        window = BeforeAfter("created_at", before=self._before, after=self._after)
        async for payment in self._payments.stream(window, OrderBy("created_at")):
            self.totals["payments"] += 1
            self._progress("our payments", self.totals["payments"])
            if payment.pk not in seen:
                async for difference in self._confirm(payment, seen):
                    yield difference
        if settlements:
            async for difference in self._settlements():
                yield difference

    async def _compare(
        self, payment: Payment, order: Order, seen: set[ObjectId]
    ) -> AsyncIterator[Difference]:
        if payment.razorpay_order_id is None:
            seen.add(payment.pk)
            yield Difference(Kind.UNATTACHED_ORDER, payment, order.id, theirs=_money(order))
            return
        if payment.razorpay_order_id != order.id:
            # Known and without money in it, a surplus order is harmless.
            if order.id not in payment.surplus_orders or await self.captured_of(order.id):
                ours = payment.razorpay_order_id
                yield Difference(Kind.SURPLUS_ORDER, payment, order.id, ours=ours)
            return
        if payment.pk in seen:
            return  # new orders move the pages while they are read
        seen.add(payment.pk)
        self.totals["compared"] += 1
        if compare(payment, order, await self._attempts_of(order)):
            # Both books went on while they were read: only what still differs now is a difference.
            for difference in await self.again(payment, order.id):
                yield difference

    async def again(self, payment: Payment, order_id: str) -> list[Difference]:
        """Compare one payment with what both books say of it right now."""
        order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        return compare(await self._payments.get(id=payment.pk), order, attempts)

    async def captured_of(self, order_id: str) -> list[GatewayPayment]:
        """Return what was captured for an order and is not wholly refunded."""
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        return [a for a in attempts if a.is_captured and (a.amount_refunded or 0) < a.amount]

    async def _attempts_of(self, order: Order) -> Sequence[GatewayPayment]:
        known = list(self._attempts.get(order.id, {}).values())
        if order.status == "created" or any(attempt.is_captured for attempt in known):
            return known
        # An attempt made after the window is not on its pages.
        return await self._pace.call(lambda: self._gateway.payments_of(order.id))

    async def _confirm(self, payment: Payment, seen: set[ObjectId]) -> AsyncIterator[Difference]:
        """Ask for what the pages did not show before calling it missing."""
        if payment.razorpay_order_id is None:
            found = await self._pace.call(lambda: self._gateway.find_orders(receipt_of(payment.pk)))
            if found:
                yield Difference(Kind.UNATTACHED_ORDER, payment, found[0].id)
            return
        order_id = payment.razorpay_order_id
        try:
            order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        except GatewayRejected as error:
            if payment.status is Status.FAILED:
                return  # no money here, no order there
            yield Difference(
                Kind.MISSING_THERE, payment, order_id, ours=_money(payment), theirs=error.detail
            )
            return
        async for difference in self._compare(payment, order, seen):
            yield difference

    async def _settlements(self) -> AsyncIterator[Difference]:
        """Read the settlement feed of the window's days: what was really paid out, and for what fee."""
        day, last = (at.astimezone(_INDIA).date() for at in (self._after, self._before))
        while day <= last:
            skip = 0
            while rows := await self._pace.call(
                lambda day=day, skip=skip: self._gateway.settlement_rows(  # type: ignore[misc]
                    day.year, day.month, day.day, skip=skip, count=_FEED_PAGE
                )
            ):
                for row in rows:
                    async for difference in self._settled(row):
                        yield difference
                skip += len(rows)
                self._progress("settlement rows", self.totals["settlementRows"])
                if len(rows) < _FEED_PAGE:
                    break
            day += timedelta(days=1)

    async def _settled(self, row: Mapping[str, Any]) -> AsyncIterator[Difference]:
        self.totals["settlementRows"] += 1
        self.totals["settledFees"] += int(row.get("fee") or 0)
        self.totals["settledTax"] += int(row.get("tax") or 0)
        self.totals["settledCredit"] += int(row.get("credit") or 0)
        self.totals["settledDebit"] += int(row.get("debit") or 0)
        payment_id = payment_id_of(row.get("order_receipt"))
        if payment_id is None or row.get("type") != "payment":
            return
        payment = await self._payments.get_one_or_none(id=payment_id)

        def differs(kind: Kind, ours: object, theirs: object) -> Difference:
            return Difference(
                kind,
                payment,
                str(row.get("order_id")),
                str(row.get("entity_id")),
                ours=str(ours),
                theirs=str(theirs),
            )

        if payment is None or not payment.status.is_paid:
            status = payment.status.value if payment else "no payment"
            yield differs(Kind.SETTLEMENT, status, "settled")
        elif payment.amount != row.get("amount"):
            yield differs(Kind.AMOUNT, payment.amount, row.get("amount"))
        elif payment.fee is not None and payment.fee != row.get("fee"):
            yield differs(Kind.FEE, payment.fee, row.get("fee"))

    async def _pages(self, name: str, ask: Callable[..., Any]) -> AsyncIterator[Any]:
        skip = 0
        while True:
            page = await self._pace.call(
                lambda skip=skip: ask(  # type: ignore[misc]
                    self._after, self._before + _EDGE, skip=skip, count=_PAGE
                )
            )
            for item in page:
                yield item
            skip += len(page)
            self._progress(f"gateway {name}", skip)
            if len(page) < _PAGE:
                return


def compare(payment: Payment, order: Order, attempts: Sequence[GatewayPayment]) -> list[Difference]:
    """Compare amount, status, refunds and fee of one payment with the gateway's order and its attempts."""
    if (payment.amount, payment.currency) != (order.amount, order.currency):
        ours, theirs = _money(payment), _money(order)
        return [Difference(Kind.AMOUNT, payment, order.id, ours=ours, theirs=theirs)]
    captured = [attempt for attempt in attempts if attempt.is_captured]
    differences = []
    paid = bool(captured) or order.status == "paid"
    if paid != payment.status.is_paid:
        differences.append(
            Difference(
                Kind.STATUS,
                payment,
                order.id,
                captured[0].id if captured else None,
                ours=payment.status.value,
                theirs="paid" if paid else order.status,
            )
        )
    for extra in captured:
        if payment.status.is_paid and extra.id != payment.razorpay_payment_id:
            if extra.amount_refunded == extra.amount:
                continue  # given back already
            differences.append(
                Difference(
                    Kind.SECOND_PAYMENT,
                    payment,
                    order.id,
                    extra.id,
                    ours=payment.razorpay_payment_id,
                )
            )
        elif payment.status.is_paid:
            differences += _compare_money(payment, order, extra)
    return differences


def _compare_money(payment: Payment, order: Order, facts: GatewayPayment) -> list[Difference]:
    differences = []
    pending = sum(r.amount for r in payment.refunds if r.status == "pending")
    theirs = facts.amount_refunded or 0
    # The gateway may count a refund that it has accepted but not finished.
    if theirs not in (payment.amount_refunded, payment.amount_refunded + pending):
        differences.append(
            Difference(
                Kind.REFUNDS,
                payment,
                order.id,
                facts.id,
                ours=str(payment.amount_refunded),
                theirs=str(theirs),
            )
        )
    if payment.fee is not None and facts.fee is not None and payment.fee != facts.fee:
        differences.append(
            Difference(
                Kind.FEE, payment, order.id, facts.id, ours=str(payment.fee), theirs=str(facts.fee)
            )
        )
    return differences


def _money(what: Payment | Order) -> str:
    return f"{what.amount} {what.currency} {what.status}"
