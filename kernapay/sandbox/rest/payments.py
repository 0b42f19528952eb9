from functools import partial

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.entities import Payment, Refund
from kernapay.sandbox.errors import not_applicable, unknown_id
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import check_id, derive_id
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.transfer_views import received_payment_view
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import (
    View,
    card_view,
    collection,
    payment_view,
    refund_view,
    settlement_view,
)

EXPANDABLE = (
    *("card", "emi", "offers", "refunds", "token", "upi"),
    *("transaction", "transaction.settlement"),
)


class PaymentController(Controller):
    path = "/v1/payments"
    opt = OPEN

    @get("/")
    async def list(
        self, request: AnyRequest, api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        page, expand = api_call.page_and_expand(*EXPANDABLE)
        account = request.headers.get("x-razorpay-account")
        if account and account != derive_id("acc", api_call.owner):
            # What the linked account received: its own payments are none of the business's.
            received = api_call.sandbox.transfers.of_recipient(api_call.owner, account, page)
            return json_response(collection(map(received_payment_view, received)))
        payments = api_call.sandbox.payments.find(api_call.owner, page)
        return json_response(
            collection(expanded_view(api_call.sandbox, payment, expand) for payment in payments)
        )

    @get("/{payment_id:str}")
    async def fetch(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        expand = api_call.expand(*EXPANDABLE)
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        return json_response(expanded_view(api_call.sandbox, payment, expand))

    @patch("/{payment_id:str}")
    async def edit(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        return json_response(payment_view(api_call.sandbox.payments.edit(payment, api_call.body())))

    @post("/{payment_id:str}/capture", status_code=200)
    async def capture(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        return json_response(
            payment_view(api_call.sandbox.payments.capture(payment, api_call.body()))
        )

    @get("/{payment_id:str}/card")
    async def fetch_card(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        if payment.card is None:
            raise not_applicable("Payment was not done using card")
        return json_response(card_view(payment.card))

    @post("/{payment_id:str}/refund", status_code=200)
    async def refund(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        return json_response(refund_view(create_refund(api_call, payment_id, api_call.body())))

    @get("/{payment_id:str}/refunds")
    async def list_refunds(
        self, payment_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        page = api_call.page()
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        refunds = api_call.sandbox.refunds.find_by_payment(payment, page)
        return json_response(collection(map(refund_view, refunds)))

    @get("/{payment_id:str}/refunds/{refund_id:str}")
    async def fetch_refund(
        self,
        payment_id: FromPath[str],
        refund_id: FromPath[str],
        api_call: NamedDependency[ApiCall],
    ) -> Response[bytes]:
        payment = api_call.sandbox.payments.get(api_call.owner, payment_id)
        refund = api_call.sandbox.refunds.get(api_call.owner, refund_id)
        if refund.payment_id != payment.id:
            raise unknown_id()
        return json_response(refund_view(refund))


def create_refund(api_call: ApiCall, payment_id: str, fields: Fields) -> Refund:
    """Refund the payment, and with `reverse_all` take back what was transferred from it."""
    sandbox = api_call.sandbox
    payment = sandbox.payments.get(api_call.owner, payment_id)
    is_reversed = fields.flag("reverse_all") or False
    check = partial(sandbox.transfers.check_reverse_all, payment) if is_reversed else None
    refund = sandbox.refunds.create(payment, fields, api_call.idempotency_key, check)
    if is_reversed:
        sandbox.transfers.reverse_all(payment, refund)
    return refund


class CardController(Controller):
    path = "/v1/cards"
    opt = OPEN

    @get("/{card_id:str}")
    async def fetch(
        self, card_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        check_id("card", card_id)
        for payment in reversed(api_call.sandbox.store.payments.find_by("owner", api_call.owner)):
            if payment.card is not None and payment.card.id == card_id:
                return json_response(card_view(payment.card))
        raise unknown_id()


def expanded_view(sandbox: Sandbox, payment: Payment, expand: frozenset[str]) -> View:
    view = payment_view(payment, with_card="card" in expand)
    if "refunds" in expand:
        refunds = sandbox.store.refunds.find_by("payment_id", payment.id)
        view["refunds"] = collection(refund_view(refund) for refund in reversed(refunds))
    if "offers" in expand:
        view["offers"] = collection([{"id": payment.offer_id}] if payment.offer_id else ())
    for name in expand & {"emi", "token"}:
        view[name] = None
    if expand & {"transaction", "transaction.settlement"}:
        view["transaction"] = transaction_view(sandbox, payment, expand)
    return view


def transaction_view(sandbox: Sandbox, payment: Payment, expand: frozenset[str]) -> View | None:
    if not payment.captured:
        return None
    view: View = {
        "id": f"txn_{payment.id.removeprefix('pay_')}",
        "entity": "transaction",
        "entity_id": payment.id,
        "type": "payment",
        "debit": 0,
        "credit": payment.amount - (payment.fee or 0),
        "amount": payment.amount,
        "currency": payment.currency,
        "fee": payment.fee,
        "tax": payment.tax,
        "settled": payment.settlement_id is not None,
        "settlement_id": payment.settlement_id,
        "created_at": payment.created_at,
    }
    if "transaction.settlement" in expand:
        settlement = sandbox.store.settlements.get(payment.settlement_id or "")
        view["settlement"] = settlement_view(settlement) if settlement else None
    return view
