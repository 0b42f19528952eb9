"""The accounts of a development stack. Never made in production."""

from typing import Final

# One for each role. The password is public: the stack listens on the loopback address only.
DEMO_ACCOUNTS: Final = {
    "USER": "user@example.com",
    "PROVIDER": "provider@example.com",
    "LAB_ASSISTANT": "lab@example.com",
    "ADMIN": "admin@example.com",
}
DEMO_PASSWORD: Final = "Kernapay-demo-1"  # noqa: S105
