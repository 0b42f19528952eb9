"""Judge updates that the tests make the service send: one that adds a step to a payment's history tells the relay."""

from collections.abc import Iterator, Mapping
from typing import Any

from kernapay.payments.evidence import IMPORTED
from tests.aliases import Json


def leaves_untold(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of the profiler is an update that changes a history and sets no marker."""
    if not entry["ns"].endswith(".payments"):
        return False
    command = entry.get("command", {})
    update = command.get("u", command.get("update"))
    changed = set(_changed_fields(update))
    changes_history = any(name.partition(".")[0] == "history" for name in changed)
    return changes_history and "announce" not in changed and not _is_import(update)


def _is_import(update: object) -> bool:
    """Return whether the step is of an import: nobody is told of old sales."""
    return f"'event': '{IMPORTED}'" in repr(update)


def _changed_fields(update: Any) -> Iterator[str]:
    stages: list[Json] = update if isinstance(update, list) else [update or {}]
    for stage in stages:
        for fields in stage.values():
            yield from fields if isinstance(fields, Mapping) else ()
