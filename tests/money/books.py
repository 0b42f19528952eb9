"""Make both books older, give the gateway more than we know, and compare a window."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.security.principal import Operator
from tests.aliases import Json
from tests.databases import row_of
from tests.money.shop import Shop

OPERATOR = Operator("tests")
DAY = timedelta(days=1)


def age(shop: Shop, payment: Json, by: timedelta) -> None:
    """Make a payment, its order, its attempts and its refunds older."""
    row = shop.row(payment)
    times = ("createdAt", "updatedAt", "paidAt", "checkAt")
    shop.edit(payment, **{name: row[name] - by for name in times if row.get(name)})
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    attempts = [p for p in books["payment"] if p["order_id"] == payment["orderId"]]
    ids = {p["id"] for p in attempts}
    refunds = [r for r in books["refund"] if r["payment_id"] in ids]
    orders = [o for o in books["order"] if o["id"] == payment["orderId"]]
    for each in (*orders, *attempts, *refunds):
        each["created_at"] -= int(by.total_seconds())
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)


def pay_twice(shop: Shop, payment: Json, number: int = 1, **changes: Any) -> str:
    """Give the gateway another captured payment of the same order, made now. Return its id."""
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    first = next(row for row in books["payment"] if row["order_id"] == payment["orderId"])
    at = int(datetime.now(UTC).timestamp())
    second = {
        **first,
        "id": f"{first['id'][:-5]}Twin{number}",
        "created_at": at,
        "amount_refunded": 0,
        "refund_status": None,
        "status": "captured",
        **changes,
    }
    books["payment"].append(second)
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    return str(second["id"])


def window(
    back: timedelta = timedelta(hours=1), length: timedelta | None = None
) -> Sequence[datetime]:
    """Return a window that begins some time ago, and ends now unless it has a length."""
    at = now()
    return at - back, at if length is None else at - back + length


def until_noon() -> timedelta:
    """Return how long it is until noon in India. What takes hours from then on meets no other night."""
    at = now()
    noon = at.replace(hour=6, minute=30, second=0, microsecond=0)
    return noon - at if noon > at else noon + DAY - at


async def make_nights(services: Services) -> int:
    """Request and make the report of every night that is due. Return how many were made."""
    await services.reconciliation_service.request_nightly()
    count = 0
    while await services.reconciliation_service.sweep_reports():
        count += 1
    return count


def compare(shop: Shop, after: datetime, before: datetime) -> tuple[Json, list[Json]]:
    """Make a report of a window. Return it and its findings, by kind."""

    async def make(services: Services) -> Any:
        report, _ = await services.reconciliation_service.make_now(
            OPERATOR, after, before, lambda _, __: None
        )
        return report.pk

    report_id = shop.work(make)
    found = shop.store.reconciliation_findings.find({"reportId": report_id})
    return row_of(shop.store.reconciliation_reports, _id=report_id), list(found.sort("kind", 1))


def kinds(findings: Sequence[Json]) -> list[str]:
    return [finding["kind"] for finding in findings]


def repair(shop: Shop, finding: Json, **options: Any) -> tuple[str, bool]:
    """Repair a finding. Return the outcome, and whether it is repaired."""

    async def do(services: Services) -> Any:
        return await services.repair_service.repair(
            OPERATOR, str(finding["reportId"]), str(finding["_id"]), **options
        )

    done = shop.work(do)
    return done.outcome, done.is_repaired


def refunds_of(shop: Shop, payment_id: str) -> list[tuple[int, str]]:
    """Return the amounts of a payment's refunds at the gateway, and how each stands."""
    refunds = shop.sandbox.items(f"/v1/payments/{payment_id}/refunds")
    return [(refund["amount"], refund["status"]) for refund in refunds]


def settle(shop: Shop, **terms: Any) -> Json:
    """Let the gateway pay out what is owed to the account of the tests."""
    (settlement,) = shop.sandbox.call("POST", "/_sandbox/settle", terms)["settlements"]
    return dict(settlement)


def read(shop: Shop, later: timedelta = timedelta(0), **settings: Any) -> int:
    """Read every day of the feed that is due so much later; return how many were."""

    async def sweep(services: Services) -> int:
        count = 0
        while await services.settlement_reader.sweep():
            count += 1
        return count

    return int(shop.work(sweep, later, **settings))
