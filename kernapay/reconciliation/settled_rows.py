"""The rows of the gateway's settlements: what was really paid out, with its fees."""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Final

import msgspec

from kernapay.gateway.base import OddEntity, PaymentGateway
from kernapay.payments.models import Payment
from kernapay.payments.returns import find_surplus
from kernapay.reconciliation.differences import Difference
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.pacing import Pace

# Razorpay: the largest page.
_PAGE: Final = 1000


class SettledRow(msgspec.Struct, frozen=True):
    """A row of a settlement. Amounts are in minor units. Only rows of payments and refunds belong to an order."""

    entity_id: str
    type: str
    currency: str
    amount: int = 0
    credit: int = 0
    debit: int = 0
    fee: int | None = None
    tax: int | None = None
    settlement_id: str | None = None
    order_id: str | None = None
    order_receipt: str | None = None


async def settled_rows(
    gateway: PaymentGateway, pace: Pace, day: date
) -> AsyncIterator[SettledRow | OddEntity]:
    """Yield each row settled on a day in India once. Raises GatewayError."""
    seen: set[tuple[str, str, str | None]] = set()
    skip = 0
    while True:
        page = await pace.call(
            lambda skip=skip: gateway.settlement_rows(  # type: ignore[misc]
                day.year, day.month, day.day, skip=skip, count=_PAGE
            )
        )
        has_new = False
        for each in page:
            row = _read(each)
            if isinstance(row, SettledRow):
                key = (row.entity_id, row.type, row.settlement_id)
                if key in seen:
                    continue
                seen.add(key)
                has_new = True
            yield row
        skip += len(page)
        # A list that ignores `skip` gives the same page for ever.
        if len(page) < _PAGE or not has_new:
            return


def compare_row(payment: Payment | None, row: SettledRow) -> list[Difference]:
    """Return the difference between the row of a settled payment and ours."""

    def report(kind: Kind, ours: object, theirs: object) -> list[Difference]:
        return [
            Difference(
                kind, payment, row.order_id, row.entity_id, ours=str(ours), theirs=str(theirs)
            )
        ]

    if payment is not None and find_surplus(payment, row.entity_id):
        return []  # money that goes back, which the comparison of its order finds until it has
    if payment is None or not payment.status.is_paid:
        return report(Kind.SETTLEMENT, payment.status.value if payment else "no payment", "settled")
    if payment.razorpay_payment_id != row.entity_id:
        return []  # a second payment, which the comparison of its order finds
    if not _is_settled_amount(payment, row):
        return report(Kind.AMOUNT, payment.amount_captured, row.amount)
    if payment.fee is not None and row.fee is not None and payment.fee != row.fee:
        return report(Kind.FEE, payment.fee, row.fee)
    return []


def _is_settled_amount(payment: Payment, row: SettledRow) -> bool:
    # A foreign payment is settled in rupees, at a rate that only the gateway knows.
    return row.currency != payment.currency or row.amount == payment.amount_captured


def _read(row: object) -> SettledRow | OddEntity:
    try:
        return msgspec.convert(row, SettledRow)
    except msgspec.ValidationError as error:
        fields = row if isinstance(row, Mapping) else {}
        ids = {
            name: fields[source]
            for name, source in (("id", "entity_id"), ("order_id", "order_id"))
            if isinstance(fields.get(source), str)
        }
        return OddEntity(str(error), **ids)
