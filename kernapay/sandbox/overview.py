"""Search the rows, and give them in pages."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from kernapay.sandbox.ids import ID_PATTERN
from kernapay.sandbox.request_log import LoggedCall
from kernapay.sandbox.store import Store, Table
from kernapay.sandbox.views import View

PAGE_SIZE: Final = 20
# Ours: how many of the newest rows a search for words looks at, so that a full sandbox still answers at once.
MAX_SEARCHED: Final = 20_000
# Where the words of a search may stand.
_NAMES: Final = (
    *("id", "order_id", "payment_id", "receipt", "status", "email", "contact", "notes", "vpa"),
    *("method", "reference_id", "event", "subject", "url", "to", "text", "utr", "description"),
)


class Search:
    """The words of a search. An id, or an order's whole receipt, finds all that belongs to it, however old."""

    def __init__(self, store: Store, words: str) -> None:
        self._words = words.strip().lower()
        self._ids = related_ids(store, words.strip())

    def rows(self, table: Table[Any]) -> list[Any]:
        """Return the rows that are found, newest first."""
        if not self._ids:
            newest = islice(table.newest_first(), MAX_SEARCHED)
            return [row for row in newest if self._has_words(row)]
        if not table.has_index("owner"):
            newest = islice(table.newest_first(), MAX_SEARCHED)
            return [
                row
                for row in newest
                if row.id in self._ids or getattr(row, "subject", None) in self._ids
            ]
        found = {row_id: row for row_id in self._ids if (row := table.get(row_id))}
        if table.has_index("payment_id"):
            rows = (row for row_id in self._ids for row in table.find_by("payment_id", row_id))
            found |= {row.id: row for row in rows}
        return sorted(found.values(), key=lambda row: row.created_at)[::-1]

    def finds_call(self, call: LoggedCall) -> bool:
        """Return whether a call of the API mentions it: in path, query or a body."""
        parts = (call.path, call.query, call.request_body, call.response_body)
        words = {word.lower() for word in self._ids} or {self._words}
        return any(word in part.lower() for part in parts for word in words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def _has_words(self, row: Any) -> bool:
        return any(self._words in str(value).lower() for value in texts(row))


def texts(row: Any) -> Iterator[Any]:
    for name in _NAMES:
        value = getattr(row, name, None)
        if value:
            yield value


def related_ids(store: Store, words: str) -> list[str]:
    """Return the ids of an order, its link and its payments, if the words name one of them or what follows them.

    The older of two payments comes first.
    """
    orders = store.orders.find_by("receipt", words)
    if orders:
        return [row_id for order in orders for row_id in ids_of_order(store, order.id)]
    if not ID_PATTERN.fullmatch(words):
        return []
    link = store.payment_links.get(words)
    child = store.refunds.get(words) or store.disputes.get(words)
    payment = store.payments.get(child.payment_id if child else words)
    order_id = link.order_id if link else payment.order_id if payment else words
    of_order = ids_of_order(store, order_id or "")
    others = [words, *([payment.id] if payment else [])]
    return [*of_order, *(row_id for row_id in others if row_id not in of_order)]


def ids_of_order(store: Store, order_id: str) -> list[str]:
    order = store.orders.get(order_id)
    if order is None:
        return []
    payments = [payment.id for payment in store.payments.find_by("order_id", order.id)]
    return [order.id, *([order.payment_link_id] if order.payment_link_id else []), *payments]


def page_of(
    rows: Iterable[Any], total: int, skip: int, view: Callable[[Any], View]
) -> tuple[list[View], int]:
    """Return a page of the rows, which come newest first, and how many there are in all."""
    return [view(row) for row in islice(rows, skip, skip + PAGE_SIZE)], total
