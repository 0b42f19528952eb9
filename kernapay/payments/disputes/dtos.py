"""The answers of the routes for disputes. Amounts are integers in the currency's minor units."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.payments.references import REFERENCE_EXAMPLE
from kernapay.payments.states import DisputeStatus, Source

DISPUTE_EXAMPLE = "disp_SxTbW3hPq8LkZv"


class DisputeView(Struct, rename="camel", kw_only=True):
    """A dispute: the customer's bank questions a payment, or takes it back.

    `createdAt` is when it was raised at the gateway, `respondBy` until when the gateway takes evidence.
    """

    dispute_id: Annotated[str, Meta(examples=[DISPUTE_EXAMPLE])]
    payment_id: Annotated[str, Meta(examples=["pay_SxT5bNn0uQa2Kc"])]
    amount: Annotated[int, Meta(description="The disputed amount.", examples=[50000])]
    currency: Annotated[str, Meta(examples=["INR"])]
    status: Annotated[DisputeStatus, Meta(examples=["open"])]
    phase: Annotated[
        str,
        Meta(
            description="fraud, retrieval, chargeback, pre_arbitration or arbitration; the gateway may add others.",
            examples=["chargeback"],
        ),
    ]
    amount_deducted: Annotated[
        int, Meta(description="What the bank has taken back so far.", examples=[0])
    ] = 0
    reason_code: Annotated[str, Meta(examples=["goods_or_services_not_received"])] | None = None
    reason_description: str | None = None
    respond_by: Instant | None = None
    source: Annotated[Source, Meta(examples=["webhook"])] | None = None
    created_at: Instant
    updated_at: Instant


class DisputeDetail(DisputeView, rename="camel", kw_only=True):
    """A dispute, and the payment that it is about."""

    reference_id: Annotated[str, Meta(examples=[REFERENCE_EXAMPLE])]
