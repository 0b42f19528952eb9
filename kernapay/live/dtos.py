"""The columns that a stream reads of a payment, and the public part of a step."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.dtos import PaymentStatus, StepView
from kernapay.payments.fields import StatusValue


class LivePayment(PaymentStatus, rename="camel", kw_only=True):
    """A payment's public status, its history, and whose it is."""

    id: str = field(name="_id")
    user_id: str
    payee_id: str | None = None
    customer_id: str | None = None
    history: list[StepView] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the sale has ended. Rows of earlier systems do not say so of paid ones."""
        return self.final or self.status.is_paid


class EventName(StrEnum):
    STATE = "state"
    STEP = "step"
    END = "end"


class LiveEvent(Struct):
    """One event of a stream, for the API document: an event is written as text.

    The `id` of `state` and `step` is the place of the last change in the payment's history, -1 if that has none.
    """

    event: Annotated[EventName, Meta(examples=["step"])]
    data: Annotated[
        str,
        Meta(
            description="JSON: of a `state` a PaymentStatus; of a `step` a StepView, or for the bearer of a reference "
            "its `status`, `updatedAt`, `final`, `late` and `amountRefunded`; of an `end` the `reason`.",
            examples=['{"status":"success","updatedAt":"2026-01-31T10:15:00Z","final":true}'],
            extra_json_schema={"contentMediaType": "application/json"},
        ),
    ]


class PublicStep(Struct, rename="camel"):
    """A step of the history without where it came from and why."""

    status: StatusValue
    updated_at: Instant
    final: bool | None = None
    late: bool | None = None
    amount_refunded: int | None = None
