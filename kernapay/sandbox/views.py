"""Rows in the form in which Razorpay shows them."""

from collections.abc import Iterable
from typing import Any

from kernapay.sandbox.account_entities import Customer, Downtime, InstantSettlement
from kernapay.sandbox.entities import (
    Card,
    Dispute,
    Order,
    Payment,
    Refund,
    Settlement,
)
from kernapay.sandbox.money import base_amount

View = dict[str, Any]
# Razorpay: its samples of orders show these details, and no others.
SHOWN_DETAILS = ("customer_details", "promotions", "shipping_fee", "cod_fee")


def collection(items: Iterable[View]) -> View:
    """Return a list's page. Razorpay: `count` is the number of its items, not a total."""
    page = list(items)
    return {"entity": "collection", "count": len(page), "items": page}


def notes_view(notes: dict[str, str]) -> dict[str, str] | list[str]:
    return notes or []  # Razorpay: PHP writes an empty map as an empty list


def order_view(order: Order) -> View:
    view: View = {
        "id": order.id,
        "entity": "order",
        "amount": order.amount,
        "amount_paid": order.amount_paid,
        "amount_due": order.amount_due,
        "currency": order.currency,
        "receipt": order.receipt,
        "offer_id": order.offers[0] if order.offers else None,
        "status": order.status,
        "attempts": order.attempts,
        "notes": notes_view(order.notes),
        "created_at": order.created_at,
    }
    if order.offers:
        view["offers"] = order.offers
    if order.line_items_total is not None:
        view["line_items_total"] = order.line_items_total
    for name in SHOWN_DETAILS:
        if name in order.details:
            view[name] = order.details[name]
    return view


def card_view(card: Card) -> View:
    return {
        "id": card.id,
        "entity": "card",
        "name": card.name,
        "last4": card.last4,
        "network": card.network,
        "type": card.type,
        "issuer": card.issuer,
        "international": card.international,
        "emi": False,
        "sub_type": "consumer",
        "token_iin": None,
    }


def payment_view(payment: Payment, *, with_card: bool = False) -> View:
    failure = payment.failure
    view: View = {
        "id": payment.id,
        "entity": "payment",
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "order_id": payment.order_id,
        "invoice_id": None,
        "international": payment.international,
        "method": payment.method,
        "amount_refunded": payment.amount_refunded,
        "refund_status": payment.refund_status,
        "captured": payment.captured,
        "description": payment.description,
        "card_id": payment.card.id if payment.card else None,
        "bank": payment.bank,
        "wallet": payment.wallet,
        "vpa": payment.vpa,
        "email": payment.email,
        "contact": payment.contact,
        "customer_id": payment.customer_id,
        "token_id": None,
        "notes": notes_view(payment.notes),
        "fee": payment.fee,
        "tax": payment.tax,
        "error_code": failure and failure.code,
        "error_description": failure and failure.description,
        "error_source": failure and failure.source,
        "error_step": failure and failure.step,
        "error_reason": failure and failure.reason,
        "acquirer_data": payment.acquirer_data,
        "created_at": payment.created_at,
    }
    if payment.currency != "INR":
        view["base_amount"] = base_amount(payment.amount, payment.currency)
        view["base_currency"] = "INR"
    if payment.late_authorized:
        view["late_authorized"] = True
    # Razorpay: neither stands on the page of the entity, and both are seen.
    if payment.fee_bearer:
        view["fee_bearer"] = payment.fee_bearer
    if payment.offer_id:
        view["offer_id"] = payment.offer_id
    if payment.method == "upi":
        view["upi"] = {
            "payer_account_type": "bank_account",
            "vpa": payment.vpa,
            "flow": "collect",
        }
    if with_card and payment.card:
        view["card"] = card_view(payment.card)
    return view


def refund_view(refund: Refund) -> View:
    return {
        "id": refund.id,
        "entity": "refund",
        "amount": refund.amount,
        "currency": refund.currency,
        "payment_id": refund.payment_id,
        "notes": notes_view(refund.notes),
        "receipt": refund.receipt,
        "acquirer_data": {"arn": refund.arn},
        "created_at": refund.created_at,
        "batch_id": None,
        "status": refund.status,
        "speed_processed": refund.speed_processed,
        "speed_requested": refund.speed_requested,
    }


def customer_view(customer: Customer) -> View:
    return {
        "id": customer.id,
        "entity": "customer",
        "name": customer.name,
        "email": customer.email,
        "contact": customer.contact,
        "gstin": customer.gstin,
        "notes": notes_view(customer.notes),
        "created_at": customer.created_at,
    }


def downtime_view(downtime: Downtime, *, for_event: bool = False) -> View:
    """Return the downtime. Razorpay: in events the kind of a card is `type`, in answers `card_type`."""
    names = {"card_type": "type"} if for_event else {}
    instrument = {names.get(name, name): value for name, value in downtime.instrument.items()}
    view: View = {
        "id": downtime.id,
        "entity": "payment.downtime",
        "method": downtime.method,
        "begin": downtime.begin,
        "end": downtime.end,
        "status": downtime.status,
        "scheduled": downtime.is_scheduled,
        "severity": downtime.severity,
        "instrument": instrument,
        "created_at": downtime.created_at,
        "updated_at": downtime.updated_at,
    }
    return {**view, "instrument_schema": list(instrument)} if for_event else view


def instant_settlement_view(instant: InstantSettlement, *, with_payouts: bool) -> View:
    is_processed = instant.status == "processed"
    net = instant.amount - instant.fees
    view: View = {
        "id": instant.id,
        "entity": "settlement.ondemand",
        "amount_requested": instant.amount,
        "amount_settled": net if is_processed else 0,
        "amount_pending": 0 if is_processed else net,
        "amount_reversed": 0,
        "fees": instant.fees,
        "tax": instant.tax,
        "currency": "INR",
        "settle_full_balance": instant.settle_full_balance,
        "status": instant.status,
        "description": instant.description,
        "notes": notes_view(instant.notes),
        "created_at": instant.created_at,
    }
    if with_payouts:
        payout = {
            "id": instant.payout_id,
            "entity": "settlement.ondemand_payout",
            "initiated_at": instant.initiated_at,
            "processed_at": instant.processed_at,
            "reversed_at": None,
            "amount": instant.amount,
            "amount_settled": net if is_processed else None,
            "fees": instant.fees,
            "tax": instant.tax,
            "utr": instant.utr,
            "status": "processed" if is_processed else "created",
            "created_at": instant.created_at,
        }
        view["ondemand_payouts"] = collection([payout])
    return view


def settlement_view(settlement: Settlement) -> View:
    return {
        "id": settlement.id,
        "entity": "settlement",
        "amount": settlement.amount,
        "status": settlement.status,
        "fees": settlement.fees,
        "tax": settlement.tax,
        "utr": settlement.utr,
        "created_at": settlement.created_at,
    }


def dispute_view(dispute: Dispute) -> View:
    view: View = {
        "id": dispute.id,
        "entity": "dispute",
        "payment_id": dispute.payment_id,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "amount_deducted": dispute.amount_deducted,
        "reason_code": dispute.reason_code,
        "respond_by": dispute.respond_by,
        "status": dispute.status,
        "phase": dispute.phase,
        "created_at": dispute.created_at,
        "evidence": dispute.evidence,
    }
    if dispute.reason_description is not None:
        view["reason_description"] = dispute.reason_description
    if dispute.deduct_at_onset:
        view["deduct_at_onset"] = True
    return view
