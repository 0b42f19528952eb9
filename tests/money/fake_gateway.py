"""A gateway in memory, for the model: it may stay silent before or after it works, and its events are caught."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from kernapay.core.clock import Clock
from kernapay.gateway.base import (
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    GatewayUnknown,
    Order,
)

Event = tuple[str, bytes]


class FakeGateway:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, GatewayPayment] = {}
        self.refunds: dict[str, GatewayRefund] = {}
        self.keys: dict[str, str] = {}
        self.events: list[Event] = []
        self.silent: str | None = None  # "before" or "after" the work of the next call
        self.refunds_wait = False

    # What people and banks do.

    def attempt(self, order_id: str, outcome: str) -> GatewayPayment | None:
        """Let a customer pay; None when the order takes no payment any more."""
        order = self.orders[order_id]
        attempts = [p for p in self.payments.values() if p.order_id == order_id]
        if order.status == "paid" or any(p.status == "authorized" for p in attempts):
            return None
        payment = GatewayPayment(
            id=_id("pay"),
            amount=order.amount,
            currency=order.currency,
            status="created",
            order_id=order_id,
            method="upi",
            amount_refunded=0,
            created_at=self._at(),
        )
        self.orders[order_id] = replace(order, status="attempted")
        if outcome == "failed":
            return self._say("payment.failed", replace(payment, status="failed", error_code="BAD"))
        return self._authorize(payment, capture=outcome == "captured")

    def authorize_late(self, payment_id: str) -> None:
        if self.payments[payment_id].status == "failed":
            self._authorize(self.payments[payment_id], capture=True)

    def capture_now(self, payment_id: str) -> GatewayPayment:
        payment = self.payments[payment_id]
        order = self.orders[str(payment.order_id)]
        if payment.status != "authorized" or order.status == "paid":
            raise GatewayRejected("This payment cannot be captured.", http_status=400)
        self.orders[order.id] = replace(order, status="paid", amount_paid=order.amount)
        payment = replace(payment, status="captured", captured=True, fee=1000, tax=180)
        self._say("payment.captured", payment)
        return self._say("order.paid", payment)

    def refund_now(
        self, payment_id: str, amount: int, receipt: str | None, *, waits: bool = False
    ) -> GatewayRefund:
        payment = self.payments[payment_id]
        if not payment.captured or amount > payment.amount - (payment.amount_refunded or 0):
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

    def end_refund(self, refund_id: str, status: str) -> None:
        refund = self.refunds[refund_id]
        if refund.status != "pending":
            return
        if status == "failed":
            self._move_refunded(refund.payment_id, -refund.amount)
        self._say_refund(f"refund.{status}", replace(refund, status=status))

    # What the service may ask.

    async def create_order(
        self, *, amount: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> Order:
        del notes
        self._maybe_silent("before")
        order = Order(_id("order"), amount, currency, "created", receipt, 0, self._at())
        self.orders[order.id] = order
        self._maybe_silent("after")
        return order

    async def find_orders(self, receipt: str) -> Sequence[Order]:
        return [order for order in self.orders.values() if order.receipt == receipt]

    async def fetch_order(self, order_id: str) -> Order:
        return self.orders[order_id]

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]:
        return [p for p in self.payments.values() if p.order_id == order_id]

    async def fetch_payment(self, payment_id: str) -> GatewayPayment:
        return self.payments[payment_id]

    async def capture(self, payment_id: str, amount: int, currency: str) -> GatewayPayment:
        self._maybe_silent("before")
        payment = self.payments[payment_id]
        assert (amount, currency) == (payment.amount, payment.currency)
        captured = self.capture_now(payment_id)
        self._maybe_silent("after")
        return captured

    async def refund(
        self, payment_id: str, *, amount: int, key: str, receipt: str, speed: str
    ) -> GatewayRefund:
        assert speed == "normal"
        self._maybe_silent("before")
        if key not in self.keys:
            made = self.refund_now(payment_id, amount, receipt, waits=self.refunds_wait)
            self.keys[key] = made.id
        self._maybe_silent("after")
        return self.refunds[self.keys[key]]

    async def refunds_of(self, payment_id: str) -> Sequence[GatewayRefund]:
        return [refund for refund in self.refunds.values() if refund.payment_id == payment_id]

    async def list_orders(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[Order]:
        return _page(self.orders.values(), after, before)[skip : skip + count]

    async def list_payments(
        self, after: datetime, before: datetime, *, skip: int, count: int
    ) -> Sequence[GatewayPayment]:
        return _page(self.payments.values(), after, before)[skip : skip + count]

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
        if self.orders[str(payment.order_id)].status == "paid":
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
        body = msgspec.json.encode({"event": name, "payload": payload, "id": secrets.token_hex(4)})
        self.events.append((_id("evt"), body))

    def close(self) -> None:
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
