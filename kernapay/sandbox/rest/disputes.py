from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.entities import Dispute
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.payments import transaction
from kernapay.sandbox.rest.request import AnyRequest, answer, body_of, query_of
from kernapay.sandbox.views import View, collection, dispute_view, payment_view

EXPANDABLE = ("payment", "transaction", "transaction.settlement")


class DisputeController(Controller):
    path = "/v1/disputes"

    @get("/")
    async def list(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        query = query_of(request)
        page = Page.of(query)
        wanted = query.expand(*EXPANDABLE)
        query.done()
        disputes = sandbox.disputes.find(owner, page)
        return answer(collection(expanded(sandbox, dispute, wanted) for dispute in disputes))

    @get("/{dispute_id:str}")
    async def fetch(
        self,
        request: AnyRequest,
        dispute_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        query = query_of(request)
        wanted = query.expand(*EXPANDABLE)
        query.done()
        return answer(expanded(sandbox, sandbox.disputes.get(owner, dispute_id), wanted))

    @post("/{dispute_id:str}/accept", status_code=200)
    async def accept(
        self,
        request: AnyRequest,
        dispute_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        dispute = sandbox.disputes.get(owner, dispute_id)
        (await body_of(request)).done()
        return answer(dispute_view(sandbox.disputes.accept(dispute)))

    @patch("/{dispute_id:str}/contest")
    async def contest(
        self,
        request: AnyRequest,
        dispute_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        dispute = sandbox.disputes.get(owner, dispute_id)
        return answer(dispute_view(sandbox.disputes.contest(dispute, await body_of(request))))


def expanded(sandbox: Sandbox, dispute: Dispute, wanted: frozenset[str]) -> View:
    view = dispute_view(dispute)
    payment = sandbox.payments.get(dispute.owner, dispute.payment_id)
    if "payment" in wanted:
        view["payment"] = payment_view(payment)
    if wanted & {"transaction", "transaction.settlement"}:
        view["transaction"] = transaction(sandbox, payment, "transaction.settlement" in wanted)
    return view
