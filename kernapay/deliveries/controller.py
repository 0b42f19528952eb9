"""The HTTP routes for endpoints and deliveries."""

from datetime import datetime
from typing import Annotated, Final

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.deliveries.dtos import (
    DELIVERY_ID_PATTERN,
    DeliveriesReplayed,
    DeliveryDetail,
    DeliveryView,
    ReplayWindow,
)
from kernapay.deliveries.endpoints.dtos import (
    EndpointChange,
    EndpointCreate,
    EndpointDetail,
    EndpointSecretShown,
    EndpointView,
    RotateRequest,
    TestSent,
)
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.endpoints.service import (
    EndpointChanged,
    EndpointService,
    TooManyEndpoints,
    TooManySecrets,
    scope_of,
)
from kernapay.deliveries.models import DeliveryState
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.deliveries.service import DeliveryService, EndpointIsOff
from kernapay.security.guards import HasFreshProof, HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.web.handlers import delete, get, post, put
from kernapay.web.openapi.responses import problems

EndpointId = Annotated[str, PathParameter(pattern=OBJECT_ID_PATTERN)]
DeliveryId = Annotated[str, PathParameter(pattern=DELIVERY_ID_PATTERN, max_length=100)]
Count = Annotated[int, QueryParameter(ge=1, le=100)]
# They show a secret, or decide where the payments' data goes.
_PROVEN: Final = [HasScope(Scope.DELIVERIES_WRITE), HasFreshProof()]


class EndpointController(Controller):
    """For shops, which see their own endpoints only, and for administrators, who see all."""

    path = "/v1/api/endpoints"
    tags = ["Deliveries"]
    guards = [HasRole(Role.USER, Role.ADMIN)]

    @post(guards=_PROVEN, responses=problems(TooManyEndpoints))
    async def create_endpoint(
        self,
        request: Authenticated,
        data: JSONBody[EndpointCreate],
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointSecretShown:
        """Create an endpoint: a URL of yours that gets signed events. Only this answer contains the secret.

        Events follow the Standard Webhooks specification. They come at least once, those of one payment in order, and
        are tried again for three days until the endpoint answers with a 2xx. The endpoint of a USER gets events of the
        payments of the account, that of an administrator those of all.
        """
        return await endpoint_service.create(request.user, data)

    @get(guards=[HasScope(Scope.DELIVERIES_READ)])
    async def list_endpoints(
        self,
        request: Authenticated,
        endpoint_repository: NamedDependency[EndpointRepository],
        count: Count = 20,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=OBJECT_ID_PATTERN,
                description="The `_id` of the last endpoint on the previous page.",
            ),
        ] = None,
    ) -> list[EndpointView]:
        """List endpoints, oldest first."""
        return await endpoint_repository.page(scope_of(request.user), cursor, count)

    @get("/{endpoint_id:str}", guards=[HasScope(Scope.DELIVERIES_READ)])
    async def show_endpoint(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        endpoint_service: NamedDependency[EndpointService],
        delivery_repository: NamedDependency[DeliveryRepository],
    ) -> EndpointDetail:
        """Return one endpoint, and how much waits for it."""
        view = await endpoint_service.view(request.user, endpoint_id)
        pending = await delivery_repository.count_pending(endpoint_id)
        return EndpointDetail(endpoint=view, pending=pending)

    @put("/{endpoint_id:str}", guards=_PROVEN, responses=problems(EndpointChanged))
    async def change_endpoint(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        data: JSONBody[EndpointChange],
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointView:
        """Change an endpoint. Deliveries that wait go to the new URL."""
        return await endpoint_service.change(request.user, endpoint_id, data)

    @delete("/{endpoint_id:str}", guards=_PROVEN, status_code=200)
    async def remove_endpoint(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointView:
        """Remove an endpoint, with the list of its deliveries. Return it as it was."""
        return await endpoint_service.remove(request.user, endpoint_id)

    @post(
        "/{endpoint_id:str}/rotate",
        guards=_PROVEN,
        status_code=200,
        responses=problems(EndpointChanged, TooManySecrets),
    )
    async def rotate_secret(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        data: JSONBody[RotateRequest],
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointSecretShown:
        """Replace the secret. For a time the old one signs as well. Only this answer contains the new one."""
        return await endpoint_service.rotate(request.user, endpoint_id, data)

    @post("/{endpoint_id:str}/enable", guards=[HasScope(Scope.DELIVERIES_WRITE)], status_code=200)
    async def enable_endpoint(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointView:
        """Switch an endpoint on. It gets what happens from now on, and what waits and is younger than three days.

        What happened while it was off can be sent with `POST /v1/api/endpoints/{endpointId}/replay`.
        """
        return await endpoint_service.switch(request.user, endpoint_id, on=True)

    @post("/{endpoint_id:str}/disable", guards=[HasScope(Scope.DELIVERIES_WRITE)], status_code=200)
    async def disable_endpoint(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        endpoint_service: NamedDependency[EndpointService],
    ) -> EndpointView:
        """Switch an endpoint off. What waits for it stays."""
        return await endpoint_service.switch(request.user, endpoint_id, on=False)

    @post(
        "/{endpoint_id:str}/test",
        guards=[HasScope(Scope.DELIVERIES_WRITE)],
        status_code=202,
        responses=problems(EndpointIsOff),
    )
    async def send_test(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        delivery_service: NamedDependency[DeliveryService],
    ) -> TestSent:
        """Send an `endpoint.test` event."""
        return TestSent(await delivery_service.send_test(request.user, endpoint_id))

    @post(
        "/{endpoint_id:str}/replay",
        guards=[HasScope(Scope.DELIVERIES_WRITE)],
        status_code=200,
        responses=problems(EndpointIsOff),
    )
    async def replay_deliveries(
        self,
        request: Authenticated,
        endpoint_id: EndpointId,
        data: JSONBody[ReplayWindow],
        delivery_service: NamedDependency[DeliveryService],
    ) -> DeliveriesReplayed:
        """Send the events of a time again, a thousand at most: those that failed, or all."""
        return await delivery_service.replay(request.user, endpoint_id, data)


class DeliveryController(Controller):
    path = "/v1/api/deliveries"
    tags = ["Deliveries"]
    guards = [HasRole(Role.USER, Role.ADMIN)]

    @get(guards=[HasScope(Scope.DELIVERIES_READ)], responses=problems(NotFound))
    async def list_deliveries(
        self,
        request: Authenticated,
        delivery_service: NamedDependency[DeliveryService],
        endpoint_id: Annotated[str, QueryParameter(name="endpointId", pattern=OBJECT_ID_PATTERN)],
        only: Annotated[DeliveryState | None, QueryParameter(name="state")] = None,
        start: Annotated[
            datetime | None, QueryParameter(name="from", description="Stored from then on.")
        ] = None,
        end: Annotated[
            datetime | None, QueryParameter(name="to", description="Stored before then.")
        ] = None,
        count: Count = 20,
        cursor: Annotated[
            str | None,
            QueryParameter(
                pattern=DELIVERY_ID_PATTERN,
                max_length=100,
                description="The `_id` of the last delivery on the previous page.",
            ),
        ] = None,
    ) -> list[DeliveryView]:
        """List the deliveries to an endpoint, newest first.

        What was delivered is kept for `DELIVERIES_KEEP_DONE`, and what was given up for `DELIVERIES_KEEP`.
        """
        return await delivery_service.page(
            request.user, endpoint_id, only, start, end, cursor, count
        )

    @get("/{delivery_id:str}", guards=[HasScope(Scope.DELIVERIES_READ)])
    async def show_delivery(
        self,
        request: Authenticated,
        delivery_id: DeliveryId,
        delivery_service: NamedDependency[DeliveryService],
    ) -> DeliveryDetail:
        """Return one delivery with its newest attempts."""
        return await delivery_service.detail(request.user, delivery_id)

    @post(
        "/{delivery_id:str}/resend",
        guards=[HasScope(Scope.DELIVERIES_WRITE)],
        status_code=200,
        responses=problems(EndpointIsOff),
    )
    async def resend_delivery(
        self,
        request: Authenticated,
        delivery_id: DeliveryId,
        delivery_service: NamedDependency[DeliveryService],
    ) -> DeliveryDetail:
        """Send an event to its endpoint once more, under the same id."""
        return await delivery_service.resend(request.user, delivery_id)
