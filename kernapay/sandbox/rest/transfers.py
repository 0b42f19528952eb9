from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.account_entities import Transfer
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.fields import Page
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.resources import paginate
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.transfer_views import (
    recipient_settlement_view,
    reversal_view,
    transfer_view,
)
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import View, collection

SETTLEMENT = "recipient_settlement"


class TransferController(Controller):
    path = "/v1/transfers"
    opt = OPEN

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        key = request.headers.get("x-transfer-idempotency")
        transfer = api_call.sandbox.transfers.create_direct(api_call.owner, api_call.body(), key)
        return json_response(transfer_view(transfer, is_new=True))

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        query = api_call.query()
        page, expand = Page.from_query(query), query.expand(SETTLEMENT)
        settlement_id = query.text("recipient_settlement_id")
        query.reject_unread()
        sandbox = api_call.sandbox
        transfers = sandbox.transfers.search(api_call.owner, page, settlement_id)
        return json_response(collection(expanded_view(sandbox, t, expand) for t in transfers))

    @get("/{transfer_id:str}")
    async def fetch(
        self, transfer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand(SETTLEMENT)
        transfer = api_call.sandbox.transfers.get(api_call.owner, transfer_id)
        return json_response(expanded_view(api_call.sandbox, transfer, expand))

    @patch("/{transfer_id:str}")
    async def edit(
        self, transfer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        transfer = api_call.sandbox.transfers.get(api_call.owner, transfer_id)
        edited = api_call.sandbox.transfers.edit(transfer, api_call.body())
        return json_response(transfer_view(edited))

    @post("/{transfer_id:str}/reversals", status_code=200)
    async def reverse(
        self, transfer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        transfer = api_call.sandbox.transfers.get(api_call.owner, transfer_id)
        reversal = api_call.sandbox.transfers.reverse(transfer, api_call.body())
        return json_response(reversal_view(reversal))

    @get("/{transfer_id:str}/reversals")
    async def list_reversals(
        self, transfer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        page = api_call.page()
        transfer = api_call.sandbox.transfers.get(api_call.owner, transfer_id)
        reversals = api_call.sandbox.transfers.reversals(transfer, page)
        return json_response(collection(map(reversal_view, reversals)))


class ReversalController(Controller):
    """Not documented, but WooCommerce's plugin lists what came back from all linked accounts."""

    path = "/v1/reversals"
    opt = OPEN

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page = api_call.page()
        reversals = api_call.sandbox.store.reversals.find_by("owner", api_call.owner)
        return json_response(collection(map(reversal_view, paginate(reversals, page))))


class PaymentTransferController(Controller):
    path = "/v1/payments/{payment_id:str}/transfers"
    opt = OPEN

    @post("/", status_code=200)
    async def create(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        transfers = api_call.sandbox.transfers.create_from_payment(payment, api_call.body())
        return json_response(collection(transfer_view(t, is_new=True) for t in transfers))

    @get("/")
    async def list(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand(SETTLEMENT)
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        transfers = api_call.sandbox.transfers.of_payment(payment)
        views = (expanded_view(api_call.sandbox, t, expand) for t in reversed(transfers))
        return json_response(collection(views))


def expanded_view(sandbox: Sandbox, transfer: Transfer, expand: frozenset[str]) -> View:
    view = transfer_view(transfer)
    if expand:
        settlement = sandbox.store.settlements.get(transfer.recipient_settlement_id or "")
        view[SETTLEMENT] = recipient_settlement_view(settlement)
    return view
