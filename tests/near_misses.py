"""Explain a query on rows that come close to it: most fulfil all of its conditions but one.

The indexes are this version's. An index that lacks one of the conditions makes MongoDB read the rows that miss it, so
the verdict does not depend on the rows that a test happened to have.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import IndexModel, MongoClient, WriteConcern
from pymongo.errors import BulkWriteError

from kernapay.storage.indexes import Index
from kernapay.storage.migration_files import read_migrations
from kernapay.storage.schema import Schema
from tests.aliases import Json, Store
from tests.query_shapes import Query, UnknownQuery

DATABASE: Final = "near_misses"
_HITS: Final = 5
_MISSES_FOR_EACH_HIT: Final = 4
# A look-up by a unique field finds its row before it sees that another condition is not fulfilled.
_SPARE: Final = 3
_ABSENT: Final = object()
_START: Final = datetime(2020, 1, 1, tzinfo=UTC)
# An explanation shows where an index range ends: at the last of all times.
_ANY_TIME: Final = CodecOptions[Json](datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_BOUNDS: Final = frozenset({"$gt", "$gte", "$lt", "$lte"})


class Judge:
    """Judges queries, in a database of its own."""

    def __init__(self, client: MongoClient[Json]) -> None:
        # Nothing here has to survive anything, so no write waits for the disk.
        self._database: Store = client.get_database(DATABASE, write_concern=WriteConcern(w=1))
        self._indexes: dict[str, list[Index]] = {}
        for index in Schema(self._database, read_migrations()).indexes.values():
            self._indexes.setdefault(index.collection, []).append(index)

    def faults_of(self, query: Query) -> list[str]:
        """Return what is wrong with how MongoDB runs the query. Raises UnknownQuery."""
        rows = self._database[query.collection]
        indexes = self._indexes.get(query.collection, [])
        if indexes and not rows.index_information():
            rows.create_indexes(
                [IndexModel(each.keys, name=each.name, **each.options) for each in indexes]
            )
        try:
            # A unique index refuses rows that share a look-up's value.
            with suppress(BulkWriteError):
                rows.insert_many(near_misses(query, indexes), ordered=False)
            explained = self._database.command(_explain(query), codec_options=_ANY_TIME)
            return list(_faults(explained, query))
        finally:
            rows.delete_many({})


def _explain(query: Query) -> Json:
    command: Json
    if query.is_count:
        pipeline = [{"$match": query.where}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
        command = {"aggregate": query.collection, "pipeline": pipeline, "cursor": {}}
    else:
        command = {"find": query.collection, "filter": query.where}
        command |= {"sort": query.order} if query.order else {}
        command |= {"projection": query.columns} if query.columns else {}
        command |= {"limit": _HITS} if query.has_limit else {}
    command |= {"hint": query.hint} if query.hint else {}
    return {"explain": command, "verbosity": "executionStats"}


def _faults(explained: Json, query: Query) -> Iterator[str]:
    plan = _find(explained, "winningPlan")
    facts = _find(explained, "executionStats")
    stages = set(_stages(plan))
    if "COLLSCAN" in stages:
        yield "reads the whole collection"
    if "SORT" in stages:
        yield "sorts in memory"
    read = facts["totalDocsExamined"]
    returned = _HITS if query.is_count else facts["nReturned"]
    if read > 2 * returned + _SPARE:
        yield f"reads {read} rows for {returned}"


def _find(explained: Any, name: str) -> Any:
    """Return the first value of this name: how deep it lies depends on the command."""
    if isinstance(explained, Mapping):
        if name in explained:
            return explained[name]
        explained = list(explained.values())
    if isinstance(explained, list):
        for value in explained:
            if (found := _find(value, name)) is not None:
                return found
    return None


def _stages(plan: Any) -> Iterator[str]:
    if isinstance(plan, Mapping):
        if "stage" in plan:
            yield plan["stage"]
        plan = list(plan.values())
    if isinstance(plan, list):
        for value in plan:
            yield from _stages(value)


def near_misses(query: Query, indexes: list[Index]) -> list[Json]:
    """Return rows that the query finds, and between them more that miss one of its conditions each."""
    conditions = list(_conditions(query.where))
    rows: list[Json] = []
    for _ in range(_HITS):
        for missed in [None, *conditions * _MISSES_FOR_EACH_HIT]:
            number = len(rows)
            row: Json = {}
            for condition in conditions:
                condition(row, number, condition is not missed)
            rows.append({**_filler(query, indexes, number, row), **row})
    return rows


Condition = Callable[[Json, int, bool], None]
"""Let row number n fulfil a condition, or miss it."""


def _conditions(where: Json) -> Iterator[Condition]:
    for name, wanted in where.items():
        if name == "$and":
            for part in wanted:
                yield from _conditions(part)
        elif name == "$or":
            yield _either([list(_conditions(part)) for part in wanted])
        elif name != "$expr":  # no index serves it, so it must not be what a query depends on
            yield _field(name, wanted)


def _either(parts: list[list[Condition]]) -> Condition:
    def fill(row: Json, number: int, is_hit: bool) -> None:
        for place, part in enumerate(parts):
            for condition in part:
                condition(row, number, is_hit and place == number % len(parts))

    return fill


def _field(name: str, wanted: Any) -> Condition:
    def fill(row: Json, number: int, is_hit: bool) -> None:
        value = (hit if is_hit else miss)(wanted, number)
        if value is _ABSENT:
            return
        outer, _, inner = name.partition(".")
        if inner:
            # A field of embedded documents.
            row.setdefault(outer, [{}])[0][inner] = value
        else:
            row[name] = value

    return fill


def _filler(query: Query, indexes: list[Index], number: int, row: Json) -> Json:
    """Return the other fields that indexes and the order name, as every real row has them."""
    names = {name for index in indexes for name, _ in index.keys} | set(query.order)
    conditions = {name.partition(".")[0] for name in row}
    return {
        name: _START + timedelta(minutes=number) if name.endswith("At") else f"{name} {number}"
        for name in names
        if name != "_id" and "." not in name and name not in conditions
    }


def hit(wanted: Any, number: int) -> Any:
    """Return a value that fulfils a condition. Raises UnknownQuery."""
    if not _is_operators(wanted):
        return wanted
    if wanted.keys() <= _BOUNDS:
        return _within(wanted, number)
    ((operator, operand),) = wanted.items()
    match operator:
        case "$eq":
            return operand
        case "$in":
            # Nothing is in an empty list, and MongoDB knows that without looking.
            return operand[number % len(operand)] if operand else f"nothing {number}"
        case "$ne" | "$nin" | "$not":
            return miss(_positive(operator, operand), number)
        case "$exists":
            return f"there {number}" if operand else _ABSENT
        case "$size":
            return [number] * operand
        case "$elemMatch":
            element: Json = {}
            for condition in _conditions(operand):
                condition(element, number, True)
            return [element]
    raise UnknownQuery(f"the operator {operator}")


def miss(wanted: Any, number: int) -> Any:
    """Return a value that does not fulfil a condition. Raises UnknownQuery."""
    if not _is_operators(wanted):
        return _other(wanted, number)
    if wanted.keys() <= _BOUNDS:
        return _outside(wanted, number)
    ((operator, operand),) = wanted.items()
    match operator:
        case "$eq":
            return _other(operand, number)
        case "$in":
            return _other(operand[0] if operand else None, number)
        case "$ne" | "$nin" | "$not":
            return hit(_positive(operator, operand), number)
        case "$exists":
            return _ABSENT if operand else f"there {number}"
        case "$size":
            return [number] * (operand + 1)
        case "$elemMatch":
            return []
    raise UnknownQuery(f"the operator {operator}")


def _positive(operator: str, operand: Any) -> Any:
    if operator == "$not":
        return operand
    return {"$in": operand} if operator == "$nin" else operand


def _is_operators(wanted: Any) -> bool:
    return isinstance(wanted, Mapping) and all(name.startswith("$") for name in wanted)


def _other(value: Any, number: int) -> Any:
    """Return another value of the same type."""
    if value is None:
        return f"other {number}"
    if isinstance(value, ObjectId):
        return ObjectId()
    if isinstance(value, bool):
        return not value
    return _after(value, number)


def _within(bounds: Json, number: int) -> Any:
    lower = bounds.get("$gt", bounds.get("$gte"))
    upper = bounds.get("$lt", bounds.get("$lte"))
    if lower is None:
        return _before(upper, number)
    if upper is None or isinstance(lower, str):
        return _after(lower, number)
    return lower + (upper - lower) * ((number % 97 + 1) / 99)


def _outside(bounds: Json, number: int) -> Any:
    lower = bounds.get("$gt", bounds.get("$gte"))
    upper = bounds.get("$lt", bounds.get("$lte"))
    return _after(upper, number + 1) if lower is None else _before(lower, number)


def _after(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return f"{value}{number:04}"
    if isinstance(value, ObjectId):
        return ObjectId(f"{int(str(value), 16) + number + 1:024x}")
    return value + _distance(value, number)


def _before(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return f" {number:04}"  # a blank sorts before all that is searched for
    if isinstance(value, ObjectId):
        return ObjectId(f"{max(0, int(str(value), 16) - number - 1):024x}")
    return value - _distance(value, number)


def _distance(value: Any, number: int) -> Any:
    return timedelta(minutes=number + 1) if isinstance(value, datetime) else number + 1
