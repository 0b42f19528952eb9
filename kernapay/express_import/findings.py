"""What an import found of one payment: in the old database, at the gateway, and here."""

from dataclasses import dataclass
from typing import Final

from kernapay.express_import.gateway_orders import OrderFacts
from kernapay.express_import.payment_rows import OldPayment, hash_of_row
from kernapay.express_import.row_values import hash_of
from kernapay.payments.imported.models import Former
from kernapay.payments.insights.sums.changes import Changing
from kernapay.payments.models import Payment

UNCHANGED: Final = "unchanged"
_KEPT: Final = ("service", "reference", "status", "amount", "unit", "proof")


@dataclass(frozen=True, slots=True)
class Finding:
    """What an import knows of one payment. The amount is in minor units; `payer` is the id of an account."""

    old: OldPayment
    payer: str
    known: Payment | None
    facts: OrderFacts
    former: Former
    amount: int

    @property
    def change(self) -> str:
        """Return what an import does with it, as the report names it."""
        if self.known is None:
            return "new"
        seen = self.known.former.seen if self.known.former else None
        return UNCHANGED if seen == self.former.seen else "changed"

    @property
    def changing(self) -> Changing:
        """Return the payment as the sums have it: as it is stored here, or will be."""
        row = self.known or self.old
        return Changing(str(row.id), row.created_at, row.provider_id)


def unseen(former: Former) -> Former:
    """Return the values of the earlier service, without what an import learned."""
    return Former(**{name: getattr(former, name) for name in _KEPT})


def seen_of(old: OldPayment, facts: OrderFacts) -> str:
    """Return a hash of the values that an import decides by. While it stays the same, there is nothing to import."""
    order = facts.order
    return hash_of(
        hash_of_row(old),
        [order.status, order.amount, order.amount_paid] if order else [facts.problem],
        sorted([each.id, each.status, each.amount_refunded or 0] for each in facts.attempts),
        sorted([each.id, each.status] for many in facts.refunds.values() for each in many),
    )
