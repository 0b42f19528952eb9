"""Orders: what may be created, found and changed."""

from kernapay.sandbox.books import Books, page_of
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Order
from kernapay.sandbox.errors import bad_request, unknown_id
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id, new_id
from kernapay.sandbox.money import check_amount, check_currency

LONGEST_RECEIPT = 40
SHORTEST_AUTOMATIC_EXPIRY = 12
LONGEST_MANUAL_EXPIRY = 7200
OLDEST = 180 * 86_400


class Orders:
    def __init__(self, config: SandboxConfig, books: Books, clock: Clock) -> None:
        self._config = config
        self._books = books
        self._clock = clock

    def create(self, owner: str, fields: Fields) -> Order:
        amount = fields.need_integer("amount")
        currency = fields.need_text("currency")
        receipt = fields.text("receipt", LONGEST_RECEIPT)
        notes = fields.notes() or {}
        partial = fields.flag("partial_payment") or False
        first_payment = fields.integer("first_payment_min_amount")
        unique = fields.flag("unique_receipt") or False
        terms = self._terms(fields)
        fields.done()
        check_currency(currency)
        check_amount(amount, currency, self._config.max_amount)
        if first_payment is not None:
            check_amount(first_payment, currency, amount, "first_payment_min_amount")
        if unique and receipt is not None:
            known = self._with_receipt(owner, receipt)
            if known:
                return known[0]
        capture, automatic_expiry, manual_expiry, refund_speed = terms
        return self._books.orders.add(
            Order(
                id=new_id("order"),
                owner=owner,
                amount=amount,
                currency=currency,
                receipt=receipt,
                notes=notes,
                created_at=self._clock.stamp(),
                capture=capture,
                automatic_expiry=automatic_expiry,
                manual_expiry=manual_expiry,
                refund_speed=refund_speed,
                partial_payment=partial,
                first_payment_min_amount=first_payment,
            )
        )

    def get(self, owner: str, order_id: str) -> Order:
        check_id("order", order_id)
        order = self._books.orders.get(order_id)
        if order is None or order.owner != owner:
            raise unknown_id()
        return order

    def fetch(self, owner: str, order_id: str) -> Order:
        order = self.get(owner, order_id)
        if order.created_at < self._clock.now() - OLDEST:
            raise bad_request("Order older than 180 days, please use reports.")
        return order

    def find(self, owner: str, query: Fields, page: Page) -> list[Order]:
        receipt = query.text("receipt")
        authorized = query.flag("authorized")
        query.done()
        orders = (
            self._books.orders.by("owner", owner)
            if receipt is None
            else self._with_receipt(owner, receipt)
        )
        if authorized is not None:
            orders = [order for order in orders if self._is_authorized(order) == authorized]
        return page_of(orders, page)

    def edit(self, order: Order, fields: Fields) -> Order:
        order.notes = fields.need_notes()
        fields.done()
        self._books.orders.changed(order)
        return order

    def _with_receipt(self, owner: str, receipt: str) -> list[Order]:
        return [o for o in self._books.orders.by("receipt", receipt) if o.owner == owner]

    def _is_authorized(self, order: Order) -> bool:
        payments = self._books.payments.by("order_id", order.id)
        return any(payment.status == "authorized" for payment in payments)

    def _terms(self, fields: Fields) -> tuple[str, int, int, str]:
        """Read how payments of the order are captured: the order's word beats the setting."""
        default = self._config.auto_refund_minutes
        legacy = fields.flag("payment_capture")
        capture = self._config.capture
        if legacy is not None:
            capture = "automatic" if legacy else "manual"
        payment = fields.object("payment")
        if payment is None:
            return capture, default, default, "normal"
        capture = payment.choice("capture", "automatic", "manual") or capture
        options = payment.object("capture_options")
        payment.done()
        if options is None:
            return capture, default, default, "normal"
        automatic = options.integer("automatic_expiry_period")
        manual = options.integer("manual_expiry_period")
        speed = options.choice("refund_speed", "normal", "optimum") or "normal"
        options.done()
        if automatic is not None and automatic < SHORTEST_AUTOMATIC_EXPIRY:
            raise bad_request(
                f"The automatic_expiry_period must be at least {SHORTEST_AUTOMATIC_EXPIRY}.",
                "automatic_expiry_period",
            )
        if manual is not None and not (automatic or 1) <= manual <= LONGEST_MANUAL_EXPIRY:
            raise bad_request(
                "The manual_expiry_period must not be less than the automatic one "
                f"nor greater than {LONGEST_MANUAL_EXPIRY}.",
                "manual_expiry_period",
            )
        return capture, automatic or default, manual or max(default, automatic or 0), speed
