"""Filters for the queries of a repository. Field names are the document's attributes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(slots=True)
class Query:
    """A query before it runs: conditions as MongoEngine keywords, sort order, offset and limit."""

    where: dict[str, Any]
    order: list[tuple[str, int]] = field(default_factory=list)
    skip: int = 0
    limit: int = 0


class Filter(Protocol):
    def apply(self, query: Query) -> None: ...


@dataclass(frozen=True, slots=True)
class LimitOffset:
    limit: int
    offset: int = 0

    def apply(self, query: Query) -> None:
        query.limit, query.skip = self.limit, self.offset


@dataclass(frozen=True, slots=True)
class OrderBy:
    field: str
    descending: bool = False

    def apply(self, query: Query) -> None:
        query.order.append((self.field, -1 if self.descending else 1))


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Rows with a time before `before`, and equal to or after `after`."""

    field: str
    before: datetime | None = None
    after: datetime | None = None

    def apply(self, query: Query) -> None:
        if self.before is not None:
            query.where[f"{self.field}__lt"] = self.before
        if self.after is not None:
            query.where[f"{self.field}__gte"] = self.after
