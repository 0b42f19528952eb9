"""After an import, read both databases again and compare them row by row."""

import secrets
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from kernapay.core.clock import now
from kernapay.express_import.amounts import Unit, in_minor_units
from kernapay.express_import.payment_rows import OldPayment, read_payment
from kernapay.express_import.report import Progress
from kernapay.express_import.repository import ExpressDatabase
from kernapay.express_import.row_values import CannotMove
from kernapay.payments.imported.service import ImportedPayments
from kernapay.payments.imported.views import ImportedView
from kernapay.users.repository import UserRepository

_SAMPLES: Final = 10
_MOST_KEPT: Final = 10


@dataclass(slots=True)
class Comparison:
    """`there` counts the rows of the Express database, `here` those of KernaPay.

    `sums` has, by status here and currency, the number of payments, their sum here and their sum there in minor units.
    `beginnings` has the first of the `differences`.
    """

    there: Counter[str] = field(default_factory=Counter)
    here: Counter[str] = field(default_factory=Counter)
    sums: dict[tuple[str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0])
    )
    differences: int = 0
    beginnings: list[str] = field(default_factory=list)
    samples: list[tuple[OldPayment, ImportedView]] = field(default_factory=list)

    def note(self, difference: str) -> None:
        self.differences += 1
        if self.differences <= _MOST_KEPT:
            self.beginnings.append(difference)


async def compare(
    old: ExpressDatabase,
    users: UserRepository,
    imported: ImportedPayments,
    progress: Progress,
) -> Comparison:
    """Compare both databases. Raises Unavailable."""
    result = Comparison()
    async for rows in old.batches("users"):
        ids = [row["_id"] for row in rows]
        result.there["accounts"] += len(ids)
        result.here["accounts"] += await users.count_among(ids)
    result.there["payments"] += len(await old.odd_ids("payments"))
    async for rows in old.batches("payments"):
        known = await imported.views([row["_id"] for row in rows])
        result.there["payments"] += len(rows)
        progress("compared", result.there["payments"])
        for row in rows:
            payment = known.get(str(row["_id"]))
            if payment is None:
                continue
            try:
                _compare(read_payment(row, now()), payment, result)
            except CannotMove as error:
                result.note(f"{row['_id']}: {error}, and it is here")
    return result


def _compare(there: OldPayment, here: ImportedView, result: Comparison) -> None:
    result.here["payments"] += 1
    unit = Unit(here.former.unit) if here.former else None
    meant = None if unit is None else in_minor_units(there.amount, unit)
    entry = result.sums[here.status.value, here.currency]
    entry[0] += 1
    entry[1] += here.amount
    entry[2] += meant or 0
    pairs = (
        ("amount", meant, here.amount),
        ("currency", there.currency, here.currency),
        ("order", there.order_id, here.razorpay_order_id),
        ("reference", there.reference, here.former and here.former.reference),
        ("time of creation", there.created_at, here.created_at),
    )
    for name, one, other in pairs:
        if one != other:
            result.note(f"{there.name}: {name} {one} there, {other} here")
    place = secrets.randbelow(result.here["payments"])
    if len(result.samples) < _SAMPLES:
        result.samples.append((there, here))
    elif place < _SAMPLES:
        result.samples[place] = (there, here)
