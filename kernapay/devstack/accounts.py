"""The demo accounts of a development stack. They are never created in production."""

from typing import Final

# The password is public. Nobody else can use it: the stack listens only on the loopback address.
DEMO_ACCOUNTS: Final = {
    "USER": "user@example.com",
    "PROVIDER": "provider@example.com",
    "LAB_ASSISTANT": "lab@example.com",
    "ADMIN": "admin@example.com",
}
DEMO_PASSWORD: Final = "Kernapay-demo-1"  # noqa: S105
