from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.entities import Dispute
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.call import Call, answer
from kernapay.sandbox.rest.payments import transaction
from kernapay.sandbox.views import View, collection, dispute_view, payment_view

EXPANDABLE = ("payment", "transaction", "transaction.settlement")


class DisputeController(Controller):
    path = "/v1/disputes"

    @get("/")
    async def list(self, call: NamedDependency[Call]) -> Response[bytes]:
        query = call.query()
        page = Page.of(query)
        wanted = query.expand(*EXPANDABLE)
        query.done()
        disputes = call.sandbox.disputes.find(call.owner, page)
        return answer(collection(expanded(call.sandbox, dispute, wanted) for dispute in disputes))

    @get("/{dispute_id:str}")
    async def fetch(
        self, dispute_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        wanted = call.expand(*EXPANDABLE)
        return answer(
            expanded(call.sandbox, call.sandbox.disputes.get(call.owner, dispute_id), wanted)
        )

    @post("/{dispute_id:str}/accept", status_code=200)
    async def accept(
        self, dispute_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        dispute = call.sandbox.disputes.get(call.owner, dispute_id)
        call.body().done()
        return answer(dispute_view(call.sandbox.disputes.accept(dispute)))

    @patch("/{dispute_id:str}/contest")
    async def contest(
        self, dispute_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        dispute = call.sandbox.disputes.get(call.owner, dispute_id)
        return answer(dispute_view(call.sandbox.disputes.contest(dispute, call.body())))


def expanded(sandbox: Sandbox, dispute: Dispute, wanted: frozenset[str]) -> View:
    view = dispute_view(dispute)
    payment = sandbox.payments.get(dispute.owner, dispute.payment_id)
    if "payment" in wanted:
        view["payment"] = payment_view(payment)
    if wanted & {"transaction", "transaction.settlement"}:
        view["transaction"] = transaction(sandbox, payment, "transaction.settlement" in wanted)
    return view
