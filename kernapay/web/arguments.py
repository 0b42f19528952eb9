"""What handlers are called with: what a client sent is converted and checked, and our own objects are passed on.

Litestar checks its request and our services as well, for each request anew.
"""

from collections.abc import Collection
from typing import Any

from msgspec import NODEFAULT, Struct, ValidationError, convert, defstruct, structs


def checking_only_what_is_sent(model: Any, trusted: Collection[str]) -> Any:
    """Return a signature model of Litestar's that takes the `trusted` arguments as they are."""
    ours = [name for name in model._fields if name in trusted]
    sent = _without(model, trusted)

    class Lean(model):  # type: ignore[misc]
        @classmethod
        def parse_values_from_connection_kwargs(
            cls, connection: Any, kwargs: dict[str, Any]
        ) -> dict[str, Any]:
            # Among them may be others, which only dependencies need.
            arguments = {name: kwargs[name] for name in ours}
            if sent is None:
                return arguments
            try:
                checked = convert(kwargs, sent, strict=False, str_keys=True)
            except ValidationError:
                # It may still be of a type that only Litestar can convert. If not, it finds the words for it.
                converted: dict[str, Any] = model.parse_values_from_connection_kwargs(
                    connection, kwargs
                )
                return converted
            arguments.update(structs.asdict(checked))
            return arguments

    return Lean


def _without(model: Any, trusted: Collection[str]) -> type[Struct] | None:
    """Return a struct of the other fields, None if there are none."""
    fields = [
        (name, model.__annotations__[name], field.default if field.has_default else NODEFAULT)
        for name, field in model._fields.items()
        if name not in trusted
    ]
    return defstruct(model.__name__, fields, kw_only=True) if fields else None
