"""The bodies and answers of the reconciliation routes."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.payments.fields import ReferenceText, StatusValue
from kernapay.reconciliation.models import Kind, ReportState


class ReportRequest(Struct, forbid_unknown_fields=True):
    """The window of a report: at most 31 days. `from` is inclusive, `to` is not and must be in the past."""

    window_from: Annotated[datetime, Meta(tz=True, examples=["2026-01-30T00:00:00Z"])] = field(
        name="from"
    )
    window_to: Annotated[datetime, Meta(tz=True, examples=["2026-01-31T00:00:00Z"])] = field(
        name="to"
    )


class ReportView(Struct, rename="camel"):
    """A report. `totals` counts what was compared and, as `findings`, the differences.

    `money` has sums by currency, in minor units. `unchecked` names what could not be compared, up to a hundred;
    `isComplete` says that there was nothing, once the report is done.
    """

    id: str = field(name="_id")
    window_from: Instant = field(name="from")
    window_to: Instant = field(name="to")
    state: ReportState
    created_at: Instant
    totals: dict[str, int] = {}
    money: dict[str, dict[str, int]] = {}
    unchecked: list[str] = []
    is_complete: bool | None = None
    night: str | None = None
    error: str | None = None
    finished_at: Instant | None = None


class NightView(Struct, rename="camel"):
    """The report of a night. Reports of earlier versions, which compared less, do not say if they are complete."""

    id: str = field(name="_id")
    night: str
    window_to: Instant = field(name="to")
    state: ReportState
    is_complete: bool | None = None
    finished_at: Instant | None = None

    @property
    def is_good(self) -> bool:
        return self.state is ReportState.DONE and self.is_complete is True


class FindingView(Struct, rename="camel"):
    """One difference between our records and the gateway's. `ours` and `theirs` are the two values."""

    id: str = field(name="_id")
    kind: Kind
    reference_id: str | None = None
    order_id: str | None = None
    razorpay_payment_id: str | None = None
    dispute_id: str | None = None
    ours: str | None = None
    theirs: str | None = None
    repaired_at: Instant | None = None
    outcome: str | None = None


class ReportDetail(Struct, rename="camel"):
    report: ReportView
    findings: list[FindingView]


class Repaired(Struct, rename="camel"):
    """What a repair did. `isRepaired` says that the difference is gone, and the money is where it should be."""

    finding_id: str
    outcome: str
    is_repaired: bool


class PaymentChecked(Struct, rename="camel"):
    """What the gateway's answer made of a payment. `hasChanged` says that its history or its mismatches are longer."""

    reference_id: ReferenceText
    status: StatusValue
    has_changed: bool
    checked_at: Instant
