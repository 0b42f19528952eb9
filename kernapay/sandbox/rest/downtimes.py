from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection, downtime_view


class DowntimeApiController(Controller):
    path = "/v1/payments/downtimes"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        api_call.query().reject_unread()
        return json_response(collection(map(downtime_view, api_call.sandbox.downtimes.current())))

    @get("/{downtime_id:str}")
    async def fetch(
        self, downtime_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(downtime_view(api_call.sandbox.downtimes.get(downtime_id)))
