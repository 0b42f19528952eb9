from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.rest.call import Call, answer
from kernapay.sandbox.views import collection, refund_view


class RefundController(Controller):
    path = "/v1/refunds"

    @post("/", status_code=200)
    async def create(self, call: NamedDependency[Call]) -> Response[bytes]:
        fields = call.body()
        payment = call.sandbox.payments.get(call.owner, fields.need_text("payment_id"))
        key = call.refund_key
        return answer(refund_view(call.sandbox.refunds.create(payment, fields, key)))

    @get("/")
    async def list(self, call: NamedDependency[Call]) -> Response[bytes]:
        page = call.page()
        return answer(collection(map(refund_view, call.sandbox.refunds.find(call.owner, page))))

    @get("/{refund_id:str}")
    async def fetch(self, refund_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        return answer(refund_view(call.sandbox.refunds.get(call.owner, refund_id)))

    @patch("/{refund_id:str}")
    async def edit(self, refund_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        refund = call.sandbox.refunds.get(call.owner, refund_id)
        return answer(refund_view(call.sandbox.refunds.edit(refund, call.body())))
