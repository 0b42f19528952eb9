"""Settings that production refuses, though a development machine may have them."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import collapse_addresses
from typing import Final
from urllib.parse import urlsplit

from kernapay.config.flaws import Flaw
from kernapay.config.hosts import is_loopback, is_this_machine
from kernapay.config.secret_strength import find_weak_secrets
from kernapay.config.settings import Settings

_SALT_ROUNDS: Final = 10
_REFRESH_GRACE: Final = timedelta(minutes=1)
_URLS: Final = (
    "public_url",
    "razorpay_base_url",
    "fast_2_sms_url",
    "sendgrid_url",
    "aws_endpoint_url",
)
# As many public addresses as no proxy has: a sixteenth of IPv4, and a /16 of IPv6. Content networks have less.
_MANY_ADDRESSES: Final = {4: 2**28, 6: 2**112}


def find_weaknesses(settings: Settings) -> list[Flaw]:
    """Return the values that are unsafe in production."""
    return [
        *find_weak_secrets(settings),
        *_addresses(settings),
        *_pages(settings),
        *_proxies(settings),
        *_others(settings),
    ]


def _addresses(settings: Settings) -> Iterator[Flaw]:
    for field in _URLS:
        url = urlsplit(getattr(settings, field) or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            text = "is not encrypted, but requests to it contain a secret"
            yield Flaw(field.upper(), text, f"set {field.upper()} to an https:// URL.")
    host = urlsplit(settings.razorpay_base_url).hostname or ""
    if settings.is_live and is_this_machine(host):
        yield Flaw(
            "RAZORPAY_BASE_URL",
            "is an address of this machine, such as a sandbox has, but the key moves real money",
            "unset RAZORPAY_BASE_URL, or use a key that begins with rzp_test_.",
        )


def _pages(settings: Settings) -> Iterator[Flaw]:
    fix = "set CORS_ORIGINS to the https:// origins of your pages, separated by commas."
    if any("*" in origin for origin in settings.cors_origins):
        yield Flaw("CORS_ORIGINS", "has a wildcard, so pages of others may call the API", fix)
    parts = [urlsplit(origin) for origin in settings.cors_origins if "*" not in origin]
    if any(url.scheme == "http" and not is_loopback(url.hostname or "") for url in parts):
        text = "has an http:// origin: anyone on the way can change the pages that it allows"
        yield Flaw("CORS_ORIGINS", text, fix)


def _proxies(settings: Settings) -> Iterator[Flaw]:
    for version, limit in _MANY_ADDRESSES.items():
        networks = [n for n in settings.trusted_proxies if n.version == version]
        public = [n for n in collapse_addresses(networks) if not n.is_private]  # type: ignore[type-var]
        if sum(network.num_addresses for network in public) >= limit:
            yield Flaw(
                "TRUSTED_PROXIES",
                f"covers a large part of the internet (IPv{version}), so clients could claim any address as theirs",
                "set TRUSTED_PROXIES to the networks of your own proxies.",
            )


def _others(settings: Settings) -> Iterator[Flaw]:
    if settings.mailbox_url is not None:
        text = "sends all one-time codes to a mailbox that anyone can read"
        yield Flaw("MAILBOX_URL", text, "unset MAILBOX_URL.")
    if settings.dev_stack:
        text = "lets the pages of this machine call the API"
        fix = "unset DEV_STACK. `kernapay dev` is for test keys, under APP_ENV=development."
        yield Flaw("DEV_STACK", text, fix)
    if settings.demo_shop and settings.is_live:
        text = "opens a shop that sells nothing, but the key moves real money"
        yield Flaw("DEMO_SHOP", text, "unset DEMO_SHOP, or use a key that begins with rzp_test_.")
    if settings.salt_rounds < _SALT_ROUNDS:
        text = "makes password hashes too easy to guess"
        yield Flaw("SALT_ROUNDS", text, f"set SALT_ROUNDS to at least {_SALT_ROUNDS}.")
    if settings.refresh_grace > _REFRESH_GRACE:
        text = "is so long that a stolen refresh token that was used before still works"
        yield Flaw("REFRESH_GRACE", text, "set REFRESH_GRACE to at most 1m.")
