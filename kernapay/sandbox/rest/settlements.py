from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.request import AnyRequest, answer, query_of
from kernapay.sandbox.views import collection, settlement_view


class SettlementController(Controller):
    path = "/v1/settlements"

    @get("/")
    async def list(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        query = query_of(request)
        page = Page.of(query)
        query.done()
        return answer(collection(map(settlement_view, sandbox.settlements.find(owner, page))))

    @get("/recon/combined")
    async def recon(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        return answer(collection(sandbox.settlements.recon(owner, query_of(request))))

    @get("/{settlement_id:str}")
    async def fetch(
        self,
        settlement_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        return answer(settlement_view(sandbox.settlements.get(owner, settlement_id)))
