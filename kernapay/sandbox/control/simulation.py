from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.rows import require_row
from kernapay.sandbox.customer_simulator import SimulatedPayment
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import (
    dispute_view,
    order_view,
    payment_view,
    refund_view,
)


class RefundCreate(Struct, forbid_unknown_fields=True):
    amount: int | None = None


class DisputeCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    payment_id: str
    amount: int | None = None
    phase: str = "chargeback"
    reason_code: str = "chargeback"
    reason_description: str | None = None
    respond_by: int | None = None
    deduct_at_onset: bool = False


class DisputeMove(Struct, forbid_unknown_fields=True):
    event: str
    phase: str | None = None


class DisputeResolution(Struct, forbid_unknown_fields=True):
    status: str


class SimulationController(Controller):
    """Simulate the customer, the bank, and the business at Razorpay's dashboard."""

    path = "/_sandbox"

    @post("/pay", status_code=200)
    async def pay(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        payment = await read_json(request, SimulatedPayment)
        return json_response(sandbox.customer_simulator.pay(payment))

    @post("/payments/{payment_id:str}/authorize", status_code=200)
    async def authorize(
        self, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        payment = require_row(sandbox.store.payments, payment_id)
        sandbox.payments.authorize_late(payment)
        return json_response(payment_view(payment))

    @post("/orders", status_code=200)
    async def create_order(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        fields = Fields.from_body(await request.body(), "application/json")
        order = sandbox.orders.create(sandbox.config.first_key, fields)
        return json_response(order_view(order))

    @post("/payments/{payment_id:str}/capture", status_code=200)
    async def capture(
        self, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        payment = require_row(sandbox.store.payments, payment_id)
        fields = Fields({"amount": payment.amount, "currency": payment.currency})
        return json_response(payment_view(sandbox.payments.capture(payment, fields)))

    @post("/payments/{payment_id:str}/refund", status_code=200)
    async def refund(
        self, request: AnyRequest, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, RefundCreate)
        payment = require_row(sandbox.store.payments, payment_id)
        refund = sandbox.refunds.create(payment, Fields({"amount": body.amount}), None)
        return json_response(refund_view(refund))

    @post("/disputes", status_code=200)
    async def open_dispute(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, DisputeCreate)
        payment = require_row(sandbox.store.payments, body.payment_id)
        dispute = sandbox.disputes.open(
            payment,
            body.amount,
            body.phase,
            body.reason_code,
            reason_description=body.reason_description,
            respond_by=body.respond_by,
            deduct_at_onset=body.deduct_at_onset,
        )
        return json_response(dispute_view(dispute))

    @post("/disputes/{dispute_id:str}/move", status_code=200)
    async def move_dispute(
        self, request: AnyRequest, dispute_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        move = await read_json(request, DisputeMove)
        dispute = require_row(sandbox.store.disputes, dispute_id)
        return json_response(dispute_view(sandbox.disputes.move(dispute, move.event, move.phase)))

    @post("/disputes/{dispute_id:str}/resolve", status_code=200)
    async def resolve(
        self, request: AnyRequest, dispute_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        resolution = await read_json(request, DisputeResolution)
        dispute = require_row(sandbox.store.disputes, dispute_id)
        return json_response(dispute_view(sandbox.disputes.resolve(dispute, resolution.status)))
