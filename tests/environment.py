"""The variables with which the processes and applications of tests are configured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from tests.stack import JWT_SECRET, KEY_ID, KEY_SECRET, WEBHOOK_SECRET

REQUIRED: Final = {
    "MONGODB_URL": "mongodb://127.0.0.1:1/kernapay",
    "JWT_SECRET": JWT_SECRET,
    "RAZORPAY_KEY_ID": KEY_ID,
    "RAZORPAY_KEY_SECRET": KEY_SECRET,
    "RAZORPAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
}
"""The variables without a default. Nobody listens at this address."""
PRODUCTION: Final = {
    **REQUIRED,
    "APP_ENV": "production",
    "JWT_SECRET": "q8Zt2mVx7LcR4bNs9KdW1yHf6PgJ3aTe",
    "RAZORPAY_KEY_ID": "rzp_live_q8Zt2mVx7LcR4b",
    "RAZORPAY_KEY_SECRET": "Zt2mVx7LcR4bNs9KdW1yHf6P",
    "RAZORPAY_WEBHOOK_SECRET": "Vx7LcR4bNs9KdW1yHf6PgJ3a",
}
"""What production accepts."""


def api_environment(
    mongodb_url: str, redis_url: str, gateway_url: str, home: Path, **changes: str
) -> dict[str, str]:
    """Return the environment of APIs and workers over these servers, without rate limits.

    Their files go to a folder of `home`.
    """
    return {
        **REQUIRED,
        "APP_ENV": "test",
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "RAZORPAY_BASE_URL": gateway_url,
        "RAZORPAY_TIMEOUT": "2s",
        "FILES_DIR": str(home / "files"),
        "PUBLIC_URL": "https://pay.kernapay.test",
        "SALT_ROUNDS": "4",
        "RATE_LIMITS": "false",
        # Only a test about the deadline has a short one: a busy machine takes longer than two seconds.
        "WEBHOOK_DEADLINE": "20s",
        **changes,
    }


def settings_from(environment: Mapping[str, str], **changes: object) -> Settings:
    """Load the settings of such an environment; `changes` are named as the settings are."""
    given = {name.lower(): value for name, value in environment.items()}
    return load_settings(None, **{**given, **changes})
