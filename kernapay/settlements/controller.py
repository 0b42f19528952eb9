"""The HTTP routes for settlements to the bank account, for administrators."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from kernapay.core.business_days import read_day
from kernapay.core.patterns import explain
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Role, Scope
from kernapay.settlements.dtos import Ledger, SettlementDetail, SettlementView, Unsettled
from kernapay.settlements.reports import SettlementReports
from kernapay.web.handlers import get

_ID = explain("^[A-Za-z0-9_-]{1,64}$", "the gateway's settlement id, such as setl_SxVc3mQe8TzYaK")
SettlementId = Annotated[
    str, PathParameter(pattern=_ID, max_length=64, description="The gateway's id: `setl_…`.")
]
Skip = Annotated[int, QueryParameter(ge=0, le=100_000)]
DayText = Annotated[
    str,
    QueryParameter(
        name="from", min_length=10, max_length=10, description="The first day, of the business."
    ),
]


class SettlementController(Controller):
    path = "/v1/api/settlements"
    tags = ["Settlements"]
    guards = [HasRole(Role.ADMIN), HasScope(Scope.REPORTS_READ)]

    @get()
    async def list_settlements(
        self,
        settlement_reports: NamedDependency[SettlementReports],
        start: Annotated[
            str | None,
            QueryParameter(
                name="from",
                min_length=10,
                max_length=40,
                description="Settled from then on: a day of the business, or a time as in RFC 3339.",
            ),
        ] = None,
        end: Annotated[
            str | None,
            QueryParameter(
                name="to", min_length=10, max_length=40, description="Settled before then."
            ),
        ] = None,
        has_problem: Annotated[
            bool | None,
            QueryParameter(
                name="hasProblem",
                description="Only those that a person should look at, or only others.",
            ),
        ] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Skip = 0,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=_ID,
                max_length=64,
                description="The `settlementId` of the last one on the previous page. With it, `skip` is ignored.",
            ),
        ] = None,
    ) -> list[SettlementView]:
        """List the transfers to the bank account, newest first.

        `problems` says why a person should look at one: `amount_differs` when the bank's line is not what its rows add
        up to, `amount_unknown` when the gateway does not tell it, `unreadable_rows`, `rows_changed` when the gateway
        told other amounts later, and `failed`.
        """
        return await settlement_reports.page(
            start, end, has_problem, count=count, skip=skip, cursor=cursor
        )

    @get("/ledger")
    async def ledger(
        self,
        settlement_reports: NamedDependency[SettlementReports],
        start: DayText,
        end: Annotated[
            str,
            QueryParameter(
                name="to", min_length=10, max_length=10, description="The day after the last one."
            ),
        ],
    ) -> Ledger:
        """Return what was paid, and what reached the bank account, day by day, for at most 92 days.

        Each list adds up to the paisa: what was paid in a period and is settled, by the day it was paid, and what was
        settled in it, by the day it was settled. `from` is inclusive, `to` is not.
        """
        return await settlement_reports.ledger(read_day(start, "from"), read_day(end, "to"))

    @get("/unsettled")
    async def unsettled(
        self,
        settlement_reports: NamedDependency[SettlementReports],
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Skip = 0,
    ) -> list[Unsettled]:
        """List the payments that were captured and are not settled after `SETTLED_WITHIN`, oldest first."""
        return await settlement_reports.overdue(count, skip)

    @get("/{settlement_id:str}")
    async def show_settlement(
        self,
        settlement_id: SettlementId,
        settlement_reports: NamedDependency[SettlementReports],
        count: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        skip: Skip = 0,
    ) -> SettlementDetail:
        """Return one settlement with its rows, and what they add up to."""
        return await settlement_reports.show(settlement_id, count, skip)
