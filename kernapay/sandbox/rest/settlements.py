from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection, instant_settlement_view, settlement_view

PAYOUTS = "ondemand_payouts"


class SettlementController(Controller):
    path = "/v1/settlements"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page = api_call.page()
        settlements = api_call.sandbox.settlements.find(api_call.owner, page)
        return json_response(collection(map(settlement_view, settlements)))

    # The second is an older name: the documentation of the SDK for PHP still calls it.
    @get(["/recon/combined", "/report/combined"])
    async def fetch_recon(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        rows = api_call.sandbox.settlements.recon(api_call.owner, api_call.query())
        return json_response(collection(rows))

    @post("/ondemand", status_code=200)
    async def create_instant(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        instant = api_call.sandbox.instant_settlements.create(api_call.owner, api_call.body())
        return json_response(instant_settlement_view(instant, with_payouts=True))

    @get("/ondemand")
    async def list_instant(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page, expand = api_call.page_and_expand(PAYOUTS)
        instants = api_call.sandbox.instant_settlements.find(api_call.owner, page)
        return json_response(
            collection(instant_settlement_view(i, with_payouts=bool(expand)) for i in instants)
        )

    @get("/ondemand/{instant_id:str}")
    async def fetch_instant(
        self, instant_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand(PAYOUTS)
        instant = api_call.sandbox.instant_settlements.get(api_call.owner, instant_id)
        return json_response(instant_settlement_view(instant, with_payouts=bool(expand)))

    @get("/{settlement_id:str}")
    async def fetch(
        self, settlement_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(
            settlement_view(api_call.sandbox.settlements.get(api_call.owner, settlement_id))
        )
