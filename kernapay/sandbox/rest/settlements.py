from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection, settlement_view


class SettlementController(Controller):
    path = "/v1/settlements"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page = api_call.page()
        settlements = api_call.sandbox.settlements.find(api_call.owner, page)
        return json_response(collection(map(settlement_view, settlements)))

    @get("/recon/combined")
    async def fetch_recon(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        rows = api_call.sandbox.settlements.recon(api_call.owner, api_call.query())
        return json_response(collection(rows))

    @get("/{settlement_id:str}")
    async def fetch(
        self, settlement_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(
            settlement_view(api_call.sandbox.settlements.get(api_call.owner, settlement_id))
        )
