"""Transfers and their reversals in the form in which Razorpay shows them."""

from kernapay.sandbox.account_entities import Reversal, Transfer
from kernapay.sandbox.entities import Settlement
from kernapay.sandbox.ids import derive_id
from kernapay.sandbox.views import View, notes_view, settlement_view


def transfer_view(transfer: Transfer, *, is_new: bool = False) -> View:
    """Return the transfer. Razorpay: the answer to its creation has no fees yet, and never where it settles."""
    view: View = {
        "id": transfer.id,
        "entity": "transfer",
        "status": transfer.status,
        "source": transfer.source,
        "recipient": transfer.recipient,
        "amount": transfer.amount,
        "currency": transfer.currency,
        "amount_reversed": transfer.amount_reversed,
        "notes": notes_view(transfer.notes),
        "linked_account_notes": transfer.linked_account_notes,
        "on_hold": transfer.on_hold,
        "on_hold_until": transfer.on_hold_until,
        "recipient_settlement_id": transfer.recipient_settlement_id,
        "created_at": transfer.created_at,
        "processed_at": transfer.processed_at,
        "error": {
            **dict.fromkeys(("code", "description", "reason", "field", "step", "source")),
            **transfer.error,
            "id": transfer.id,
            "metadata": None,
        },
    }
    if not is_new or transfer.processed_at is not None:
        view |= {"fees": transfer.fees, "tax": transfer.tax}
    if not is_new:
        view["settlement_status"] = settlement_status(transfer)
    return view


def settlement_status(transfer: Transfer) -> str | None:
    if transfer.recipient_settlement_id is not None:
        return "settled"
    if transfer.processed_at is None:
        return None
    return "on_hold" if transfer.on_hold else "pending"


def recipient_settlement_view(settlement: Settlement | None) -> View | None:
    return None if settlement is None else settlement_view(settlement)


def reversal_view(reversal: Reversal) -> View:
    return {
        "id": reversal.id,
        "entity": "reversal",
        "transfer_id": reversal.transfer_id,
        "amount": reversal.amount,
        "fee": 0,
        "tax": 0,
        "currency": "INR",
        "notes": notes_view(reversal.notes),
        "initiator_id": derive_id("acc", reversal.owner).removeprefix("acc_"),
        "customer_refund_id": reversal.refund_id,
        "utr": None,
        "created_at": reversal.created_at,
    }


def received_payment_view(transfer: Transfer) -> View:
    """Return the transfer as its recipient sees it: a payment of the method `transfer`."""
    return {
        "id": derive_id("pay", transfer.id),
        "entity": "payment",
        "amount": transfer.amount,
        "currency": transfer.currency,
        "status": "refunded" if transfer.amount_reversed == transfer.amount else "captured",
        "order_id": None,
        "invoice_id": None,
        "international": None,
        "method": "transfer",
        "amount_refunded": transfer.amount_reversed,
        "refund_status": refund_status(transfer),
        "captured": True,
        **dict.fromkeys(("description", "card_id", "bank", "wallet", "vpa")),
        "email": "",
        "contact": None,
        "notes": [],
        "fee": 0,
        "tax": 0,
        "error_code": None,
        "error_description": None,
        "created_at": transfer.processed_at,
    }


def refund_status(transfer: Transfer) -> str | None:
    if not transfer.amount_reversed:
        return None
    return "full" if transfer.amount_reversed == transfer.amount else "partial"
