from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.body import read
from kernapay.sandbox.customer import Play
from kernapay.sandbox.entities import Payment
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.rest.call import AnyRequest, answer
from kernapay.sandbox.views import (
    dispute_view,
    order_view,
    payment_view,
    refund_view,
    settlement_view,
)


class Amount(Struct, forbid_unknown_fields=True):
    amount: int | None = None


class OpenDispute(Struct, forbid_unknown_fields=True, kw_only=True):
    payment_id: str
    amount: int | None = None
    phase: str = "chargeback"
    reason_code: str = "chargeback"


class Resolution(Struct, forbid_unknown_fields=True):
    status: str


class CustomerController(Controller):
    """Play the customer, the banks, and the merchant at the dashboard."""

    path = "/_sandbox"

    @post("/pay", status_code=200)
    async def pay(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return answer(sandbox.customer.play(await read(request, Play)))

    @post("/payments/{payment_id:str}/authorize", status_code=200)
    async def authorize(
        self, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        payment = find_payment(sandbox, payment_id)
        sandbox.payments.authorize_late(payment)
        return answer(payment_view(payment))

    @post("/orders", status_code=200)
    async def order(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        fields = Fields.of_body(await request.body(), "application/json")
        order = sandbox.orders.create(sandbox.config.first_key, fields)
        return answer(order_view(order))

    @post("/payments/{payment_id:str}/capture", status_code=200)
    async def capture(
        self, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        payment = find_payment(sandbox, payment_id)
        whole = Fields({"amount": payment.amount, "currency": payment.currency})
        return answer(payment_view(sandbox.payments.capture(payment, whole)))

    @post("/payments/{payment_id:str}/refund", status_code=200)
    async def refund(
        self, request: AnyRequest, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        wanted = await read(request, Amount)
        payment = find_payment(sandbox, payment_id)
        refund = sandbox.refunds.create(payment, Fields({"amount": wanted.amount}), None)
        return answer(refund_view(refund))

    @post("/disputes", status_code=200)
    async def dispute(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        wanted = await read(request, OpenDispute)
        payment = find_payment(sandbox, wanted.payment_id)
        dispute = sandbox.disputes.open(payment, wanted.amount, wanted.phase, wanted.reason_code)
        return answer(dispute_view(dispute))

    @post("/disputes/{dispute_id:str}/resolve", status_code=200)
    async def resolve(
        self, request: AnyRequest, dispute_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        ending = await read(request, Resolution)
        dispute = sandbox.books.disputes.get(dispute_id)
        if dispute is None:
            raise ControlError("There is no such dispute.", 404)
        return answer(dispute_view(sandbox.disputes.resolve(dispute, ending.status)))

    @post("/settle", status_code=200)
    async def settle(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        settled = (sandbox.settlements.settle(key_id) for key_id in sandbox.config.keys)
        return answer({"settlements": [settlement_view(s) for s in settled if s]})


def find_payment(sandbox: Sandbox, payment_id: str) -> Payment:
    payment = sandbox.books.payments.get(payment_id)
    if payment is None:
        raise ControlError("There is no such payment.", 404)
    return payment
