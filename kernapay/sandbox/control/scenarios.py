from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.scenarios import SCENARIOS, play


class ScenarioPlay(Struct, forbid_unknown_fields=True):
    """None makes a new order."""

    order_id: str | None = None


class ScenarioController(Controller):
    path = "/_sandbox/scenarios"

    @get("/")
    async def list(self) -> Response[bytes]:
        return json_response([{"name": name, "says": s.says} for name, s in SCENARIOS.items()])

    @post("/{name:str}", status_code=200)
    async def play(
        self, request: AnyRequest, name: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, ScenarioPlay)
        return json_response(play(sandbox, name, body.order_id))
