"""Judge updates that the tests make the service send: one that adds a step to a payment's history tells the relay."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.aliases import Json


def leaves_untold(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of the profiler is an update that changes a history and sets no marker."""
    if not entry["ns"].endswith(".payments"):
        return False
    command = entry.get("command", {})
    changed = set(_changed_fields(command.get("u", command.get("update"))))
    changes_history = any(name.partition(".")[0] == "history" for name in changed)
    return changes_history and "announce" not in changed


def _changed_fields(update: Any) -> Iterator[str]:
    stages: list[Json] = update if isinstance(update, list) else [update or {}]
    for stage in stages:
        for fields in stage.values():
            yield from fields if isinstance(fields, Mapping) else ()
