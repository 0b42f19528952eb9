"""Settings that production refuses, though a development machine may have them."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from kernapay.config.settings import Settings

# RFC 7518: a key for HS256, which signs the tokens, has at least 256 bits.
_JWT_SECRET_BYTES: Final = 32
# Razorpay makes key secrets of 24 characters. Merchants choose the webhook secret.
_RAZORPAY_SECRET_BYTES: Final = 16
_DIFFERENT_CHARACTERS: Final = 8
_SALT_ROUNDS: Final = 10
_PLACEHOLDER: Final = re.compile(
    r"change.?me|your[_-]|example|default|placeholder|sandbox|password|^(.)\1*$", re.IGNORECASE
)
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Weakness(NamedTuple):
    """A variable with an unsafe value, what is wrong with it, and an instruction to fix it."""

    variable: str
    text: str
    fix: str


def find_weaknesses(settings: Settings) -> list[Weakness]:
    """Return the values that are unsafe in production."""
    return [*_weak_secrets(settings), *_unencrypted(settings), *_other_weaknesses(settings)]


def _weak_secrets(settings: Settings) -> list[Weakness]:
    secrets: dict[str, tuple[SecretStr | None, int]] = {
        "JWT_SECRET": (settings.jwt_secret, _JWT_SECRET_BYTES),
        "JWT_SECRET_PREVIOUS": (settings.jwt_secret_previous, _JWT_SECRET_BYTES),
        "RAZORPAY_KEY_SECRET": (settings.razorpay_key_secret, _RAZORPAY_SECRET_BYTES),
        "RAZORPAY_WEBHOOK_SECRET": (settings.razorpay_webhook_secret, _RAZORPAY_SECRET_BYTES),
        "RAZORPAY_WEBHOOK_SECRET_PREVIOUS": (
            settings.razorpay_webhook_secret_previous,
            _RAZORPAY_SECRET_BYTES,
        ),
    }
    weaknesses = []
    for name, (secret, minimum) in secrets.items():
        if secret is None:
            continue
        value = secret.get_secret_value()
        if len(value.encode()) < minimum:
            text = f"is shorter than {minimum} bytes"
        elif _PLACEHOLDER.search(value) or len(set(value)) < _DIFFERENT_CHARACTERS:
            text = "looks like a placeholder"
        else:
            continue
        weaknesses.append(Weakness(name, text, _secret_fix(name, minimum)))
    return weaknesses


def _secret_fix(name: str, minimum: int) -> str:
    if name == "RAZORPAY_KEY_SECRET":
        return f"copy {name} from the Razorpay dashboard."
    return f"set {name} to at least {minimum} random bytes."


def _unencrypted(settings: Settings) -> list[Weakness]:
    weaknesses = []
    for field in ("razorpay_base_url", "fast_2_sms_url", "sendgrid_url"):
        url = urlsplit(getattr(settings, field))
        if url.scheme != "https" and url.hostname not in _LOOPBACK:
            name = field.upper()
            text = "is not encrypted, but requests to it contain a secret"
            weaknesses.append(Weakness(name, text, f"set {name} to an https:// URL."))
    return weaknesses


def _other_weaknesses(settings: Settings) -> list[Weakness]:
    weaknesses = []
    if settings.mailbox_url is not None:
        text = "sends all one-time codes to a mailbox that anyone can read"
        weaknesses.append(Weakness("MAILBOX_URL", text, "unset MAILBOX_URL."))
    if settings.salt_rounds < _SALT_ROUNDS:
        text = "makes password hashes too easy to guess"
        fix = f"set SALT_ROUNDS to at least {_SALT_ROUNDS}."
        weaknesses.append(Weakness("SALT_ROUNDS", text, fix))
    if "*" in settings.cors_origins:
        text = "allows the pages of every site to call the API"
        fix = "set CORS_ORIGINS to the origins of your pages, separated by commas."
        weaknesses.append(Weakness("CORS_ORIGINS", text, fix))
    return weaknesses
