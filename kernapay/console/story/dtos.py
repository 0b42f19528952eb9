"""What became of one payment, in the order in which it happened."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.administration.payments.dtos import AdminPaymentView
from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.payments.fields import MinorUnits, ObjectIdText, StatusValue
from kernapay.payments.states import Source


class EntryKind(StrEnum):
    STATUS = "status"
    REFUND = "refund"
    DISPUTE = "dispute"
    SURPLUS = "surplus"
    MISMATCH = "mismatch"
    WEBHOOK = "webhook"
    DELIVERY = "delivery"
    GATEWAY = "gateway"
    SETTLEMENT = "settlement"
    PERSON = "person"


class StoryActor(Struct, rename="camel"):
    """Who acted: an account, `cli` for the command line, or `nightly`. `keyId` is the API key that was used."""

    id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    name: str | None = None
    role: str | None = None
    key_id: str | None = None


class StoryEntry(Struct, rename="camel", kw_only=True):
    """One thing that happened.

    `title` and `detail` are sentences. `evidenceId` is the id of the event, delivery, call to the gateway, audit entry,
    dispute or settlement that shows it. `outcome` is what became of an event, a delivery or a call.
    """

    id: Annotated[str, Meta(description="Of this entry, in this answer.", examples=["status-0"])]
    at: Instant
    kind: Annotated[EntryKind, Meta(examples=["status"])]
    title: Annotated[str, Meta(examples=["Paid"])]
    detail: str | None = None
    status: StatusValue | None = None
    outcome: Annotated[str, Meta(examples=["settled"])] | None = None
    is_failure: bool = False
    source: Source | None = None
    event: Annotated[str, Meta(examples=["payment.captured"])] | None = None
    amount: MinorUnits | None = None
    actor: StoryActor | None = None
    evidence_id: Annotated[str, Meta(examples=["evt_SxT5cQ2hVd7LrA"])] | None = None


class Payer(Struct, rename="camel"):
    """Who paid. The e-mail address is masked."""

    id: ObjectIdText = field(name="_id")
    name: Annotated[str, Meta(examples=["Asha Rao"])] | None = None
    email: Annotated[str, Meta(examples=["a…@example.com"])] | None = None


class AllowedActions(Struct, rename="camel"):
    """What the caller may do about the payment now. `refundable` is what of it can still be refunded."""

    refund: bool
    capture: bool
    check: bool
    receipt: bool
    refundable: Annotated[int, Meta(examples=[50000])]


class PaymentStory(Struct, rename="camel"):
    """A payment, and what became of it, oldest first.

    Fees, mismatches, settlements, events, deliveries, calls to the gateway (of the last 90 days) and who acted are
    shown to administrators only; the payer to administrators and lab assistants. `amountLost` is what the payer's bank
    has taken back for good, for those who see disputes. With `isCut`, there are more entries than an answer has.
    """

    payment: AdminPaymentView
    entries: list[StoryEntry]
    actions: AllowedActions
    payer: Payer | None = None
    amount_lost: MinorUnits | None = None
    is_cut: bool = False
