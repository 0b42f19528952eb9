from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.entities import Order
from kernapay.sandbox.fields import Page
from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.transfer_views import transfer_view
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import View, collection, order_view, payment_view

EXPANDABLE = ("payments", "payments.card", "transfers", "virtual_account")


class OrderController(Controller):
    path = "/v1/orders"
    opt = OPEN

    @post("/", status_code=200)
    async def create(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        order = api_call.sandbox.orders.create(api_call.owner, api_call.body())
        view = order_view(order)
        # Razorpay: only the answer to its creation has them without `expand`.
        if transfers := api_call.sandbox.transfers.of_order(order):
            view["transfers"] = [transfer_view(each, is_new=True) for each in transfers]
        return json_response(view)

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        query = api_call.query()
        page = Page.from_query(query)
        expand = query.expand(*EXPANDABLE)
        orders = api_call.sandbox.orders.search(api_call.owner, query, page)
        return json_response(
            collection(expanded_view(api_call.sandbox, order, expand) for order in orders)
        )

    @get("/{order_id:str}")
    async def fetch(
        self, order_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        query = api_call.query()
        expand = query.expand(*EXPANDABLE)
        # Razorpay's own sample for transfers, and so its SDK for Ruby, sends an empty `status` along.
        query.text("status")
        query.reject_unread()
        order = api_call.sandbox.orders.fetch(api_call.owner, order_id)
        return json_response(expanded_view(api_call.sandbox, order, expand))

    @patch("/{order_id:str}")
    async def edit(
        self, order_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        order = api_call.sandbox.orders.get(api_call.owner, order_id)
        return json_response(order_view(api_call.sandbox.orders.edit(order, api_call.body())))

    @get("/{order_id:str}/payments")
    async def list_payments(
        self, order_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand("card")
        order = api_call.sandbox.orders.get(api_call.owner, order_id)
        return json_response(payments_view(api_call.sandbox, order, with_card="card" in expand))


def payments_view(sandbox: Sandbox, order: Order, *, with_card: bool) -> View:
    payments = sandbox.store.payments.find_by("order_id", order.id)
    return collection(payment_view(p, with_card=with_card) for p in reversed(payments))


def expanded_view(sandbox: Sandbox, order: Order, expand: frozenset[str]) -> View:
    view = order_view(order)
    if expand & {"payments", "payments.card"}:
        view["payments"] = payments_view(sandbox, order, with_card="payments.card" in expand)
    if "transfers" in expand:
        view["transfers"] = collection(map(transfer_view, sandbox.transfers.of_order(order)))
    if "virtual_account" in expand:
        view["virtual_account"] = None
    return view
