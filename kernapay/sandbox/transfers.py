"""Transfers (Route): parts of the business's money for its linked accounts, and their way back."""

import re
from typing import Final

from kernapay.sandbox.account_entities import Reversal, Transfer, TransferKey
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.entities import Order, Payment, Refund, Settlement
from kernapay.sandbox.errors import bad_request, not_applicable
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import derive_id, new_id
from kernapay.sandbox.money import check_amount, transfer_fee
from kernapay.sandbox.resources import Resource, paginate
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.settlements import AdjustmentTerms, Settlements
from kernapay.sandbox.store import Store
from kernapay.sandbox.transfer_fields import (
    MIN_AMOUNT,
    TransferTerms,
    read_hold_end,
    read_terms,
    read_transfers,
)

# Ours: how long a transfer is pending, in seconds.
PROCESSING_SECONDS: Final = 1
REVERSIBLE: Final = ("processed", "partially_reversed")
_KEY: Final = re.compile(r"[A-Za-z0-9_ -]{4,36}")
_TOO_LITTLE: Final = {
    "code": "BAD_REQUEST_TRANSFER_INSUFFICIENT_BALANCE",
    "description": "Transfer failed due to insufficient balance",
    "reason": "insufficient_balance",
    "step": "balance_check",
    "source": "transfer",
}


class Transfers(Resource[Transfer]):
    def __init__(
        self,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        events: EventPublisher,
        settlements: Settlements,
    ) -> None:
        super().__init__("trf", store.transfers)
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        self._settlements = settlements
        scheduler.register("transfer.process", self._process)

    def add_to_order(self, order: Order, terms: list[TransferTerms]) -> None:
        """Add transfers that are made when the order is paid."""
        for each in terms:
            self._add(order.owner, order.id, "created", each)

    def create_from_payment(self, payment: Payment, fields: Fields) -> list[Transfer]:
        terms = read_transfers(fields)
        fields.reject_unread()
        if not terms:
            raise bad_request("The transfers field is required.", "transfers")
        for position, each in enumerate(terms):
            if each.amount < MIN_AMOUNT:
                words = f"The transfers.{position}.amount must be at least {MIN_AMOUNT}."
                raise bad_request(words, f"transfers.{position}.amount")
        if not payment.captured:
            raise not_applicable("The payment status should be captured for action to be taken")
        kept = sum(t.amount - t.amount_reversed for t in self.of_payment(payment) if not t.error)
        total = sum(each.amount for each in terms)
        if kept + total > payment.amount:
            words = "The sum of amount requested for transfer is greater than the captured amount"
            raise bad_request(words, "transfers")
        self._check_balance(payment.owner, total)
        transfers = [
            self._add(payment.owner, payment.id, "pending", each, payment.id) for each in terms
        ]
        for transfer in transfers:
            self._scheduler.schedule(PROCESSING_SECONDS, "transfer.process", transfer.id)
        return transfers

    def create_direct(self, owner: str, fields: Fields, key: str | None) -> Transfer:
        """Transfer from the balance, at once. A repeat with the key returns the earlier transfer."""
        terms = read_terms(fields)
        if terms.amount < MIN_AMOUNT:
            raise bad_request(f"The amount must be at least {MIN_AMOUNT}.", "amount")
        key_id = None if key is None else f"{owner}:{key}"
        if key is not None and not _KEY.fullmatch(key):
            raise bad_request("The idempotency key must be 4 to 36 letters, digits, - and _.")
        if key_id is not None and (earlier := self._store.transfer_keys.get(key_id)):
            if earlier.terms != terms:
                raise not_applicable(
                    "Different request with the same idempotency key has already been processed."
                )
            return self.get(owner, earlier.transfer_id)
        self._check_balance(owner, terms.amount)
        transfer = self._add(owner, derive_id("acc", owner), "pending", terms)
        if key_id is not None:
            row = TransferKey(id=key_id, terms=terms, transfer_id=transfer.id)
            self._store.transfer_keys.add(row)
        self._process(transfer.id)
        return transfer

    def of_order(self, order: Order) -> list[Transfer]:
        return self._table.find_by("source", order.id)

    def of_payment(self, payment: Payment) -> list[Transfer]:
        """Return what was transferred from the payment, by itself or by its order, oldest first."""
        by_order = self._table.find_by("source", payment.order_id) if payment.order_id else []
        return [
            *(each for each in by_order if each.payment_id == payment.id),
            *self._table.find_by("source", payment.id),
        ]

    def of_recipient(self, owner: str, recipient: str, page: Page) -> list[Transfer]:
        rows = [t for t in self._made(owner) if t.recipient == recipient]
        return paginate(rows, page)

    def search(self, owner: str, page: Page, settlement_id: str | None) -> list[Transfer]:
        rows = self._table.find_by("owner", owner)
        if settlement_id is not None:
            rows = [row for row in rows if row.recipient_settlement_id == settlement_id]
        return paginate(rows, page)

    def edit(self, transfer: Transfer, fields: Fields) -> Transfer:
        """Hold the settlement of the transfer, or release it."""
        on_hold, until = fields.flag("on_hold"), read_hold_end(fields)
        fields.reject_unread()
        if on_hold is None:
            raise bad_request("The on_hold field is required.", "on_hold")
        transfer.on_hold = on_hold
        transfer.on_hold_until = until if on_hold else None
        self._table.save(transfer)
        return transfer

    def reverse(self, transfer: Transfer, fields: Fields) -> Reversal:
        amount, notes = fields.integer("amount"), fields.notes() or {}
        fields.texts("linked_account_notes")
        fields.reject_unread()
        if amount is not None:
            check_amount(amount, transfer.currency, 10**18)
        return self._reverse(transfer, amount, notes, None)

    def reversals(self, transfer: Transfer, page: Page) -> list[Reversal]:
        return paginate(self._store.reversals.find_by("transfer_id", transfer.id), page)

    def check_reverse_all(self, payment: Payment, amount: int) -> None:
        """Raise RazorpayError if the transfers cannot come back for a refund of this amount.

        Nor can they for a part of a payment with several transfers: whose part would it be?
        """
        transfers = [t for t in self.of_payment(payment) if t.status in REVERSIBLE]
        if amount < payment.amount and len(transfers) > 1:
            # The vendor's words for it are not published.
            raise bad_request("reverse_all needs a full refund, or one transfer.", "reverse_all")
        for transfer in transfers:
            _check_unsettled(transfer)

    def reverse_all(self, payment: Payment, refund: Refund) -> None:
        """Take back what was transferred from a payment that is refunded."""
        for transfer in self.of_payment(payment):
            made = self._store.reversals.find_by("transfer_id", transfer.id)
            known = any(each.refund_id == refund.id for each in made)
            if transfer.status in REVERSIBLE and not known:
                left = transfer.amount - transfer.amount_reversed
                self._reverse(transfer, min(left, refund.amount), {}, refund.id)

    def on_capture(self, payment: Payment, order: Order) -> None:
        """Make the transfers of a paid order."""
        for transfer in self.of_order(order) if order.status == "paid" else ():
            if transfer.status == "created":
                transfer.status, transfer.payment_id = "pending", payment.id
                self._table.save(transfer)
                self._scheduler.schedule(PROCESSING_SECONDS, "transfer.process", transfer.id)

    def on_settle(self, owner: str) -> None:
        """Pay out to the linked accounts what was transferred to them and is not on hold."""
        now = self._clock.timestamp()
        by_recipient: dict[str, list[Transfer]] = {}
        for transfer in self._made(owner):
            if transfer.on_hold and transfer.on_hold_until and transfer.on_hold_until <= now:
                transfer.on_hold = False
            is_due = transfer.recipient_settlement_id is None and transfer.status in REVERSIBLE
            if is_due and not transfer.on_hold:
                by_recipient.setdefault(transfer.recipient, []).append(transfer)
        for recipient, transfers in by_recipient.items():
            settlement = self._store.settlements.add(
                Settlement(
                    id=new_id("setl"),
                    owner=recipient,
                    amount=sum(t.amount - t.amount_reversed for t in transfers),
                    fees=0,
                    tax=0,
                    utr=f"{now}{new_id('utr')[-6:]}",
                    created_at=now,
                    status="processed",
                )
            )
            for transfer in transfers:
                transfer.recipient_settlement_id = settlement.id
                self._table.save(transfer)
            self._events.publish_settlement("settlement.processed", settlement, parent=owner)

    def _made(self, owner: str) -> list[Transfer]:
        return [t for t in self._table.find_by("owner", owner) if t.processed_at is not None]

    def _add(
        self,
        owner: str,
        source: str,
        status: str,
        terms: TransferTerms,
        payment_id: str | None = None,
    ) -> Transfer:
        return self._table.add(
            Transfer(
                id=new_id("trf"),
                owner=owner,
                created_at=self._clock.timestamp(),
                source=source,
                payment_id=payment_id,
                status=status,
                recipient=terms.recipient,
                amount=terms.amount,
                currency=terms.currency,
                notes=terms.notes,
                linked_account_notes=terms.linked_account_notes,
                on_hold=terms.on_hold,
                on_hold_until=terms.on_hold_until,
            )
        )

    def _check_balance(self, owner: str, amount: int) -> None:
        if amount + transfer_fee(amount)[0] > self._settlements.balance(owner):
            raise not_applicable("Transfer cannot be made due to insufficient balance")

    def _process(self, transfer_id: str) -> None:
        transfer = self._table.get(transfer_id)
        if transfer is None or transfer.status != "pending":
            return
        fees, tax = transfer_fee(transfer.amount)
        if transfer.amount + fees > self._settlements.balance(transfer.owner):
            transfer.status, transfer.error = "failed", dict(_TOO_LITTLE)
        else:
            transfer.status, transfer.fees, transfer.tax = "processed", fees, tax
            transfer.processed_at = self._clock.timestamp()
            terms = AdjustmentTerms(
                type="transfer",
                debit=transfer.amount + fees,
                fee=fees,
                tax=tax,
                payment_id=transfer.payment_id,
            )
            self._settlements.adjust(transfer.owner, terms, transfer.id, transfer.amount)
        self._table.save(transfer)
        payment = self._store.payments.get(transfer.payment_id or "")
        subject = transfer.id if payment is None else payment.order_id or payment.id
        self._events.publish_transfer(f"transfer.{transfer.status}", transfer, subject)

    def _reverse(
        self, transfer: Transfer, amount: int | None, notes: dict[str, str], refund_id: str | None
    ) -> Reversal:
        left = transfer.amount - transfer.amount_reversed
        amount = left if amount is None else amount
        # The vendor's words for these two are not published.
        if transfer.status not in REVERSIBLE:
            raise not_applicable("Only a processed transfer can be reversed.")
        if amount > left:
            raise not_applicable("The reversal amount is greater than what was transferred.")
        _check_unsettled(transfer)
        reversal = self._store.reversals.add(
            Reversal(
                id=new_id("rvrsl"),
                owner=transfer.owner,
                created_at=self._clock.timestamp(),
                transfer_id=transfer.id,
                amount=amount,
                notes=notes,
                refund_id=refund_id,
            )
        )
        transfer.amount_reversed += amount
        transfer.status = "reversed" if amount == left else "partially_reversed"
        self._table.save(transfer)
        terms = AdjustmentTerms(type="reversal", credit=amount, payment_id=transfer.payment_id)
        self._settlements.adjust(transfer.owner, terms, reversal.id, amount)
        return reversal


def _check_unsettled(transfer: Transfer) -> None:
    if transfer.recipient_settlement_id is not None:
        raise not_applicable(
            "The linked account does not have sufficient balance to process reversal."
        )
