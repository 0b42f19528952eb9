"""The columns of stored payments that an import reads. It reads millions, so it loads no documents."""

from datetime import datetime

import msgspec

from kernapay.payments.states import Status


class ImportedFrom(msgspec.Struct, frozen=True):
    unit: str
    reference: str | None = None
    seen: str | None = None
    row: str | None = None
    problem: str | None = None


class Unseen(msgspec.Struct, frozen=True):
    """The column that says whether an import has looked up a payment at the gateway."""

    former: ImportedFrom | None = None


class ImportedView(msgspec.Struct, rename="camel", frozen=True):
    """A stored payment. The amount is in minor units."""

    id: str = msgspec.field(name="_id")
    reference_id: str
    status: Status
    amount: int
    currency: str
    created_at: datetime | None = None
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    former: ImportedFrom | None = None
