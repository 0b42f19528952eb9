from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct, field, structs

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.rows import require_row
from kernapay.sandbox.entities import Fault
from kernapay.sandbox.faults import CATALOGUE
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import collection


class FaultCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    """`times` null means until removed. `route` is a path or an event, and may contain `*`."""

    name: str
    times: int | None = 1
    route: str | None = None
    method: str | None = None
    probability: float = 1.0
    seed: int | None = None
    options: dict[str, float | str] = field(default_factory=dict)


class FaultController(Controller):
    path = "/_sandbox/faults"

    @get("/")
    async def list(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response(collection(map(fault_view, sandbox.store.faults)))

    @get("/catalogue")
    async def show_catalogue(self) -> Response[bytes]:
        return json_response(
            [
                {
                    "name": name,
                    "strikes": kind.target,
                    "says": kind.description,
                    "options": kind.options,
                }
                for name, kind in CATALOGUE.items()
            ]
        )

    @post("/", status_code=200)
    async def arm(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        body = await read_json(request, FaultCreate)
        fault = Fault(id=new_id("fault"), **structs.asdict(body))
        return json_response(fault_view(sandbox.faults.arm(fault)))

    @delete("/", status_code=204)
    async def clear(self, sandbox: NamedDependency[Sandbox]) -> None:
        sandbox.store.faults.clear()

    @delete("/{fault_id:str}", status_code=204)
    async def remove(self, fault_id: FromPath[str], sandbox: NamedDependency[Sandbox]) -> None:
        fault = require_row(sandbox.store.faults, fault_id)
        sandbox.store.faults.remove(fault.id)


def fault_view(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "name": fault.name,
        "times": fault.times,
        "route": fault.route,
        "method": fault.method,
        "probability": fault.probability,
        "seed": fault.seed,
        "options": fault.options,
        "hits": fault.hits,
    }
