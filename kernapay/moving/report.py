"""What an import saw, did and left: counts, sums, and lists for people."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

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
    """`users` and `payments` count what became of rows, `odd` forms, `listed` what a person should look at.

    `beginnings` has the first lines of each list, as millions would not fit into memory. `write` gets all of them.
    `sums` has the number and the sum in minor units of the payments that moved, by old word, status and currency.
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
        """Whether rows did not move."""
        return self.listed[CANNOT_MOVE] > 0

    def note(self, kind: str, text: str) -> None:
        self.listed[kind] += 1
        if self.listed[kind] <= _MOST_KEPT:
            self.beginnings[kind].append(text)
        self.write(kind, text)

    def count_moved(self, shown_as: str, status: str, currency: str, amount: int) -> None:
        """Count a payment that is here, over an amount in minor units."""
        entry = self.sums[shown_as, status, currency]
        entry[0] += 1
        entry[1] += amount

    def compare_words(self, shown_as: str | None, status: Status, text: str) -> None:
        """List a payment whose old word is not what the gateway says."""
        if shown_as == status.value:
            return
        was_paid = shown_as in _PAID
        if was_paid and not status.is_paid:
            kind = PAID_NEVER_WAS
        elif status.is_paid and not was_paid:
            kind = PAID_SHOWN_AS_UNPAID
        else:
            kind = REFUND_NOT_SHOWN if status is Status.REFUNDED else OTHER_WORD
        self.note(kind, f"{text}: shown as {shown_as or 'nothing'}, is {status.value}")
