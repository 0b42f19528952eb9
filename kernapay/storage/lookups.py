"""Look-ups of single rows by a value that one row has: those under way together share one query."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from bson import ObjectId

from kernapay.storage.batching import Batcher

T = TypeVar("T")
Row = dict[str, Any]


class Condition(NamedTuple):
    """A column that has a value."""

    column: str
    value: str | ObjectId


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """How rows are found, and what is made of each. Both run in the pool."""

    find: Callable[[Row, int], Iterable[Row]]
    """Takes the conditions and the most rows to return, 0 for all."""
    read: Callable[[Row], T]


class Lookups:
    """The look-ups of one collection, with a batch for each column and each kind of answer."""

    def __init__(self, run: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        """`run` runs a blocking call in the pool."""
        self._run = run
        self._batchers: dict[tuple[str, object], Batcher[Any, Any]] = {}

    async def find(
        self, condition: Condition, kind: object, reader: Callable[[], Reader[T]]
    ) -> T | None:
        """Return what is read from the row that fits the condition, None without one. Raises what `read` raises.

        `reader` is called once for each column and `kind`.
        """
        slot = (condition.column, kind)
        batcher = self._batchers.get(slot)
        if batcher is None:
            batcher = self._batchers[slot] = self._open(condition.column, reader())
        found: T | None = await batcher.request(condition.value)
        return found

    def _open(self, column: str, reader: Reader[T]) -> Batcher[Any, T | None]:
        async def send(values: Sequence[Any]) -> list[T | Exception | None]:
            answers: list[T | Exception | None] = await self._run(
                lambda: [_read(reader, row) for row in _find(reader, column, values)]
            )
            return answers

        return Batcher(send, "lookups")


def condition_of(
    fields: Mapping[str, Any], unique: frozenset[str], where: Mapping[str, Any]
) -> Condition | None:
    """Return the condition that `where` is, or None if it is more than the value of one `unique` field.

    `fields` are those of the MongoEngine document.
    """
    if len(where) != 1:
        return None
    ((name, given),) = where.items()
    if name not in unique or not isinstance(given, str | ObjectId):
        return None
    field = fields[name]
    value = field.prepare_query_value(None, given)
    # Some fields look for several values at once.
    return Condition(field.db_field, value) if isinstance(value, str | ObjectId) else None


def _find(reader: Reader[Any], column: str, values: Sequence[Any]) -> list[Row | None]:
    if len(values) == 1:
        return [_find_one(reader, column, values[0])]
    wanted = set(values)
    found: dict[Any, Row] = {}
    is_odd = False
    for row in reader.find({column: {"$in": list(wanted)}}, 0):
        value = row.get(column)
        if isinstance(value, str | ObjectId):
            found.setdefault(_comparable(value), row)
        else:
            is_odd = True  # MongoDB also finds a list that contains the value, which another system may have written
    rows = [found.get(_comparable(value)) for value in values]
    if is_odd:
        pairs = zip(rows, values, strict=True)
        rows = [row or _find_one(reader, column, value) for row, value in pairs]
    # Documents keep parts of their row, so each gets a row of its own.
    is_repeated = len(wanted) < len(values)
    return [deepcopy(row) if is_repeated else row for row in rows]


def _find_one(reader: Reader[Any], column: str, value: Any) -> Row | None:
    return next(iter(reader.find({column: value}, 1)), None)


def _read(reader: Reader[T], row: Row | None) -> T | Exception | None:
    if row is None:
        return None
    try:
        return reader.read(row)
    except Exception as error:
        return error


def _comparable(value: str | ObjectId) -> str:
    # Views have ids as text.
    return str(value)
