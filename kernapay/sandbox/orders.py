"""Orders: create, find and edit."""

from kernapay.sandbox.account_entities import Customer, Offer
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Order
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.order_fields import read_order
from kernapay.sandbox.resources import EditableResource, Resource, paginate
from kernapay.sandbox.store import Store
from kernapay.sandbox.transfers import Transfers

# Razorpay's limit: the seconds after which an order cannot be fetched.
MAX_AGE = 180 * 86_400


class Orders(EditableResource[Order]):
    def __init__(
        self, config: SandboxConfig, store: Store, clock: Clock, transfers: Transfers
    ) -> None:
        super().__init__("order", store.orders)
        self._config = config
        self._store = store
        self._clock = clock
        self._transfers = transfers
        self._customers = Resource[Customer]("cust", store.customers)
        self._offers = Resource[Offer]("offer", store.offers)

    def create(self, owner: str, fields: Fields) -> Order:
        """Create an order, or return the one with the same receipt if `unique_receipt` is set.

        Razorpay: receipts may repeat unless the order asks for a unique one.
        """
        request = read_order(fields, self._config)
        if request.customer_id is not None:
            self._customers.get(owner, request.customer_id)
        for offer_id in request.offers:
            self._offers.get(owner, offer_id)
        if request.unique_receipt and request.receipt is not None:
            existing = self._find_by_receipt(owner, request.receipt)
            if existing:
                return existing[0]
        settings = request.settings
        order = self._store.orders.add(
            Order(
                id=new_id("order"),
                owner=owner,
                amount=request.amount,
                currency=request.currency,
                receipt=request.receipt,
                notes=request.notes,
                created_at=self._clock.timestamp(),
                capture=settings.capture,
                automatic_expiry=settings.automatic_expiry,
                manual_expiry=settings.manual_expiry,
                refund_speed=settings.refund_speed,
                partial_payment=request.partial_payment,
                first_payment_min_amount=request.first_payment_min_amount,
                customer_id=request.customer_id,
                method=request.method,
                offers=request.offers,
                line_items_total=request.line_items_total,
                details=request.details,
            )
        )
        self._transfers.add_to_order(order, request.transfers)
        return order

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
