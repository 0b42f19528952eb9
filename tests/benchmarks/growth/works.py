"""What is measured at each size."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.actors import EVENTS, SETTLEMENTS
from tests.aliases import Json
from tests.benchmarks.growth.payments import ORDER_NUMBER
from tests.benchmarks.growth.requests import GrowthRequests
from tests.benchmarks.growth.site import Site


class Kind(StrEnum):
    CONTROL = "control"
    """Does not depend on the number of payments, so its ratio is the noise."""
    FLAT = "flat"
    AGGREGATE = "aggregate"
    """Has a limit in milliseconds instead."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A kind of request. `before` is done before each one, and not measured."""

    name: str
    title: str
    make: Callable[[GrowthRequests, int], list[bytes]]
    status: int = 200
    kind: Kind = Kind.FLAT
    before: Callable[[Site], object] | None = None


def _evict_history(site: Site) -> None:
    site.redis.delete(f"payment_history:{site.payer.id}")


def _search(name: str, title: str, find: Callable[[Json], object], of: str = "paid") -> Work:
    return Work(
        name=f"search-{name}",
        title=f"search by {title}",
        make=lambda requests, count: requests.searches(count, find, of),
    )


def _read(name: str, title: str, path: str) -> Work:
    return Work(name=name, title=title, make=lambda each, count: each.admin_reads(count, path))


_SEARCHES: Final = (
    _search("reference", "reference", lambda row: row["referenceId"]),
    _search("order", "order", lambda row: row["orderId"]),
    _search("payment", "payment of the gateway", lambda row: row["razorpayPaymentId"]),
    _search("receipt", "receipt", lambda row: row["receipt"]),
    _search("refund", "refund", lambda row: row["refunds"][0]["refundId"], "refunded"),
    _search("note", "note", lambda row: row["notes"][ORDER_NUMBER]),
    _search("settlement", "settlement", lambda row: row["settlements"][0]["settlementId"]),
    _search("utr", "UTR", lambda row: row["settlements"][0]["utr"]),
    Work(name="search-address", title="search by address", make=GrowthRequests.searches_by_address),
    Work(name="search-vain", title="search for nothing", make=GrowthRequests.vain_searches),
)

WORKS: Final = (
    Work(name="live", title="health/live", make=GrowthRequests.live_checks, kind=Kind.CONTROL),
    Work(name="profile", title="cached profile", make=GrowthRequests.profiles, kind=Kind.CONTROL),
    Work(name="status", title="status", make=GrowthRequests.statuses),
    Work(name="old-status", title="status, any age", make=GrowthRequests.old_statuses),
    Work(name="show", title="one payment, any age", make=GrowthRequests.shows),
    Work(name="cached", title="history, cached page", make=GrowthRequests.first_pages),
    Work(
        name="history",
        title="history, first page",
        make=GrowthRequests.first_pages,
        before=_evict_history,
    ),
    Work(name="cursor", title="history, cursor page", make=GrowthRequests.next_pages),
    Work(name="received", title="received, first page", make=GrowthRequests.first_received),
    Work(name="received-cursor", title="received, cursor page", make=GrowthRequests.next_received),
    Work(name="create", title="create, new key", make=GrowthRequests.purchases, status=201),
    Work(name="same-key", title="create, same key", make=GrowthRequests.repeats),
    Work(name="old-key", title="create, old key", make=GrowthRequests.old_repeats),
    Work(name="webhook", title="webhook, settled", make=GrowthRequests.events),
    Work(name="verify", title="verify", make=GrowthRequests.verifies),
    Work(name="refund", title="refund", make=GrowthRequests.refunds, status=201),
    *_SEARCHES,
    _read("events", "inbox, first page", EVENTS),
    _read("settlements", "settlements, first page", SETTLEMENTS),
    _read("unsettled", "unsettled, first page", f"{SETTLEMENTS}/unsettled"),
    Work(name="settlement", title="settlement with rows", make=GrowthRequests.settlement_details),
    Work(name="metrics", title="metrics", make=GrowthRequests.scrapes),
    Work(
        name="ledger", title="ledger of a month", make=GrowthRequests.ledgers, kind=Kind.AGGREGATE
    ),
    Work(name="totals", title="totals of a month", make=GrowthRequests.totals, kind=Kind.AGGREGATE),
)
LOOKS: Final = (
    *("inbox", "outbox", "unpaid_payments", "late_payments", "ending_sales", "open_refunds"),
    *("surplus_payments", "dispute_deadlines", "reports"),
)
"""The sweeps of the worker whose look is measured. The others ask the gateway, or make reports."""
