"""Find weak secrets: short, repeated, common, copied from an example, or used for two purposes."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import SecretStr

from kernapay.config.flaws import Flaw
from kernapay.config.settings import Settings
from kernapay.core import zxcvbn_parts


class _Rule(NamedTuple):
    """The least number of bytes, and the least number of guesses as a power of ten."""

    length: int
    guesses: int


# RFC 7518: a key for HS256, which signs the tokens, has at least 256 bits. Anyone with a token can try keys at leisure.
_SIGNING: Final = _Rule(32, 26)
# Razorpay makes key secrets of 24 characters. The others are chosen by people.
_SHARED: Final = _Rule(16, 12)
_RULES: Final = {
    "jwt_secret": _SIGNING,
    "jwt_secret_previous": _SIGNING,
    "razorpay_key_secret": _SHARED,
    "razorpay_key_secret_previous": _SHARED,
    "razorpay_webhook_secret": _SHARED,
    "razorpay_webhook_secret_previous": _SHARED,
    "metrics_token": _SHARED,
}
# Compared only: others make them, or they have rules of their own.
_FOREIGN: Final = ("redis_password", "aws_secret_access_key", "fast_2_sms_key", "email_api_key")
_DIFFERENT_CHARACTERS: Final = 8
_PLACEHOLDER: Final = re.compile(
    r"change.?(me|it|this)|replace.?(me|it|this)|your[_-]|example|default|placeholder|sandbox|password"
    r"|^<.*>$|^\$\{.*\}$|^\$\(.*\)$",
    re.IGNORECASE,
)
# The time that zxcvbn takes grows with the square of the length; it takes no more than 72 characters.
_LOOKED_AT: Final = (32, 72)


def find_weak_secrets(settings: Settings) -> Iterator[Flaw]:
    """Return the secrets that are not fit for production."""
    for field, rule in _RULES.items():
        secret = _value(settings, field)
        if secret is not None and (text := _weakness(secret, rule)):
            yield Flaw(field.upper(), text, _fix(field, rule))
    zxcvbn_parts.forget()
    yield from _repeated(settings)


def _weakness(secret: str, rule: _Rule) -> str | None:
    if len(secret.encode()) < rule.length:
        return f"is shorter than {rule.length} bytes"
    if _PLACEHOLDER.search(secret) or len(set(secret)) < _DIFFERENT_CHARACTERS:
        return "looks like a placeholder"
    if 0 < (secret + secret).find(secret, 1) < rule.length:
        return "repeats one piece"
    return None if _is_hard_to_guess(secret, rule.guesses) else "is easy to guess"


def _is_hard_to_guess(secret: str, guesses: int) -> bool:
    return any(zxcvbn_parts.guesses_log10(secret[:count]) >= guesses for count in _LOOKED_AT)


def _repeated(settings: Settings) -> Iterator[Flaw]:
    """Find values that are used for two purposes: one leak would reveal both."""
    # The key id is public.
    first_uses = {_comparable(settings.razorpay_key_id): "RAZORPAY_KEY_ID"}
    for field in (*_RULES, *_FOREIGN):
        secret = _value(settings, field)
        if secret is None:
            continue
        other = first_uses.setdefault(_comparable(secret), field.upper())
        if other != field.upper():
            rule = _RULES.get(field, _SHARED)
            yield Flaw(field.upper(), f"is the same as {other}", _fix(field, rule))


def _comparable(secret: str) -> str:
    return secret.strip().casefold()


def _value(settings: Settings, field: str) -> str | None:
    secret: SecretStr | None = getattr(settings, field)
    return None if secret is None else secret.get_secret_value()


def _fix(field: str, rule: _Rule) -> str:
    variable = field.upper()
    if field == "razorpay_key_secret":
        return f"copy {variable} from the Razorpay dashboard."
    return f"set {variable} to at least {rule.length} random bytes."
