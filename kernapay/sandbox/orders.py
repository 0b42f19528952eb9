"""Orders: create, find and edit."""

from typing import NamedTuple

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Order
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.money import check_amount, check_currency
from kernapay.sandbox.resources import EditableResource, paginate
from kernapay.sandbox.store import Store

# Razorpay's limits: characters, minutes, and the seconds after which an order cannot be fetched.
MAX_RECEIPT_LENGTH = 40
MIN_AUTOMATIC_EXPIRY = 12
MAX_MANUAL_EXPIRY = 7200
MAX_AGE = 180 * 86_400


class CaptureSettings(NamedTuple):
    """How payments of an order are captured. Expiries are minutes from the payment's creation."""

    capture: str
    automatic_expiry: int
    manual_expiry: int
    refund_speed: str = "normal"


class Orders(EditableResource[Order]):
    def __init__(self, config: SandboxConfig, store: Store, clock: Clock) -> None:
        super().__init__("order", store.orders)
        self._config = config
        self._store = store
        self._clock = clock

    def create(self, owner: str, fields: Fields) -> Order:
        """Create an order, or return the one with the same receipt if `unique_receipt` is set.

        Razorpay: receipts may repeat unless the order asks for a unique one.
        """
        amount = fields.require_integer("amount")
        currency = fields.require_text("currency")
        receipt = fields.text("receipt", MAX_RECEIPT_LENGTH)
        notes = fields.notes() or {}
        partial_payment = fields.flag("partial_payment") or False
        first_payment_min_amount = fields.integer("first_payment_min_amount")
        unique_receipt = fields.flag("unique_receipt") or False
        settings = self._capture_settings(fields)
        fields.reject_unread()
        check_currency(currency)
        check_amount(amount, currency, self._config.max_amount)
        if first_payment_min_amount is not None:
            check_amount(first_payment_min_amount, currency, amount, "first_payment_min_amount")
        if unique_receipt and receipt is not None:
            existing = self._find_by_receipt(owner, receipt)
            if existing:
                return existing[0]
        return self._store.orders.add(
            Order(
                id=new_id("order"),
                owner=owner,
                amount=amount,
                currency=currency,
                receipt=receipt,
                notes=notes,
                created_at=self._clock.timestamp(),
                capture=settings.capture,
                automatic_expiry=settings.automatic_expiry,
                manual_expiry=settings.manual_expiry,
                refund_speed=settings.refund_speed,
                partial_payment=partial_payment,
                first_payment_min_amount=first_payment_min_amount,
            )
        )

    def fetch(self, owner: str, order_id: str) -> Order:
        """Return the order. Raise RazorpayError if it is unknown or older than 180 days."""
        order = self.get(owner, order_id)
        if order.created_at < self._clock.now() - MAX_AGE:
            raise bad_request("Order older than 180 days, please use reports.")
        return order

    def search(self, owner: str, query: Fields, page: Page) -> list[Order]:
        """Return a page of the orders that match `receipt` and `authorized`."""
        receipt = query.text("receipt")
        authorized = query.flag("authorized")
        query.reject_unread()
        orders = (
            self._store.orders.find_by("owner", owner)
            if receipt is None
            else self._find_by_receipt(owner, receipt)
        )
        if authorized is not None:
            orders = [order for order in orders if self._is_authorized(order) == authorized]
        return paginate(orders, page)

    def _find_by_receipt(self, owner: str, receipt: str) -> list[Order]:
        return [o for o in self._store.orders.find_by("receipt", receipt) if o.owner == owner]

    def _is_authorized(self, order: Order) -> bool:
        payments = self._store.payments.find_by("order_id", order.id)
        return any(payment.status == "authorized" for payment in payments)

    def _capture_settings(self, fields: Fields) -> CaptureSettings:
        """Read the order's capture settings, which override the sandbox's configuration."""
        default_expiry = self._config.auto_refund_minutes
        legacy_capture = fields.flag("payment_capture")
        capture = self._config.capture
        if legacy_capture is not None:
            capture = "automatic" if legacy_capture else "manual"
        payment = fields.object("payment")
        if payment is None:
            return CaptureSettings(capture, default_expiry, default_expiry)
        capture = payment.choice("capture", "automatic", "manual") or capture
        options = payment.object("capture_options")
        payment.reject_unread()
        if options is None:
            return CaptureSettings(capture, default_expiry, default_expiry)
        automatic = options.integer("automatic_expiry_period")
        manual = options.integer("manual_expiry_period")
        speed = options.choice("refund_speed", "normal", "optimum") or "normal"
        options.reject_unread()
        if automatic is not None and automatic < MIN_AUTOMATIC_EXPIRY:
            raise bad_request(
                f"The automatic_expiry_period must be at least {MIN_AUTOMATIC_EXPIRY}.",
                "automatic_expiry_period",
            )
        if manual is not None and not (automatic or 1) <= manual <= MAX_MANUAL_EXPIRY:
            raise bad_request(
                "The manual_expiry_period must not be less than the automatic one "
                f"nor greater than {MAX_MANUAL_EXPIRY}.",
                "manual_expiry_period",
            )
        automatic_expiry = automatic or default_expiry
        manual_expiry = manual or max(default_expiry, automatic or 0)
        return CaptureSettings(capture, automatic_expiry, manual_expiry, speed)
