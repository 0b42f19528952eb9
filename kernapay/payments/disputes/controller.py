"""The HTTP routes for disputes."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.patterns import explain
from kernapay.payments.disputes.dtos import DISPUTE_EXAMPLE, DisputeDetail
from kernapay.payments.disputes.service import DisputeService
from kernapay.payments.states import DisputeStatus
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems

_DISPUTE_ID = explain(
    r"^disp_[A-Za-z0-9]{1,32}$", f"the gateway's dispute id, such as {DISPUTE_EXAMPLE}"
)


class DisputeController(Controller):
    path = "/v1/api/disputes"
    tags = ["Disputes"]
    guards = [HasRole(Role.PROVIDER, Role.LAB_ASSISTANT, Role.ADMIN), HasScope(Scope.PAYMENTS_READ)]

    @get(responses=problems(NotFound))
    async def list_disputes(
        self,
        request: Authenticated,
        dispute_service: NamedDependency[DisputeService],
        status: Annotated[DisputeStatus | None, QueryParameter()] = None,
        count: Annotated[
            int,
            QueryParameter(ge=1, le=100, description="The largest number of disputes to return."),
        ] = 10,
        skip: Annotated[
            int, QueryParameter(ge=0, le=10_000, description="How many disputes to skip.")
        ] = 0,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=_DISPUTE_ID,
                description="The `disputeId` of the last dispute on the previous page. With it, `skip` is ignored.",
            ),
        ] = None,
    ) -> list[DisputeDetail]:
        """List disputes, the nearest deadline for evidence first.

        Administrators and lab assistants see all, a provider those about payments to them. A `cursor` that is none of
        these is answered with 404.
        """
        return await dispute_service.list_disputes(request.user, status, count, skip, cursor)

    @get("/{dispute_id:str}")
    async def show_dispute(
        self,
        request: Authenticated,
        dispute_id: Annotated[str, PathParameter(pattern=_DISPUTE_ID)],
        dispute_service: NamedDependency[DisputeService],
    ) -> DisputeDetail:
        """Return one dispute. The answer is 404 if the caller may not see it."""
        return await dispute_service.show(request.user, dispute_id)
