"""How repairs tell people what they return, and what remains for them."""

from kernapay.gateway.base import GatewayPayment, GatewayRefund
from kernapay.payments.surplus_refunds import Surplus
from kernapay.reconciliation.repair_steps import (
    ON_ITS_WAY,
    PERSON,
    describe_returns,
    explain_rest,
)


def surplus(number: int, remaining: int) -> Surplus:
    """Return a payment of 500 of which so much waits to be returned."""
    payment = GatewayPayment(
        id=f"pay_{number}", status="captured", amount=500, currency="INR", order_id="order_1"
    )
    refund = GatewayRefund(
        id=f"rfnd_{number}",
        payment_id=payment.id,
        amount=500 - remaining,
        currency="INR",
        status="pending",
    )
    return Surplus(payment, [refund], 0)


def test_only_what_is_left_to_return_is_told_each_payment_by_itself() -> None:
    found = [surplus(1, 500), surplus(2, 0), surplus(3, 1)]
    assert describe_returns(found) == ", and return 500 INR of pay_1, and return 1 INR of pay_3"
    assert describe_returns([surplus(2, 0)]) == ""


def test_the_last_paisa_needs_a_person_and_a_refund_on_its_way_needs_nobody() -> None:
    assert explain_rest([]) is None
    assert explain_rest([surplus(1, 0)]) == ON_ITS_WAY
    assert explain_rest([surplus(1, 0), surplus(2, 1)]) == PERSON
