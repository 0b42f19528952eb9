"""Razorpay's values in the loose forms that they sometimes have."""

import json
from typing import Any

HALF_EMOJI = "\ud83d"


def make_odd(body: str) -> str:
    """Return the JSON with the same meaning in other forms: flags as text, times as null, amounts with a point."""
    # The standard library's encoder writes half an emoji as its escape.
    return json.dumps(_make_odd(json.loads(body), ""))


def _make_odd(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _make_odd(each, key) for key, each in value.items()} | {"added_later": [1]}
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return None if name.endswith("_at") else float(value)
    return f"{value} {HALF_EMOJI}" if name == "description" else value
