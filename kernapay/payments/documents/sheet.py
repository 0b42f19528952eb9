"""The content of a receipt or a credit note as texts. `pdf.py` and `page.py` draw the same sheet."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from kernapay.core.business_days import BusinessDays
from kernapay.core.text import show_controls
from kernapay.payments.currencies import write_amount
from kernapay.payments.documents.amount_in_words import spell_amount
from kernapay.payments.documents.buyers import Buyer
from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.notes import figures_of, split_of, sum_before
from kernapay.payments.documents.papers import PapersOfPayment, find_refund
from kernapay.payments.documents.taxes import STATES, Split
from kernapay.payments.models import Payment, Refund
from kernapay.payments.returns import sum_lost

_METHODS: Final = {
    "card": "Card",
    "netbanking": "Net banking",
    "upi": "UPI",
    "wallet": "Wallet",
    "emandate": "E-mandate",
}
_PAID: Final = "A receipt for a payment, not a tax invoice."
_TAXED: Final = "Prices include the tax that is shown."
_ON_ITS_WAY: Final = "Banks take 5 to 7 working days until the money is in the account."


class Line(Struct, frozen=True):
    """A label and an amount. `tone` is the style: soft, strong, back or total."""

    label: str
    amount: str
    tone: str


class Fact(Struct, frozen=True):
    """A name and a value. A wide one has a row of its own; a given one is text of somebody else."""

    name: str
    value: str
    is_wide: bool = False
    is_given: bool = False


class Sheet(Struct, frozen=True):
    """The texts of a paper. `seller`, `address`, `party`, `party_lines`, `item` and given facts are others' texts."""

    is_note: bool
    title: str
    number: str
    day: str
    seller: str
    address: tuple[str, ...]
    banner: str
    party_label: str
    party: str
    party_lines: tuple[str, ...]
    amount: str
    words: str
    stamp: str
    stamp_time: str
    item: str
    item_note: str
    item_amount: str
    lines: tuple[Line, ...]
    facts: tuple[Fact, ...]
    footer: tuple[str, ...]
    check_url: str | None
    made_at: datetime

    @property
    def given(self) -> list[str]:
        """The texts of others, whose scripts decide which fonts are needed."""
        facts = [fact.value for fact in self.facts if fact.is_given]
        names = [self.seller, *self.address, self.party, *self.party_lines]
        return [*names, self.item, self.item_note, *facts]


def receipt_sheet(
    payment: Payment, papers: PapersOfPayment, buyer: Buyer, days: BusinessDays, url: str | None
) -> Sheet:
    paper = papers.receipt
    captured = payment.amount_captured
    returned = list(_returned(payment, papers, days))
    gone = sum(amount for _, amount in returned)
    lines = [*_tax_lines(split_of(payment, paper), payment.currency)]
    lines.append(Line("Paid", write_amount(captured, payment.currency), "strong"))
    lines += (
        Line(label, write_amount(-amount, payment.currency), "back") for label, amount in returned
    )
    if returned:
        lines.append(Line("Remains paid", write_amount(captured - gone, payment.currency), "total"))
    return _sheet(
        payment,
        paper,
        buyer,
        days,
        url,
        title="Receipt",
        party_label="Received from",
        amount=captured,
        stamp="Paid" if gone < captured else "Refunded",
        lines=lines,
        facts=_facts(payment, paper, days),
        footer=(_TAXED if paper.tax_rate is not None else _PAID,),
    )


def note_sheet(
    payment: Payment,
    papers: PapersOfPayment,
    note: Paper,
    buyer: Buyer,
    days: BusinessDays,
    url: str | None,
) -> Sheet:
    """Return the sheet of a credit note. Without its refund, which the bank returned since, it is void."""
    currency, captured = payment.currency, payment.amount_captured
    refund = find_refund(payment, note.refund_id)
    given = refund or next(each for each in payment.refunds if each.refund_id == note.refund_id)
    before = sum_before(payment, papers, note)
    remains = captured - before - (given.amount if refund else 0)
    lines = [Line("Paid", write_amount(captured, currency), "strong")]
    if before:
        lines.append(Line("Refunded before", write_amount(-before, currency), "back"))
    if refund:
        lines.append(
            Line("Refunded with this note", write_amount(-refund.amount, currency), "back")
        )
    lines.append(Line("Remains paid", write_amount(remains, currency), "total"))
    lines += _tax_lines(figures_of(payment, papers, note).split, currency, "In this refund: ")
    return _sheet(
        payment,
        note,
        buyer,
        days,
        url,
        title="Credit note",
        party_label="Refunded to",
        amount=given.amount,
        stamp="Refunded" if refund else "Void",
        lines=lines,
        facts=_note_facts(payment, papers.receipt, note, given),
        footer=(f"This changes the receipt {papers.receipt.title}.", _ON_ITS_WAY)
        if refund
        else ("The bank has sent this refund back, so this credit note is void.",),
    )


def _sheet(
    payment: Payment,
    paper: Paper,
    buyer: Buyer,
    days: BusinessDays,
    url: str | None,
    *,
    title: str,
    party_label: str,
    amount: int,
    stamp: str,
    lines: Iterable[Line],
    facts: Iterable[Fact],
    footer: tuple[str, ...],
) -> Sheet:
    at = days.local(paper.at)
    description = show_controls(payment.description or "")
    code = f"HSN/SAC {paper.sac}" if paper.sac else ""
    kind = payment.service_type if description else ""
    return Sheet(
        is_note=paper.refund_id is not None,
        title=title,
        number=paper.title,
        day=f"{at.day} {at:%B %Y}",
        seller=paper.seller,
        address=(*paper.address, *([f"GSTIN {paper.gstin}"] if paper.gstin else ())),
        banner="Test: no real money was paid" if payment.livemode is False else "",
        party_label=party_label,
        party=show_controls(buyer.name or "") or "-",
        party_lines=(f"GSTIN {buyer.gstin.upper()}",) if buyer.gstin else (),
        amount=write_amount(amount, payment.currency),
        words=spell_amount(amount, payment.currency),
        stamp=stamp,
        stamp_time=_minute(at),
        item=description or payment.service_type,
        item_note=" \N{MIDDLE DOT} ".join(filter(None, (kind, code))),
        item_amount=write_amount(payment.amount, payment.currency),
        lines=tuple(lines),
        facts=tuple(facts),
        footer=footer,
        check_url=url,
        made_at=at,
    )


def _facts(payment: Payment, paper: Paper, days: BusinessDays) -> Iterator[Fact]:
    paid_at = days.local(paper.at)
    yield Fact("Method", _method(payment))
    if paper.place is not None:
        yield Fact("Place of supply", f"{STATES.get(paper.place, paper.place)} ({paper.place})")
    # The zone's own name: its abbreviation may mean others as well (IST).
    time = f"{_minute(paid_at)}:{paid_at:%S} {days.zone.key} ({paper.at:%H:%M} UTC)"
    yield Fact("Paid at", time, is_wide=True)
    yield from _ids(payment)


def _note_facts(payment: Payment, receipt: Paper, note: Paper, refund: Refund) -> Iterator[Fact]:
    yield Fact("Receipt", receipt.title)
    yield Fact("Goes to", _method(payment))
    yield Fact("Refund", str(note.refund_id), is_given=True)
    yield Fact(
        "Bank\N{RIGHT SINGLE QUOTATION MARK}s reference (ARN)", refund.arn or "-", is_given=True
    )
    yield from _ids(payment)
    if refund.reason:
        yield Fact("Reason", show_controls(refund.reason), is_wide=True, is_given=True)


def _ids(payment: Payment) -> Iterator[Fact]:
    yield Fact("Payment", payment.razorpay_payment_id or "-", is_given=True)
    yield Fact("Order", payment.razorpay_order_id or "-", is_given=True)
    yield Fact("Reference", payment.reference_id, is_wide=True)


def _returned(
    payment: Payment, papers: PapersOfPayment, days: BusinessDays
) -> Iterator[tuple[str, int]]:
    """Yield a label and an amount for each part that went back."""
    for note in papers.notes:
        if refund := find_refund(payment, note.refund_id):
            at = days.local(note.at)
            yield f"Refunded on {at.day} {at:%b %Y}, credit note {note.title}", refund.amount
    if lost := sum_lost(payment):
        yield "Taken back by the payer\N{RIGHT SINGLE QUOTATION MARK}s bank", lost


def _tax_lines(parts: Split | None, currency: str, prefix: str = "") -> Iterator[Line]:
    if parts is None:
        return
    lines = [("value before tax", parts.value), *parts.taxes]
    if parts.rounding:
        lines.append(("rounding", parts.rounding))
    for name, amount in lines:
        label = f"{prefix}{name}" if prefix else name[0].upper() + name[1:]
        yield Line(label, write_amount(amount, currency), "soft")


def _method(payment: Payment) -> str:
    method = payment.payment_method
    return _METHODS.get(method, method.capitalize()) if method else "-"


def _minute(at: datetime) -> str:
    return f"{at.day} {at:%b %Y, %H:%M}"
