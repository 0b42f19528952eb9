"""What an import reads of the payments that are here: of millions, columns are enough."""

from datetime import datetime

import msgspec

from kernapay.payments.states import Status


class MovedFrom(msgspec.Struct, frozen=True):
    unit: str
    reference: str | None = None
    seen: str | None = None
    row: str | None = None
    problem: str | None = None


class Unseen(msgspec.Struct, frozen=True):
    """An unpaid payment, as far as it says whether an import has seen it."""

    former: MovedFrom | None = None


class Moved(msgspec.Struct, rename="camel", frozen=True):
    """A payment that is here. The amount is in minor units."""

    id: str = msgspec.field(name="_id")
    reference_id: str
    status: Status
    amount: int
    currency: str
    created_at: datetime | None = None
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    former: MovedFrom | None = None
