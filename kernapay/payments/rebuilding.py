"""Rebuild the payments that a database lost, from the orders of the gateway."""

from collections.abc import Awaitable, Callable

import structlog

from kernapay.gateway.base import Order
from kernapay.payments.evidence import Origin
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.order_notes import OrderNote, client_notes, unpack
from kernapay.payments.references import created_at_of, payment_id_of
from kernapay.payments.states import Source

_log = structlog.get_logger("kernapay.payments")
_ORIGIN = Origin(Source.RECONCILIATION, "rebuilt")

RestoreCustomer = Callable[[str, str], Awaitable[str | None]]
"""Return the id of whom a shop's customer with this id is a part of by now. Enter an empty one if it is lost.

Return None if the customer is another shop's.
"""


def can_rebuild(order: Order) -> bool:
    """Return whether the notes of an order suffice to rebuild its payment."""
    return _note_of(order) is not None


class Rebuilding:
    def __init__(
        self, ledger: PaymentLedger, restore_customer: RestoreCustomer, *, live: bool
    ) -> None:
        self._ledger = ledger
        self._restore_customer = restore_customer
        self._live = live

    async def rebuild(self, order: Order) -> Payment | None:
        """Insert the payment of an order, as it was when the order was created, and return it.

        Return None if the order's note is not complete: orders of earlier versions have only the payment's id. The
        caller enters what was paid and refunded. `description`, `metadata` and the pages of a checkout link are lost,
        because the gateway never had them. A customer that is lost as well comes back with the id only.
        """
        note = _note_of(order)
        if note is None:
            return None
        customer_id = None
        if note.customer_id is not None:
            customer_id = await self._restore_customer(str(note.customer_id), str(note.user_id))
        payment = Payment(
            id=note.payment_id,
            user_id=note.user_id,
            reference_id=note.reference_id,
            payee_id=note.payee_id,
            provider_id=str(note.payee_id) if note.payee_id else None,
            customer_id=customer_id,
            checkout=note.has_link or None,
            receipt=order.receipt,
            order_id=order.id,
            razorpay_order_id=order.id,
            amount=order.amount,
            currency=order.currency,
            service_type=note.service_type,
            key_hash=note.key_hash,
            fingerprint=note.fingerprint,
            notes=client_notes(order.notes),
            livemode=self._live,
            created_at=created_at_of(note.reference_id),
        )
        payment = await self._ledger.restore(payment, _ORIGIN)
        _log.warning("payment_rebuilt", reference=payment.reference_id)
        return payment


def _note_of(order: Order) -> OrderNote | None:
    note = unpack(order.notes)
    return note if note and note.payment_id == payment_id_of(order.receipt) else None
