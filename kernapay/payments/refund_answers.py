"""The answer to a refund, in its present state."""

from kernapay.payments.dtos import RefundCreated
from kernapay.payments.models import Payment, Refund
from kernapay.payments.refund_checks import RefundRejected, warn_of_enquiries
from kernapay.payments.returns import sum_remaining
from kernapay.payments.states import RefundState


def build_answer(payment: Payment, refund: Refund) -> RefundCreated:
    """Return the answer. Raises RefundRejected if the gateway refused the refund for good."""
    if refund.status == RefundState.FAILED and refund.refund_id is None:
        reason = refund.failure or "The payment gateway refused without a reason"
        raise RefundRejected(
            f"{reason.rstrip('.')}. Use another idempotencyKey for another attempt."
        )
    return RefundCreated(
        reference_id=payment.reference_id,
        refund_id=refund.refund_id,
        amount=refund.amount,
        currency=payment.currency,
        status=refund.status,
        refund_status=payment.refund_status,
        amount_refunded=payment.amount_refunded,
        amount_refundable=sum_remaining(payment),
        livemode=payment.livemode,
        speed=refund.speed,
        speed_processed=refund.speed_processed,
        arn=refund.arn,
        warning=warn_of_enquiries(payment),
    )
