"""Further rows of the store: what an account has besides orders, payments and what follows them.

Field names are the format of the SQLite file and of snapshots, as those of `entities` are.
"""

from typing import Any

from msgspec import Struct, field

from kernapay.sandbox.entities import OwnedRow, Row
from kernapay.sandbox.transfer_fields import TransferTerms


class Customer(OwnedRow, kw_only=True):
    name: str | None = None
    email: str | None = None
    contact: str | None = None
    gstin: str | None = None
    notes: dict[str, str] = field(default_factory=dict)


class Offer(OwnedRow, kw_only=True):
    """A discount of an order that names it. `amount` is in minor units, `percent` from 1 to 99."""

    kind: str = "instant"
    amount: int | None = None
    percent: int | None = None
    method: str | None = None


class LinkPayment(Struct, kw_only=True):
    """A captured payment of a payment link."""

    payment_id: str
    amount: int
    method: str
    created_at: int


class PaymentLink(OwnedRow, kw_only=True):
    """A page for one order. Amounts are in minor units, moments Unix seconds; 0 means never."""

    amount: int
    currency: str
    order_id: str
    short_url: str
    reference_id: str = ""
    description: str = ""
    status: str = "created"
    amount_paid: int = 0
    accept_partial: bool = False
    first_min_partial_amount: int = 0
    customer: dict[str, str] = field(default_factory=dict)
    notify: dict[str, bool] = field(default_factory=dict)
    reminder_enable: bool = False
    callback_url: str = ""
    callback_method: str = ""
    expire_by: int = 0
    expired_at: int = 0
    cancelled_at: int = 0
    updated_at: int = 0
    upi_link: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    payments: list[LinkPayment] = field(default_factory=list)


class Downtime(Row, kw_only=True):
    """A bank's, a network's or an app's outage. It is the same for all keys. Moments are Unix seconds."""

    method: str
    instrument: dict[str, str]
    begin: int
    end: int | None = None
    status: str = "started"
    is_scheduled: bool = False
    severity: str = "high"
    created_at: int
    updated_at: int
    fails_payments: bool = False


class InstantSettlement(OwnedRow, kw_only=True):
    """Money paid out on request. Amounts, fees and tax are in paise; the tax is part of the fees."""

    payout_id: str
    amount: int
    fees: int
    tax: int
    settle_full_balance: bool
    description: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    status: str = "initiated"
    initiated_at: int | None = None
    processed_at: int | None = None
    utr: str | None = None


class ApiKey(Row, kw_only=True):
    """A key pair that came from a rotation, or one that a rotation ends. The id is the key id."""

    owner: str
    secret: str
    created_at: int
    expires_at: int | None = None
    """When it stops working, in Unix seconds. None: it is the account's current key."""


class Transfer(OwnedRow, kw_only=True):
    """Money of the business for a linked account. Amounts, fees and tax are in paise, moments Unix seconds."""

    source: str
    """The order or the payment that it is a part of, or the business's own account."""
    payment_id: str | None = None
    """Whose money it is, once an order is paid. None: the balance's."""
    status: str
    recipient: str
    amount: int
    currency: str
    amount_reversed: int = 0
    fees: int = 0
    tax: int | None = None
    notes: dict[str, str] = field(default_factory=dict)
    linked_account_notes: list[str] = field(default_factory=list)
    on_hold: bool = False
    on_hold_until: int | None = None
    recipient_settlement_id: str | None = None
    processed_at: int | None = None
    error: dict[str, str] = field(default_factory=dict)


class Reversal(OwnedRow, kw_only=True):
    """Money that came back from a linked account, in paise. `refund_id` is the refund that it came back for."""

    transfer_id: str
    amount: int
    notes: dict[str, str] = field(default_factory=dict)
    refund_id: str | None = None


class TransferKey(Row, kw_only=True):
    """An idempotency key. The id is the owner and the key."""

    terms: TransferTerms
    transfer_id: str


class LinkedAccount(OwnedRow, kw_only=True):
    """A business that gets a part of the owner's money. `details` are the fields that can be changed."""

    email: str
    business_type: str
    details: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)


class Stakeholder(OwnedRow, kw_only=True):
    """The person behind a linked account."""

    account_id: str
    details: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)


class ProductConfiguration(OwnedRow, kw_only=True):
    """What a linked account needs before its money reaches a bank. Moments are Unix seconds."""

    account_id: str
    settlements: dict[str, str] = field(default_factory=dict)
    terms_id: str
    terms_accepted_at: int | None = None
    activation_status: str = "needs_clarification"
