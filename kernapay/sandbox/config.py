"""What the sandbox reads from its environment."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct, field

T = TypeVar("T")

DEFAULT_KEY = ("rzp_test_kernapay", "sandbox_secret_kernapay_0001")
THREE_DAYS = 3 * 24 * 60


class ConfigError(ValueError):
    """One line for each variable that cannot be used."""


class WebhookTarget(Struct, frozen=True):
    url: str
    secret: str
    key_id: str | None = None


class SandboxConfig(Struct, frozen=True, kw_only=True):
    """How this sandbox behaves where Razorpay's behaviour is a setting or is not published."""

    keys: Mapping[str, str] = field(default_factory=lambda: dict([DEFAULT_KEY]))
    data: str = ""
    webhooks: tuple[WebhookTarget, ...] = ()
    capture: str = "automatic"
    auto_refund_minutes: int = THREE_DAYS
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
        """Read the SANDBOX_ variables; raise ConfigError naming each that is wrong."""
        problems: list[str] = []

        def read(name: str, parse: Callable[[str], T], default: T) -> T:
            text = environ.get(name, "").strip()
            if not text:
                return default
            try:
                return parse(text)
            except ValueError as problem:
                problems.append(f"{name}: {problem}")
                return default

        base = cls()
        config = cls(
            keys=read("SANDBOX_KEYS", parse_keys, base.keys),
            data=environ.get("SANDBOX_DATA", "").strip(),
            webhooks=read("SANDBOX_WEBHOOKS", parse_webhooks, base.webhooks),
            capture=read("SANDBOX_CAPTURE", one_of("automatic", "manual"), base.capture),
            auto_refund_minutes=read(
                "SANDBOX_AUTO_REFUND_MINUTES", whole(1, 7200), base.auto_refund_minutes
            ),
            max_amount=read("SANDBOX_MAX_AMOUNT", whole(1, 10**15), base.max_amount),
            settle_after_hours=read(
                "SANDBOX_SETTLE_AFTER_HOURS", whole(1, 24 * 30), base.settle_after_hours
            ),
            webhook_timeout=read("SANDBOX_WEBHOOK_TIMEOUT", seconds, base.webhook_timeout),
            webhook_backoff=read("SANDBOX_WEBHOOK_BACKOFF", seconds, base.webhook_backoff),
            delivery_log=read("SANDBOX_DELIVERY_LOG", whole(1, 10**7), base.delivery_log),
            bad_key_status=read("SANDBOX_BAD_KEY_STATUS", whole(400, 401), base.bad_key_status),
            refund_conflict_status=read(
                "SANDBOX_REFUND_CONFLICT_STATUS", status_400_or_409, base.refund_conflict_status
            ),
        )
        for target in config.webhooks:
            if target.key_id is not None and target.key_id not in config.keys:
                problems.append(f"SANDBOX_WEBHOOKS: no key {target.key_id!r} in SANDBOX_KEYS")
        if problems:
            raise ConfigError("\n".join(problems))
        return config


def parse_keys(text: str) -> Mapping[str, str]:
    keys: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key_id, colon, secret = pair.partition(":")
        if not (colon and key_id and secret):
            raise ValueError("write ID:SECRET, several separated by commas")
        if not key_id.isascii() or not key_id.replace("_", "").isalnum():
            raise ValueError("a key id is letters, digits and underscores, like rzp_test_shop")
        if key_id in keys:
            raise ValueError(f"the key id {key_id} stands there twice")
        keys[key_id] = secret
    if not keys:
        raise ValueError("name at least one ID:SECRET")
    return keys


def parse_webhooks(text: str) -> tuple[WebhookTarget, ...]:
    targets = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        url, bar, rest = part.partition("|")
        secret, _, key_id = rest.partition("|")
        if not (bar and secret):
            raise ValueError("write URL|SECRET, several separated by commas")
        check_url(url)
        targets.append(WebhookTarget(url, secret, key_id or None))
    return tuple(targets)


def check_url(url: str) -> str:
    """Return the address if a webhook can be sent to it; raise ValueError if not."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(c.isspace() or ord(c) < 32 for c in url):
        raise ValueError(f"{url[:200]!r} is not an http or https address")
    return url


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}, not {text!r}")
        return text

    return parse


def whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def status_400_or_409(text: str) -> int:
    return int(one_of("400", "409")(text))


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 86_400:
        raise ValueError(f"must be seconds, more than 0 and at most 86400, not {text!r}")
    return value
