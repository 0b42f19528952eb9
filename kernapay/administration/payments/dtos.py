"""The answers for administrators, with all stored data about a payment's money."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.disputes.dtos import DISPUTE_EXAMPLE
from kernapay.payments.dtos import PaymentView, RefundView, StepView
from kernapay.payments.fields import (
    GatewayOrderId,
    GatewayPaymentId,
    MinorUnits,
    ReferenceText,
    StatusValue,
)
from kernapay.payments.states import Source


class MismatchView(Struct, rename="camel"):
    """Evidence that does not match the payment, such as a second payment of its order. It changed nothing.

    `source`, `event`, `eventId` and `actor` say where it came from, as in the history; old ones lack some of them.
    """

    at: Instant
    source: Source
    reason: Annotated[str, Meta(examples=["second_payment"])]
    event: Annotated[str, Meta(examples=["payment.captured"])] | None = None
    event_id: Annotated[str, Meta(examples=["evt_SxT5cQ2hVd7LrA"])] | None = None
    actor: str | None = None
    order_id: GatewayOrderId | None = None
    payment_id: GatewayPaymentId | None = None
    dispute_id: Annotated[str, Meta(examples=[DISPUTE_EXAMPLE])] | None = None
    amount: MinorUnits | None = None
    currency: str | None = None


class MismatchOfPayment(MismatchView, rename="camel", kw_only=True):
    """A mismatch with its payment. It is open until its money has a place: it has paid, or goes back as surplus.

    Of some reasons nothing that is stored says that somebody decided, so they stay open.
    """

    reference_id: ReferenceText
    payment_status: StatusValue
    is_open: bool


class AdminStepView(StepView, rename="camel"):
    """One entry of the history, with who made the change, if a person did."""

    actor: str | None = None


class AdminRefundView(RefundView, rename="camel"):
    """A refund, with its receipt at the gateway, and who asked for it."""

    source: Source | None = None
    actor: str | None = None
    receipt: str | None = None


class AdminPaymentView(PaymentView, rename="camel"):
    """A payment in full, with the gateway's fee, what did not match, and the orders that nobody may pay."""

    fee: MinorUnits | None = None
    tax: MinorUnits | None = None
    authorized_at: Instant | None = None
    surplus_orders: Annotated[list[str], Meta(examples=[[]])] = field(default_factory=list)
    mismatches: Annotated[list[MismatchView], Meta(examples=[[]])] = field(default_factory=list)
    history: list[AdminStepView] = field(default_factory=list)  # type: ignore[assignment]
    refunds: Annotated[list[AdminRefundView], Meta(examples=[[]])] = field(  # type: ignore[assignment]
        default_factory=list
    )


class PaymentsFound(Struct):
    """The payments that were found, newest first: all, or the first twenty."""

    payments: list[AdminPaymentView]
