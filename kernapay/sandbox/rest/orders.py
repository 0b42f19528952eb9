from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.entities import Order
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.call import Call, answer
from kernapay.sandbox.views import View, collection, order_view, payment_view

EXPANDABLE = ("payments", "payments.card", "transfers", "virtual_account")


class OrderController(Controller):
    path = "/v1/orders"

    @post("/", status_code=200)
    async def create(self, call: NamedDependency[Call]) -> Response[bytes]:
        order = call.sandbox.orders.create(call.owner, call.body())
        return answer(order_view(order))

    @get("/")
    async def list(self, call: NamedDependency[Call]) -> Response[bytes]:
        query = call.query()
        page = Page.of(query)
        wanted = query.expand(*EXPANDABLE)
        orders = call.sandbox.orders.find(call.owner, query, page)
        return answer(collection(expanded(call.sandbox, order, wanted) for order in orders))

    @get("/{order_id:str}")
    async def fetch(self, order_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        wanted = call.expand(*EXPANDABLE)
        return answer(
            expanded(call.sandbox, call.sandbox.orders.fetch(call.owner, order_id), wanted)
        )

    @patch("/{order_id:str}")
    async def edit(self, order_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        order = call.sandbox.orders.get(call.owner, order_id)
        return answer(order_view(call.sandbox.orders.edit(order, call.body())))

    @get("/{order_id:str}/payments")
    async def payments(
        self, order_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        wanted = call.expand("card")
        order = call.sandbox.orders.get(call.owner, order_id)
        payments = call.sandbox.books.payments.by("order_id", order.id)
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
