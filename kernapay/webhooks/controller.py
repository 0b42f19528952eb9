"""HTTP for the gateway's events."""

from typing import Annotated, Any, Final

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter

from kernapay.security.authentication import PUBLIC
from kernapay.webhooks.dtos import Received
from kernapay.webhooks.service import WebhookInbox

_MAX_BODY: Final = 1_048_576


class WebhookController(Controller):
    """Public: the signature over the raw bytes is the proof; the guard is added where the secrets are known."""

    path = "/v1/api/payments/webhook"
    tags = ["Webhooks"]
    opt = {PUBLIC: True}
    security = [{"WebhookSignature": []}]

    @post(status_code=200, request_max_body_size=_MAX_BODY)
    async def receive(
        self,
        request: Request[Any, Any, Any],
        inbox: NamedDependency[WebhookInbox],
        event_id: Annotated[
            str | None,
            HeaderParameter(
                name="X-Razorpay-Event-Id", max_length=128, pattern="^[A-Za-z0-9_.-]+$"
            ),
        ] = None,
    ) -> Received:
        """Take an event of the gateway. Answered 200 once it is safely stored, or known already."""
        await inbox.receive(await request.body(), event_id)
        return Received()
