"""The report of an import: counts, sums, and lists of what a person should look at."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kernapay.express_import.payment_rows import OldPayment
from kernapay.payments.states import PAID, Status

PAID_NEVER_WAS: Final = "shown as paid, never was"
PAID_SHOWN_AS_UNPAID: Final = "paid, not shown as paid"
REFUND_NOT_SHOWN: Final = "refunded, shown as paid"
OTHER_WORD: Final = "shown by another word"
UNKNOWABLE: Final = "status cannot be known"
PAID_TWICE: Final = "paid twice"
DOES_NOT_FIT: Final = "the gateway's payment does not fit"
CANNOT_MOVE: Final = "cannot move"
ASSUMED: Final = "amount by your word, not proved"
_PAID: Final = frozenset(status.value for status in PAID)
_MOST_KEPT: Final = 10
Progress = Callable[[str, int], None]
"""Called with the name of what is counted, and the count so far."""


@dataclass(slots=True)
class Report:
    """The report of one import.

    `users` and `payments` count rows by outcome, `odd` unusual values by kind, and `listed` the lines of each list.
    `beginnings` keeps the first lines of each list only, because millions would not fit into memory; `write` gets
    every line. `sums` has the number of imported payments and their sum in minor units, by the status that the Express
    service showed, the status at the gateway, and currency.
    """

    users: Counter[str] = field(default_factory=Counter)
    payments: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    beginnings: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    write: Callable[[str, str], object] = lambda kind, line: None
    sums: dict[tuple[str, str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )

    @property
    def has_open(self) -> bool:
        """Whether some rows could not be imported."""
        return self.listed[CANNOT_MOVE] > 0

    def note(self, kind: str, text: str) -> None:
        self.listed[kind] += 1
        if self.listed[kind] <= _MOST_KEPT:
            self.beginnings[kind].append(text)
        self.write(kind, text)

    def refuse_payment(self, subject: str, reason: str) -> None:
        """Count and list a payment that cannot be imported."""
        self.payments["cannot move"] += 1
        self.note(CANNOT_MOVE, f"{subject}: {reason}")

    def add_payment(
        self, old: OldPayment, status: Status, problem: str | None, amount: int
    ) -> None:
        """Count a payment over an amount in minor units, and list it if its old status was wrong or cannot be checked.

        `problem` says why the gateway could not be asked.
        """
        word = status.value
        if problem is not None and not status.is_paid:
            word = "unknown"
            self.note(UNKNOWABLE, f"{old.name}: shown as {old.status or 'nothing'}; {problem}")
        else:
            self._compare_status(old, status)
        self._add_sum(old, word, amount)

    def add_deferred(self, old: OldPayment, amount: int) -> None:
        """Count an imported payment about which a later import asks the gateway."""
        self.payments["not looked up yet"] += 1
        self._add_sum(old, "to be seen", amount)

    def _add_sum(self, old: OldPayment, status: str, amount: int) -> None:
        entry = self.sums[old.status or "nothing", status, old.currency]
        entry[0] += 1
        entry[1] += amount

    def _compare_status(self, old: OldPayment, status: Status) -> None:
        shown_as = old.status
        if shown_as == status.value:
            return
        was_paid = shown_as in _PAID
        if was_paid and not status.is_paid:
            kind = PAID_NEVER_WAS
        elif status.is_paid and not was_paid:
            kind = PAID_SHOWN_AS_UNPAID
        else:
            kind = REFUND_NOT_SHOWN if status is Status.REFUNDED else OTHER_WORD
        self.note(kind, f"{old.name}: shown as {shown_as or 'nothing'}, is {status.value}")
