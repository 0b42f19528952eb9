"""Receipts: a PDF for each paid payment."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Final

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.core.errors import Conflict
from kernapay.core.text import show_controls
from kernapay.files.base import FileLink, FileStore
from kernapay.payments.currencies import format_amount
from kernapay.payments.dtos import PaymentView
from kernapay.payments.service import PaymentService
from kernapay.security.principal import Principal

NameOf = Callable[[str], Awaitable[str | None]]
"""Return the name of the user or the customer with this id, or None."""

_A5: Final = (148, 210)


class NoReceipt(Conflict):
    """Only a paid payment has a receipt, and this one is not paid."""

    code = "no_receipt"
    title = "No receipt"


class ReceiptService:
    def __init__(
        self,
        payments: PaymentService,
        files: FileStore,
        name_of: NameOf,
        customer_name_of: NameOf,
        merchant: str,
        pool: Bulkhead,
        name_keys: Sequence[bytes],
        days: BusinessDays,
    ) -> None:
        """`name_keys` make the names of stored receipts: the first those of new ones."""
        self._payments = payments
        self._files = files
        self._name_of = name_of
        self._customer_name_of = customer_name_of
        self._merchant = merchant
        self._pool = pool
        self._name_keys = tuple(name_keys)
        self._days = days

    async def receipt(self, principal: Principal, reference_id: str) -> bytes:
        """Return the receipt as PDF. Raises NotFound, NoReceipt.

        The bytes are the same as long as the payment and the payer's name are.
        """
        payment = await self._payments.show(principal, reference_id)
        if not payment.status.is_paid or payment.paid_at is None:
            raise NoReceipt(
                f"Only a paid payment has a receipt. This one is {payment.status.value}."
            )
        payer = await self._find_payer(payment) or "-"
        paid_at = self._days.local(payment.paid_at)
        return await self._pool.run(_render, payment, paid_at, payer, self._merchant)

    async def _find_payer(self, payment: PaymentView) -> str | None:
        if payment.customer_id is not None:
            return await self._customer_name_of(payment.customer_id)
        return await self._name_of(payment.user_id)

    async def store(self, principal: Principal, reference_id: str) -> FileLink:
        """Store the receipt as a file and return a link to it. Raises NotFound, NoReceipt, Unavailable."""
        pdf = await self.receipt(principal, reference_id)
        name = _name_of(self._name_keys[0], reference_id)
        await self._files.put(name, BytesIO(pdf))
        return await self._files.link(name)

    async def forget(self, reference_ids: Sequence[str]) -> None:
        """Delete the stored receipts of these payments. Raises Unavailable."""
        for reference_id in reference_ids:
            for key in self._name_keys:
                await self._files.delete(_name_of(key, reference_id))


def _name_of(key: bytes, reference_id: str) -> str:
    # Of the payment, not of the content: a new name of the payer must not make another file. And with a key: links end
    # up in logs, and must not identify the payment.
    return f"receipt-{hmac.digest(key, reference_id.encode(), hashlib.sha256).hex()[:32]}.pdf"


def _render(payment: PaymentView, paid_at: datetime, payer: str, merchant: str) -> bytes:
    from fpdf import FPDF  # here, because the import takes half a second

    pdf = FPDF(format=_A5)
    pdf.set_creation_date(paid_at)
    pdf.set_title("Receipt")
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 18)
    pdf.cell(0, 10, _printable(merchant), new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", "", 13)
    pdf.cell(0, 12, "Receipt", new_x="LMARGIN", new_y="NEXT")
    for name, value in _lines(payment, paid_at, payer):
        pdf.set_font("Helvetica", "", 9)
        pdf.set_text_color(90)
        pdf.cell(38, 6, name)
        pdf.set_text_color(0)
        pdf.multi_cell(0, 6, _printable(value), align="L", new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def _lines(payment: PaymentView, paid_at: datetime, payer: str) -> list[tuple[str, str]]:
    lines = [
        ("Amount", format_amount(payment.amount, payment.currency)),
        # The zone's own name: its abbreviation may mean others as well (IST).
        ("Paid on", f"{paid_at:%d %B %Y, %H:%M} {paid_at.tzinfo}"),
        ("Paid by", payer),
        ("For", payment.description or payment.service_type),
        ("Method", payment.payment_method or "-"),
        ("Payment", payment.razorpay_payment_id or "-"),
        ("Order", payment.razorpay_order_id or "-"),
        ("Reference", payment.reference_id),
    ]
    if payment.amount_paid not in (None, payment.amount):
        lines[0] = ("Price", format_amount(payment.amount, payment.currency))
        lines.insert(1, ("Paid", format_amount(payment.amount_paid, payment.currency)))
    if payment.amount_refunded:
        lines.insert(1, ("Refunded", format_amount(payment.amount_refunded, payment.currency)))
    if payment.livemode is False:
        lines.insert(0, ("Test", "No real money was paid"))
    return lines


def _printable(text: str) -> str:
    # PDF: the standard fonts have Latin letters only.
    return show_controls(text).encode("latin-1", "replace").decode("latin-1")
