"""The HTTP route for sums of payments over time."""

from typing import Annotated, Literal

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from kernapay.core.errors import TooManyRequests
from kernapay.payments.insights.dtos import Breakdown, Insights, Unit
from kernapay.payments.insights.service import InsightService
from kernapay.payments.parameters import FROM, TO
from kernapay.payments.payees import NotApproved
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems


class InsightController(Controller):
    path = "/v1/api/insights"
    tags = ["Payments"]
    guards = [HasRole(Role.PROVIDER, Role.ADMIN), HasScope(Scope.REPORTS_READ)]

    @get(responses=problems(TooManyRequests, NotApproved))
    async def insights(
        self,
        request: Authenticated,
        insight_service: NamedDependency[InsightService],
        start: Annotated[str, FROM],
        end: Annotated[str, TO],
        unit: Annotated[
            Literal["hour", "day"],
            QueryParameter(description="The parts of `series`, in the zone of the business."),
        ] = "day",
        by: Annotated[
            Breakdown | None, QueryParameter(description="What `groups` are made by.")
        ] = None,
    ) -> Insights:
        """Add up the payments that were created in a period: in all, by hour or day, and by one kind.

        Administrators see all, an approved provider the payments to the account. `from` and `to` are at most 31 days
        apart. A 400 that names `from` also answers when these payments are too many to be added up in time: choose a
        shorter period.
        """
        return await insight_service.show(request.user, start, end, Unit(unit), by)
