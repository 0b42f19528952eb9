"""What a caller hears of what settling did."""

import pytest

from kernapay.payments.models import Payment
from kernapay.payments.outcomes import (
    EvidenceMismatch,
    Outcome,
    Settled,
    require_fit,
    require_match,
)
from kernapay.payments.returns import PaymentReturned
from kernapay.payments.states import SurplusReason


def settled(outcome: Outcome, reason: str | None = None) -> Settled:
    return Settled(Payment(), outcome, reason)


@pytest.mark.parametrize("outcome", [Outcome.MOVED, Outcome.UNCHANGED])
@pytest.mark.parametrize("require", [require_match, require_fit])
def test_what_fits_goes_on(outcome: Outcome, require: object) -> None:
    result = settled(outcome)
    assert callable(require)
    assert require(result) is result


@pytest.mark.parametrize("require", [require_match, require_fit])
def test_a_mismatch_stops_and_names_its_reason(require: object) -> None:
    assert callable(require)
    with pytest.raises(EvidenceMismatch) as stopped:
        require(settled(Outcome.MISMATCH, "currency"))
    assert stopped.value.reason == "currency"
    assert "another currency" in stopped.value.detail


@pytest.mark.parametrize("reason", list(SurplusReason))
def test_surplus_matches_and_does_not_fit_its_sale(reason: SurplusReason) -> None:
    result = settled(Outcome.SURPLUS, reason.value)
    assert require_match(result) is result
    if reason is SurplusReason.SECOND:
        with pytest.raises(EvidenceMismatch) as stopped:
            require_fit(result)
        assert stopped.value.reason == "second_payment"
        return
    with pytest.raises(PaymentReturned, match="after the end of its sale"):
        require_fit(result)
