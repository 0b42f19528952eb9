"""The HTTP route of live status."""

from typing import Annotated, Any

from litestar import Controller, Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter

from kernapay.live.dtos import LiveEvent
from kernapay.live.responses import EventStream
from kernapay.live.service import LiveService
from kernapay.live.stream_limits import TooManyStreams
from kernapay.payments.parameters import Reference
from kernapay.security.addresses import ClientAddresses
from kernapay.security.authentication import OPTIONAL, read_token
from kernapay.security.guards import HasScope
from kernapay.security.principal import Principal, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get
from kernapay.web.openapi.document import EVENT_STREAM
from kernapay.web.openapi.responses import problems

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=256,
        description="The id of the last event that the client has. What this payment does not know begins anew.",
    ),
]


class LiveController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]

    @get(
        "/{reference_id:str}/events",
        opt={OPTIONAL: True},
        guards=[HasScope(Scope.PAYMENTS_READ), RateLimited("status")],
        media_type=EVENT_STREAM,
        response_description="A stream of events, until it ends.",
        responses={
            204: ResponseSpec(
                None, description="The client has every event, and none will follow."
            ),
            **problems(TooManyStreams),
        },
    )
    async def events(
        self,
        request: Request[Principal | None, Any, State],
        reference_id: Reference,
        live_service: NamedDependency[LiveService],
        client_addresses: NamedDependency[ClientAddresses],
        last_event_id: LastEventId = None,
    ) -> Response[LiveEvent]:
        """Follow a payment live, as server-sent events.

        Anyone who knows the reference may follow it, and gets what `status` answers. With a token or a key, who may
        read the payment gets where each change came from too.

        - `state`: the present state, as from `status`. It comes first. When it comes again, begin anew with it.
        - `step`: a change, as in the payment's `history`. Each comes once and in order; its id is its place there.
        - `end`: the stream ends, with a `reason`. `final`: the sale has ended, paid or unpaid. Refunds, disputes and
          money that comes late are not streamed: read the payment again. `age`: half an hour has passed. `restart`:
          the service restarts. `access`: the token no longer opens what was shown.

        After `age` and `restart`, and whenever the connection breaks, connect again with the last id in
        `Last-Event-ID`, as browsers do after the time in `retry`: what happened meanwhile comes first, nothing twice.
        After `final` the answer to that is 204, upon which browsers stop. A comment every 15 seconds keeps the
        connection open. A client that does not read is cut.

        A change arrives within milliseconds, at the latest after ten seconds. Without a stream (429, a proxy that holds
        it back), ask `GET /v1/api/payments/status/{referenceId}` every three seconds instead, until `final`.
        """
        token, address = read_token(request.scope), client_addresses.of(request.scope)
        row, viewer = await live_service.open(request.user, token, address, reference_id)
        return EventStream(live_service, row, viewer, last_event_id)
