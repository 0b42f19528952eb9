"""The secrets of a development stack: made once, kept with its data."""

import json
import os
import secrets
from pathlib import Path

NAMES = (
    "JWT_SECRET",
    "RAZORPAY_WEBHOOK_SECRET",
    "RAZORPAY_KEY_SECRET",
    "RAZORPAY_KEY_ID",
)


def credentials(home: Path) -> dict[str, str]:
    """Return the secrets kept in the directory; the first call makes them."""
    path = home / "credentials.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in NAMES if name not in kept]
    if missing:
        kept |= {name: _new(name) for name in missing}
        write_private(path, json.dumps(kept, indent=2))
    return kept


def _new(name: str) -> str:
    if name == "RAZORPAY_KEY_ID":
        return f"rzp_test_{secrets.token_hex(7)}"
    return secrets.token_hex(32)


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner only."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
