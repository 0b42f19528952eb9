"""Settings, read once from the environment and `.env.payment`; every bad variable is reported at once."""

import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from limits import RateLimitItem
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernapay.config.types import (
    Duration,
    Networks,
    RateLimit,
    ServiceType,
    ServiceTypes,
    Words,
    rate,
)

ENV_FILE: Final = Path(".env.payment")
MIN_SECRET_BYTES: Final = 32

_PLACEHOLDER: Final = re.compile(
    r"change.?me|your[_-]|example|default|placeholder|sandbox|password|^(.)\1*$", re.IGNORECASE
)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class ConfigurationError(Exception):
    """Say in one message what is wrong with the configuration, a line per variable."""


class Settings(BaseSettings):
    """All of KernaPay's configuration. Field names are the environment's, in lower case."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        arbitrary_types_allowed=True,
        env_ignore_empty=False,
    )

    app_env: Environment = Field(
        Environment.DEVELOPMENT, validation_alias=AliasChoices("APP_ENV", "NODE_ENV")
    )
    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

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
    signup_types: Words = ("USER", "PROVIDER")

    razorpay_key_id: str = Field(pattern=r"^rzp_(test|live)_[A-Za-z0-9_]+$")
    razorpay_key_secret: SecretStr
    razorpay_webhook_secret: SecretStr
    razorpay_webhook_secret_previous: SecretStr | None = None
    razorpay_base_url: str = "https://api.razorpay.com"
    razorpay_timeout: Duration = timedelta(seconds=10)
    gateway_threads: int = Field(32, ge=1, le=256)

    service_types: ServiceTypes = Field(default_factory=lambda: {"CONSULTATION": ServiceType()})
    currencies: Words = ("INR",)
    max_amount: int = Field(50_000_000, ge=100, le=2**53)
    webhook_deadline: Duration = timedelta(seconds=2)

    reconcile_after: Duration = timedelta(minutes=15)
    reconcile_rate: float = Field(5.0, gt=0, le=1000)
    payment_expiry: Duration = timedelta(days=7)

    cors_origins: Words = ()
    body_limit: int = Field(65_536, ge=1024)
    body_timeout: Duration = timedelta(seconds=10)
    trusted_proxies: Networks = ()

    rate_limits: bool = True
    rate_limit_signup: RateLimit = rate("600/minute")
    rate_limit_login: RateLimit = rate("600/minute")
    rate_limit_refresh: RateLimit = rate("300/minute")
    rate_limit_codes: RateLimit = rate("120/minute")
    rate_limit_create: RateLimit = rate("6000/minute")
    rate_limit_verify: RateLimit = rate("6000/minute")
    rate_limit_status: RateLimit = rate("12000/minute")
    rate_limit_wrong_password: RateLimit = rate("10/minute;30/hour;100/day")
    metrics_token: SecretStr | None = None

    aws_region: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_bucket_name: str | None = None
    aws_endpoint_url: str | None = None
    files_dir: Path = Path(".kernapay/files")
    merchant_name: str = Field("KernaPay", pattern=r"^[^\x00-\x1f\x7f]{1,60}$")
    fast_2_sms_key: SecretStr | None = None
    fast_2_sms_url: str = "https://www.fast2sms.com/dev/bulkV2"
    email_api_key: SecretStr | None = None
    sender_email: str | None = None
    sender_name: str = Field("KernaPay", pattern=r"^[^\x00-\x1f\x7f]{1,60}$")
    sendgrid_url: str = "https://api.sendgrid.com"
    mailbox_url: str | None = None
    require_verified: Literal["none", "email", "mobile", "any", "both"] = "none"

    @property
    def production(self) -> bool:
        return self.app_env is Environment.PRODUCTION

    @property
    def live(self) -> bool:
        """Whether the gateway's key moves real money."""
        return self.razorpay_key_id.startswith("rzp_live_")

    @property
    def redis(self) -> str:
        """The address of Redis, from REDIS_URL or else from host, port and password."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        login = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{login}{self.redis_host}:{self.redis_port}/0"

    @property
    def limits(self) -> dict[str, tuple[RateLimitItem, ...]]:
        """What each rate limit admits, by name; nothing when they are off."""
        prefix = "rate_limit_"
        names = [name for name in type(self).model_fields if name.startswith(prefix)]
        return {n.removeprefix(prefix): getattr(self, n) for n in names} if self.rate_limits else {}

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The current webhook secret and, while it is being rotated, the previous one."""
        both = (self.razorpay_webhook_secret, self.razorpay_webhook_secret_previous)
        return tuple(s.get_secret_value().encode() for s in both if s is not None)

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The secret that signs tokens first, then the one still accepted during a rotation."""
        both = (self.jwt_secret, self.jwt_secret_previous)
        return tuple(s.get_secret_value() for s in both if s is not None)

    @field_validator(
        "redis_url",
        "redis_password",
        "jwt_secret_previous",
        "razorpay_webhook_secret_previous",
        "metrics_token",
        "aws_region",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_bucket_name",
        "aws_endpoint_url",
        "fast_2_sms_key",
        "email_api_key",
        "sender_email",
        "mailbox_url",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("mongodb_url")
    @classmethod
    def _mongo_address(cls, value: SecretStr) -> SecretStr:
        from kernapay.storage import mongo  # takes a while, and nobody else here needs it

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
        counts = info.data.get("redis_url") is None
        if counts and not re.fullmatch(r"[^\s:/?#@%,\[\]]+|\[[0-9A-Fa-f:.]+\]", value):
            raise ValueError("must be a name or an address alone, an IPv6 one in brackets")
        return value

    @field_validator("fast_2_sms_url", "sendgrid_url", "files_dir", mode="before")
    @classmethod
    def _empty_is_default(cls, value: object, info: ValidationInfo) -> object:
        return cls.model_fields[info.field_name or ""].default if value == "" else value

    @field_validator(
        "razorpay_base_url", "fast_2_sms_url", "sendgrid_url", "mailbox_url", "aws_endpoint_url"
    )
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http(s) address")
        return value.rstrip("/")

    @field_validator("sender_email")
    @classmethod
    def _sender_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
            raise ValueError("must be an e-mail address")
        return value

    @field_validator("currencies")
    @classmethod
    def _currency_codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(not re.fullmatch("[A-Z]{3}", code) for code in value):
            raise ValueError("must be ISO 4217 codes separated by commas, such as INR,USD")
        return value

    @field_validator("signup_types")
    @classmethod
    def _signup_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= {"USER", "PROVIDER", "LAB_ASSISTANT"}:
            raise ValueError(
                "must be some of USER, PROVIDER, LAB_ASSISTANT: nobody signs up as ADMIN"
            )
        return value

    @field_validator("service_types")
    @classmethod
    def _service_type_names(cls, value: dict[str, ServiceType]) -> dict[str, ServiceType]:
        if not value or any(not re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) for name in value):
            raise ValueError("names must be capital letters, digits and underscores")
        return value

    @field_validator("jwt_secret", "razorpay_key_secret", "razorpay_webhook_secret")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("must not be empty")
        return value


def production_problems(settings: Settings) -> list[tuple[str, str]]:
    """Say what a development machine may have and production may not."""
    problems: list[tuple[str, str]] = []
    secrets = {
        "JWT_SECRET": (settings.jwt_secret, MIN_SECRET_BYTES),
        "JWT_SECRET_PREVIOUS": (settings.jwt_secret_previous, MIN_SECRET_BYTES),
        # Razorpay chooses the key secret (24 characters); the webhook secret is the merchant's.
        "RAZORPAY_KEY_SECRET": (settings.razorpay_key_secret, 16),
        "RAZORPAY_WEBHOOK_SECRET": (settings.razorpay_webhook_secret, 16),
        "RAZORPAY_WEBHOOK_SECRET_PREVIOUS": (settings.razorpay_webhook_secret_previous, 16),
    }
    for name, (secret, minimum) in secrets.items():
        if secret is None:
            continue
        value = secret.get_secret_value()
        if len(value.encode()) < minimum:
            problems.append((name, f"must have at least {minimum} bytes in production"))
        elif _PLACEHOLDER.search(value) or len(set(value)) < 8:
            problems.append((name, "looks like a default or a placeholder: make a random one"))
    for name in ("razorpay_base_url", "fast_2_sms_url", "sendgrid_url"):
        address = urlsplit(getattr(settings, name))
        if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
            problems.append((name.upper(), "must be https in production: it carries a secret"))
    if settings.mailbox_url is not None:
        problems.append(
            ("MAILBOX_URL", "must not be set in production: everyone's codes would lie open")
        )
    if settings.salt_rounds < 10:
        problems.append(("SALT_ROUNDS", "must be at least 10 in production"))
    if "*" in settings.cors_origins:
        problems.append(("CORS_ORIGINS", "must name its origins in production"))
    return problems


def _incomplete(settings: Settings) -> list[tuple[str, str]]:
    if settings.email_api_key is not None and settings.sender_email is None:
        return [("SENDER_EMAIL", "must be set, for EMAIL_API_KEY is")]
    if (settings.aws_access_key_id is None) != (settings.aws_secret_access_key is None):
        return [("AWS_ACCESS_KEY_ID", "goes together with AWS_SECRET_ACCESS_KEY")]
    return []


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "environment"


def _describe(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            message = "is missing"
        elif problem["type"] == "string_pattern_mismatch":
            message = f"must match {problem['ctx']['pattern']}"
        lines.append(f"  {_variable(problem['loc'])}: {message}")
    return "KernaPay cannot start, the configuration is wrong:\n" + "\n".join(sorted(set(lines)))


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Read the settings; the process environment wins over the file.

    Raises ConfigurationError naming every variable that is missing or wrong.
    """
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
        problems = _incomplete(settings)
        if settings.production:
            problems += production_problems(settings)
        if problems:
            raise ValidationError.from_exception_data(
                "Settings",
                [
                    InitErrorDetails(
                        type=PydanticCustomError("setting", "{text}", {"text": text}),
                        loc=(name,),
                        input=None,
                    )
                    for name, text in problems
                ],
            )
    except ValidationError as error:
        raise ConfigurationError(_describe(error)) from None
    return settings
