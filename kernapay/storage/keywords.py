"""What MongoEngine makes of keywords such as `status__in` and `set__status`, with each name looked up once.

MongoEngine finds its way through the model in every call, which costs more than the rest of an update. What is not one
of the usual forms is left to it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from mongoengine.base import BaseField
from mongoengine.errors import InvalidQueryError
from mongoengine.queryset import transform

from kernapay.storage.columns import plain_type_of

Row = dict[str, Any]
Prepare = Callable[[str | None, Any], Any]

_RAW: Final = "__raw__"
_COMPARISONS: Final = frozenset({"ne", "gt", "gte", "lt", "lte"})
_LISTS: Final = frozenset({"in", "nin"})


class _Condition(NamedTuple):
    column: str
    operator: str | None
    prepare: Prepare
    plain: type | None
    """The type whose values need no preparation."""


class _Change(NamedTuple):
    column: str
    operator: str
    prepare: Prepare
    plain: type | None
    is_null_prepared: bool


def query_of(model: Any, where: Mapping[str, Any]) -> Row:
    """Return the conditions as the database takes them. Raises InvalidQueryError for a name that is no field's."""
    query: Row = dict(where.get(_RAW, ()))
    for name, value in sorted(where.items()):
        if name == _RAW:
            continue
        condition = _condition_of(model, name)
        if condition is None or condition.column in query:
            return dict(transform.query(model, **where))
        column, operator, prepare, plain = condition
        if operator in _LISTS:
            query[column] = {f"${operator}": [prepare(operator, each) for each in value]}
        else:
            prepared = value if type(value) is plain else prepare(operator, value)
            query[column] = prepared if operator is None else {f"${operator}": prepared}
    return query


def update_of(model: Any, change: Mapping[str, Any]) -> Row:
    """Return the change as the database takes it. Raises InvalidQueryError for a name that is no field's."""
    update: Row = {}
    prepared: Any
    for name, value in change.items():
        target = _change_of(model, name)
        if target is None or isinstance(value, list | tuple | set):
            return dict(transform.update(model, **change))
        if target.operator == "unset":
            prepared = 1
        elif type(value) is target.plain or (value is None and not target.is_null_prepared):
            prepared = value
        else:
            prepared = target.prepare(target.operator, value)
        update.setdefault(f"${target.operator}", {})[target.column] = prepared
    return update


@cache
def _condition_of(model: Any, name: str) -> _Condition | None:
    """Return what a name means, None for a form that is not usual."""
    parts = name.split("__")
    operator = parts.pop() if len(parts) > 1 and parts[-1] in _COMPARISONS | _LISTS else None
    if len(parts) > 1 and parts[-1] in transform.MATCH_OPERATORS:
        return None
    path = _path_of(model, parts)
    if path is None:
        return None
    field = path[-1]
    return _Condition(_column_of(path), operator, field.prepare_query_value, plain_type_of(field))


@cache
def _change_of(model: Any, name: str) -> _Change | None:
    operator, *parts = name.split("__")
    if operator not in ("set", "unset", "push") or len(parts) != 1:
        return None
    path = _path_of(model, parts)
    if path is None:
        return None
    field = path[-1]
    prepare, plain = field.prepare_query_value, plain_type_of(field)
    return _Change(_column_of(path), operator, prepare, plain, field.required)


def _path_of(model: Any, parts: list[str]) -> list[BaseField] | None:
    try:
        fields = model._lookup_field(parts)
    except Exception as error:  # MongoEngine's own is no MongoEngineException
        raise InvalidQueryError(error) from error
    return fields if all(isinstance(each, BaseField) for each in fields) else None


def _column_of(path: list[BaseField]) -> str:
    return ".".join(str(field.db_field) for field in path)
