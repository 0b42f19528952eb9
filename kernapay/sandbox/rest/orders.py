from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.entities import Order
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.request import AnyRequest, answer, body_of, query_of
from kernapay.sandbox.views import View, collection, order_view, payment_view

EXPANDABLE = ("payments", "payments.card", "transfers", "virtual_account")


class OrderController(Controller):
    path = "/v1/orders"

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        order = sandbox.orders.create(owner, await body_of(request))
        return answer(order_view(order))

    @get("/")
    async def list(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox], owner: NamedDependency[str]
    ) -> Response[bytes]:
        query = query_of(request)
        page = Page.of(query)
        wanted = query.expand(*EXPANDABLE)
        orders = sandbox.orders.find(owner, query, page)
        return answer(collection(expanded(sandbox, order, wanted) for order in orders))

    @get("/{order_id:str}")
    async def fetch(
        self,
        request: AnyRequest,
        order_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        query = query_of(request)
        wanted = query.expand(*EXPANDABLE)
        query.done()
        return answer(expanded(sandbox, sandbox.orders.fetch(owner, order_id), wanted))

    @patch("/{order_id:str}")
    async def edit(
        self,
        request: AnyRequest,
        order_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        order = sandbox.orders.get(owner, order_id)
        return answer(order_view(sandbox.orders.edit(order, await body_of(request))))

    @get("/{order_id:str}/payments")
    async def payments(
        self,
        request: AnyRequest,
        order_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
        owner: NamedDependency[str],
    ) -> Response[bytes]:
        query = query_of(request)
        wanted = query.expand("card")
        query.done()
        order = sandbox.orders.get(owner, order_id)
        payments = sandbox.books.payments.by("order_id", order.id)
        return answer(
            collection(payment_view(p, with_card="card" in wanted) for p in reversed(payments))
        )


def expanded(sandbox: Sandbox, order: Order, wanted: frozenset[str]) -> View:
    view = order_view(order)
    if wanted & {"payments", "payments.card"}:
        payments = sandbox.books.payments.by("order_id", order.id)
        with_card = "payments.card" in wanted
        view["payments"] = collection(
            payment_view(payment, with_card=with_card) for payment in reversed(payments)
        )
    if "transfers" in wanted:
        view["transfers"] = collection(())
    if "virtual_account" in wanted:
        view["virtual_account"] = None
    return view
