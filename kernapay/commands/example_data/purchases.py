"""Simulate a visit: order, Checkout, confirmation, and later refunds."""

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from kernapay.commands.example_data.accounts import ANNOUNCED, Accounts
from kernapay.commands.example_data.samples import OFFERS, customer
from kernapay.commands.example_data.simulation import WEBHOOK_DELAY, Simulation
from kernapay.commands.example_data.visits import Ending, Visit
from kernapay.customers.dtos import CustomerGiven
from kernapay.payments.dtos import PaymentCreate, PaymentCreated, PaymentVerify, RefundCreate
from kernapay.security.principal import Principal

_WEBHOOKS_ARE_THERE: Final = timedelta(seconds=WEBHOOK_DELAY)
_PAGE_ANSWERS: Final = timedelta(seconds=1)
_NEXT_TRY: Final = timedelta(minutes=3)
# RECONCILE_AFTER is 15 minutes by default.
_WORKER_LOOKS: Final = timedelta(minutes=16)
_CHANGES_MIND: Final = timedelta(minutes=9)
_EVENTS_OF_A_SUCCESS: Final = 3
_DECLINES: Final = (
    *("card_declined", "insufficient_fund", "payment_timed_out", "incorrect_otp"),
    *("payment_cancelled", "gateway_technical_error"),
)
_REFUND_SHARE: Final = 0.07
_REASONS: Final = (
    *("Appointment cancelled", "Paid twice at the counter", "Medicine not in stock"),
    *("Nurse could not come", "Wrong test was booked"),
)


class Sale(NamedTuple):
    """A payment that was paid."""

    reference_id: str
    payment_id: str
    amount: int


class Purchases:
    def __init__(self, simulation: Simulation, accounts: Accounts, draw: random.Random) -> None:
        self._simulation = simulation
        self._accounts = accounts
        self._draw = draw
        self._providers = sorted(accounts.providers)
        self.sales: list[Sale] = []
        """Those that were paid, in this order, and that nothing else was planned for."""

    async def play(self, visit: Visit) -> None:
        """Create the payment, and plan how it goes on."""
        payer = self._payer(visit)
        created, _ = await self._simulation.services.payment_service.create(
            payer, self._request(visit, payer), None
        )
        endings: dict[Ending, Callable[[], Awaitable[None]]] = {
            Ending.LEFT: partial(self._leave, created),
            Ending.CANCELLED: partial(self._cancel, payer, created),
            Ending.DECLINED: partial(self._decline, visit, created),
            Ending.SECOND_TRY: partial(self._decline, visit, created),
            Ending.WEBHOOK_LOST: partial(self._lose_webhooks, visit, created),
        }
        pause = _CHANGES_MIND if visit.ending is Ending.CANCELLED else visit.thinking
        act = endings.get(visit.ending, partial(self._pay, visit, created))
        self._simulation.plan(self._simulation.at + pause, act)

    def _payer(self, visit: Visit) -> Principal:
        payers = self._accounts.payers
        return payers[visit.customer % len(payers)] if visit.is_own_account else self._accounts.shop

    def _request(self, visit: Visit, payer: Principal) -> PaymentCreate:
        person = customer(visit.customer)
        given = CustomerGiven(person.reference, person.email, person.name, person.contact)
        return PaymentCreate(
            visit.amount,
            "INR",
            visit.offer.service_type,
            visit.offer.description,
            provider_id=self._choose_provider(visit),
            idempotency_key=f"booking-{visit.number:05}",
            customer=given if payer is self._accounts.shop else None,
        )

    def _choose_provider(self, visit: Visit) -> str:
        # The same offer is mostly sold by the same provider.
        if visit.number % 4 == 0:
            return self._draw.choice(self._providers)
        return self._providers[OFFERS.index(visit.offer) % len(self._providers)]

    async def _try_to_pay(
        self, visit: Visit, created: PaymentCreated, outcome: str, reason: str | None = None
    ) -> Mapping[str, Any]:
        person = customer(visit.customer)
        return await self._simulation.ask(
            "/_sandbox/pay",
            {
                "order_id": created.order_id,
                "method": visit.method,
                "outcome": outcome,
                "reason": reason,
                "email": person.email,
                "contact": person.contact,
            },
        )

    async def _pay(self, visit: Visit, created: PaymentCreated) -> None:
        paid = await self._try_to_pay(visit, created, "success")
        if visit.ending in (Ending.CONFIRMED, Ending.SECOND_TRY):
            self._simulation.plan(
                self._simulation.at + _PAGE_ANSWERS, partial(self._verify, created, paid)
            )
        self._simulation.plan(
            self._simulation.at + _WEBHOOKS_ARE_THERE, partial(self._end, visit, created, paid)
        )

    async def _verify(self, created: PaymentCreated, paid: Mapping[str, Any]) -> None:
        await self._simulation.services.payment_service.verify(
            PaymentVerify(
                paid["razorpay_order_id"],
                paid["razorpay_payment_id"],
                paid["razorpay_signature"],
                created.reference_id,
            )
        )

    async def _end(self, visit: Visit, created: PaymentCreated, paid: Mapping[str, Any]) -> None:
        """Plan what happens to the money later."""
        sale = Sale(created.reference_id, paid["razorpay_payment_id"], created.amount)
        if visit.offer.service_type == ANNOUNCED:
            await self._simulation.deliver()
        if self._draw.random() < _REFUND_SHARE:
            later = timedelta(hours=self._draw.uniform(2, 40))
            self._simulation.plan(self._simulation.at + later, partial(self._refund, sale))
        else:
            self.sales.append(sale)

    async def _lose_webhooks(self, visit: Visit, created: PaymentCreated) -> None:
        drop = {"name": "webhook_drop", "times": _EVENTS_OF_A_SUCCESS}
        await self._simulation.ask("/_sandbox/faults", drop)
        await self._pay(visit, created)
        worker = partial(self._simulation.sweep, "unpaid_payments")
        self._simulation.plan(self._simulation.at + _WORKER_LOOKS, worker)

    async def _decline(self, visit: Visit, created: PaymentCreated) -> None:
        await self._try_to_pay(visit, created, "failure", self._draw.choice(_DECLINES))
        # Only so that the webhook comes at its time.
        self._simulation.plan(self._simulation.at + _WEBHOOKS_ARE_THERE, _nothing)
        if visit.ending is Ending.SECOND_TRY:
            self._simulation.plan(
                self._simulation.at + _NEXT_TRY, partial(self._pay, visit, created)
            )

    async def _leave(self, created: PaymentCreated) -> None:
        await self._simulation.ask(
            "/_sandbox/pay", {"order_id": created.order_id, "outcome": "dismiss"}
        )

    async def _cancel(self, payer: Principal, created: PaymentCreated) -> None:
        await self._simulation.services.payment_service.cancel(payer, created.reference_id)

    async def _refund(self, sale: Sale) -> None:
        refunds = self._simulation.services.refund_service
        payment = await refunds.payment_of(self._accounts.admin, sale.reference_id)
        # Who was paid gives it back, or an administrator does.
        actor = self._accounts.providers.get(str(payment.payee_id)) or self._accounts.admin
        if self._draw.random() < 0.4:
            actor = self._accounts.admin
        part = sale.amount // 200 * 100 if self._draw.random() < 0.35 else None
        data = RefundCreate(part, self._draw.choice(_REASONS), f"refund-{sale.payment_id}")
        await refunds.refund(actor, payment, data, None)
        self._simulation.plan(self._simulation.at + _WEBHOOKS_ARE_THERE, self._simulation.deliver)


async def _nothing() -> None:
    """Do nothing: moving the clocks is all that is needed."""
