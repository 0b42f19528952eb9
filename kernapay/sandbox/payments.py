"""Payments: from the customer's first click to captured, failed or given back."""

import random
from typing import Final

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.announcer import Announcer
from kernapay.sandbox.books import Books, page_of
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Failure, Order, Payment
from kernapay.sandbox.errors import RazorpayError, bad_request, unknown_id
from kernapay.sandbox.faults import Faults
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id, new_id
from kernapay.sandbox.instruments import FAILURES, Instrument
from kernapay.sandbox.money import check_amount, check_currency, fee_and_tax
from kernapay.sandbox.refunds import Refunds

ATTEMPT_TIMEOUT: Final = 12 * 60
ALREADY_PAID: Final = (
    "Your payment has been declined as the order is already paid. "
    "Please initiate the payment with a new order."
)


class Payments:
    def __init__(
        self,
        config: SandboxConfig,
        books: Books,
        clock: Clock,
        agenda: Agenda,
        faults: Faults,
        announcer: Announcer,
        refunds: Refunds,
    ) -> None:
        self._config = config
        self._books = books
        self._clock = clock
        self._agenda = agenda
        self._faults = faults
        self._announcer = announcer
        self._refunds = refunds
        agenda.actions["payment.time_out"] = self._time_out
        agenda.actions["payment.expire"] = self._expire
        agenda.actions["payment.authorize_late"] = self._authorize_late

    def get(self, owner: str, payment_id: str) -> Payment:
        check_id("pay", payment_id)
        payment = self._books.payments.get(payment_id)
        if payment is None or payment.owner != owner:
            raise unknown_id()
        return payment

    def find(self, owner: str, page: Page) -> list[Payment]:
        return page_of(self._books.payments.by("owner", owner), page)

    def edit(self, payment: Payment, fields: Fields) -> Payment:
        payment.notes = fields.need_notes()
        fields.done()
        self._books.payments.changed(payment)
        return payment

    def start(
        self,
        owner: str,
        order: Order | None,
        instrument: Instrument,
        *,
        amount: int | None = None,
        currency: str | None = None,
        email: str | None = None,
        contact: str | None = None,
        description: str | None = None,
        notes: dict[str, str] | None = None,
    ) -> Payment:
        """Begin an attempt; raise RazorpayError when the order takes none, or not this amount."""
        if order is None:
            if amount is None:
                raise bad_request("The amount field is required.", "amount")
            currency = currency or "INR"
            check_currency(currency)
            check_amount(amount, currency, self._config.max_amount)
        else:
            currency = order.currency
            amount = self._payable(order, amount)
            order.attempts += 1
            order.status = "attempted"
            self._books.orders.changed(order)
        return self._books.payments.add(
            Payment(
                id=new_id("pay"),
                owner=owner,
                order_id=order.id if order else None,
                amount=amount,
                currency=currency,
                method=instrument.method,
                created_at=self._clock.stamp(),
                international=bool(instrument.card and instrument.card.international),
                description=description,
                bank=instrument.bank,
                wallet=instrument.wallet,
                vpa=instrument.vpa,
                email=email or "customer@example.com",
                contact=contact or "+919000090000",
                notes=notes or {},
                declined_as=instrument.declined_as,
                card=instrument.card,
                acquirer_data=acquirer_data(instrument.method, known=False),
            )
        )

    def give_up_later(self, payment: Payment) -> None:
        """Fail the attempt by itself if the customer never comes back from the bank."""
        self._agenda.after(ATTEMPT_TIMEOUT, "payment.time_out", payment.id)

    def authorize(self, payment: Payment, *, capture: bool = True) -> None:
        """Let the bank say yes, then do what the order says about capture."""
        order = self._order(payment)
        payment.status = "authorized"
        payment.failure = None
        payment.acquirer_data = acquirer_data(payment.method, known=True)
        self._books.payments.changed(payment)
        self._announcer.payment("payment.authorized", payment)
        if order is not None and (order.status == "paid" or payment.amount > order.amount_due):
            self._refunds.return_uncaptured(payment)
            return
        doomed = self._faults.take("auto_refund")
        if doomed:
            self._agenda.after(float(doomed.options["seconds"]), "payment.expire", payment.id)
            return
        now = self._clock.now()
        if order is None:
            expires = payment.created_at + self._config.auto_refund_minutes * 60
        else:
            in_time = now <= payment.created_at + order.automatic_expiry * 60
            if capture and order.capture == "automatic" and in_time:
                self._capture(payment, order)
                return
            expires = payment.created_at + order.manual_expiry * 60
        self._agenda.after(max(0.0, expires - now), "payment.expire", payment.id)

    def fail(self, payment: Payment, failure: Failure) -> None:
        payment.status = "failed"
        payment.failure = failure
        self._books.payments.changed(payment)
        self._announcer.payment("payment.failed", payment)
        late = self._faults.take("late_authorization")
        if late:
            self._agenda.after(float(late.options["seconds"]), "payment.authorize_late", payment.id)

    def authorize_late(self, payment: Payment) -> None:
        """Turn a failure into an authorisation, as a bank that answers late does."""
        if payment.status != "failed":
            raise bad_request("Only a failed payment can be authorised late.")
        payment.late_authorized = True
        self.authorize(payment)

    def capture(self, payment: Payment, fields: Fields) -> Payment:
        amount = fields.need_integer("amount")
        currency = fields.text("currency") or "INR"
        fields.done()
        order = self._order(payment)
        if payment.captured or (order is not None and order.status == "paid"):
            raise bad_request(ALREADY_PAID)
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
        payment.fee, payment.tax = fee_and_tax(payment.amount)
        order.amount_paid += payment.amount
        if order.amount_due == 0:
            order.status = "paid"
        self._books.payments.changed(payment)
        self._books.orders.changed(order)
        self._announcer.payment("payment.captured", payment)
        if order.status == "paid":
            self._announcer.order("order.paid", order, payment)
        disputed = self._faults.take("dispute")
        if disputed:
            self._agenda.after(float(disputed.options["seconds"]), "dispute.open", payment.id)

    def _payable(self, order: Order, amount: int | None) -> int:
        if order.status == "paid":
            raise declined_attempt(ALREADY_PAID, order)
        payments = self._books.payments.by("order_id", order.id)
        if any(payment.status == "authorized" for payment in payments):
            raise declined_attempt("Another payment of this order is already authorised.", order)
        due = order.amount_due
        if amount is None or amount == due:
            return due
        least = order.first_payment_min_amount if not order.amount_paid else None
        if not order.partial_payment or not (least or 1) <= amount < due:
            raise bad_request("The amount is not what the order asks for.", "amount")
        check_amount(amount, order.currency, due)
        return amount

    def _order(self, payment: Payment) -> Order | None:
        return self._books.orders.get(payment.order_id) if payment.order_id else None

    def _time_out(self, payment_id: str) -> None:
        payment = self._books.payments.get(payment_id)
        if payment is not None and payment.status == "created":
            self.fail(payment, FAILURES["payment_timed_out"])

    def _expire(self, payment_id: str) -> None:
        payment = self._books.payments.get(payment_id)
        if payment is not None and payment.status == "authorized":
            self._refunds.return_uncaptured(payment)

    def _authorize_late(self, payment_id: str) -> None:
        payment = self._books.payments.get(payment_id)
        if payment is not None and payment.status == "failed":
            self.authorize_late(payment)


def declined_attempt(description: str, order: Order) -> RazorpayError:
    return RazorpayError(
        description,
        source="customer",
        reason="order_already_paid",
        metadata={"order_id": order.id},
    )


def acquirer_data(method: str, known: bool) -> dict[str, str | None]:
    """Return the bank's references for a payment, empty until the bank has given them."""

    def number(digits: int) -> str | None:
        return str(random.randrange(10 ** (digits - 1), 10**digits)) if known else None  # noqa: S311

    if method == "card":
        return {"auth_code": number(6)}
    if method == "upi":
        return {"rrn": number(12), "upi_transaction_id": f"SBX{number(30)}" if known else None}
    if method == "netbanking":
        return {"bank_transaction_id": number(7)}
    return {"transaction_id": number(9)}
