from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct, field

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.body import read
from kernapay.sandbox.entities import Fault
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.faults import CATALOGUE
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.rest.call import AnyRequest, answer
from kernapay.sandbox.views import collection


class FaultCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    """`times` null lasts until removed; `route` is a path, or an event name, with `*`."""

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
        return answer(collection(map(fault_view, sandbox.books.faults)))

    @get("/catalogue")
    async def catalogue(self) -> Response[bytes]:
        return answer(
            [
                {"name": name, "strikes": k.strikes, "says": k.says, "options": k.options}
                for name, k in CATALOGUE.items()
            ]
        )

    @post("/", status_code=200)
    async def arm(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        wanted = await read(request, FaultCreate)
        fault = sandbox.faults.arm(
            Fault(
                id=new_id("fault"),
                name=wanted.name,
                times=wanted.times,
                route=wanted.route,
                method=wanted.method,
                probability=wanted.probability,
                seed=wanted.seed,
                options=wanted.options,
            )
        )
        return answer(fault_view(fault))

    @delete("/", status_code=204)
    async def clear(self, sandbox: NamedDependency[Sandbox]) -> None:
        sandbox.books.faults.clear()

    @delete("/{fault_id:str}", status_code=204)
    async def remove(self, fault_id: FromPath[str], sandbox: NamedDependency[Sandbox]) -> None:
        if sandbox.books.faults.remove(fault_id) is None:
            raise ControlError("There is no such fault.", 404)


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
