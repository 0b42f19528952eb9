"""Compare all that happened in a window with the gateway's records, in both directions."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

import structlog
from bson import ObjectId

from kernapay.gateway.base import (
    EntityT,
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayUnknown,
    OddEntity,
    Order,
    PaymentGateway,
)
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.reconciliation.differences import Difference, describe, find_unsettled, unreadable
from kernapay.reconciliation.dispute_comparison import DisputeComparison
from kernapay.reconciliation.guarding import Guard, Work
from kernapay.reconciliation.listing import Listing
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.order_comparison import OrderComparison
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.settled_rows import SettledRow, compare_row, settled_rows
from kernapay.settlements.reports import SettlementReports

_log = structlog.get_logger("kernapay.reconciliation")
# Razorpay: a settlement day is a day in India.
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))
# The gateway's order is created after our payment, so read the gateway's lists a little past the window.
_MARGIN: Final = timedelta(minutes=15)
_LIST_REFUSED: Final = (400, 404)


class Comparison:
    """One pass over a window.

    It compares every order that was created, paid, refunded or settled in the window, at the gateway or by our record.
    It also finds payments that should have been settled by a time in the window, and were not.
    While it runs, `totals`, `money` (by currency, in minor units, each row once) and `unchecked` (what could not be
    compared) grow, and `progress` is called with a name and a count. `done` has the subjects that are compared already:
    with the set of an earlier window, no difference is reported twice.
    """

    def __init__(
        self,
        payments: PaymentRepository,
        gateway: PaymentGateway,
        pace: Pace,
        settlement_reports: SettlementReports,
        after: datetime,
        before: datetime,
        progress: Callable[[str, int], None] = lambda _, __: None,
        done: set[str] | None = None,
    ) -> None:
        self._payments = payments
        self._gateway = gateway
        self._pace = pace
        self._settlement_reports = settlement_reports
        self._after = after
        self._before = before
        self._progress = progress
        self._guard = Guard(done)
        self._orders: dict[str, Order] = {}
        self._attempts: dict[str, list[GatewayPayment]] = defaultdict(list)
        # The ids of all orders to compare, in the order in which they were met.
        self._touched: dict[str, None] = {}
        self._each = OrderComparison(payments, gateway, pace)
        self.totals: Counter[str] = Counter()
        self.money = self._each.money
        self.unchecked = self._guard.unchecked

    async def run(self, *, settlements: bool = True) -> AsyncIterator[Difference]:
        """Yield every difference. Raises Unavailable, and GatewayError when the gateway keeps failing."""
        async for difference in self._read_lists():
            yield difference
        disputes = DisputeComparison(self._payments, self._gateway, self._pace, self.totals)
        async for difference in disputes.run(self._guard):
            yield difference
        if settlements:
            async for difference in self._read_settlements():
                yield difference
        for number, order_id in enumerate(self._touched, 1):
            for difference in await self._compare_order(order_id):
                yield difference
            self._progress("orders compared", number)
        async for difference in self._compare_ours():
            yield difference
        async for difference in self._find_unsettled():
            yield difference

    async def _read_lists(self) -> AsyncIterator[Difference]:
        """Read the gateway's orders, payments and refunds of the window. Yield those that cannot be read."""
        async for order in self._list(Order, "gatewayOrders"):
            if isinstance(order, OddEntity):
                yield unreadable(order, order.id, None)
            else:
                self._orders[order.id] = order
                self._touched[order.id] = None
        order_ids: dict[str, str | None] = {}
        async for payment in self._list(GatewayPayment, "gatewayPayments"):
            if isinstance(payment, OddEntity):
                yield unreadable(payment, payment.order_id, payment.id)
                continue
            order_ids[payment.id] = payment.order_id
            if payment.order_id is not None:
                self._attempts[payment.order_id].append(payment)
                self._touched[payment.order_id] = None
        refunds = self._list(GatewayRefund, "gatewayRefunds")
        async for refund in self._allow_refusal(refunds, "the gateway's list of refunds"):
            if isinstance(refund, OddEntity):
                yield unreadable(refund, None, refund.payment_id)
            elif refund.payment_id not in order_ids:
                payment_id = refund.payment_id
                order_ids[payment_id] = None
                for difference in await self._guard.run(
                    lambda payment_id=payment_id: self._touch_order_of(payment_id),  # type: ignore[misc]
                    payment_id,
                    razorpay_payment_id=payment_id,
                ):
                    yield difference

    async def _list(self, entity: type[EntityT], name: str) -> AsyncIterator[EntityT | OddEntity]:
        listing = Listing(self._gateway, self._pace, entity)
        async for item in listing.read(self._after, self._before + _MARGIN):
            self.totals[name] += 1
            self._progress(name, self.totals[name])
            yield item

    async def _allow_refusal(
        self, items: AsyncIterator[EntityT], name: str
    ) -> AsyncIterator[EntityT]:
        """Yield the items of a list. If the account may not read that list, note it, and go on with the rest.

        Razorpay: the errors of its list of refunds name a missing payment id, and some accounts have no settlements.
        """
        try:
            async for item in items:
                yield item
        except (GatewayMissing, GatewayUnknown) as error:
            if error.http_status not in _LIST_REFUSED:
                raise
            self._guard.note(name, error)

    async def _touch_order_of(self, payment_id: str) -> Sequence[Difference]:
        """Note the order of a payment that was refunded in the window, and made before it."""
        ours = await self._payments.get_one_or_none(razorpay_payment_id=payment_id)
        order_id = ours.razorpay_order_id if ours else None
        if order_id is None:
            found = await self._pace.call(lambda: self._gateway.fetch_payment(payment_id))
            order_id = found.order_id
        if order_id is not None:
            self._touched[order_id] = None
        return []

    async def _read_settlements(self) -> AsyncIterator[Difference]:
        """Read the settlements of the window's days: the amounts and fees that were really paid out."""
        day = self._after.astimezone(_INDIA).date()
        last = (self._before - timedelta(microseconds=1)).astimezone(_INDIA).date()
        while day <= last:
            rows = settled_rows(self._gateway, self._pace, day)
            async for row in self._allow_refusal(rows, f"the settlements of {day}"):
                self.totals["settlementRows"] += 1
                self._progress("settlementRows", self.totals["settlementRows"])
                if isinstance(row, OddEntity):
                    yield unreadable(row, row.order_id, row.id)
                    continue
                for difference in await self._guard.run(
                    lambda row=row: self._compare_row(row),  # type: ignore[misc]
                    row.entity_id,
                    order_id=row.order_id,
                    razorpay_payment_id=row.entity_id if row.type == "payment" else None,
                ):
                    yield difference
            day += timedelta(days=1)

    async def _compare_row(self, row: SettledRow) -> Sequence[Difference]:
        money = self.money.setdefault(row.currency, Counter())
        money["settledCredit"] += row.credit
        money["settledDebit"] += row.debit
        money["settledFees"] += row.fee or 0
        money["settledTax"] += row.tax or 0
        if row.type not in ("payment", "refund") or row.order_id is None:
            return []
        payment = await self._payments.by_receipt(row.order_receipt)
        if payment is None:
            payment = await self._payments.by_order(row.order_id)
        if payment is None and not self._payments.is_own_receipt(row.order_receipt):
            return []  # from another application with the same account
        self._touched[row.order_id] = None
        return compare_row(payment, row) if row.type == "payment" else []

    async def _compare_order(self, order_id: str) -> Sequence[Difference]:
        if order_id in self._guard.done:
            return []
        self._guard.done.add(order_id)
        return await self._guard.run(
            lambda: self._find_and_compare(order_id), order_id, order_id=order_id
        )

    async def _find_and_compare(self, order_id: str) -> Sequence[Difference]:
        order = self._orders.get(order_id)
        if order is None:
            known = await self._payments.by_order(order_id)
            if known is not None:
                return await self._compare_payment(known, lambda: self._each.look_up(known))
            order = await self._pace.call(lambda: self._gateway.fetch_order(order_id))
        payment = await self._payments.by_receipt(order.receipt)
        if payment is None and not self._payments.is_own_receipt(order.receipt):
            # An imported payment has the receipt that its earlier service gave to the order.
            payment = await self._payments.get_one_or_none(razorpay_order_id=order.id)
            if payment is None:
                self.totals["foreignOrders"] += 1  # from another application with the same account
                return []
        if payment is None:
            return [Difference(Kind.MISSING_HERE, order_id=order.id, theirs=describe(order))]
        ours, attempts = payment, self._attempts_of(order)
        if ours.razorpay_order_id not in (order.id, None):
            return await self._each.compare(ours, order, attempts)
        return await self._compare_payment(ours, lambda: self._each.compare(ours, order, attempts))

    async def _compare_payment(self, payment: Payment, work: Work) -> Sequence[Difference]:
        """Compare a payment with its own order, once."""
        key = str(payment.pk)
        if key in self._guard.done:
            return []
        self._guard.done.add(key)
        self.totals["compared"] += 1
        return await self._guard.run(
            work, payment.reference_id, payment, order_id=payment.razorpay_order_id
        )

    def _attempts_of(self, order: Order) -> list[GatewayPayment] | None:
        """Return the payments of an order if the window contains all that are needed, else None."""
        attempts = self._attempts.get(order.id, [])
        is_listed = order.id in self._orders
        if is_listed and (order.status == "created" or any(a.is_captured for a in attempts)):
            # One that comes after the window is compared in the window of its own.
            return attempts
        return None

    async def _compare_ours(self) -> AsyncIterator[Difference]:
        """Compare our payments of the window that are on none of the gateway's lists."""
        for name, ids in (
            ("payments", self._payments.ids_created(self._after, self._before)),
            ("paidPayments", self._payments.ids_paid(self._after, self._before)),
        ):
            async for payment_id in ids:
                self.totals[name] += 1
                self._progress(name, self.totals[name])
                if str(payment_id) in self._guard.done:
                    continue
                for difference in await self._guard.run(
                    lambda payment_id=payment_id: self._compare_row_of_ours(payment_id),  # type: ignore[misc]
                    f"our row {payment_id}",
                ):
                    yield difference

    async def _compare_row_of_ours(self, payment_id: object) -> Sequence[Difference]:
        payment = await self._payments.get(id=payment_id)
        return await self._compare_payment(payment, lambda: self._each.look_up(payment))

    async def _find_unsettled(self) -> AsyncIterator[Difference]:
        """Find the captured payments that no settlement had in time, each in the window in which its time ended."""
        ids = await self._settlement_reports.ids_overdue(self._after, self._before)
        if not ids:
            return
        unread = await self._settlement_reports.first_unread_day(self._after, self._before)
        if unread is not None:
            self.unchecked.append(
                f"{len(ids)} payment(s) without a settlement: that of {unread} was not read yet"
            )
            return
        for payment_id in ids:
            for difference in await self._guard.run(
                lambda payment_id=payment_id: self._look_at_unsettled(payment_id),  # type: ignore[misc]
                f"our row {payment_id}",
            ):
                yield difference

    async def _look_at_unsettled(self, payment_id: ObjectId) -> Sequence[Difference]:
        return find_unsettled(await self._payments.get(id=payment_id))
