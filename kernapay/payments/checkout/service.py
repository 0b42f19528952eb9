"""Serve both ways to pay: Checkout on the integrator's page, and our checkout page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kernapay.core.errors import InvalidInput, NotFound
from kernapay.customers.dtos import Prefill
from kernapay.payments.checkout.dtos import CheckoutPage, CheckoutRow, CheckoutState
from kernapay.payments.checkout.links import CheckoutLinks
from kernapay.payments.checkout.repository import CheckoutRepository
from kernapay.payments.checkout.return_pages import ReturnPages
from kernapay.payments.currencies import exponent
from kernapay.payments.dtos import PaymentCreate, PaymentCreated
from kernapay.payments.models import Payment
from kernapay.payments.repository import CreatedPayment
from kernapay.payments.states import Status
from kernapay.security.principal import Principal

PrefillOf = Callable[[str], Awaitable[Prefill | None]]
"""Return what Checkout need not ask the customer with this id for."""

_UNKNOWN: Final = "No payment has this link. Ask the shop for a new one."


@dataclass(frozen=True, slots=True)
class Merchant:
    """The seller, as Checkout shows it."""

    key_id: str
    """The gateway's key, which is public."""
    name: str
    script: str
    """The URL of the gateway's Checkout."""


class CheckoutService:
    def __init__(
        self,
        rows: CheckoutRepository,
        links: CheckoutLinks,
        return_pages: ReturnPages,
        prefill_of: PrefillOf,
        merchant: Merchant,
    ) -> None:
        self._rows = rows
        self._links = links
        self._return_pages = return_pages
        self._prefill_of = prefill_of
        self._merchant = merchant

    async def check(self, principal: Principal, data: PaymentCreate) -> None:
        """Raise InvalidInput, naming the field, if the requested checkout link cannot be made."""
        if data.checkout and not self._links.are_possible:
            raise InvalidInput(
                "Checkout links are off: the operator has to set PUBLIC_URL.", field="checkout"
            )
        await self._return_pages.check(principal, data)

    async def answer(self, payment: Payment | CreatedPayment) -> PaymentCreated:
        """Return the answer of `create`, with the customer as stored now. Raises Unavailable."""
        has_link = payment.checkout and self._links.are_possible
        return PaymentCreated(
            order_id=str(payment.razorpay_order_id),
            amount=payment.amount,
            currency=payment.currency,
            reference_id=payment.reference_id,
            # A repeat gets the first answer again. `GET /status/{referenceId}` returns the present status.
            status=Status.PENDING,
            livemode=payment.livemode,
            payable_until=payment.payable_until,
            customer_id=str(payment.customer_id) if payment.customer_id else None,
            prefill=await self._prefill(payment.customer_id),
            key=self._merchant.key_id,
            name=self._merchant.name,
            checkout_url=self._links.url_of(str(payment.id)) if has_link else None,
        )

    async def show(self, token: str) -> CheckoutPage:
        """Return the checkout page of a link. Raises NotFound, Unavailable."""
        payment_id = self._links.read(token)
        row = None if payment_id is None else await self._rows.with_link(payment_id)
        if row is None or row.razorpay_order_id is None:
            raise NotFound(_UNKNOWN)
        state = _state_of(row)
        is_open = state is CheckoutState.OPEN
        return CheckoutPage(
            state,
            row.reference_id,
            row.amount,
            row.currency,
            exponent(row.currency),
            self._merchant.name,
            description=row.description,
            livemode=row.livemode,
            payable_until=row.payable_until,
            key=self._merchant.key_id if is_open else None,
            order_id=row.razorpay_order_id if is_open else None,
            script=self._merchant.script if is_open else None,
            prefill=await self._prefill(row.customer_id) if is_open else None,
            success_url=row.success_url,
            cancel_url=row.cancel_url,
        )

    async def _prefill(self, customer_id: object) -> Prefill | None:
        return None if customer_id is None else await self._prefill_of(str(customer_id))


def _state_of(row: CheckoutRow) -> CheckoutState:
    if row.status is Status.REFUNDED:
        return CheckoutState.REFUNDED
    if row.status.is_paid:
        return CheckoutState.PAID
    if row.final:
        return CheckoutState.ENDED
    if row.status is Status.PENDING and row.authorized_at is not None:
        return CheckoutState.CONFIRMING
    return CheckoutState.OPEN
