from typing import Any

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.snapshots import add_secrets, take_snapshot


class StateController(Controller):
    path = "/_sandbox"

    @get("/health")
    async def show_health(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response({"status": "ok", "keys": list(sandbox.config.keys)})

    @post("/reset", status_code=200)
    async def reset(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        sandbox.reset()
        return json_response({"status": "ok"})

    @get("/snapshot")
    async def show_snapshot(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response(take_snapshot(sandbox.store))

    # As large as what the other call answered.
    @put("/snapshot", request_max_body_size=None)
    async def restore(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        try:
            snapshot = msgspec.json.decode(await request.body(), type=dict[str, list[Any]])
            sandbox.store.restore(add_secrets(snapshot, sandbox.store, sandbox.config))
        except msgspec.DecodeError as error:
            raise ControlError(
                f"The body is not a snapshot: {error}. Send what GET /_sandbox/snapshot returned."
            ) from None
        sandbox.resume()
        return json_response({"status": "ok"})
