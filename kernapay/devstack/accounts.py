"""The demo accounts of a development stack. They are never created in production."""

from typing import Final

DEMO_ACCOUNTS: Final = {
    "USER": "user@example.com",
    "PROVIDER": "provider@example.com",
    "LAB_ASSISTANT": "lab@example.com",
    "ADMIN": "admin@example.com",
}
DEMO_PASSWORD: Final = "KERNAPAY_DEMO_PASSWORD"  # noqa: S105
"""The variable with their password. A stack makes one at its first start and keeps it."""
PUBLIC_PASSWORD: Final = "Kernapay-demo-1"  # noqa: S105
"""The password that every demo account had in earlier versions."""
