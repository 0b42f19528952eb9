"""Compare our payments of a window with the gateway's records, in both directions."""

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
from kernapay.reconciliation.dispute_comparison import DisputeComparison
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.pacing import Pace
from kernapay.storage.filters import BeforeAfter, OrderBy

# Razorpay: the largest pages.
_PAGE: Final = 100
_SETTLEMENT_PAGE: Final = 1000
# Razorpay: a settlement day is a day in India.
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))
# The gateway's order is created after our payment, so read the gateway's pages a little past the window.
_MARGIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between our records and the gateway's. `ours` and `theirs` are the two values, as text."""

    kind: Kind
    payment: Payment | None = None
    order_id: str | None = None
    razorpay_payment_id: str | None = None
    dispute_id: str | None = None
    ours: str | None = None
    theirs: str | None = None


class Comparison:
    """One pass over a window. `totals` grows while it runs; `progress` is called with a name and a count."""

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
        """Yield every difference. Raises Unavailable, and GatewayUnknown when the gateway keeps failing."""
        compared_ids: set[ObjectId] = set()
        async for attempt in self._pages("payments", self._gateway.list_payments):
            self.totals["gatewayPayments"] += 1
            if attempt.order_id is not None:
                self._attempts[attempt.order_id][attempt.id] = attempt
        async for order in self._pages("orders", self._gateway.list_orders):
            self.totals["gatewayOrders"] += 1
            payment_id = payment_id_of(order.receipt)
            if payment_id is None:
                self.totals["foreignOrders"] += 1  # from another application with the same account
                continue
            payment = await self._payments.get_one_or_none(id=payment_id)
            if payment is None:
                yield Difference(Kind.MISSING_HERE, order_id=order.id, theirs=_describe(order))
                continue
            async for difference in self._compare_order(payment, order, compared_ids):
                yield difference
        window = BeforeAfter("created_at", before=self._before, after=self._after)
        async for payment in self._payments.stream(window, OrderBy("created_at")):
            self.totals["payments"] += 1
            self._progress("our payments", self.totals["payments"])
            if payment.pk not in compared_ids:
                async for difference in self._look_up(payment, compared_ids):
                    yield difference
        disputes = DisputeComparison(self._payments, self._gateway, self._pace, self.totals)
        async for each in disputes.run():
            yield Difference(**each._asdict())
        if settlements:
            async for difference in self._compare_settlements():
                yield difference

    async def _compare_order(
        self, payment: Payment, order: Order, compared_ids: set[ObjectId]
    ) -> AsyncIterator[Difference]:
        if payment.razorpay_order_id is None:
            compared_ids.add(payment.pk)
            yield Difference(Kind.UNATTACHED_ORDER, payment, order.id, theirs=_describe(order))
            return
        if payment.razorpay_order_id != order.id:
            # A surplus order that is stored as such and has no money in it is harmless.
            if order.id not in payment.surplus_orders or await self.find_unrefunded_captures(
                order.id
            ):
                ours = payment.razorpay_order_id
                yield Difference(Kind.SURPLUS_ORDER, payment, order.id, ours=ours)
            return
        if payment.pk in compared_ids:
            return  # new orders shift the gateway's pages, so an order may come twice
        compared_ids.add(payment.pk)
        self.totals["compared"] += 1
        if compare(payment, order, await self._attempts_of(order)):
            # Either side may have changed since it was read. Report only what still differs now.
            for difference in await self.compare_again(payment, order.id):
                yield difference

    async def compare_again(self, payment: Payment, order_id: str) -> list[Difference]:
        """Read one payment again on both sides, and return its differences."""
        order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        return compare(await self._payments.get(id=payment.pk), order, attempts)

    async def find_unrefunded_captures(self, order_id: str) -> list[GatewayPayment]:
        """Return the captured payments of an order that are not fully refunded."""
        attempts = await self._pace.call(lambda: self._gateway.payments_of(order_id))
        return [a for a in attempts if a.is_captured and (a.amount_refunded or 0) < a.amount]

    async def _attempts_of(self, order: Order) -> Sequence[GatewayPayment]:
        attempts = list(self._attempts.get(order.id, {}).values())
        if order.status == "created" or any(attempt.is_captured for attempt in attempts):
            return attempts
        # The pages of the window lack attempts made after it.
        return await self._pace.call(lambda: self._gateway.payments_of(order.id))

    async def _look_up(
        self, payment: Payment, compared_ids: set[ObjectId]
    ) -> AsyncIterator[Difference]:
        """Look up the order of a payment that was on no page, and yield the differences."""
        if payment.razorpay_order_id is None:
            receipt = receipt_of(payment.pk)
            orders = await self._pace.call(lambda: self._gateway.find_orders(receipt))
            if orders:
                yield Difference(Kind.UNATTACHED_ORDER, payment, orders[0].id)
            return
        order_id = payment.razorpay_order_id
        try:
            order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        except GatewayRejected as error:
            if payment.status is Status.FAILED:
                return  # not paid here, unknown there: no difference
            yield Difference(
                Kind.MISSING_THERE, payment, order_id, ours=_describe(payment), theirs=error.detail
            )
            return
        async for difference in self._compare_order(payment, order, compared_ids):
            yield difference

    async def _compare_settlements(self) -> AsyncIterator[Difference]:
        """Read the settlements of the window's days: the amounts and fees that were really paid out."""
        day, last = (at.astimezone(_INDIA).date() for at in (self._after, self._before))
        while day <= last:
            skip = 0
            while rows := await self._pace.call(
                lambda day=day, skip=skip: self._gateway.settlement_rows(  # type: ignore[misc]
                    day.year, day.month, day.day, skip=skip, count=_SETTLEMENT_PAGE
                )
            ):
                for row in rows:
                    async for difference in self._compare_settlement(row):
                        yield difference
                skip += len(rows)
                self._progress("settlement rows", self.totals["settlementRows"])
                if len(rows) < _SETTLEMENT_PAGE:
                    break
            day += timedelta(days=1)

    async def _compare_settlement(self, row: Mapping[str, Any]) -> AsyncIterator[Difference]:
        self.totals["settlementRows"] += 1
        self.totals["settledFees"] += int(row.get("fee") or 0)
        self.totals["settledTax"] += int(row.get("tax") or 0)
        self.totals["settledCredit"] += int(row.get("credit") or 0)
        self.totals["settledDebit"] += int(row.get("debit") or 0)
        payment_id = payment_id_of(row.get("order_receipt"))
        if payment_id is None or row.get("type") != "payment":
            return
        payment = await self._payments.get_one_or_none(id=payment_id)

        def report(kind: Kind, ours: object, theirs: object) -> Difference:
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
            yield report(Kind.SETTLEMENT, status, "settled")
        elif payment.amount != row.get("amount"):
            yield report(Kind.AMOUNT, payment.amount, row.get("amount"))
        elif payment.fee is not None and payment.fee != row.get("fee"):
            yield report(Kind.FEE, payment.fee, row.get("fee"))

    async def _pages(self, name: str, call: Callable[..., Any]) -> AsyncIterator[Any]:
        skip = 0
        while True:
            page = await self._pace.call(
                lambda skip=skip: call(  # type: ignore[misc]
                    self._after, self._before + _MARGIN, skip=skip, count=_PAGE
                )
            )
            for item in page:
                yield item
            skip += len(page)
            self._progress(f"gateway {name}", skip)
            if len(page) < _PAGE:
                return


def compare(payment: Payment, order: Order, attempts: Sequence[GatewayPayment]) -> list[Difference]:
    """Return the differences between a payment and the gateway's order: amount, status, refunds, fee."""
    if (payment.amount, payment.currency) != (order.amount, order.currency):
        ours, theirs = _describe(payment), _describe(order)
        return [Difference(Kind.AMOUNT, payment, order.id, ours=ours, theirs=theirs)]
    captures = [attempt for attempt in attempts if attempt.is_captured]
    differences = []
    is_paid = bool(captures) or order.status == "paid"
    if is_paid != payment.status.is_paid:
        differences.append(
            Difference(
                Kind.STATUS,
                payment,
                order.id,
                captures[0].id if captures else None,
                ours=payment.status.value,
                theirs="paid" if is_paid else order.status,
            )
        )
    for capture in captures:
        if payment.status.is_paid and capture.id != payment.razorpay_payment_id:
            if capture.amount_refunded == capture.amount:
                continue  # refunded already
            differences.append(
                Difference(
                    Kind.SECOND_PAYMENT,
                    payment,
                    order.id,
                    capture.id,
                    ours=payment.razorpay_payment_id,
                )
            )
        elif payment.status.is_paid:
            differences += _compare_money(payment, order, capture)
    return differences


def _compare_money(
    payment: Payment, order: Order, gateway_payment: GatewayPayment
) -> list[Difference]:
    differences = []
    pending = sum(r.amount for r in payment.refunds if r.status == "pending")
    theirs = gateway_payment.amount_refunded or 0
    # Razorpay: `amount_refunded` may include a refund that is still pending.
    if theirs not in (payment.amount_refunded, payment.amount_refunded + pending):
        differences.append(
            Difference(
                Kind.REFUNDS,
                payment,
                order.id,
                gateway_payment.id,
                ours=str(payment.amount_refunded),
                theirs=str(theirs),
            )
        )
    if (
        payment.fee is not None
        and gateway_payment.fee is not None
        and payment.fee != gateway_payment.fee
    ):
        differences.append(
            Difference(
                Kind.FEE,
                payment,
                order.id,
                gateway_payment.id,
                ours=str(payment.fee),
                theirs=str(gateway_payment.fee),
            )
        )
    return differences


def _describe(record: Payment | Order) -> str:
    return f"{record.amount} {record.currency} {record.status}"
