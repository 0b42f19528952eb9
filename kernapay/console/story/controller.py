"""HTTP for the story of one payment."""

from litestar import Controller
from litestar.di import NamedDependency

from kernapay.console.story.dtos import PaymentStory
from kernapay.console.story.service import PaymentStories
from kernapay.core.errors import NotFound
from kernapay.gateway.calls.dtos import GatewayCallView
from kernapay.payments.parameters import Reference
from kernapay.security.guards import HasRole, IsUnscoped
from kernapay.security.principal import Authenticated, Role
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems


class StoryController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [HasRole(Role.PROVIDER, Role.LAB_ASSISTANT, Role.ADMIN), IsUnscoped()]

    @get("/{reference_id:str}/story", responses=problems(NotFound))
    async def story(
        self,
        request: Authenticated,
        reference_id: Reference,
        payment_stories: NamedDependency[PaymentStories],
    ) -> PaymentStory:
        """Return a payment with what became of it.

        That is its steps and, for administrators, events, deliveries, calls to the gateway and people.

        A provider sees the payments paid to the account, a lab assistant those whose reference they know.
        """
        return await payment_stories.tell(request.user, reference_id)

    @get(
        "/{reference_id:str}/gateway-calls",
        guards=[HasRole(Role.ADMIN)],
        responses=problems(NotFound),
    )
    async def gateway_calls(
        self, reference_id: Reference, payment_stories: NamedDependency[PaymentStories]
    ) -> list[GatewayCallView]:
        """List the calls to the gateway about a payment in the last 90 days, newest first, a hundred at most.

        A call is written about a second after it ended. If MongoDB is away then, or the process dies, it is missing.
        """
        return await payment_stories.gateway_calls(reference_id)
