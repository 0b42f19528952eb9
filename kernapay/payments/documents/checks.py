"""The pages behind a document's QR code. They are public, so they name only the seller."""

from html import escape
from typing import Final

from kernapay.core.business_days import BusinessDays
from kernapay.payments.currencies import write_amount
from kernapay.payments.documents.models import Paper, PaperKind
from kernapay.payments.documents.page import document
from kernapay.payments.documents.papers import find_refund
from kernapay.payments.models import Payment
from kernapay.payments.returns import sum_lost
from kernapay.payments.states import RefundState

_TITLES: Final = {PaperKind.RECEIPT: "Receipt", PaperKind.CREDIT_NOTE: "Credit note"}


def check_page(paper: Paper, payment: Payment, days: BusinessDays) -> bytes:
    """Return the page for a genuine document: number, day, amount, and the state of the money. It blocks."""
    at = days.local(paper.at)
    currency = payment.currency
    if paper.kind is PaperKind.RECEIPT:
        amount = payment.amount_captured
        state = _state_of(payment)
    else:
        refund = find_refund(payment, paper.refund_id)
        amount = sum(r.amount for r in payment.refunds if r.refund_id == paper.refund_id)
        state = "Refunded" if refund else "Void: the bank has sent this refund back"
    facts = {
        "Number": paper.title,
        "Date": f"{at.day} {at:%B %Y}",
        "From": paper.seller,
        **({"GSTIN": paper.gstin} if paper.gstin else {}),
        "Amount": write_amount(amount, currency),
        "State": state,
        **({"Test": "No real money was paid"} if payment.livemode is False else {}),
    }
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd><bdi>{escape(text)}</bdi></dd></div>"
        for name, text in facts.items()
    )
    title = f"{_TITLES[paper.kind]} {paper.title}"
    note = "<p>We have issued this paper. Compare these lines with it.</p>"
    return _page(title, f"{note}<dl>{rows}</dl>", paper.seller)


def _state_of(payment: Payment) -> str:
    """Return the state of a payment since its receipt, in words."""
    refunded = sum(r.amount for r in payment.refunds if r.status is RefundState.PROCESSED)
    gone = {
        "Refunded since": refunded,
        "Taken back by the payer\N{RIGHT SINGLE QUOTATION MARK}s bank": sum_lost(payment),
    }
    parts = [
        f"{how}: {write_amount(amount, payment.currency)}" for how, amount in gone.items() if amount
    ]
    return "; ".join(parts) or "Paid"


def no_paper_page() -> bytes:
    return _page(
        "No such paper", "<p>No paper of ours has this link. Do not trust what it stands on.</p>"
    )


def ended_page() -> bytes:
    return _page(
        "This link has ended", "<p>Links to receipts work for five minutes. Ask for a new one.</p>"
    )


def _page(title: str, body: str, *given: str) -> bytes:
    return document(
        title, f'<article class="sheet"><h1>{escape(title)}</h1>{body}</article>', given
    )
