"""The steps of repairs, and the differences that remain, as sentences for people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kernapay.payments.surplus_refunds import Surplus
from kernapay.reconciliation.differences import Difference

PERSON: Final = "the difference remains and needs a decision in the gateway's dashboard"
ON_ITS_WAY: Final = "the refund is on its way: repeat the repair to see whether it arrived"


@dataclass(frozen=True, slots=True)
class Step:
    """The step that the gateway's present answer requires. Without `act`, there is nothing to do automatically."""

    text: str
    act: Callable[[], Awaitable[object]] | None = None


def describe_difference(difference: Difference) -> str:
    return f"{difference.kind} {difference.ours} here, {difference.theirs} there"


def describe_returns(unreturned: Sequence[Surplus]) -> str:
    return "".join(
        f", and return {each.remaining} {each.payment.currency} of {each.payment.id}"
        for each in unreturned
        if each.remaining > 0
    )


def explain_rest(unreturned: Sequence[Surplus]) -> str | None:
    if not unreturned:
        return None
    return PERSON if any(each.remaining > 0 for each in unreturned) else ON_ITS_WAY
