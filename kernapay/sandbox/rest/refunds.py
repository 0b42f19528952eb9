from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.request import AnyRequest, answer, body_of, query_of
from kernapay.sandbox.views import collection, refund_view


class RefundController(Controller):
    path = "/v1/refunds"

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        fields = await body_of(request)
        payment = sandbox.payments.get(owner, fields.need_text("payment_id"))
        key = request.headers.get("x-refund-idempotency")
        return answer(refund_view(sandbox.refunds.create(payment, fields, key)))

    @get("/")
    async def list(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        query = query_of(request)
        page = Page.of(query)
        query.done()
        return answer(collection(map(refund_view, sandbox.refunds.find(owner, page))))

    @get("/{refund_id:str}")
    async def fetch(
        self,
        refund_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        return answer(refund_view(sandbox.refunds.get(owner, refund_id)))

    @patch("/{refund_id:str}")
    async def edit(
        self,
        request: AnyRequest,
        refund_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        refund = sandbox.refunds.get(owner, refund_id)
        return answer(refund_view(sandbox.refunds.edit(refund, await body_of(request))))
