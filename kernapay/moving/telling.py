"""Report what became of a payment."""

from kernapay.moving.payments import OldPayment
from kernapay.moving.report import UNKNOWABLE, Report
from kernapay.payments.states import Status


def tell(old: OldPayment, status: Status, problem: str | None, amount: int, report: Report) -> None:
    """Report what became of a payment. With a `problem`, the gateway could not be asked."""
    word = status.value
    if problem is not None and not status.is_paid:
        word = "unknown"
        report.note(UNKNOWABLE, f"{old.name}: shown as {old.status or 'nothing'}; {problem}")
    else:
        report.compare_words(old.status, status, old.name)
    report.count_moved(old.status or "nothing", word, old.currency, amount)


def leave(old: OldPayment, amount: int, report: Report) -> None:
    """Report a payment about which the gateway is asked later."""
    report.payments["not looked up yet"] += 1
    report.count_moved(old.status or "nothing", "to be seen", old.currency, amount)
