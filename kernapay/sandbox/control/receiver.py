"""Play a system of the business, which takes the events that a service sends."""

from typing import Annotated

from litestar import Controller, Response, post
from litestar.params import FromPath, QueryParameter

from kernapay.sandbox.json_http import json_response


class ReceiverController(Controller):
    path = "/_sandbox/receiver"

    @post("/{name:str}")
    async def receive(
        self,
        name: FromPath[str],
        answer: Annotated[int, QueryParameter(ge=200, le=599)] = 200,
    ) -> Response[bytes]:
        """Take any body, keep nothing of it, and answer with the status that the query names."""
        return json_response({"receiver": name[:100], "received": answer < 300}, answer)
