"""The settings: names, types, defaults and formats of every variable."""

import re
from datetime import timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from limits import RateLimitItem
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from kernapay.config.receipts import AddressLines, Gstin, ReceiptPrefix, Series
from kernapay.config.types import (
    AllowedHosts,
    Currencies,
    DisplayName,
    Duration,
    HostNames,
    KeyId,
    Networks,
    Origins,
    Ports,
    RateLimit,
    ServiceType,
    ServiceTypes,
    SignUpTypes,
    TimeZone,
    parse_rate,
)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Settings(BaseModel):
    """All settings of KernaPay. A field is named like its environment variable, in lower case."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    app_env: Environment = Environment.DEVELOPMENT
    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    mongodb_url: SecretStr
    mongo_threads: int = Field(16, ge=1, le=256)
    redis_url: SecretStr | None = None
    redis_host: str = "127.0.0.1"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: SecretStr | None = None

    jwt_secret: SecretStr
    jwt_secret_previous: SecretStr | None = None
    token_expiry: Duration = timedelta(days=7)
    refresh_expiry: Duration = timedelta(days=30)
    refresh_grace: Duration = timedelta(seconds=10)
    salt_rounds: int = Field(10, ge=4, le=16)
    hashing_threads: int = Field(2, ge=1, le=64)
    signup_types: SignUpTypes = ("USER", "PROVIDER")

    razorpay_key_id: KeyId
    razorpay_key_secret: SecretStr
    razorpay_key_secret_previous: SecretStr | None = None
    razorpay_webhook_secret: SecretStr
    razorpay_webhook_secret_previous: SecretStr | None = None
    razorpay_base_url: str = "https://api.razorpay.com"
    razorpay_timeout: Duration = timedelta(seconds=10)
    receipt_prefix: ReceiptPrefix = "KP"
    gateway_threads: int = Field(32, ge=1, le=256)

    service_types: ServiceTypes = Field(default_factory=lambda: {"CONSULTATION": ServiceType()})
    currencies: Currencies = ("INR",)
    max_amount: int = Field(50_000_000, ge=100, le=2**53)
    notes_limit: int = Field(8192, ge=256, le=65_536)
    creates_per_account: int = Field(64, ge=1, le=10_000)
    unpaid_per_customer: int = Field(20, ge=1, le=10_000)
    # Razorpay: a page of a payment's refunds has at most 100.
    refunds_per_payment: int = Field(50, ge=1, le=100)
    # The worker takes an event over 30 s after it came, and the gateway gives up after 5 s.
    webhook_deadline: Duration = Field(timedelta(seconds=2), le=timedelta(seconds=20))

    reconcile_after: Duration = timedelta(minutes=15)
    reconcile_rate: float = Field(5.0, gt=0, le=1000)
    payment_expiry: Duration = timedelta(days=7)
    late_payments: Literal["capture", "refund", "hold"] = "refund"
    # Razorpay: two working days after the capture. A week has a weekend and a holiday in it.
    settled_within: Duration = timedelta(days=7)
    business_timezone: TimeZone = ZoneInfo("Asia/Kolkata")

    delivery_ports: Ports = (443, 8443)
    delivery_allowed_hosts: AllowedHosts = ()
    delivery_timeout: Duration = Field(
        timedelta(seconds=10), ge=timedelta(seconds=1), le=timedelta(seconds=60)
    )
    deliveries_keep: Duration = timedelta(days=30)
    deliveries_keep_done: Duration = timedelta(days=7)
    deliveries_always_store: bool = False
    endpoints_per_account: int = Field(50, ge=1, le=1000)
    endpoint_rotation: Duration = Field(timedelta(hours=24), le=timedelta(days=30))

    public_url: str | None = None
    cors_origins: Origins = ()
    allowed_hosts: HostNames = ()
    dev_stack: bool = False
    body_limit: int = Field(65_536, ge=1024)
    body_timeout: Duration = timedelta(seconds=10)
    send_timeout: Duration = Field(
        timedelta(seconds=30), ge=timedelta(seconds=1), le=timedelta(hours=1)
    )
    trusted_proxies: Networks = ()
    console_session: Duration = Field(timedelta(hours=12), le=timedelta(days=7))
    console_idle: Duration = Field(timedelta(minutes=30), ge=timedelta(minutes=2))
    console_second_factor: bool = True
    console_proof: Duration = Field(timedelta(minutes=10), ge=timedelta(minutes=1))
    console_refund_limit: int = Field(1_000_000, ge=0, le=2**53)
    demo_shop: bool | None = None
    compat: Literal["express"] | None = None
    live_streams: int = Field(5000, ge=1, le=30_000)
    live_streams_per_client: int = Field(100, ge=1, le=30_000)

    rate_limits: bool = True
    rate_limit_signup: RateLimit = parse_rate("60/minute;600/hour")
    rate_limit_taken_address: RateLimit = parse_rate("5/minute;20/hour;60/day")
    rate_limit_login: RateLimit = parse_rate("600/minute")
    rate_limit_refresh: RateLimit = parse_rate("300/minute")
    rate_limit_codes: RateLimit = parse_rate("120/minute")
    rate_limit_codes_from: RateLimit = parse_rate("20/minute;100/hour;400/day")
    rate_limit_codes_to: RateLimit = parse_rate("3/minute;10/hour;20/day")
    rate_limit_codes_in_all: RateLimit = parse_rate("600/minute;20000/day")
    rate_limit_wrong_code: RateLimit = parse_rate("5/minute;20/hour;60/day")
    rate_limit_create: RateLimit = parse_rate("6000/minute;100000/day")
    rate_limit_verify: RateLimit = parse_rate("6000/minute")
    rate_limit_status: RateLimit = parse_rate("12000/minute")
    rate_limit_wrong_password: RateLimit = parse_rate("10/minute;30/hour;100/day")
    rate_limit_right_password: RateLimit = parse_rate("60/minute;600/hour")
    rate_limit_receipt: RateLimit = parse_rate("120/minute")
    rate_limit_export: RateLimit = parse_rate("10/minute;100/hour")
    rate_limit_audited: RateLimit = parse_rate("600/minute")
    metrics_token: SecretStr | None = None
    tracing_url: str | None = None
    tracing_ratio: float = Field(1.0, ge=0, le=1)
    worker_metrics_port: int | None = Field(None, ge=1, le=65535)

    aws_region: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_bucket_name: str | None = None
    aws_endpoint_url: str | None = None
    files_dir: Path = Path(".kernapay/files")
    merchant_name: DisplayName = "KernaPay"
    receipt_series: Series = "KP"
    receipt_address: AddressLines = ()
    receipt_gstin: Gstin | None = None
    receipt_mail: bool = False
    statement_day: int | None = Field(None, ge=1, le=28)
    fast_2_sms_key: SecretStr | None = None
    fast_2_sms_url: str = "https://www.fast2sms.com/dev/bulkV2"
    email_api_key: SecretStr | None = None
    sender_email: str | None = None
    sender_name: DisplayName = "KernaPay"
    sendgrid_url: str = "https://api.sendgrid.com"
    mailbox_url: str | None = None
    require_verified: Literal["none", "email", "mobile", "any", "both"] = "none"

    @property
    def environment(self) -> Environment:
        """The environment whose rules hold: production when the key moves real money, whatever APP_ENV says."""
        return Environment.PRODUCTION if self.is_live else self.app_env

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def is_live(self) -> bool:
        """Whether the gateway's key moves real money. Razorpay: live keys begin with `rzp_live_`."""
        return self.razorpay_key_id.startswith("rzp_live_")

    @property
    def redis_address(self) -> str:
        """REDIS_URL, or a URL made from REDIS_HOST and REDIS_PORT; with REDIS_PASSWORD, unless the URL has one."""
        from kernapay.storage import redis_clients as redis

        parts = f"redis://{self.redis_host}:{self.redis_port}/0"
        url = self.redis_url.get_secret_value() if self.redis_url else parts
        password = self.redis_password
        return redis.add_password(url, password.get_secret_value()) if password else url

    @property
    def limits(self) -> dict[str, tuple[RateLimitItem, ...]]:
        """The rate limits by name, such as `login`. Empty if RATE_LIMITS is off."""
        prefix = "rate_limit_"
        names = [name for name in type(self).model_fields if name.startswith(prefix)]
        return {n.removeprefix(prefix): getattr(self, n) for n in names} if self.rate_limits else {}

    @property
    def checkout_secrets(self) -> tuple[bytes, ...]:
        """The key's secret, which signs what Checkout returns, and during a rotation the previous one."""
        both = (self.razorpay_key_secret, self.razorpay_key_secret_previous)
        return tuple(s.get_secret_value().encode() for s in both if s is not None)

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The webhook secret and, during a rotation, the previous one."""
        both = (self.razorpay_webhook_secret, self.razorpay_webhook_secret_previous)
        return tuple(s.get_secret_value().encode() for s in both if s is not None)

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The secret that signs tokens and, during a rotation, the previous one, which is still accepted."""
        both = (self.jwt_secret, self.jwt_secret_previous)
        return tuple(s.get_secret_value() for s in both if s is not None)

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        # Python keeps bytes of the environment that are no UTF-8 as halves of surrogate pairs.
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise ValueError("is not UTF-8 text")
        return value

    @field_validator("mongodb_url")
    @classmethod
    def _mongo_address(cls, value: SecretStr) -> SecretStr:
        from kernapay.storage import mongo  # imported here because it takes long

        mongo.check_url(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: SecretStr | None) -> SecretStr | None:
        from kernapay.storage import redis_clients as redis

        if value is not None:
            redis.check_url(value.get_secret_value())
        return value

    @field_validator("redis_host")
    @classmethod
    def _host_alone(cls, value: str, info: ValidationInfo) -> str:
        is_used = info.data.get("redis_url") is None
        if is_used and not re.fullmatch(r"[^\s:/?#@%,\[\]]+|\[[0-9A-Fa-f:.]+\]", value):
            raise ValueError(
                "must be a host name or an IP address without a port; write IPv6 in brackets: [::1]"
            )
        return value

    @field_validator(
        *("razorpay_base_url", "fast_2_sms_url", "sendgrid_url", "mailbox_url"),
        *("aws_endpoint_url", "tracing_url", "public_url"),
    )
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # its text repeats the host or the port, which may be part of a password
            is_usable = False
        if not is_usable or re.search(r"\s", value):
            raise ValueError("must be a URL that begins with http:// or https://")
        if "@" in value:
            raise ValueError("must be a URL without a user and a password")
        return value.rstrip("/")

    @field_validator("tracing_url")
    @classmethod
    def _with_its_extra(cls, value: str | None) -> str | None:
        if value is not None and find_spec("opentelemetry") is None:
            raise ValueError("needs the extra `tracing`: pip install 'kernapay[tracing]'")
        return value

    @field_validator("sender_email")
    @classmethod
    def _sender_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ValueError("must be an e-mail address, such as pay@example.com")
        return value

    @field_validator("service_types")
    @classmethod
    def _service_type_names(cls, value: dict[str, ServiceType]) -> dict[str, ServiceType]:
        if not value or any(not re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) for name in value):
            raise ValueError("must have names of capital letters, digits and underscores: LAB_TEST")
        return value

    @field_validator("jwt_secret", "razorpay_key_secret", "razorpay_webhook_secret")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("must not be empty")
        return value
