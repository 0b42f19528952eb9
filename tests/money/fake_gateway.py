"""A gateway in memory, for the model: it may stay silent, or lie once, and its events are caught."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from kernapay.core.clock import Clock
from kernapay.gateway.base import (
    GatewayDispute,
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    Order,
)
from kernapay.payments.states import ENQUIRIES, PHASES

Event = tuple[str, bytes]
UNDERSTATED = ("created", "authorized", "failed")
LIES = (*UNDERSTATED, "nothing", "amount", "unpaid")
"""What one answer may say instead of the truth: a payment that came in looks as if it had not, or not with this amount.

No lie says that money came in which did not: nobody could tell.
"""


class FakeGateway:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, GatewayPayment] = {}
        self.refunds: dict[str, GatewayRefund] = {}
        self.disputes: dict[str, GatewayDispute] = {}
        self.keys: dict[str, str] = {}
        self.events: list[Event] = []
        # "before" or "after" the work of the next call, or at the next "question"
        self.silent: str | None = None
        self.lie: str | None = None
        self.refunds_wait = False
        # Whether an order's `amount_paid` is its own amount, or that of its payment.
        self.counts_payment = False
        # The payments that may be captured although their order is paid.
        self.doubled: set[str] = set()
        # The payments that were refunded in the dashboard.
        self.touched: set[str] = set()
        # The payments of which the service wanted to return more than was left, with nobody else at work.
        self.overdrawn: list[str] = []

    # What people and banks do.

    def attempt(
        self, order_id: str, outcome: str, differs_by: int = 0, *, doubles: bool = False
    ) -> GatewayPayment | None:
        """Let a customer pay; None when the order takes no payment any more.

        The payment is larger than the order by the fee that the customer bears, or smaller by an offer.
        """
        order = self.orders[order_id]
        attempts = [p for p in self.payments.values() if p.order_id == order_id]
        is_taken = order.status == "paid" or any(p.status == "authorized" for p in attempts)
        if is_taken and not doubles:
            return None
        payment = GatewayPayment(
            id=_id("pay"),
            amount=order.amount + differs_by,
            currency=order.currency,
            status="created",
            order_id=order_id,
            method="upi",
            amount_refunded=0,
            created_at=self._at(),
            fee_bearer="customer" if differs_by > 0 else None,
            offer_id="offer_KpModel00000001" if differs_by < 0 else None,
        )
        if is_taken:
            self.doubled.add(payment.id)
        if order.status == "created":
            self.orders[order_id] = replace(order, status="attempted")
        if outcome == "failed":
            return self._say("payment.failed", replace(payment, status="failed", error_code="BAD"))
        return self._authorize(payment, capture=outcome == "captured")

    def authorize_late(self, payment_id: str, *, doubles: bool = False) -> None:
        if self.payments[payment_id].status == "failed":
            if doubles:
                self.doubled.add(payment_id)
            self._authorize(self.payments[payment_id], capture=True)

    def capture_now(self, payment_id: str) -> GatewayPayment:
        payment = self.payments[payment_id]
        order = self.orders[str(payment.order_id)]
        is_paid = order.status == "paid"
        if payment.status != "authorized" or (is_paid and payment_id not in self.doubled):
            raise GatewayRejected("This payment cannot be captured.", http_status=400)
        payment = replace(payment, status="captured", captured=True, fee=1180, tax=180)
        self._say("payment.captured", payment)
        if is_paid:
            return payment
        paid = payment.amount if self.counts_payment else order.amount
        self.orders[order.id] = replace(order, status="paid", amount_paid=paid)
        return self._say("order.paid", payment)

    def refund_now(
        self, payment_id: str, amount: int, receipt: str | None, *, waits: bool = False
    ) -> GatewayRefund:
        payment = self.payments[payment_id]
        if not payment.captured or amount > self.left_of(payment_id):
            raise GatewayRejected("More than was captured.", http_status=400)
        self._move_refunded(payment_id, amount)
        refund = GatewayRefund(
            id=_id("rfnd"),
            payment_id=payment_id,
            amount=amount,
            currency=payment.currency,
            status="pending" if waits else "processed",
            receipt=receipt,
            created_at=self._at(),
        )
        self._say_refund("refund.created", refund)
        if not waits:
            self._say_refund("refund.processed", refund)
        return refund

    def refund_in_the_dashboard(self, payment_id: str, amount: int, *, waits: bool) -> None:
        """Let a person at the dashboard refund a payment. Raises GatewayRejected."""
        self.touched.add(payment_id)
        self.refund_now(payment_id, amount, None, waits=waits)

    def end_refund(self, refund_id: str, status: str) -> None:
        """Let the bank end a refund. Days later, it may still return one that was processed.

        What was never captured is not refunded but let go, which cannot fail.
        """
        refund = self.refunds[refund_id]
        is_let_go = not self.payments[refund.payment_id].captured
        if is_let_go or refund.status in ("failed", status):
            return
        if status == "failed":
            self._move_refunded(refund.payment_id, -refund.amount)
        self._say_refund(f"refund.{status}", replace(refund, status=status))

    def left_of(self, payment_id: str) -> int:
        """What no refund returns, or is about to return, in minor units."""
        payment = self.payments[payment_id]
        return payment.amount - (payment.amount_refunded or 0)

    def returned_of(self, payment_id: str) -> int:
        """What has reached the customer's bank, in minor units."""
        refunds = [r for r in self.refunds.values() if r.payment_id == payment_id]
        return sum(refund.amount for refund in refunds if refund.status == "processed")

    def dispute(self, payment_id: str, amount: int, phase: str) -> GatewayDispute:
        """Let the customer's bank question a captured payment."""
        return self.move_dispute(
            "created",
            GatewayDispute(
                id=_id("disp"),
                payment_id=payment_id,
                amount=amount,
                currency=self.payments[payment_id].currency,
                status="open",
                phase=phase,
                respond_by=self._at() + 3 * 86_400,
                created_at=self._at(),
            ),
        )

    def move_dispute(self, event: str, dispute: GatewayDispute) -> GatewayDispute:
        """Keep a dispute's new state, and tell of it as Razorpay does: beside a payment that looks unpaid."""
        self.disputes[dispute.id] = dispute
        payment = replace(self.payments[dispute.payment_id], status="authorized", captured=False)
        self._emit(f"payment.dispute.{event}", payment=payment, dispute=dispute)
        return dispute

    def go_on(self, event: str, dispute: GatewayDispute) -> None:
        """Let the bank go on with a dispute, if it can go on so. `next` is the phase after one that was won."""
        if event == "next" and dispute.status == "won" and dispute.phase != PHASES[-1]:
            phase = PHASES[PHASES.index(dispute.phase) + 1]
            self.move_dispute("created", replace(dispute, status="open", phase=phase))
        if event == "next" or dispute.status in ("won", "lost", "closed"):
            return
        status = "open" if event == "action_required" else event
        is_taken = event == "lost" and dispute.phase not in ENQUIRIES
        deducted = dispute.amount if is_taken else 0
        self.move_dispute(event, replace(dispute, status=status, amount_deducted=deducted))

    # What the service may ask.

    async def create_order(
        self, *, amount: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> Order:
        self._maybe_silent("before")
        order = Order(
            _id("order"), amount, currency, "created", receipt, 0, self._at(), dict(notes)
        )
        self.orders[order.id] = order
        self._maybe_silent("after")
        return order

    async def find_orders(self, receipt: str) -> Sequence[Order]:
        self._maybe_silent("question")
        return [order for order in self.orders.values() if order.receipt == receipt]

    async def fetch_order(self, order_id: str) -> Order:
        self._maybe_silent("question")
        if order_id not in self.orders:
            raise GatewayMissing("The id provided does not exist.", http_status=400)
        if self.lie == "unpaid":
            self.lie = None
            return replace(self.orders[order_id], status="attempted", amount_paid=0)
        return self.orders[order_id]

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]:
        self._maybe_silent("question")
        found = [p for p in self.payments.values() if p.order_id == order_id]
        if self.lie == "nothing":
            self.lie = None
            return []
        return self._tell(found)

    async def fetch_payment(self, payment_id: str) -> GatewayPayment:
        self._maybe_silent("question")
        return self._tell([self.payments[payment_id]])[0]

    async def capture(self, payment_id: str, amount: int, currency: str) -> GatewayPayment:
        self._maybe_silent("before")
        payment = self.payments[payment_id]
        if (amount, currency) != (payment.amount, payment.currency):
            raise GatewayRejected("Capture the amount of the payment.", http_status=400)
        captured = self.capture_now(payment_id)
        self._maybe_silent("after")
        return captured

    async def refund(
        self, payment_id: str, *, amount: int, key: str, receipt: str, speed: str
    ) -> GatewayRefund:
        assert speed == "normal"
        self._maybe_silent("before")
        if key not in self.keys:
            if amount > self.left_of(payment_id) and payment_id not in self.touched:
                self.overdrawn.append(payment_id)
            made = self.refund_now(payment_id, amount, receipt, waits=self.refunds_wait)
            self.keys[key] = made.id
        self._maybe_silent("after")
        return self.refunds[self.keys[key]]

    async def refunds_of(self, payment_id: str) -> Sequence[GatewayRefund]:
        self._maybe_silent("question")
        return [refund for refund in self.refunds.values() if refund.payment_id == payment_id]

    async def list_orders(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Order]:
        return _page(self.orders.values(), after, before)[skip : skip + count]

    async def list_entities(
        self, entity: type[Any], after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Any]:
        books: Mapping[type[Any], Mapping[str, Any]] = {
            Order: self.orders,
            GatewayPayment: self.payments,
            GatewayRefund: self.refunds,
        }
        return _page(books[entity].values(), after, before)[skip : skip + count]

    async def list_disputes(self, *, skip: int, count: int) -> Sequence[GatewayDispute]:
        return list(reversed(self.disputes.values()))[skip : skip + count]

    async def fetch_dispute(self, dispute_id: str) -> GatewayDispute:
        if dispute_id not in self.disputes:
            raise GatewayMissing("The id provided does not exist.", http_status=400)
        return self.disputes[dispute_id]

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        return []

    async def list_settlements(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        return []

    async def fetch_settlement(self, settlement_id: str) -> Mapping[str, Any]:
        raise GatewayRejected("No settlement has this id.", http_status=400)

    def _authorize(self, payment: GatewayPayment, *, capture: bool) -> GatewayPayment:
        payment = self._say("payment.authorized", replace(payment, status="authorized"))
        is_doubled = payment.id in self.doubled
        if self.orders[str(payment.order_id)].status == "paid" and not is_doubled:
            # Nobody may pay twice: it goes back without having been captured.
            back = replace(payment, status="refunded", amount_refunded=payment.amount)
            self.payments[payment.id] = back
            refund = GatewayRefund(
                _id("rfnd"), payment.id, payment.amount, payment.currency, "processed"
            )
            self._say_refund("refund.processed", refund)
            return back
        return self.capture_now(payment.id) if capture else payment

    def _move_refunded(self, payment_id: str, by: int) -> None:
        payment = self.payments[payment_id]
        refunded = (payment.amount_refunded or 0) + by
        status = "refunded" if refunded == payment.amount else "captured"
        self.payments[payment_id] = replace(payment, amount_refunded=refunded, status=status)

    def _tell(self, payments: Sequence[GatewayPayment]) -> list[GatewayPayment]:
        lie = self.lie
        if not payments or lie not in (*UNDERSTATED, "amount"):
            return list(payments)
        self.lie = None
        if lie == "amount":
            return [replace(payment, amount=payment.amount + 7) for payment in payments]
        return [
            replace(payment, status=lie, captured=False, amount_refunded=0)
            if payment.captured
            else payment
            for payment in payments
        ]

    def _say(self, name: str, payment: GatewayPayment) -> GatewayPayment:
        self.payments[payment.id] = payment
        self._emit(name, payment=payment)
        return payment

    def _say_refund(self, name: str, refund: GatewayRefund) -> None:
        self.refunds[refund.id] = refund
        self._emit(name, payment=self.payments[refund.payment_id], refund=refund)

    def _emit(self, name: str, **entities: msgspec.Struct) -> None:
        payload = {kind: {"entity": entity} for kind, entity in entities.items()}
        # No two events have one body.
        told = {"event": name, "payload": payload, "created_at": self._at()}
        body = msgspec.json.encode({**told, "id": secrets.token_hex(4)})
        self.events.append((_id("evt"), body))

    async def close(self) -> None:
        """Nothing is open."""

    def _maybe_silent(self, moment: str) -> None:
        if self.silent == moment:
            self.silent = None
            raise GatewayUnknown("The payment gateway did not answer.")

    def _at(self) -> int:
        return int(self._clock().timestamp())


def _page(items: Any, after: datetime, before: datetime) -> list[Any]:
    return [i for i in items if after.timestamp() - 1 <= i.created_at <= before.timestamp()]


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(7)}"
