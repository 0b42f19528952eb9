"""What a client sends to create an order, checked."""

from typing import Any, Final

from msgspec import Struct

from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.errors import bad_request, not_played
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.instruments import METHODS
from kernapay.sandbox.money import check_amount, check_currency
from kernapay.sandbox.not_played import ORDER_FIELDS, PAYMENT_METHODS
from kernapay.sandbox.transfer_fields import TransferTerms, read_transfers

# Razorpay's limits: characters, minutes.
MAX_RECEIPT_LENGTH: Final = 40
MIN_AUTOMATIC_EXPIRY: Final = 12
MAX_MANUAL_EXPIRY: Final = 7200
# What changes nothing here. Razorpay's Magic Checkout and its checks of the payer's account use it.
KEPT_FLAGS: Final = ("app_offer", "discount", "force_offer", "rto_review")
KEPT_OBJECTS: Final = (
    "customer_details",
    "bank_account",
    "device_details",
    "customer_additional_info",
)
KEPT_LISTS: Final = ("line_items", "promotions")
KEPT_AMOUNTS: Final = ("shipping_fee", "cod_fee")
KEPT: Final = (*KEPT_FLAGS, *KEPT_OBJECTS, *KEPT_LISTS, *KEPT_AMOUNTS)
# The vendor's plugins send more names than its documents list, so an item may have any.
MAX_LINE_ITEMS: Final = 1000


class CaptureSettings(Struct, frozen=True):
    """How payments of an order are captured. Expiries are minutes from the payment's creation."""

    capture: str
    automatic_expiry: int
    manual_expiry: int
    refund_speed: str = "normal"


class OrderRequest(Struct, frozen=True, kw_only=True):
    """A valid request to create an order. Amounts are in minor units."""

    amount: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    unique_receipt: bool
    partial_payment: bool
    first_payment_min_amount: int | None
    settings: CaptureSettings
    customer_id: str | None
    method: str | None
    offers: list[str]
    transfers: list[TransferTerms]
    line_items_total: int | None
    details: dict[str, Any]


def read_order(fields: Fields, config: SandboxConfig) -> OrderRequest:
    """Return the request. Raise RazorpayError if a field is invalid, unknown, or one that the sandbox does not play."""
    for name, what in ORDER_FIELDS.items() if fields.has_any(ORDER_FIELDS) else ():
        if fields.value(name) not in (None, "", [], {}):
            raise not_played(what, name)
    amount = fields.require_integer("amount")
    currency = fields.require_text("currency")
    request = OrderRequest(
        amount=amount,
        currency=currency,
        receipt=fields.text("receipt", MAX_RECEIPT_LENGTH),
        notes=fields.notes() or {},
        partial_payment=fields.flag("partial_payment") or False,
        first_payment_min_amount=fields.integer("first_payment_min_amount"),
        unique_receipt=fields.flag("unique_receipt") or False,
        settings=read_capture_settings(fields, config),
        customer_id=fields.text("customer_id"),
        method=read_method(fields),
        offers=read_offers(fields),
        transfers=read_transfers(fields),
        line_items_total=fields.whole_number("line_items_total"),
        details=read_details(fields),
    )
    fields.reject_unread()
    check_currency(currency)
    check_amount(amount, currency, config.max_amount)
    check_parts(request)
    return request


def check_parts(request: OrderRequest) -> None:
    """Raise RazorpayError if the parts of the amount do not fit it."""
    least = request.first_payment_min_amount
    if least is not None:
        check_amount(least, request.currency, request.amount, "first_payment_min_amount")
    for transfer in request.transfers:
        check_amount(transfer.amount, transfer.currency, 10**18)
    if sum(transfer.amount for transfer in request.transfers) > request.amount:
        raise bad_request(
            "The sum of amount requested for transfer is greater than the captured amount",
            "transfers",
        )


def read_method(fields: Fields) -> str | None:
    method = fields.text("method")
    if method is not None and method in PAYMENT_METHODS:
        raise not_played(PAYMENT_METHODS[method], "method")
    if method is not None and method not in METHODS:
        raise bad_request("The selected method is invalid.", "method")
    return method


def read_offers(fields: Fields) -> list[str]:
    """Return the ids of the order's offers: `offer_id` and `offers` may both name some."""
    first = fields.text("offer_id")
    others = fields.texts("offers") or []
    return list(dict.fromkeys([*([first] if first else []), *others]))


def read_details(fields: Fields) -> dict[str, Any]:
    """Return what the sandbox keeps and gives back but does not use."""
    if not fields.has_any(KEPT):
        return {}
    details: dict[str, Any] = {name: fields.flag(name) for name in KEPT_FLAGS}
    for name in KEPT_OBJECTS:
        kept = fields.object(name)
        details[name] = kept.rest() if kept else None
    for name in KEPT_LISTS:
        items = fields.objects(name)
        if items is not None and len(items) > MAX_LINE_ITEMS:
            raise bad_request(f"The {name} may not have more than {MAX_LINE_ITEMS} items.", name)
        details[name] = [item.rest() for item in items] if items is not None else None
    for name in KEPT_AMOUNTS:
        details[name] = fields.whole_number(name)
    return {name: value for name, value in details.items() if value is not None}


def read_capture_settings(fields: Fields, config: SandboxConfig) -> CaptureSettings:
    """Read the order's capture settings, which override the sandbox's configuration."""
    default_expiry = config.auto_refund_minutes
    legacy_capture = fields.flag("payment_capture")
    capture = config.capture
    if legacy_capture is not None:
        capture = "automatic" if legacy_capture else "manual"
    payment = fields.object("payment")
    if payment is None:
        return CaptureSettings(capture, default_expiry, default_expiry)
    capture = payment.choice("capture", "automatic", "manual") or capture
    options = payment.object("capture_options")
    payment.reject_unread()
    if options is None:
        return CaptureSettings(capture, default_expiry, default_expiry)
    automatic = options.integer("automatic_expiry_period")
    manual = options.integer("manual_expiry_period")
    speed = options.choice("refund_speed", "normal", "optimum") or "normal"
    options.reject_unread()
    if automatic is not None and automatic < MIN_AUTOMATIC_EXPIRY:
        raise bad_request(
            f"The automatic_expiry_period must be at least {MIN_AUTOMATIC_EXPIRY}.",
            "automatic_expiry_period",
        )
    if manual is not None and not (automatic or 1) <= manual <= MAX_MANUAL_EXPIRY:
        raise bad_request(
            "The manual_expiry_period must not be less than the automatic one "
            f"nor greater than {MAX_MANUAL_EXPIRY}.",
            "manual_expiry_period",
        )
    automatic_expiry = automatic or default_expiry
    manual_expiry = manual or max(default_expiry, automatic or 0)
    return CaptureSettings(capture, automatic_expiry, manual_expiry, speed)
