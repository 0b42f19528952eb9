"""What Razorpay returns to Checkout and plugins about an account: its payment methods and its preferences."""

from kernapay.sandbox.instruments import BANKS, WALLETS
from kernapay.sandbox.views import View

LIVE_PREFIX = "rzp_live_"


def mode_of(key_id: str) -> str:
    return "live" if key_id.startswith(LIVE_PREFIX) else "test"


def methods_view() -> View:
    """Return the methods that the sandbox plays. Razorpay mixes true, 1 and empty lists."""
    return {
        "entity": "methods",
        "card": True,
        "debit_card": True,
        "credit_card": True,
        "prepaid_card": True,
        "card_networks": {
            "AMEX": 1,
            "DICL": 1,
            "MC": 1,
            "MAES": 0,
            "VISA": 1,
            "JCB": 0,
            "RUPAY": 1,
            "BAJAJ": 0,
        },
        "card_subtype": {"consumer": 1, "business": 1},
        "amex": True,
        "netbanking": dict(BANKS),
        "wallet": dict.fromkeys(WALLETS, True),
        "emi": False,
        "upi": True,
        "cardless_emi": [],
        "paylater": [],
        "google_pay_cards": False,
        "app": {"cred": 0, "twid": 0},
        "gpay": False,
        "emi_types": {"credit": False, "debit": False},
        "debit_emi_providers": {"HDFC": 0},
        "nach": False,
        "cod": False,
        "emi_subvention": "customer",
        "emi_plans": {},
        "emi_options": {},
    }


def preferences_view(key_id: str, order: View | None) -> View:
    """Return what Checkout and plugins read of an account. The vendor documents none of it."""
    return {
        "options": {
            "theme": {"color": "#3399cc"},
            "image": None,
            "remember_customer": False,
            # Plugins send the customer to the hosted page if this is true.
            "redirect": False,
        },
        "fee_bearer": False,
        "version": 1,
        "language_code": "en",
        "merchant_key": key_id,
        "merchant_name": "Sandbox shop",
        "merchant_currency": "INR",
        "mode": mode_of(key_id),
        "magic": False,
        "blocked": False,
        "activated": True,
        "global": False,
        "features": {},
        "methods": methods_view(),
        **({"order": order} if order is not None else {}),
        "http_status_code": 200,
    }
