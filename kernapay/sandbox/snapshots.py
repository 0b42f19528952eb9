"""Snapshots of all rows, without the secrets of webhooks."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.store import Store

Snapshot = dict[str, list[Any]]
_SECRETS: Final = {"endpoint": ("secret", "previous_secret"), "delivery": ("secret",)}


def take_snapshot(store: Store) -> Snapshot:
    """Return all rows, without secrets."""
    snapshot = store.snapshot()
    # Rotated keys are nothing but secrets. Without them the configured ones are valid again.
    del snapshot["api_key"]
    for kind, names in _SECRETS.items():
        snapshot[kind] = msgspec.to_builtins(snapshot[kind])
        for row in snapshot[kind]:
            for name in names:
                del row[name]
    return snapshot


def add_secrets(snapshot: Snapshot, store: Store, config: SandboxConfig) -> Snapshot:
    """Return the snapshot with the secrets that it leaves out: those of the same rows now, or of the configuration.

    A delivery may have its webhook's. Raise ValidationError, naming the row, if a secret is needed and not known.
    """
    configured = {
        (target.key_id or config.first_key, target.url): target.secret for target in config.webhooks
    }
    endpoints: dict[str, Any] = {}

    def complete_endpoint(row: Any) -> Any:
        if not isinstance(row, Mapping):
            return row  # refused when it is converted
        known = store.endpoints.get(str(row.get("id")))
        if row.get("secret") is None:
            secret = (
                known.secret
                if known
                else configured.get((str(row.get("owner")), str(row.get("url"))))
            )
            row = {**row, "secret": _require(row, secret)}
            if known:
                row = {"previous_secret": known.previous_secret, **row}
        endpoints[str(row.get("id"))] = row["secret"]
        return row

    def complete_delivery(row: Any) -> Any:
        if not isinstance(row, Mapping) or row.get("secret") is not None:
            return row
        known = store.deliveries.get(str(row.get("id")))
        secret = known.secret if known else endpoints.get(str(row.get("endpoint_id")))
        if row.get("status") != "pending":
            # Its webhook is gone, so it is never sent again.
            secret = secret or ""
        return {**row, "secret": _require(row, secret)}

    return {
        **snapshot,
        "endpoint": [complete_endpoint(row) for row in snapshot.get("endpoint", [])],
        "delivery": [complete_delivery(row) for row in snapshot.get("delivery", [])],
    }


def _require(row: Mapping[str, Any], secret: str | None) -> str:
    if secret is None:
        raise msgspec.ValidationError(
            f"{str(row.get('id'))[:100]} has no secret: snapshots contain none. Add its `secret`, or name its url "
            "in SANDBOX_WEBHOOKS"
        )
    return secret
