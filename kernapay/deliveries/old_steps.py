"""Steps that an earlier version added, before an upgrade or during it: they name a refund or dispute in words only."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from kernapay.deliveries.payment_types import DisputeFacts, RefundFacts, StepFacts
from kernapay.payments.dtos import RefundView
from kernapay.payments.states import RefundState

_REFUND: Final = re.compile(r"refund (requested|pending|processed|failed|refused)(?:: [0-9]+)?$")
_DISPUTE: Final = re.compile(r"dispute (\S+) ")


class RefundRow(RefundView, kw_only=True, rename="camel"):
    """A refund as the payment has it now."""

    receipt: str | None = None


def complete_step(
    step: StepFacts, refunds: Sequence[RefundRow], disputes: Sequence[DisputeFacts]
) -> StepFacts:
    """Return the step with its refund or dispute, if the payment still has that as it was after the step.

    Else it stays as it is, and no event tells of it.
    """
    if step.refund is not None or step.dispute is not None or not step.reason:
        return step
    if found := _REFUND.match(step.reason):
        status = found[1].replace("refused", "failed")
        refund = _find_refund(step, refunds, RefundState(status))
        return msgspec.structs.replace(step, refund=refund)
    if found := _DISPUTE.match(step.reason):
        same = (d for d in disputes if d.dispute_id == found[1] and d.updated_at == step.updated_at)
        return msgspec.structs.replace(step, dispute=next(same, None))
    return step


def _find_refund(
    step: StepFacts, refunds: Sequence[RefundRow], status: RefundState
) -> RefundFacts | None:
    for each in refunds:
        was_requested = status is RefundState.REQUESTED and each.created_at == step.updated_at
        if was_requested or (each.status is status and each.updated_at == step.updated_at):
            return RefundFacts(
                amount=each.amount,
                status=status,
                refund_id=None if was_requested else each.refund_id,
                receipt=each.receipt,
                failure=None if was_requested else each.failure,
                speed_processed=None if was_requested else each.speed_processed,
                arn=None if was_requested else each.arn,
            )
    return None
