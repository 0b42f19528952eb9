"""Payment links, and the orders behind them, in the form in which Razorpay shows them."""

from kernapay.sandbox.account_entities import PaymentLink
from kernapay.sandbox.entities import Order, Payment
from kernapay.sandbox.ids import derive_id
from kernapay.sandbox.views import View

# What Razorpay's order of a link has and the sandbox does not use.
_UNUSED = (
    *("account_number", "bank", "bank_account", "checkout_config_id", "customer_id", "force_offer"),
    *("late_auth_config_id", "payer_name", "provider_context", "public_response", "source"),
    *(f"reference{number}" for number in range(2, 9)),
    "transfers",
)


def link_view(link: PaymentLink, *, with_payments: bool = True) -> View:
    view: View = {
        "accept_partial": link.accept_partial,
        "amount": link.amount,
        "amount_paid": link.amount_paid,
        "cancelled_at": link.cancelled_at,
        "created_at": link.created_at,
        "currency": link.currency,
        "customer": link.customer,
        "description": link.description,
        "expire_by": link.expire_by,
        "expired_at": link.expired_at,
        "first_min_partial_amount": link.first_min_partial_amount,
        "id": link.id,
        # Razorpay: null, where other entities have an empty list.
        "notes": link.notes or None,
        "notify": {"email": False, "sms": False, "whatsapp": False, **link.notify},
        "reference_id": link.reference_id,
        "reminder_enable": link.reminder_enable,
        "reminders": [],
        "short_url": link.short_url,
        "status": link.status,
        "updated_at": link.updated_at,
        "upi_link": link.upi_link,
        "user_id": "",
        "whatsapp_link": False,
    }
    if link.callback_url:
        view |= {"callback_url": link.callback_url, "callback_method": link.callback_method}
    if link.payments:
        view["order_id"] = link.order_id
    if with_payments:
        view["payments"] = [
            {
                "payment_id": payment.payment_id,
                "plink_id": link.id,
                "amount": payment.amount,
                "method": payment.method,
                "status": "captured",
                "created_at": payment.created_at,
                "updated_at": payment.created_at,
            }
            for payment in link.payments
        ] or None
    return view


def link_order_view(link: PaymentLink, order: Order, payment: Payment) -> View:
    """Return the order as the link's events show it: Razorpay's own row, its id without a prefix."""
    return {
        **dict.fromkeys(_UNUSED),
        "amount": order.amount,
        "amount_due": order.amount_due,
        "amount_paid": order.amount_paid,
        "app_offer": False,
        "attempts": order.attempts,
        "authorized": True,
        "created_at": order.created_at,
        "currency": order.currency,
        "discount": False,
        "first_payment_min_amount": order.first_payment_min_amount,
        "id": order.id.removeprefix("order_"),
        "merchant_id": derive_id("acc", order.owner).removeprefix("acc_"),
        "method": order.method,
        "notes": order.notes or [],
        "offers": {},
        "order_metas": [],
        "order_relationships": [],
        "partial_payment": order.partial_payment,
        "payment_capture": True,
        "product_id": link.id.removeprefix("plink_"),
        "product_type": "payment_link_v2",
        "public_key": order.owner,
        "receipt": order.receipt,
        "status": order.status,
        "updated_at": payment.created_at,
    }
