"""The services over a real database, with a gateway in memory and a clock of the test's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bson import ObjectId
from msgspec.structs import replace
from prometheus_client import REGISTRY

from kernapay.bootstrap.services import Services
from kernapay.gateway.base import (
    FEED_ZONE,
    GatewayMissing,
    GatewayPayment,
    GatewayRefund,
    GatewayRejected,
    GatewayTooOld,
    Order,
)
from kernapay.payments.evidence import Evidence, Origin
from kernapay.payments.models import Payment
from kernapay.payments.order_notes import NOTE, pack
from kernapay.payments.outcomes import Outcome, Settled
from kernapay.payments.references import make_receipt, new_reference_id
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import Event, Source
from tests.clocks import FrozenClock
from tests.money.fake_gateway import FakeGateway

AMOUNT = 50_000
WEBHOOK = Origin(Source.WEBHOOK, "payment.captured", event_id="evt_1")
ADMIN = "admin:1"
END = timedelta(days=7, minutes=1)
TOO_LATE = timedelta(days=8, minutes=1)


class Gateway(FakeGateway):
    """Counts what the service asks for, may refuse a capture, and be refunded in the dashboard just before a refund.

    It does not show orders that are `too_old`.
    """

    def clear(self) -> None:
        super().clear()
        self.captures = 0
        self.fetched = 0
        self.asked_for_refunds = 0
        self.refusal: GatewayPayment | None = None
        self.is_raced = False
        self.too_old: set[str] = set()
        self.listed_attempts = 0
        # The rows of today's settlements, and what is told of a settlement that somebody asks for by its id.
        self.feed: list[dict[str, Any]] = []
        self.settlements: dict[str, dict[str, Any]] = {}

    async def fetch_order(self, order_id: str) -> Order:
        if order_id in self.too_old:
            raise GatewayTooOld("Order older than 180 days, please use reports.", http_status=400)
        return await super().fetch_order(order_id)

    async def payments_of(self, order_id: str) -> Sequence[GatewayPayment]:
        self.listed_attempts += 1
        return await super().payments_of(order_id)

    async def capture(self, payment_id: str, amount: int, currency: str) -> GatewayPayment:
        self.captures += 1
        if self.refusal is not None:
            self.payments[payment_id] = self.refusal
            raise GatewayRejected("This payment has already been captured.", http_status=400)
        return await super().capture(payment_id, amount, currency)

    async def settlement_rows(
        self, year: int, month: int, day: int, *, skip: int, count: int
    ) -> Sequence[Mapping[str, Any]]:
        today = self._clock().astimezone(FEED_ZONE).date()
        return self.feed[skip : skip + count] if (year, month, day) == _parts(today) else []

    async def fetch_settlement(self, settlement_id: str) -> Mapping[str, Any]:
        if settlement_id not in self.settlements:
            raise GatewayMissing("The id provided does not exist.", http_status=400)
        return self.settlements[settlement_id]

    async def fetch_payment(self, payment_id: str) -> GatewayPayment:
        self.fetched += 1
        return await super().fetch_payment(payment_id)

    async def refund(self, payment_id: str, **more: Any) -> GatewayRefund:
        if self.is_raced:
            self.refund_in_the_dashboard(payment_id, self.left_of(payment_id), waits=False)
        return await super().refund(payment_id, **more)

    async def refunds_of(self, payment_id: str) -> Sequence[GatewayRefund]:
        self.asked_for_refunds += 1
        return await super().refunds_of(payment_id)


def _parts(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day


def counted(name: str, **labels: str) -> float:
    """Return a metric of this process."""
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, f"{name} {labels} does not exist"
    return value


@dataclass
class Desk:
    services: Services
    gateway: Gateway
    clock: FrozenClock

    @property
    def settlement(self) -> Settlement:
        return self.services.settlement

    async def payment(self) -> Payment:
        """Store a payment as a client's call does, with an order at the gateway."""
        ledger = self.services.payment_ledger
        user_id = ObjectId()
        payment = Payment(
            id=ObjectId(),
            user_id=user_id,
            amount=AMOUNT,
            currency="INR",
            reference_id=new_reference_id(str(user_id), self.clock()),
            service_type="CONSULTATION",
            idempotency_key=str(ObjectId()),
            created_at=self.clock(),
        )
        payment, _ = await ledger.claim(payment, Origin(Source.API, "created"))
        return await ledger.attach_order(payment, (await self.order(payment)).id)

    async def order(self, payment: Payment) -> Order:
        """Let the gateway make an order for a payment, whether it has one or not."""
        return await self.gateway.create_order(
            amount=payment.amount,
            currency=payment.currency,
            receipt=make_receipt(payment.pk),
            notes={NOTE: pack(payment)},
        )

    def pay(self, payment: Payment, outcome: str = "captured", **more: Any) -> GatewayPayment:
        attempt = self.gateway.attempt(str(payment.razorpay_order_id), outcome, **more)
        assert attempt is not None
        return attempt

    def keep(self, attempt: GatewayPayment, **changes: Any) -> GatewayPayment:
        """Let the gateway have a payment in another state."""
        changed = replace(attempt, **changes)
        self.gateway.payments[changed.id] = changed
        return changed

    async def sold(self, **more: Any) -> tuple[Payment, GatewayPayment]:
        payment = await self.payment()
        paid = self.pay(payment, **more)
        result = await self.settle(Event.CAPTURED, paid)
        assert result.outcome is Outcome.MOVED
        return result.payment, paid

    async def ended(self, event: Event = Event.EXPIRED) -> Payment:
        """Store a payment whose sale ended unpaid a minute after its time."""
        payment = await self.payment()
        self.clock.advance(END)
        return (
            await self.settlement.end(event, payment, Origin(Source.RECONCILIATION, "expired"))
        ).payment

    async def settle(
        self, event: Event | None, paid: GatewayPayment, origin: Origin = WEBHOOK, **more: Any
    ) -> Settled:
        return await self.settlement.settle(event, Evidence(origin, paid, **more))

    async def row(self, payment: Payment) -> Payment:
        return await self.services.payment_repository.get(id=payment.pk)

    async def mismatches(self, payment: Payment) -> list[str]:
        return [each.reason for each in (await self.row(payment)).mismatches]

    async def surplus(self, payment: Payment) -> list[tuple[str, str]]:
        entries = (await self.row(payment)).surplus_payments
        return [(each.payment_id, each.reason.value) for each in entries]
