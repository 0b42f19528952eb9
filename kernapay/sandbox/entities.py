"""The rows of the sandbox's books. What a client sees of them is in `views`."""

from typing import Any

from msgspec import Struct, field


class Row(Struct, kw_only=True):
    id: str


class Owned(Row, kw_only=True):
    """A row that belongs to one key pair; the others cannot see it."""

    owner: str
    created_at: int


class Order(Owned, kw_only=True):
    amount: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    status: str = "created"
    amount_paid: int = 0
    attempts: int = 0
    capture: str = "automatic"
    automatic_expiry: int
    manual_expiry: int
    refund_speed: str = "normal"
    partial_payment: bool = False
    first_payment_min_amount: int | None = None

    @property
    def amount_due(self) -> int:
        return self.amount - self.amount_paid


class Card(Struct, kw_only=True):
    id: str
    name: str
    last4: str
    network: str
    type: str
    issuer: str | None
    international: bool


class Failure(Struct, kw_only=True, frozen=True):
    """Why a payment failed, in Razorpay's five words."""

    code: str
    description: str
    source: str
    step: str
    reason: str


class Payment(Owned, kw_only=True):
    order_id: str | None
    amount: int
    currency: str
    method: str
    status: str = "created"
    captured: bool = False
    amount_refunded: int = 0
    refund_status: str | None = None
    international: bool = False
    description: str | None = None
    bank: str | None = None
    wallet: str | None = None
    vpa: str | None = None
    email: str | None = None
    contact: str | None = None
    notes: dict[str, str] = field(default_factory=dict)
    fee: int | None = None
    tax: int | None = None
    failure: Failure | None = None
    declined_as: Failure | None = None
    card: Card | None = None
    acquirer_data: dict[str, str | None] = field(default_factory=dict)
    late_authorized: bool = False
    settlement_id: str | None = None


class Refund(Owned, kw_only=True):
    payment_id: str
    amount: int
    currency: str
    status: str
    speed_requested: str
    speed_processed: str
    receipt: str | None = None
    notes: dict[str, str] = field(default_factory=dict)
    arn: str | None = None
    settlement_id: str | None = None


class RefundKey(Row, kw_only=True):
    """An X-Refund-Idempotency key: what was asked under it, and the refund that came of it."""

    request: str
    refund_id: str


class Settlement(Owned, kw_only=True):
    amount: int
    fees: int
    tax: int
    utr: str
    status: str = "processed"


class Dispute(Owned, kw_only=True):
    payment_id: str
    amount: int
    currency: str
    reason_code: str
    phase: str
    respond_by: int
    status: str = "open"
    amount_deducted: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)
    settlement_id: str | None = None


class Endpoint(Owned, kw_only=True):
    """A webhook: an address, the events it wants (none named: all) and how they are signed."""

    url: str
    secret: str
    previous_secret: str | None = None
    events: list[str] = field(default_factory=list)
    active: bool = True
    disabled_reason: str | None = None
    configured: bool = False
    """The environment asks for it; it goes when the environment no longer does."""


class Attempt(Struct, kw_only=True):
    at: int
    milliseconds: int
    request_headers: dict[str, str]
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    error: str | None = None


class Delivery(Row, kw_only=True):
    """One event on its way to one endpoint, signed with the secret of the day it was made."""

    endpoint_id: str
    event_id: str
    event: str
    subject: str
    url: str
    secret: str
    body: str
    created_at: float
    status: str = "pending"
    next_at: float | None = None
    tries: int = 0
    by_hand: bool = False
    attempts: list[Attempt] = field(default_factory=list)


class Message(Row, kw_only=True):
    """A mail or a text that the mailbox caught."""

    channel: str
    to: str
    text: str
    at: int
    subject: str = ""


class Timer(Row, kw_only=True):
    """Something that will happen by itself once the sandbox's clock has come that far."""

    due: float
    action: str
    target: str


class Fault(Row, kw_only=True):
    """A misfortune on order: for the next `times` matches (none given: until removed)."""

    name: str
    times: int | None = 1
    route: str | None = None
    method: str | None = None
    probability: float = 1.0
    seed: int | None = None
    options: dict[str, float | str] = field(default_factory=dict)
    hits: int = 0
    draws: int = 0


class ClockState(Row, kw_only=True):
    id: str = "clock"
    offset: float = 0.0
    frozen_at: float | None = None
