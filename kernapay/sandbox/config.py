"""The sandbox's configuration, read from its environment."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct, field

T = TypeVar("T")

DEFAULT_KEY = ("rzp_test_kernapay", "sandbox_secret_kernapay_0001")
THREE_DAYS_IN_MINUTES = 3 * 24 * 60


class ConfigError(ValueError):
    """The message has one line for each invalid variable."""


class WebhookTarget(Struct, frozen=True):
    url: str
    secret: str
    key_id: str | None = None


class SandboxConfig(Struct, frozen=True, kw_only=True):
    """Settings for what depends on the account at Razorpay, or is not published.

    `max_amount` is in minor units, `webhook_timeout` and `webhook_backoff` in seconds.
    """

    keys: Mapping[str, str] = field(default_factory=lambda: dict([DEFAULT_KEY]))
    data: str = ""
    webhooks: tuple[WebhookTarget, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    capture: str = "automatic"
    auto_refund_minutes: int = THREE_DAYS_IN_MINUTES
    max_amount: int = 50_000_000
    settle_after_hours: int = 48
    webhook_timeout: float = 5.0
    webhook_backoff: float = 2.0
    delivery_log: int = 5_000
    bad_key_status: int = 401
    refund_conflict_status: int = 400

    @property
    def first_key(self) -> str:
        return next(iter(self.keys))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "SandboxConfig":
        """Read the SANDBOX_ variables. Raise ConfigError naming each that is invalid."""
        errors: list[str] = []

        def read(name: str, parse: Callable[[str], T], default: T) -> T:
            text = environ.get(name, "").strip()
            if not text:
                return default
            try:
                return parse(text)
            except ValueError as error:
                errors.append(f"{name}: {error}")
                return default

        defaults = cls()
        config = cls(
            keys=read("SANDBOX_KEYS", parse_keys, defaults.keys),
            data=environ.get("SANDBOX_DATA", "").strip(),
            webhooks=read("SANDBOX_WEBHOOKS", parse_webhooks, defaults.webhooks),
            allowed_hosts=read("SANDBOX_ALLOWED_HOSTS", parse_hosts, defaults.allowed_hosts),
            capture=read("SANDBOX_CAPTURE", parse_one_of("automatic", "manual"), defaults.capture),
            auto_refund_minutes=read(
                "SANDBOX_AUTO_REFUND_MINUTES", parse_integer(1, 7200), defaults.auto_refund_minutes
            ),
            max_amount=read("SANDBOX_MAX_AMOUNT", parse_integer(1, 10**15), defaults.max_amount),
            settle_after_hours=read(
                "SANDBOX_SETTLE_AFTER_HOURS", parse_integer(1, 24 * 30), defaults.settle_after_hours
            ),
            webhook_timeout=read(
                "SANDBOX_WEBHOOK_TIMEOUT", parse_seconds, defaults.webhook_timeout
            ),
            webhook_backoff=read(
                "SANDBOX_WEBHOOK_BACKOFF", parse_seconds, defaults.webhook_backoff
            ),
            delivery_log=read(
                "SANDBOX_DELIVERY_LOG", parse_integer(1, 10**7), defaults.delivery_log
            ),
            bad_key_status=read(
                "SANDBOX_BAD_KEY_STATUS", parse_integer(400, 401), defaults.bad_key_status
            ),
            refund_conflict_status=read(
                "SANDBOX_REFUND_CONFLICT_STATUS",
                parse_conflict_status,
                defaults.refund_conflict_status,
            ),
        )
        for target in config.webhooks:
            if target.key_id is not None and target.key_id not in config.keys:
                errors.append(f"SANDBOX_WEBHOOKS: the key {target.key_id!r} is not in SANDBOX_KEYS")
        if errors:
            raise ConfigError("\n".join(errors))
        return config


def parse_keys(text: str) -> Mapping[str, str]:
    keys: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key_id, colon, secret = pair.partition(":")
        if not (colon and key_id and secret):
            raise ValueError("must be ID:SECRET, or several separated by commas")
        if not key_id.isascii() or not key_id.replace("_", "").isalnum():
            raise ValueError("a key id must be letters, digits and underscores, like rzp_test_shop")
        if key_id in keys:
            raise ValueError(f"the key id {key_id} is there twice; each must be unique")
        keys[key_id] = secret
    if not keys:
        raise ValueError("must have at least one ID:SECRET")
    return keys


def parse_webhooks(text: str) -> tuple[WebhookTarget, ...]:
    targets = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        url, bar, rest = part.partition("|")
        secret, _, key_id = rest.partition("|")
        if not (bar and secret):
            raise ValueError(
                "must be URL|SECRET or URL|SECRET|KEY_ID, or several separated by commas"
            )
        check_url(url)
        targets.append(WebhookTarget(url, secret, key_id or None))
    return tuple(targets)


def parse_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(filter(None, (part.strip().lower() for part in text.split(","))))
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", host):
            raise ValueError(
                f"{host[:200]!r} must be a host name or an address without a port, like sandbox or [::1]"
            )
    return hosts


def check_url(url: str) -> str:
    """Return the address of a webhook. Raise ValueError if nothing can be sent to it."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:  # a port out of range, or a broken IPv6 address
        is_valid = False
    if not is_valid or not url.isascii() or any(c.isspace() or ord(c) < 32 for c in url):
        raise ValueError(
            f"{url[:200]!r} is not an http or https address, like http://127.0.0.1:8000/webhooks"
        )
    return url


def parse_one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}, not {text!r}")
        return text

    return parse


def parse_integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {text!r}")
        return int(text)

    return parse


def parse_conflict_status(text: str) -> int:
    return int(parse_one_of("400", "409")(text))


def parse_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 86_400:
        raise ValueError(f"must be seconds: more than 0 and at most 86400, not {text!r}")
    return value
