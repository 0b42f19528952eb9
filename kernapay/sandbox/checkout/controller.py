"""The calls of the payment window. Razorpay: Checkout knows the key id, not the secret."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.account_entities import ApiKey
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.entities import Order, Payment
from kernapay.sandbox.errors import bad_request, not_applicable
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.instruments import (
    BANKS,
    FAILURE_VPA,
    FAILURES,
    METHODS,
    SUCCESS_VPA,
    WALLETS,
    PaymentAttempt,
    build_instrument,
)
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.money import format_amount
from kernapay.sandbox.payment_rules import ALREADY_PAID, order_declined
from kernapay.sandbox.trusted_hosts import OPEN

# Razorpay: a one-time password of 4 to 10 digits succeeds in tests, a shorter one fails.
MIN_OTP_LENGTH = 4


class CheckoutAttempt(PaymentAttempt, forbid_unknown_fields=True, kw_only=True):
    key_id: str
    order_id: str | None = None
    currency: str | None = None
    notes: object = None


class Confirmation(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the customer answers the bank: a one-time password, or no."""

    key_id: str
    otp: str | None = None
    decline: bool = False


class CheckoutController(Controller):
    path = "/checkout"
    opt = OPEN

    @get("/session")
    async def show_session(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Return what to pay and how. Raise RazorpayError if the order is already paid."""
        query = Fields.from_query(request.scope["query_string"])
        owner = require_key(sandbox, query.text("key_id")).owner
        order_id, requested = query.text("order_id"), query.integer("amount")
        currency = query.text("currency") or "INR"
        query.reject_unread()
        if order_id is None:
            amount = sandbox.payments.require_amount(requested, currency)
        else:
            order = require_unpaid_order(sandbox, owner, order_id)
            amount, currency = order.amount_due, order.currency
            if order.partial_payment and requested is not None and 0 < requested < amount:
                amount = requested
        return json_response(
            {
                "order_id": order_id,
                "amount": amount,
                "currency": currency,
                "display": format_amount(amount, currency),
                "methods": METHODS,
                "banks": BANKS,
                "wallets": WALLETS,
            }
        )

    @post("/payments", status_code=200)
    async def start(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        attempt = await read_json(request, CheckoutAttempt)
        owner = require_key(sandbox, attempt.key_id).owner
        order = require_unpaid_order(sandbox, owner, attempt.order_id) if attempt.order_id else None
        payment = sandbox.payments.start(
            owner,
            order,
            attempt,
            build_instrument(attempt),
            currency=attempt.currency,
            notes=Fields({"notes": attempt.notes}).notes(),
        )
        sandbox.payments.schedule_timeout(payment)
        return json_response({"payment_id": payment.id, "next": next_step(payment)})

    @post("/payments/{payment_id:str}/finish", status_code=200)
    async def finish(
        self, request: AnyRequest, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Return what Checkout hands to the page: the three fields, or the error."""
        confirmation = await read_json(request, Confirmation)
        key = require_key(sandbox, confirmation.key_id)
        payment = sandbox.payments.get(key.owner, payment_id)
        simulator = sandbox.customer_simulator
        order = sandbox.store.orders.get(payment.order_id) if payment.order_id else None
        if payment.status != "created":
            raise bad_request(f"This payment is {payment.status} already.")
        if order is not None and order.status == "paid":
            return json_response(simulator.decline(payment, FAILURES["payment_failed"]))
        if payment.simulated_failure is not None:
            return json_response(simulator.decline(payment, payment.simulated_failure))
        if confirmation.decline:
            return json_response(simulator.decline(payment))
        if next_step(payment) == "otp" and not is_valid_otp(confirmation.otp):
            return json_response(simulator.decline(payment, FAILURES["incorrect_otp"]))
        return json_response(simulator.approve(payment, key=key))


def require_key(sandbox: Sandbox, key_id: str | None) -> ApiKey:
    key = sandbox.keyring.find(key_id)
    if key is None:
        raise not_applicable("The api key provided is invalid", sandbox.config.bad_key_status)
    return key


def require_unpaid_order(sandbox: Sandbox, owner: str, order_id: str) -> Order:
    order = sandbox.orders.get(owner, order_id)
    if order.status == "paid":
        raise order_declined(ALREADY_PAID, order)
    return order


def next_step(payment: Payment) -> str:
    """Return what the window asks next: a one-time password, the bank's page, or nothing."""
    if payment.method == "card":
        return "otp"
    return "done" if payment.vpa in {SUCCESS_VPA, FAILURE_VPA} else "bank"


def is_valid_otp(otp: str | None) -> bool:
    return otp is not None and otp.isdecimal() and len(otp) >= MIN_OTP_LENGTH
