from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.entities import Payment
from kernapay.sandbox.errors import not_applicable, unknown_id
from kernapay.sandbox.fields import Page
from kernapay.sandbox.rest.call import Call, answer
from kernapay.sandbox.views import (
    View,
    card_view,
    collection,
    payment_view,
    refund_view,
    settlement_view,
)

EXPANDABLE = ("card", "emi", "offers", "refunds", "token", "transaction", "transaction.settlement")


class PaymentController(Controller):
    path = "/v1/payments"

    @get("/")
    async def list(self, call: NamedDependency[Call]) -> Response[bytes]:
        query = call.query()
        page = Page.of(query)
        wanted = query.expand(*EXPANDABLE)
        query.done()
        payments = call.sandbox.payments.find(call.owner, page)
        return answer(collection(expanded(call.sandbox, payment, wanted) for payment in payments))

    @get("/{payment_id:str}")
    async def fetch(
        self, payment_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        wanted = call.expand(*EXPANDABLE)
        return answer(
            expanded(call.sandbox, call.sandbox.payments.get(call.owner, payment_id), wanted)
        )

    @patch("/{payment_id:str}")
    async def edit(self, payment_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        payment = call.sandbox.payments.get(call.owner, payment_id)
        return answer(payment_view(call.sandbox.payments.edit(payment, call.body())))

    @post("/{payment_id:str}/capture", status_code=200)
    async def capture(
        self, payment_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        payment = call.sandbox.payments.get(call.owner, payment_id)
        return answer(payment_view(call.sandbox.payments.capture(payment, call.body())))

    @get("/{payment_id:str}/card")
    async def card(self, payment_id: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
        payment = call.sandbox.payments.get(call.owner, payment_id)
        if payment.card is None:
            raise not_applicable("Payment was not done using card")
        return answer(card_view(payment.card))

    @post("/{payment_id:str}/refund", status_code=200)
    async def refund(
        self, payment_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        payment = call.sandbox.payments.get(call.owner, payment_id)
        key = call.refund_key
        return answer(refund_view(call.sandbox.refunds.create(payment, call.body(), key)))

    @get("/{payment_id:str}/refunds")
    async def refunds(
        self, payment_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        page = call.page()
        payment = call.sandbox.payments.get(call.owner, payment_id)
        return answer(collection(map(refund_view, call.sandbox.refunds.of_payment(payment, page))))

    @get("/{payment_id:str}/refunds/{refund_id:str}")
    async def one_refund(
        self, payment_id: FromPath[str], refund_id: FromPath[str], call: NamedDependency[Call]
    ) -> Response[bytes]:
        payment = call.sandbox.payments.get(call.owner, payment_id)
        refund = call.sandbox.refunds.get(call.owner, refund_id)
        if refund.payment_id != payment.id:
            raise unknown_id()
        return answer(refund_view(refund))


def expanded(sandbox: Sandbox, payment: Payment, wanted: frozenset[str]) -> View:
    view = payment_view(payment, with_card="card" in wanted)
    if "refunds" in wanted:
        refunds = sandbox.books.refunds.by("payment_id", payment.id)
        view["refunds"] = collection(refund_view(refund) for refund in reversed(refunds))
    if "offers" in wanted:
        view["offers"] = collection(())
    for absent in wanted & {"emi", "token"}:
        view[absent] = None
    if wanted & {"transaction", "transaction.settlement"}:
        view["transaction"] = transaction(sandbox, payment, "transaction.settlement" in wanted)
    return view


def transaction(sandbox: Sandbox, payment: Payment, with_settlement: bool) -> View | None:
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
    if with_settlement:
        found = sandbox.books.settlements.get(payment.settlement_id or "")
        view["settlement"] = settlement_view(found) if found else None
    return view
