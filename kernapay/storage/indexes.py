"""The indexes that migrations make, compared with those of a database."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database

from kernapay.storage.migration_files import Migration

Rows = dict[str, Any]
# A change of any other option changes neither which rows an index holds nor whether queries use it.
_OPTIONS: Final = (
    *("unique", "sparse", "partialFilterExpression", "expireAfterSeconds"),
    *("collation", "hidden"),
)
_SHOWN_GROUPS: Final = 20
_SHOWN_ROWS: Final = 10


class Index(NamedTuple):
    """An index as a migration creates it."""

    collection: str
    name: str
    keys: list[tuple[str, Any]]
    options: dict[str, Any]

    @property
    def place(self) -> str:
        return f"{self.collection}.{self.name}"

    def without_unique(self) -> "Index":
        options = {name: value for name, value in self.options.items() if name != "unique"}
        return self._replace(options=options)

    def fits(self, existing: Mapping[str, Any] | None, *, may_repeat: bool = False) -> bool:
        """Return whether the database has this index. `existing` is its entry in `index_information()`.

        With `may_repeat`, the index need not be unique.
        """
        if existing is None or list(existing["key"]) != self.keys:
            return False
        actual = {name: _in_utc(existing[name]) for name in _OPTIONS if _is_set(existing.get(name))}
        if may_repeat:
            actual |= {"unique": True}
        return actual == {name: value for name, value in self.options.items() if _is_set(value)}


def _in_utc(option: Any) -> Any:
    # The driver lists indexes without the zone of times, whatever its connection was told.
    if isinstance(option, Mapping):
        return {name: _in_utc(value) for name, value in option.items()}
    return option.replace(tzinfo=UTC) if isinstance(option, datetime) else option


def _is_set(option: object) -> bool:
    # Not `bool(option)`: rows of a TTL index may live for 0 seconds.
    return option is not None and option is not False


Indexes = dict[str, Index]
"""Indexes by their place, `collection.name`."""


def record_indexes(migrations: Iterable[Migration]) -> list[tuple[str, Indexes]]:
    """Return which indexes exist after each migration, by the migration's name."""
    recorder = _IndexRecorder()
    steps = []
    for migration in migrations:
        migration.load().up(recorder)
        steps.append((migration.name, dict(recorder.indexes)))
    return steps


class _IndexRecorder:
    """A stand-in for a database without rows. It records the indexes that migrations create and drop."""

    def __init__(self) -> None:
        self.indexes: Indexes = {}

    def command(self, *_: object, **__: object) -> dict[str, Any]:
        return {}

    def __getitem__(self, collection: str) -> "_Collection":
        return _Collection(collection, self.indexes)

    __getattr__ = __getitem__


class _Collection:
    def __init__(self, name: str, indexes: Indexes) -> None:
        self.name = name
        self._indexes = indexes

    def create_index(self, keys: Sequence[tuple[str, Any]], *, name: str, **options: Any) -> None:
        self._add(Index(self.name, name, list(keys), options))

    def create_indexes(self, models: Sequence[IndexModel]) -> None:
        for model in models:
            options = {**model.document}
            keys, name = list(options.pop("key").items()), options.pop("name")
            self._add(Index(self.name, name, keys, options))

    def drop_index(self, name: str) -> None:
        del self._indexes[f"{self.name}.{name}"]

    def index_information(self) -> dict[str, Any]:
        found = (index for index in self._indexes.values() if index.collection == self.name)
        return {index.name: {"key": index.keys, **index.options} for index in found}

    def _add(self, index: Index) -> None:
        self._indexes[index.place] = index

    def __getattr__(self, _: str) -> Callable[..., tuple[()]]:
        return lambda *_, **__: ()


def find_repeats(db: Database[Rows], index: Index) -> str | None:
    """Return which rows a unique index would refuse, in words; None if it would refuse none.

    Rows are named by `_id` alone: the fields may be personal.
    """
    rows = db[index.collection]
    if any(_is_as_strict(each, index) for each in rows.index_information().values()):
        return None
    fields = [name for name, _ in index.keys]
    where = index.options.get("partialFilterExpression", {})
    groups = rows.aggregate(
        [
            {"$match": where},
            {
                "$group": {
                    # To an index, a missing field is null.
                    "_id": [{"$ifNull": [f"${name}", None]} for name in fields],
                    "count": {"$sum": 1},
                }
            },
            {"$match": {"count": {"$gt": 1}}},
            {"$limit": _SHOWN_GROUPS + 1},
        ],
        allowDiskUse=True,
    )
    found = [
        _name_rows(rows, {**where}, dict(zip(fields, group["_id"], strict=True)), group["count"])
        for group in groups
    ]
    if not found:
        return None
    shown = found[:_SHOWN_GROUPS] + ["and others"] * (len(found) > _SHOWN_GROUPS)
    return (
        f"{index.collection}: the unique index {index.name} allows one row for each "
        f"{' and '.join(fields)}, but these have the same: {'; '.join(shown)}"
    )


def _is_as_strict(existing: Mapping[str, Any], index: Index) -> bool:
    """Return whether an existing unique index, which may have another filter, refuses the same rows."""
    return list(existing["key"]) == index.keys and bool(existing.get("unique"))


def _name_rows(rows: Collection[Rows], where: Rows, values: Mapping[str, Any], count: int) -> str:
    same = {"$and": [where, {name: {"$eq": value} for name, value in values.items()}]}
    ids = [str(row["_id"]) for row in rows.find(same, {"_id": 1}).sort("_id").limit(_SHOWN_ROWS)]
    more = f" and {count - len(ids)} more" if count > len(ids) else ""
    return f"_id {', '.join(ids)}{more}"
