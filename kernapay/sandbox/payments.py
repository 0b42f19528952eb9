"""Payments, from the attempt to captured, failed or refunded."""

from collections.abc import Callable
from typing import Final

from kernapay.sandbox.account_entities import Offer
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.contacts import normalize_contact
from kernapay.sandbox.downtimes import Downtimes
from kernapay.sandbox.entities import Failure, Order, Payment
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.instruments import FAILURES, Instrument, PaymentAttempt
from kernapay.sandbox.money import base_amount, check_amount, check_currency, fee_and_tax
from kernapay.sandbox.payment_rules import (
    ALREADY_PAID,
    acquirer_data,
    check_method,
    counts,
    offer_price,
    order_declined,
)
from kernapay.sandbox.refunds import Refunds
from kernapay.sandbox.resources import EditableResource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store

# Razorpay: an attempt times out after 3 to 15 minutes, depending on the method.
ATTEMPT_TIMEOUT: Final = 12 * 60


CaptureListener = Callable[[Payment, Order], None]


class Payments(EditableResource[Payment]):
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        faults: Faults,
        events: EventPublisher,
        refunds: Refunds,
        downtimes: Downtimes,
    ) -> None:
        super().__init__("pay", store.payments)
        self._config = config
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._faults = faults
        self._events = events
        self._refunds = refunds
        self._downtimes = downtimes
        self._capture_listeners: list[CaptureListener] = []
        scheduler.register("payment.time_out", self._time_out)
        scheduler.register("payment.expire", self._expire)
        scheduler.register("payment.authorize_late", self._authorize_late)

    def on_capture(self, listener: CaptureListener) -> None:
        """Call the listener after each capture that belongs to an order, after the events of both."""
        self._capture_listeners.append(listener)

    def start(
        self,
        owner: str,
        order: Order | None,
        attempt: PaymentAttempt,
        instrument: Instrument,
        *,
        currency: str | None = None,
        notes: dict[str, str] | None = None,
    ) -> Payment:
        """Create the payment of an attempt.

        Raise RazorpayError if the order takes no payment now, or not of this amount. Without an
        order the attempt names the amount.
        """
        if order is None:
            currency = currency or "INR"
            amount = self.require_amount(attempt.amount, currency)
        else:
            currency = order.currency
            check_method(order, instrument.method)
            amount = self._payable_amount(order, attempt.amount)
            order.attempts += 1
            order.status = "attempted"
            self._store.orders.save(order)
        payment = self._store.payments.add(
            Payment(
                id=new_id("pay"),
                owner=owner,
                order_id=order.id if order else None,
                amount=amount,
                currency=currency,
                method=instrument.method,
                created_at=self._clock.timestamp(),
                international=bool(instrument.card and instrument.card.international),
                description=attempt.description,
                bank=instrument.bank,
                wallet=instrument.wallet,
                vpa=instrument.vpa,
                email=attempt.email or "customer@example.com",
                contact=normalize_contact(attempt.contact or "+919000090000"),
                # Razorpay: payments inherit their order's notes. Which wins, Checkout's or the order's, is not said.
                notes={**(order.notes if order else {}), **(notes or {})},
                customer_id=order.customer_id if order else None,
                simulated_failure=instrument.simulated_failure
                or self._downtimes.find_failure(instrument),
                card=instrument.card,
                acquirer_data=acquirer_data(instrument.method, is_authorized=False),
            )
        )
        if order is not None and amount == order.amount:
            self._reprice(payment, order)
        return payment

    def _reprice(self, payment: Payment, order: Order) -> None:
        """Apply a fee that the customer bears, or an offer, to what the customer pays."""
        amount = payment.amount
        counted_as = "order"
        if fault := self._faults.take("customer_fee"):
            payment.amount += fee_and_tax(amount)[0]
            payment.fee_bearer = "customer"
        elif fault := self._faults.take("offer"):
            payment.amount = max(1, amount - int(fault.options["discount"]))
            payment.offer_id = new_id("offer")
        elif offer := self._find_offer(payment, order):
            payment.amount = offer_price(offer, amount)
            payment.offer_id = offer.id
        else:
            return
        if fault:
            counted_as = str(fault.options["order_amount_paid"])
        payment.order_amount = amount
        payment.order_amount_paid = counted_as
        self._store.payments.save(payment)

    def _find_offer(self, payment: Payment, order: Order) -> Offer | None:
        """Return the first of the order's offers that applies to the payment's method."""
        offers = (self._store.offers.get(offer_id) for offer_id in order.offers)
        return next((o for o in offers if o and o.method in (None, payment.method)), None)

    def require_amount(self, amount: int | None, currency: str) -> int:
        """Return the amount of a payment without an order. Raise RazorpayError if it is invalid."""
        if amount is None:
            raise bad_request("The amount field is required.", "amount")
        check_currency(currency)
        check_amount(amount, currency, self._config.max_amount)
        return amount

    def schedule_timeout(self, payment: Payment) -> None:
        """Fail the payment later if the customer never comes back from the bank."""
        self._scheduler.schedule(ATTEMPT_TIMEOUT, "payment.time_out", payment.id)

    def authorize(self, payment: Payment, *, capture: bool = True) -> None:
        """Authorise the payment, then capture or refund it as its order says.

        Razorpay: a payment that its order no longer needs is refunded at once. One that is not
        captured in time is refunded later.
        """
        order = self._order(payment)
        payment.status = "authorized"
        payment.failure = None
        payment.acquirer_data = acquirer_data(payment.method, is_authorized=True)
        self._store.payments.save(payment)
        self._events.publish_payment("payment.authorized", payment)
        is_surplus = order is not None and (
            order.status == "paid" or counts(payment) > order.amount_due
        )
        if is_surplus and not self._faults.take("paid_twice"):
            self._refunds.refund_uncaptured(payment)
            return
        auto_refund = self._faults.take("auto_refund")
        if auto_refund:
            self._scheduler.schedule(auto_refund.seconds, "payment.expire", payment.id)
            return
        now = self._clock.now()
        if order is None:
            expires_at = payment.created_at + self._config.auto_refund_minutes * 60
        else:
            is_in_time = now <= payment.created_at + order.automatic_expiry * 60
            if capture and order.capture == "automatic" and is_in_time:
                self._capture(payment, order)
                return
            expires_at = payment.created_at + order.manual_expiry * 60
        self._scheduler.schedule(max(0.0, expires_at - now), "payment.expire", payment.id)

    def fail(self, payment: Payment, failure: Failure) -> None:
        payment.status = "failed"
        payment.failure = failure
        self._store.payments.save(payment)
        self._events.publish_payment("payment.failed", payment)
        late = self._faults.take("late_authorization")
        if late:
            self._scheduler.schedule(late.seconds, "payment.authorize_late", payment.id)

    def authorize_late(self, payment: Payment) -> None:
        """Authorise a failed payment.

        Razorpay: a bank that does not answer in time may still approve, up to three days later.
        """
        if payment.status != "failed":
            raise bad_request("Only a failed payment can be authorised late.")
        payment.late_authorized = True
        self.authorize(payment)

    def capture(self, payment: Payment, fields: Fields) -> Payment:
        amount = fields.require_integer("amount")
        currency = fields.text("currency") or "INR"
        fields.reject_unread()
        order = self._order(payment)
        if payment.captured or (order is not None and order.status == "paid"):
            raise bad_request(ALREADY_PAID)
        # Razorpay: a payment without an order cannot be captured.
        if payment.status != "authorized" or order is None:
            raise bad_request(
                "Only payments which have been authorized and not yet captured can be captured"
            )
        if currency != payment.currency:
            raise bad_request("The currency must be that of the payment.", "currency")
        if amount != payment.amount:
            raise bad_request("Capture amount must be equal to the amount authorized", "amount")
        self._capture(payment, order)
        return payment

    def _capture(self, payment: Payment, order: Order) -> None:
        payment.status = "captured"
        payment.captured = True
        # Razorpay: fee and tax are in the base currency.
        payment.fee, payment.tax = fee_and_tax(base_amount(counts(payment), payment.currency))
        is_full = counts(payment) >= order.amount_due
        order.amount_paid += (
            payment.amount if payment.order_amount_paid == "payment" else counts(payment)
        )
        if is_full:
            order.status = "paid"
        self._store.payments.save(payment)
        self._store.orders.save(order)
        self._events.publish_payment("payment.captured", payment)
        if order.status == "paid":
            self._events.publish_order("order.paid", order, payment)
        for listener in self._capture_listeners:
            listener(payment, order)
        dispute = self._faults.take("dispute")
        if dispute:
            self._scheduler.schedule(dispute.seconds, "dispute.open", payment.id)

    def _payable_amount(self, order: Order, amount: int | None) -> int:
        """Return the amount of the order's next payment. Raise RazorpayError if it takes none."""
        if order.status == "paid":
            raise order_declined(ALREADY_PAID, order)
        payments = self._store.payments.find_by("order_id", order.id)
        if any(payment.status == "authorized" for payment in payments):
            raise order_declined("Another payment of this order is already authorised.", order)
        due = order.amount_due
        if amount is None or amount == due:
            return due
        minimum = order.first_payment_min_amount if not order.amount_paid else None
        if not order.partial_payment or not (minimum or 1) <= amount < due:
            raise bad_request("The amount is not what the order asks for.", "amount")
        check_amount(amount, order.currency, due)
        return amount

    def _order(self, payment: Payment) -> Order | None:
        return self._store.orders.get(payment.order_id) if payment.order_id else None

    def _find_with_status(self, payment_id: str, status: str) -> Payment | None:
        """Return the payment of a timer, unless its status has changed since."""
        payment = self._store.payments.get(payment_id)
        return payment if payment is not None and payment.status == status else None

    def _time_out(self, payment_id: str) -> None:
        if payment := self._find_with_status(payment_id, "created"):
            self.fail(payment, FAILURES["payment_timed_out"])

    def _expire(self, payment_id: str) -> None:
        if payment := self._find_with_status(payment_id, "authorized"):
            self._refunds.refund_uncaptured(payment)

    def _authorize_late(self, payment_id: str) -> None:
        if payment := self._find_with_status(payment_id, "failed"):
            self.authorize_late(payment)
