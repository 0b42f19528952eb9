"""What Razorpay has and the sandbox has not. The same lists make its refusals and the table of its documentation.

Each value follows the words "The sandbox does not play".
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ORDER_FIELDS: Final[Mapping[str, str]] = {
    "token": "mandates and saved instruments",
    "convenience_fee_config": "fees left to the customer by order; use the fault `customer_fee`",
    "checkout_config_id": "configurations of Checkout made at the dashboard",
    "phonepe_switch_context": "PhonePe Switch",
    "products": "the products of wealth and insurance businesses",
    "tax_invoice": "GST invoices in UPI payments",
    "notification": "mandates and saved instruments",
    "merchant_id": "orders for other businesses",
}
"""Fields of POST /v1/orders."""
PAYMENT_METHODS: Final[Mapping[str, str]] = {
    "emandate": "mandates and saved instruments",
    "nach": "mandates and saved instruments",
    "emi": "EMI",
    "cardless_emi": "EMI without a card",
    "paylater": "pay later",
    "bank_transfer": "bank transfers and virtual accounts",
    "app": "payments by apps of others, such as CRED",
    "cod": "cash on delivery",
}
"""Values of `method` in POST /v1/orders."""
ROUTES: Final[Mapping[str, str]] = {
    "/v1/invoices": "invoices",
    "/v1/items": "items of invoices",
    "/v1/plans": "subscriptions",
    "/v1/subscriptions": "subscriptions",
    "/v1/addons": "subscriptions",
    "/v1/subscription_registration": "mandates and saved instruments",
    "/v1/tokens": "mandates and saved instruments",
    "/v1/customers/*/tokens": "mandates and saved instruments",
    "/v1/customers/*/bank_account": "bank accounts of customers",
    "/v1/customers/eligibility": "checks of what a customer may borrow",
    "/v1/fund_accounts": "bank accounts of customers",
    "/v1/fund_account": "bank accounts of customers",
    "/v1/virtual_accounts": "bank transfers and virtual accounts",
    "/v1/payments/*/bank_transfer": "bank transfers and virtual accounts",
    "/v1/payments/*/upi_transfer": "bank transfers and virtual accounts",
    "/v1/payments/qr_codes": "QR codes",
    "/v1/payments/create": "payments that a server makes without Checkout",
    "/v1/payments/validate": "the check of a UPI address",
    "/v1/payments/calculate": "the calculation of fees in advance",
    "/v1/payments/*/otp": "payments that a server makes without Checkout",
    "/v1/payments/*/otp_generate": "payments that a server makes without Checkout",
    "/v1/orders/*/rto_review": "Magic Checkout's review of orders",
    "/v1/orders/*/fulfillment": "Magic Checkout's review of orders",
    "/v1/documents": "documents; contest a dispute with any id that begins with doc_",
    "/v1/cards/fingerprints": "the reference numbers of cards",
    "/v1/iins": "the look-up of card numbers' beginnings",
    "/v1/payouts": "RazorpayX",
    "/v1/contacts": "RazorpayX",
    "/v1/magic": "Magic Checkout",
    "/v1/1cc": "Magic Checkout",
    "/v2/accounts/*/documents": "documents of linked accounts",
    "/v2/accounts/*/stakeholders/*/documents": "documents of linked accounts",
    "/v2/accounts/*/webhooks": "webhooks of accounts of the partner API",
    "/v2/products": "the text of terms and conditions",
}
"""Paths, with all below them. `*` is an id."""


def _group_routes() -> dict[tuple[str, ...], list[tuple[list[str], str]]]:
    groups: dict[tuple[str, ...], list[tuple[list[str], str]]] = {}
    for route, what in ROUTES.items():
        names = route.strip("/").split("/")
        groups.setdefault(tuple(names[:2]), []).append((names, what))
    return groups


_ROUTES_BY_START: Final = _group_routes()


def find_route(path: str) -> str | None:
    """Return what the sandbox does not play at this path. None if Razorpay has nothing there, as far as is known."""
    parts = path.strip("/").split("/")
    # Two names tell most paths apart: each call of the API comes through here.
    for names, what in _ROUTES_BY_START.get(tuple(parts[:2]), ()) or _ROUTES_BY_START.get(
        (parts[0],), ()
    ):
        if len(parts) >= len(names) and all(
            name in ("*", part) for name, part in zip(names, parts, strict=False)
        ):
            return what
    return None


def to_markdown() -> str:
    """Return the lists as the table in the documentation."""
    rows = [
        *((f"field `{name}` of an order", what) for name, what in ORDER_FIELDS.items()),
        *((f"`method` `{name}` of an order", what) for name, what in PAYMENT_METHODS.items()),
        *((f"`{route}`", what) for route, what in ROUTES.items()),
    ]
    lines = ["| Razorpay has | the sandbox does not play |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {what} |" for name, what in rows)]) + "\n"


def replace_table(page: str) -> str:
    """Return the page with the table of today in its section. Raise ValueError if it has no such section."""
    start = page.index("| Razorpay has |")
    _, end, rest = page[start:].partition("\n\n")
    return page[:start] + to_markdown() + end[1:] + rest


if __name__ == "__main__":
    guide = Path(sys.argv[1])
    guide.write_text(replace_table(guide.read_text()))
