"""Payment links: pages that take the money of an order of their own."""

from typing import Any, Final

from kernapay.sandbox.account_entities import LinkPayment, PaymentLink
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.contacts import normalize_contact
from kernapay.sandbox.entities import Message, Order, Payment
from kernapay.sandbox.errors import bad_request
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.methods import mode_of
from kernapay.sandbox.money import check_amount, check_currency, format_amount
from kernapay.sandbox.orders import Orders
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.signing import sign_text
from kernapay.sandbox.store import Store

# Razorpay's limits: characters, and seconds from now.
MAX_REFERENCE_LENGTH: Final = 40
MAX_DESCRIPTION_LENGTH: Final = 2048
MIN_VALIDITY: Final = 15 * 60
MAX_VALIDITY: Final = 184 * 86_400
PAYABLE: Final = ("created", "partially_paid")
MEDIA: Final = {"sms": "contact", "email": "email"}


class PaymentLinks(Resource[PaymentLink]):
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        events: EventPublisher,
        orders: Orders,
    ) -> None:
        super().__init__("plink", store.payment_links)
        self._config = config
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        self._orders = orders
        scheduler.register("payment_link.expire", self._expire)

    def create(self, owner: str, fields: Fields, base_url: str) -> PaymentLink:
        """Create a link whose page is below this address. Raise RazorpayError if a field is invalid."""
        now = self._clock.timestamp()
        link = PaymentLink(
            id=new_id("plink"),
            owner=owner,
            created_at=now,
            updated_at=now,
            amount=fields.require_integer("amount"),
            currency=fields.text("currency") or "INR",
            accept_partial=fields.flag("accept_partial") or False,
            first_min_partial_amount=fields.integer("first_min_partial_amount") or 0,
            description=fields.text("description", MAX_DESCRIPTION_LENGTH) or "",
            reference_id=fields.text("reference_id", MAX_REFERENCE_LENGTH) or "",
            customer=read_customer(fields),
            notify=read_notify(fields),
            reminder_enable=fields.flag("reminder_enable") or False,
            callback_url=fields.text("callback_url") or "",
            callback_method=fields.choice("callback_method", "get") or "",
            expire_by=fields.integer("expire_by") or 0,
            upi_link=fields.flag("upi_link") or False,
            notes=fields.notes() or {},
            order_id=new_id("order"),
            short_url="",
        )
        # How the link's page looks. The sandbox's has one look.
        fields.object("options")
        fields.reject_unread()
        self._check(link)
        link.short_url = f"{base_url.rstrip('/')}/l/{link.id}"
        self._add_order(link)
        self._table.add(link)
        self._schedule_expiry(link)
        for medium, is_wanted in link.notify.items():
            if is_wanted and medium in MEDIA:
                self.notify(link, medium)
        return link

    def find_by(self, owner: str, query: Fields) -> list[PaymentLink]:
        """Return the links of a reference or a payment, or all, newest first."""
        reference, payment_id = query.text("reference_id"), query.text("payment_id")
        return [
            link
            for link in reversed(self._table.find_by("owner", owner))
            if reference in (None, link.reference_id)
            and (payment_id is None or any(p.payment_id == payment_id for p in link.payments))
        ]

    def edit(self, link: PaymentLink, fields: Fields) -> PaymentLink:
        reference = fields.text("reference_id", MAX_REFERENCE_LENGTH)
        expire_by, notes = fields.integer("expire_by"), fields.notes()
        accept_partial, reminder = fields.flag("accept_partial"), fields.flag("reminder_enable")
        fields.reject_unread()
        if link.status not in PAYABLE:
            raise bad_request("update can only be made in created or partially paid state")
        if reference is not None and reference != link.reference_id:
            self._check_reference(link.owner, reference)
            link.reference_id = reference
        if expire_by is not None:
            self._check_expiry(expire_by)
            link.expire_by = expire_by
            self._schedule_expiry(link)
        if accept_partial is not None:
            link.accept_partial = accept_partial
        if reminder is not None:
            link.reminder_enable = reminder
        if notes is not None:
            link.notes = notes
        link.updated_at = self._clock.timestamp()
        order = self._store.orders.get(link.order_id)
        if order is not None:
            order.partial_payment, order.notes = link.accept_partial, link.notes
            self._store.orders.save(order)
        self._table.save(link)
        return link

    def cancel(self, link: PaymentLink) -> PaymentLink:
        if link.status in ("paid", "partially_paid"):
            raise bad_request("cannot cancel or expire an already paid/partially paid link")
        if link.status != "created":
            raise bad_request("cannot cancel or expire an expired link")
        self._end(link, "cancelled")
        return link

    def notify(self, link: PaymentLink, medium: str) -> None:
        """Send the address to the customer: it ends in the mailbox. Raise RazorpayError for another medium."""
        if medium not in MEDIA:
            raise bad_request("not a valid notification medium")
        to = link.customer.get(MEDIA[medium])
        if not to:
            return
        amount = format_amount(link.amount, link.currency)
        self._store.messages.add(
            Message(
                id=new_id("msg"),
                channel=medium,
                to=to,
                subject=f"Payment of {amount} requested",
                text=f"{link.description or 'You are asked for a payment'}. Pay {amount}: {link.short_url}",
                at=self._clock.timestamp(),
            )
        )

    def on_capture(self, payment: Payment, order: Order) -> None:
        """Enter a captured payment into the link of its order, if it has one."""
        link = self._store.payment_links.get(order.payment_link_id or "")
        if link is None:
            return
        link.amount_paid = order.amount_paid
        link.status = "paid" if order.status == "paid" else "partially_paid"
        link.updated_at = self._clock.timestamp()
        link.payments.append(
            LinkPayment(
                payment_id=payment.id,
                amount=payment.amount,
                method=payment.method,
                created_at=payment.created_at,
            )
        )
        self._table.save(link)
        self._events.publish_link(f"payment_link.{link.status}", link, order, payment)

    def callback_fields(self, link: PaymentLink, payment_id: str, secret: str) -> dict[str, str]:
        """Return what the page appends to the callback's address."""
        text = "|".join((link.id, link.reference_id, link.status, payment_id))
        return {
            "razorpay_payment_id": payment_id,
            "razorpay_payment_link_id": link.id,
            "razorpay_payment_link_reference_id": link.reference_id,
            "razorpay_payment_link_status": link.status,
            "razorpay_signature": sign_text(secret, text),
        }

    def _check(self, link: PaymentLink) -> None:
        check_currency(link.currency)
        check_amount(link.amount, link.currency, self._config.max_amount)
        if link.upi_link and mode_of(link.owner) == "test":
            raise bad_request(
                "UPI Payment Links is not supported in Test Mode. "
                "Please experience the product in Live Mode."
            )
        if link.upi_link and link.currency != "INR":
            raise bad_request("upi is currently supported only in indian currency")
        if link.upi_link and link.accept_partial:
            raise bad_request("partial payment not supported in upi link")
        if link.first_min_partial_amount:
            name = "first_min_partial_amount"
            check_amount(link.first_min_partial_amount, link.currency, link.amount, name)
        if link.callback_url and not link.callback_method:
            raise bad_request("The callback_method field is required.", "callback_method")
        if link.callback_url and not link.callback_url.startswith(("http://", "https://")):
            raise bad_request("The callback_url format is invalid.", "callback_url")
        if link.expire_by:
            self._check_expiry(link.expire_by)
        if link.reference_id:
            self._check_reference(link.owner, link.reference_id)

    def _check_expiry(self, expire_by: int) -> None:
        now = self._clock.timestamp()
        if expire_by < now + MIN_VALIDITY:
            raise bad_request("timestamp must be atleast 15 minutes in future", "expire_by")
        if expire_by > now + MAX_VALIDITY:
            raise bad_request("expire_by cannot exceed more than six months", "expire_by")

    def _check_reference(self, owner: str, reference: str) -> None:
        if any(link.reference_id == reference for link in self._table.find_by("owner", owner)):
            raise bad_request("payment link creation with reference ID already attempted")

    def _add_order(self, link: PaymentLink) -> None:
        least = link.first_min_partial_amount or None
        order: dict[str, Any] = {
            "amount": link.amount,
            "currency": link.currency,
            "receipt": link.reference_id or None,
            "notes": link.notes,
            "partial_payment": link.accept_partial,
            "first_payment_min_amount": least,
            "payment_capture": True,
            "method": "upi" if link.upi_link else None,
        }
        created = self._orders.create(link.owner, Fields(order))
        created.payment_link_id = link.id
        self._store.orders.save(created)
        link.order_id = created.id

    def _schedule_expiry(self, link: PaymentLink) -> None:
        due = link.expire_by or link.created_at + MAX_VALIDITY
        seconds = max(0.0, due - self._clock.now())
        self._scheduler.schedule(seconds, "payment_link.expire", link.id)

    def _expire(self, link_id: str) -> None:
        link = self._table.get(link_id)
        # An earlier timer of a link that was given more time since does nothing.
        if link is None or link.status not in PAYABLE:
            return
        if (link.expire_by or 0) <= self._clock.now():
            self._end(link, "expired")

    def _end(self, link: PaymentLink, status: str) -> None:
        now = self._clock.timestamp()
        link.status, link.updated_at = status, now
        if status == "cancelled":
            link.cancelled_at = now
        else:
            link.expired_at = now
        self._table.save(link)
        self._events.publish_link(f"payment_link.{status}", link)


def read_customer(fields: Fields) -> dict[str, str]:
    customer = fields.object("customer")
    if customer is None:
        return {}
    values = {name: customer.text(name) for name in ("name", "email")}
    contact = customer.text("contact")
    customer.reject_unread()
    values["contact"] = normalize_contact(contact) if contact else None
    return {name: value for name, value in values.items() if value}


def read_notify(fields: Fields) -> dict[str, bool]:
    notify = fields.object("notify")
    if notify is None:
        return {}
    flags = {name: notify.flag(name) or False for name in ("sms", "email", "whatsapp")}
    notify.reject_unread()
    return flags
