"""The rows that the store keeps. `views` decides what a client sees of them.

Field names and their order are the format of the SQLite file and of snapshots: do not change them.
"""

from typing import Any

from msgspec import Struct, field


class Row(Struct, kw_only=True):
    id: str


class OwnedRow(Row, kw_only=True):
    """A row of one key pair. Razorpay: objects of one key pair are invisible to another."""

    owner: str
    created_at: int


class Order(OwnedRow, kw_only=True):
    """Amounts are in minor units, expiries in minutes from the payment's creation."""

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
    customer_id: str | None = None
    method: str | None = None
    """The only method that may pay the order. None: any."""
    offers: list[str] = field(default_factory=list)
    line_items_total: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    """Further fields as the client sent them, such as `line_items`. They change nothing."""
    payment_link_id: str | None = None

    @property
    def amount_due(self) -> int:
        return max(0, self.amount - self.amount_paid)


class Card(Struct, kw_only=True):
    id: str
    name: str
    last4: str
    network: str
    type: str
    issuer: str | None
    international: bool


class Failure(Struct, kw_only=True, frozen=True):
    """The five error fields of a failed payment."""

    code: str
    description: str
    source: str
    step: str
    reason: str


class Payment(OwnedRow, kw_only=True):
    """Amounts, fee and tax are in minor units; the tax is part of the fee."""

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
    simulated_failure: Failure | None = field(default=None, name="declined_as")
    """How the payment will fail, known from its test card or address. None: it will succeed."""
    card: Card | None = None
    acquirer_data: dict[str, str | None] = field(default_factory=dict)
    late_authorized: bool = False
    settlement_id: str | None = None
    order_amount: int | None = None
    """What the payment counts for its order. None: its amount."""
    order_amount_paid: str = "order"
    fee_bearer: str | None = None
    offer_id: str | None = None
    customer_id: str | None = None


class Refund(OwnedRow, kw_only=True):
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
    """An X-Refund-Idempotency key, the hash of its first request and the refund that followed."""

    request: str
    refund_id: str


class Settlement(OwnedRow, kw_only=True):
    amount: int
    fees: int
    tax: int
    utr: str | None
    status: str = "processed"
    foreign_rows: str = "base"
    """The currency that the rows of foreign payments name: `base` is INR, `payment` is the payment's own."""


class Adjustment(OwnedRow, kw_only=True):
    """A row of a settlement that is no payment and no refund: an adjustment, a transfer, or of any other type."""

    type: str
    amount: int
    credit: int
    debit: int
    currency: str
    fee: int = 0
    tax: int = 0
    description: str | None = None
    payment_id: str | None = None
    dispute_id: str | None = None
    settlement_id: str | None = None


class Dispute(OwnedRow, kw_only=True):
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
    reason_description: str | None = None
    deduct_at_onset: bool = False
    """The amount is taken when the dispute is raised, and given back if it is won."""


class Endpoint(OwnedRow, kw_only=True):
    """A webhook's address, its secret and its events. An empty list of events means all."""

    url: str
    secret: str
    previous_secret: str | None = None
    events: list[str] = field(default_factory=list)
    active: bool = True
    disabled_reason: str | None = None
    configured: bool = False
    """SANDBOX_WEBHOOKS names it. It is removed once the variable no longer does."""
    alert_email: str = ""
    """Who is told when the webhook is disabled. Empty: the account's address."""
    disabled_at: int = 0


class Attempt(Struct, kw_only=True):
    at: int
    milliseconds: int
    request_headers: dict[str, str]
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""
    error: str | None = None


class Delivery(Row, kw_only=True):
    """One event for one endpoint.

    Razorpay: after a change of secret, earlier events stay signed with the old one. So a delivery
    keeps the secret of the moment it was created.
    """

    endpoint_id: str
    event_id: str
    event: str
    subject: str
    """The id of the order, or of what has none. Deliveries about one subject stay in order."""
    url: str
    secret: str
    body: str
    created_at: float
    status: str = "pending"
    next_at: float | None = None
    tries: int = 0
    by_hand: bool = False
    """A person asked to send it again."""
    attempts: list[Attempt] = field(default_factory=list)


class Message(Row, kw_only=True):
    """A mail or text message caught by the mailbox."""

    channel: str
    to: str
    text: str
    at: int
    subject: str = ""


class Timer(Row, kw_only=True):
    """An action due at a moment of the sandbox's clock, in Unix seconds."""

    due: float
    action: str
    target: str


class Fault(Row, kw_only=True):
    """An armed fault: applies to the next `times` matches, or until it is removed (None)."""

    name: str
    times: int | None = 1
    route: str | None = None
    method: str | None = None
    probability: float = 1.0
    seed: int | None = None
    options: dict[str, float | str] = field(default_factory=dict)
    hits: int = 0
    draws: int = 0

    @property
    def seconds(self) -> float:
        return float(self.options["seconds"])


class ClockState(Row, kw_only=True):
    """`offset` is added to real time. `frozen_at` is the moment at which time stands still."""

    id: str = "clock"
    offset: float = 0.0
    frozen_at: float | None = None
