"""Decide who may see a payment, and which parts of it."""

from typing import Protocol

from kernapay.payments.disputes.news import EVENT_PREFIX
from kernapay.payments.dtos import StepView
from kernapay.security.principal import STAFF, Principal, Role


class Subject(Protocol):
    """The columns of a payment that decide who may see it."""

    @property
    def user_id(self) -> str: ...

    @property
    def payee_id(self) -> str | None: ...

    @property
    def customer_id(self) -> str | None: ...


def may_see(principal: Principal, payment: Subject) -> bool:
    """Return whether the caller may see the payment in full."""
    match principal.role:
        case Role.USER:
            return payment.user_id == principal.id
        case Role.PROVIDER:
            # A provider may have paid as a USER before its role changed.
            return principal.id in (payment.user_id, payment.payee_id)
        case Role.LAB_ASSISTANT | Role.ADMIN:
            return True


def may_see_disputes(principal: Principal, payment: Subject) -> bool:
    """Return whether the caller, who may see the payment, may see its disputes too."""
    if principal.is_shop:
        # What it sold to a customer is the shop's matter. What the account has bought itself is not.
        return payment.customer_id is not None and payment.user_id == principal.id
    return principal.role in STAFF or (
        principal.role is Role.PROVIDER and payment.payee_id == principal.id
    )


def is_of_dispute(step: StepView) -> bool:
    """Return whether a step of the history belongs to a dispute."""
    return (step.event or "").startswith(EVENT_PREFIX)
