"""Queries as the profiler notes them, and their shapes: queries without their values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.aliases import Json


class Query(NamedTuple):
    """A query as it was sent, be it a find or the search of an update."""

    collection: str
    where: Json
    order: Json
    columns: Json
    has_limit: bool = False
    is_count: bool = False
    hint: str | None = None
    """The index that the query demands."""

    @property
    def shape(self) -> str:
        verb = "count" if self.is_count else "find"
        order = f" by {', '.join(self.order)}" if self.order else ""
        index = f" with {self.hint}" if self.hint else ""
        return f"{self.collection} {verb} {_shape_of(self.where)}{order}{index}"


class UnknownQuery(Exception):
    """A kind of query that is not judged yet."""


def query_of(entry: Mapping[str, Any]) -> Query | None:
    """Return the query in an entry of the profiler, None if it searched for nothing. Raises UnknownQuery."""
    command = entry.get("command", {})
    collection = entry["ns"].partition(".")[2]
    if "$truncated" in command:
        return None  # the profiler cuts off a long one; with fewer values, the same kind is noted
    if entry["op"] in ("update", "remove"):
        return Query(collection, command["q"], {}, {}, has_limit=not command.get("multi", False))
    if "find" in command:
        return Query(
            collection,
            command.get("filter", {}),
            command.get("sort", {}),
            command.get("projection", {}),
            has_limit="limit" in command,
            hint=command.get("hint"),
        )
    if "findAndModify" in command:
        return Query(
            collection, command.get("query", {}), command.get("sort", {}), {}, has_limit=True
        )
    if "aggregate" in command:
        where = _counted(command["pipeline"])
        return Query(collection, where, {}, {}, is_count=True, hint=command.get("hint"))
    if "getMore" in command or ("count" in command and not command.get("query")):
        return None  # its find was noted; MongoDB knows how many rows a collection has
    raise UnknownQuery(f"{collection}: {', '.join(command)}")


def _counted(pipeline: list[Json]) -> Json:
    match, *rest = pipeline
    if rest and "$unwind" in rest[0]:
        # A list of what lies in rows: it reads the rows that fit, and orders what is in them.
        rest = []
    if len(rest) > 1 and "$limit" in rest[0] and "$match" in rest[1]:
        # Filters behind a limit that is never reached are looked for in the index all the same.
        match, rest = {"$match": {**match["$match"], **rest[1]["$match"]}}, rest[2:]
    if "$match" not in match or {name for stage in rest for name in stage} - {"$limit", "$group"}:
        raise UnknownQuery(f"an aggregation of {[*map(list, pipeline)]}")
    where: Json = match["$match"]
    return where


def _shape_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shape_of(value[name])}" for name in value) + "}"
    if isinstance(value, list):
        # However many there are.
        return f"[{' | '.join(sorted({_shape_of(each) for each in value}))}]"
    return repr(value) if value is None or isinstance(value, bool) else "…"
