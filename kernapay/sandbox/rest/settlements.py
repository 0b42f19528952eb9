from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.rest.call import Call, answer
from kernapay.sandbox.views import collection, settlement_view


class SettlementController(Controller):
    path = "/v1/settlements"

    @get("/")
    async def list(self, call: NamedDependency[Call]) -> Response[bytes]:
        page = call.page()
        return answer(
            collection(map(settlement_view, call.sandbox.settlements.find(call.owner, page)))
        )

    @get("/recon/combined")
    async def recon(self, call: NamedDependency[Call]) -> Response[bytes]:
        return answer(collection(call.sandbox.settlements.recon(call.owner, call.query())))

    @get("/{settlement_id:str}")
    async def fetch(
        self, settlement_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        return answer(settlement_view(call.sandbox.settlements.get(call.owner, settlement_id)))
