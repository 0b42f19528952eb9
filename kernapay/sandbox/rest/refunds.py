from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.fields import Page
from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.rest.payments import create_refund
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection, refund_view


class RefundController(Controller):
    path = "/v1/refunds"
    opt = OPEN

    @post("/", status_code=200)
    async def create(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        fields = api_call.body()
        payment_id = fields.require_text("payment_id")
        return json_response(refund_view(create_refund(api_call, payment_id, fields)))

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        query = api_call.query()
        page, payment_id = Page.from_query(query), query.text("payment_id")
        query.reject_unread()
        if payment_id is None:
            refunds = api_call.sandbox.refunds.find(api_call.owner, page)
        else:  # Not among the documented parameters, but the SDK for PHP sends it.
            payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
            refunds = api_call.sandbox.refunds.find_by_payment(payment, page)
        return json_response(collection(map(refund_view, refunds)))

    @get("/{refund_id:str}")
    async def fetch(
        self, refund_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(refund_view(api_call.sandbox.refunds.get(api_call.owner, refund_id)))

    @patch("/{refund_id:str}")
    async def edit(
        self, refund_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        refund = api_call.sandbox.refunds.get(api_call.owner, refund_id)
        return json_response(refund_view(api_call.sandbox.refunds.edit(refund, api_call.body())))
