from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.entities import Dispute
from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.rest.payments import transaction_view
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import View, collection, dispute_view, payment_view

EXPANDABLE = ("payment", "transaction", "transaction.settlement")


class DisputeController(Controller):
    path = "/v1/disputes"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page, expand = api_call.page_and_expand(*EXPANDABLE)
        disputes = api_call.sandbox.disputes.find(api_call.owner, page)
        return json_response(
            collection(expanded_view(api_call.sandbox, dispute, expand) for dispute in disputes)
        )

    @get("/{dispute_id:str}")
    async def fetch(
        self, dispute_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand(*EXPANDABLE)
        dispute = api_call.sandbox.disputes.get(api_call.owner, dispute_id)
        return json_response(expanded_view(api_call.sandbox, dispute, expand))

    @post("/{dispute_id:str}/accept", status_code=200)
    async def accept(
        self, dispute_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        dispute = api_call.sandbox.disputes.get(api_call.owner, dispute_id)
        api_call.body().reject_unread()
        return json_response(dispute_view(api_call.sandbox.disputes.accept(dispute)))

    @patch("/{dispute_id:str}/contest")
    async def contest(
        self, dispute_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        dispute = api_call.sandbox.disputes.get(api_call.owner, dispute_id)
        return json_response(
            dispute_view(api_call.sandbox.disputes.contest(dispute, api_call.body()))
        )


def expanded_view(sandbox: Sandbox, dispute: Dispute, expand: frozenset[str]) -> View:
    view = dispute_view(dispute)
    payment = sandbox.payments.get(dispute.owner, dispute.payment_id)
    if "payment" in expand:
        view["payment"] = payment_view(payment)
    if expand & {"transaction", "transaction.settlement"}:
        view["transaction"] = transaction_view(sandbox, payment, expand)
    return view
