"""Simulate a customer in Checkout: pay, fail or close the window."""

from typing import Any, Final

from kernapay.sandbox.account_entities import ApiKey, PaymentLink
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Failure, Payment
from kernapay.sandbox.errors import ControlError, RazorpayError, check_choice, unknown_id
from kernapay.sandbox.instruments import FAILURES, PaymentAttempt, build_instrument
from kernapay.sandbox.keyring import Keyring
from kernapay.sandbox.payment_links import PAYABLE, PaymentLinks
from kernapay.sandbox.payments import Payments
from kernapay.sandbox.signing import sign_checkout
from kernapay.sandbox.store import Store

OUTCOMES: Final = ("success", "failure", "authorized", "pending", "dismiss")


class SimulatedPayment(PaymentAttempt, forbid_unknown_fields=True, kw_only=True):
    """A customer's visit to Checkout, for an order or a payment link, and its outcome. A failure has a `reason`."""

    order_id: str | None = None
    payment_link_id: str | None = None
    method: str = "card"
    outcome: str = "success"
    reason: str | None = None


class CustomerSimulator:
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        keyring: Keyring,
        payments: Payments,
        payment_links: PaymentLinks,
    ) -> None:
        self._keyring = keyring
        self._payment_links = payment_links
        self._config = config
        self._store = store
        self._payments = payments

    def pay(self, payment: SimulatedPayment) -> dict[str, Any]:
        """Return what Checkout would hand to the page.

        Raise ControlError or RazorpayError if the order takes no such payment.
        """
        check_choice("outcome", payment.outcome, OUTCOMES)
        link = self._find_link(payment)
        order = self._store.orders.get(payment.order_id or (link.order_id if link else ""))
        if order is None:
            raise unknown_id()
        if order.owner not in self._config.keys:
            raise ControlError(
                f"The order's key {order.owner} is not configured. Add it to SANDBOX_KEYS.", 409
            )
        if payment.reason is not None:
            check_choice("reason", payment.reason, FAILURES)
        if payment.outcome == "dismiss":
            return {"dismissed": True, "razorpay_order_id": order.id}
        instrument = build_instrument(payment)
        started = self._payments.start(order.owner, order, payment, instrument)
        if payment.outcome == "pending":
            self._payments.schedule_timeout(started)
            return {"razorpay_payment_id": started.id, "razorpay_order_id": order.id}
        failure = FAILURES[payment.reason] if payment.reason else started.simulated_failure
        if payment.outcome == "failure" or started.simulated_failure:
            return self.decline(started, failure)
        response = self.approve(started, capture=payment.outcome == "success")
        if link is not None and started.captured:
            secret = self._keyring.current(link.owner).secret
            return self._payment_links.callback_fields(link, started.id, secret)
        return response

    def _find_link(self, payment: SimulatedPayment) -> PaymentLink | None:
        """Return the payment's link. Raise ControlError if it takes no payments."""
        if payment.payment_link_id is None:
            return None
        link = self._store.payment_links.get(payment.payment_link_id)
        if link is None:
            raise unknown_id()
        if link.status not in PAYABLE:
            raise ControlError(f"The payment link is {link.status}.", 409)
        return link

    def approve(
        self, payment: Payment, *, capture: bool = True, key: ApiKey | None = None
    ) -> dict[str, Any]:
        """Authorise the payment and return the fields that Checkout hands to the page.

        They are signed with the key with which Checkout was opened, or with the account's current one.
        """
        self._payments.authorize(payment, capture=capture)
        if payment.order_id is None:
            return {"razorpay_payment_id": payment.id}
        secret = (key or self._keyring.current(payment.owner)).secret
        return {
            "razorpay_payment_id": payment.id,
            "razorpay_order_id": payment.order_id,
            "razorpay_signature": sign_checkout(secret, payment.order_id, payment.id),
        }

    def decline(self, payment: Payment, failure: Failure | None = None) -> dict[str, Any]:
        """Fail the payment and return the error that Checkout hands to the page."""
        failure = failure or FAILURES["payment_failed"]
        self._payments.fail(payment, failure)
        order = {"order_id": payment.order_id} if payment.order_id else {}
        return RazorpayError(
            failure.description,
            code=failure.code,
            source=failure.source,
            step=failure.step,
            reason=failure.reason,
            metadata={"payment_id": payment.id, **order},
        ).body
