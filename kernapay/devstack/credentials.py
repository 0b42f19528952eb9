"""The secrets of a development stack: made at its first start, stored with its data, readable only by its owner."""

import json
import os
import secrets
from pathlib import Path

NAMES = (
    "JWT_SECRET",
    "RAZORPAY_WEBHOOK_SECRET",
    "RAZORPAY_KEY_SECRET",
    "RAZORPAY_KEY_ID",
    "KERNAPAY_DEMO_PASSWORD",
)


def credentials(home: Path) -> dict[str, str]:
    """Return the secrets stored in the directory. The first call generates them."""
    path = home / "credentials.json"
    secrets_by_name: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in NAMES if name not in secrets_by_name]
    if missing:
        secrets_by_name |= {name: _generate(name) for name in missing}
        write_private(path, json.dumps(secrets_by_name, indent=2))
    return secrets_by_name


def server_password(data_dir: Path) -> str:
    """Return the password of the database in the directory. The first call generates it.

    It is stored beside the data, so that both are copied and deleted together.
    """
    path = data_dir / "password"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_hex(32))
    return path.read_text()


def _generate(name: str) -> str:
    if name == "RAZORPAY_KEY_ID":
        return f"rzp_test_{secrets.token_hex(7)}"
    if name == "KERNAPAY_DEMO_PASSWORD":
        return secrets.token_hex(12)  # people type it
    return secrets.token_hex(32)


def write_private(path: Path, text: str) -> None:
    """Write the file atomically, readable only by its owner."""
    draft = path.with_suffix(".new")
    # A draft that a crash left may have other permissions.
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
