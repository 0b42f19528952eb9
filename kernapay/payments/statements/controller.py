"""The HTTP routes for statements."""

from typing import Annotated, Any, Final, Literal

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Stream

from kernapay.core.errors import NotFound, TooManyRequests
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.files.base import MEDIA_TYPES
from kernapay.payments.exports.values import Unit
from kernapay.payments.payees import NotApproved
from kernapay.payments.statements.dtos import Statement
from kernapay.payments.statements.months import MONTH_PATTERN
from kernapay.payments.statements.service import StatementService
from kernapay.security.guards import HasRole, HasScope, IsSelfOr
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import OTHER_FORMS, problems

ProviderId = Annotated[
    str,
    PathParameter(pattern=OBJECT_ID_PATTERN, description="The `_id` of the provider's account."),
]
MonthOfBusiness = Annotated[
    str,
    PathParameter(
        pattern=MONTH_PATTERN, description="A month in the zone of the business, such as `2026-04`."
    ),
]
_CSV: Final = {OTHER_FORMS: (MEDIA_TYPES["csv"],)}


class ProviderStatementController(Controller):
    path = "/v1/api/statements"
    tags = ["Payments"]
    guards = [
        HasRole(Role.PROVIDER, Role.ADMIN),
        IsSelfOr(Role.ADMIN, parameter="provider_id"),
        HasScope(Scope.REPORTS_READ),
    ]

    @get(
        "/{provider_id:str}/{month:str}",
        responses=problems(NotFound, NotApproved, TooManyRequests),
    )
    async def statement(
        self,
        request: Authenticated,
        provider_id: ProviderId,
        month: MonthOfBusiness,
        statement_service: NamedDependency[StatementService],
    ) -> Statement:
        """Add up a month of what was paid to a provider: received, refunded, disputed, fee, net and settled.

        An approved provider gets their own, an administrator any. The figures are those of the exports' lines of these
        payments. The present month is added up as far as it is.
        """
        return await statement_service.show(request.user, provider_id, month)

    @get(
        "/{provider_id:str}/{month:str}/file",
        guards=[RateLimited("export")],
        media_type=MEDIA_TYPES["pdf"],
        responses=problems(NotFound, NotApproved, TooManyRequests),
        opt=_CSV,
    )
    async def statement_file(
        self,
        request: Authenticated,
        provider_id: ProviderId,
        month: MonthOfBusiness,
        statement_service: NamedDependency[StatementService],
        form: Annotated[
            Literal["pdf", "csv"],
            QueryParameter(
                name="format",
                description="`pdf`: the figures, the transfers, the days. `csv`: each line behind them, with totals.",
            ),
        ] = "pdf",
        unit: Annotated[
            Unit,
            QueryParameter(description="For CSV: whether amounts are in paise or in rupees."),
        ] = Unit.MINOR,
    ) -> Response[Any]:
        """Download a statement. The lines of a CSV take everything along, so it leaves an audit entry.

        The lines of the CSV are payments by when they were paid, refunds and disputes by when they were made, and rows
        of settlements by when they were settled. Of these, `status` is the type, and `net` what they added.
        """
        name = f"statement-{month}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if form == "csv":
            chunks = await statement_service.lines(request.user, provider_id, month, unit)
            return Stream(chunks, headers={**headers, "Content-Type": MEDIA_TYPES["csv"]})
        document = await statement_service.pdf(request.user, provider_id, month)
        return Response(document, media_type=MEDIA_TYPES["pdf"], headers=headers)
