from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.rows import require_row
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import downtime_view


class DowntimeCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    """`begin` and `end` are Unix seconds. With `fails_payments` payments of that kind fail meanwhile."""

    method: str
    instrument: dict[str, str] = {}
    severity: str = "high"
    begin: int | None = None
    end: int | None = None
    fails_payments: bool = False


class DowntimeUpdate(Struct, forbid_unknown_fields=True):
    severity: str


class DowntimeController(Controller):
    path = "/_sandbox/downtimes"

    @post("/", status_code=200)
    async def open(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        body = await read_json(request, DowntimeCreate)
        downtime = sandbox.downtimes.open(
            body.method,
            body.instrument,
            severity=body.severity,
            begin=body.begin,
            end=body.end,
            fails_payments=body.fails_payments,
        )
        return json_response(downtime_view(downtime))

    @post("/{downtime_id:str}/update", status_code=200)
    async def update(
        self, request: AnyRequest, downtime_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, DowntimeUpdate)
        downtime = require_row(sandbox.store.downtimes, downtime_id)
        return json_response(downtime_view(sandbox.downtimes.update(downtime, body.severity)))

    @post("/{downtime_id:str}/resolve", status_code=200)
    async def resolve(
        self, downtime_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        downtime = require_row(sandbox.store.downtimes, downtime_id)
        return json_response(downtime_view(sandbox.downtimes.resolve(downtime)))
