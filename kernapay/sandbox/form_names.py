"""Names of form fields and queries in PHP's style, which Razorpay's clients write in several ways."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

# Ours: clients nest three levels (`line_items[0][dimensions][height]`).
MAX_DEPTH: Final = 8


def parse_names(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return nested objects and lists.

    `notes[a]=1` is an object, `expand[]=a` and `expand[0]=a` are lists, `line_items[0][sku]=a` is a list of objects.
    Raise ValueError if a name is nested too deeply.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        parts = split_name(name)
        if len(parts) > MAX_DEPTH:
            raise ValueError("The name of a field is nested too deeply.")
        target = fields
        for part, following in pairwise(parts):
            key = part if part else str(len(target))
            inner = target.get(key)
            if not isinstance(inner, dict):
                # The later of two fields with names that exclude each other counts, as in PHP.
                inner = target[key] = ListOrObject() if is_index(following) else {}
            target = inner
        target[parts[-1] if parts[-1] or len(parts) == 1 else str(len(target))] = value
    return {name: unwrap(value) for name, value in fields.items()}


class ListOrObject(dict[str, Any]):
    """What began with an index: a list, unless other names follow."""


def split_name(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket or not head or not rest.endswith("]"):
        return [name]
    return [head, *rest[:-1].split("][")]


def is_index(part: str) -> bool:
    return not part or part.isdecimal()


def unwrap(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: unwrap(item) for name, item in value.items()}
    is_list = isinstance(value, ListOrObject) and all(map(is_index, inner))
    return list(inner.values()) if is_list else inner
