"""Addresses that follow from several settings."""

from typing import Final

from kernapay.config.settings import Settings

_RAZORPAY: Final = "https://api.razorpay.com"
_RAZORPAY_PAGES: Final = "https://checkout.razorpay.com"


def checkout_script(settings: Settings) -> str:
    """Return the URL of the gateway's Checkout. A sandbox has it beside its API, Razorpay on a host of its own."""
    return f"{_RAZORPAY_PAGES if _is_razorpay(settings) else settings.razorpay_base_url}/v1/checkout.js"


def checkout_sources(settings: Settings) -> str:
    """Return what the gateway's Checkout loads, frames and calls, as sources of a content security policy."""
    return "https://*.razorpay.com" if _is_razorpay(settings) else settings.razorpay_base_url


def payers_address(settings: Settings) -> str | None:
    """Return where payers reach this service, without a slash at the end. `kernapay dev` is reached on this machine."""
    if settings.public_url is None and settings.dev_stack:
        return f"http://127.0.0.1:{settings.port}"
    return settings.public_url


def has_sandbox(settings: Settings) -> bool:
    """Return whether the gateway's address is a simulator's. With a live key, another address is a proxy."""
    return not _is_razorpay(settings)


def _is_razorpay(settings: Settings) -> bool:
    # With a live key, another address is a proxy of the operator's, before the API alone.
    return settings.is_live or settings.razorpay_base_url == _RAZORPAY
