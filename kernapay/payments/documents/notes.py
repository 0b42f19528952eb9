"""Calculate the amounts of a credit note: what it gives back, and the tax in that."""

from typing import NamedTuple

from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.papers import PapersOfPayment, find_refund
from kernapay.payments.documents.taxes import Split, part_of, split
from kernapay.payments.models import Payment


class NoteFigures(NamedTuple):
    """The amount that a credit note gives back, in minor units; None if it is void. Without tax, there is no split."""

    amount: int | None = None
    split: Split | None = None

    def tax(self, *names: str) -> int | None:
        """Return the tax that has one of these names, None when the note has none."""
        taxes = self.split.taxes if self.split else ()
        return next((tax.amount for tax in taxes if tax.name.split()[0] in names), None)


def split_of(payment: Payment, paper: Paper) -> Split | None:
    """Return the split of a payment's price, None when its receipt shows no tax."""
    if paper.tax_rate is None or paper.gstin is None or paper.place is None:
        return None
    return split(payment.amount, paper.tax_rate, paper.gstin[:2], paper.place)


def sum_before(payment: Payment, papers: PapersOfPayment, note: Paper) -> int:
    """Return the sum of the credit notes before this one, in minor units."""
    total = 0
    for each in papers.notes:
        if each.pk == note.pk:
            break
        if refund := find_refund(payment, each.refund_id):
            total += refund.amount
    return total


def figures_of(payment: Payment, papers: PapersOfPayment, note: Paper) -> NoteFigures:
    """Return the amounts of a credit note."""
    refund = find_refund(payment, note.refund_id)
    if refund is None:
        return NoteFigures()
    whole = split_of(payment, note)
    if whole is None:
        return NoteFigures(refund.amount)
    before = sum_before(payment, papers, note)
    room = max(0, whole.total - before)
    part = part_of(whole, min(before, whole.total), min(refund.amount, room))
    return NoteFigures(refund.amount, part)
