"""Search the rows, and give them in pages."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from kernapay.sandbox.ids import ID_PATTERN
from kernapay.sandbox.request_log import LoggedCall
from kernapay.sandbox.store import Store
from kernapay.sandbox.views import View

PAGE_SIZE: Final = 20
# Ours: how many of the newest rows a search looks at, so that a full sandbox still answers at once.
MAX_SEARCHED: Final = 20_000
# Where the words of a search may stand.
_NAMES: Final = (
    *("id", "order_id", "payment_id", "receipt", "status", "email", "contact", "notes", "vpa"),
    *(
        "method",
        "reference_id",
        "event",
        "subject",
        "url",
        "to",
        "text",
        "utr",
        "description",
        "phase",
    ),
)


class Search:
    """The words of a search. An id also finds what belongs to it."""

    def __init__(self, store: Store, words: str) -> None:
        self._words = words.strip().lower()
        self._ids = related_ids(store, words.strip())

    def __bool__(self) -> bool:
        return bool(self._words)

    def finds(self, row: Any) -> bool:
        if self._ids:
            names = ("id", "order_id", "payment_id", "subject")
            return any(getattr(row, name, None) in self._ids for name in names)
        return any(self._words in str(value).lower() for value in texts(row))

    def finds_call(self, call: LoggedCall) -> bool:
        """Return whether a call of the API tells of it: in path, query or a body."""
        parts = (call.path, call.query, call.request_body, call.response_body)
        words = {word.lower() for word in self._ids} or {self._words}
        return any(word in part.lower() for part in parts for word in words)


def texts(row: Any) -> Iterator[Any]:
    for name in _NAMES:
        value = getattr(row, name, None)
        if value:
            yield value


def related_ids(store: Store, row_id: str) -> set[str]:
    """Return the ids of an order, a payment, a refund or a link, and of what belongs together with it."""
    if not ID_PATTERN.fullmatch(row_id):
        return set()
    ids = {row_id}
    link = store.payment_links.get(row_id)
    child = store.refunds.get(row_id) or store.disputes.get(row_id)
    payment = store.payments.get(child.payment_id if child else row_id)
    order_id = (link.order_id if link else None) or (payment.order_id if payment else row_id)
    order = store.orders.get(order_id or "")
    if payment is not None:
        ids.add(payment.id)
    if order is not None:
        ids |= {order.id, order.payment_link_id or order.id}
        ids |= {p.id for p in store.payments.find_by("order_id", order.id)}
    return ids


def page_of(
    rows: Iterable[Any], total: int, search: Search, skip: int, view: Callable[[Any], View]
) -> tuple[list[View], int]:
    """Return a page of the rows, which come newest first, and how many there are or are found."""
    if search:
        found = [row for row in islice(rows, MAX_SEARCHED) if search.finds(row)]
        rows, total = found, len(found)
    return [view(row) for row in islice(rows, skip, skip + PAGE_SIZE)], total
