"""Settlements to the business, and the reconciliation feed with the rows of each."""

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import islice

import msgspec

from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Adjustment, Dispute, Payment, Refund, Settlement
from kernapay.sandbox.errors import ControlError, bad_request
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.money import base_amount
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.scheduler import Scheduler
from kernapay.sandbox.store import Store
from kernapay.sandbox.views import View, notes_view

# The days of Razorpay's feed are those of India.
INDIA = timezone(timedelta(hours=5, minutes=30))
Transaction = Payment | Refund | Dispute | Adjustment
STATUSES = ("created", "processed", "failed")
FINAL_STATUSES = ("processed", "failed")
FOREIGN_ROWS = ("base", "payment")


class AdjustmentTerms(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A row to add to the next settlement, in paise."""

    type: str = "adjustment"
    credit: int = 0
    debit: int = 0
    fee: int = 0
    tax: int = 0
    currency: str = "INR"
    description: str | None = None
    payment_id: str | None = None
    dispute_id: str | None = None


class Settlements(Resource[Settlement]):
    def __init__(
        self,
        config: SandboxConfig,
        store: Store,
        clock: Clock,
        scheduler: Scheduler,
        events: EventPublisher,
    ) -> None:
        super().__init__("setl", store.settlements)
        self._config = config
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        self._listeners: list[Callable[[str], None]] = []
        scheduler.register("settle", self._settle_all)

    def on_settle(self, listener: Callable[[str], None]) -> None:
        """Call the listener with the owner, before each of its settlements."""
        self._listeners.append(listener)

    def schedule_next(self) -> None:
        """Schedule the next settlement, unless one is scheduled already."""
        if all(timer.action != "settle" for timer in self._store.timers):
            self._scheduler.schedule(self._config.settle_after_hours * 3600, "settle", "all")

    def settle(
        self,
        owner: str,
        *,
        limit: int | None = None,
        status: str = "processed",
        foreign_rows: str = "base",
    ) -> Settlement | None:
        """Pay out what is not settled yet, oldest first. Return None if nothing is owed.

        With a `limit` in paise, whole transactions wait that it does not cover. A settlement that is only `created` has
        no UTR yet, and no event.
        """
        for listener in self._listeners:
            listener(owner)
        rows = _covered([r for r in self._transactions(owner) if r.settlement_id is None], limit)
        amount = sum(credit(row) - debit(row) for row in rows)
        if amount <= 0:
            return None
        settlement = self._store.settlements.add(
            Settlement(
                id=new_id("setl"),
                owner=owner,
                amount=amount,
                # Razorpay: 0 in an ordinary settlement, although its rows have fees.
                fees=0,
                tax=0,
                utr=None,
                created_at=self._clock.timestamp(),
                status="created",
                foreign_rows=foreign_rows,
            )
        )
        for row in rows:
            row.settlement_id = settlement.id
            if isinstance(row, Payment):
                self._store.payments.save(row)
            elif isinstance(row, Refund):
                self._store.refunds.save(row)
            elif isinstance(row, Adjustment):
                self._store.adjustments.save(row)
            else:
                self._store.disputes.save(row)
        return settlement if status == "created" else self.process(settlement, status)

    def balance(self, owner: str) -> int:
        """Return what is owed and not settled yet, in paise."""
        rows = (row for row in self._transactions(owner) if row.settlement_id is None)
        return sum(credit(row) - debit(row) for row in rows)

    def process(self, settlement: Settlement, status: str) -> Settlement:
        """Let the bank carry out a created settlement, or refuse it. Raise ControlError if it is decided."""
        if settlement.status != "created":
            raise ControlError(f"The settlement is {settlement.status} already.", 409)
        settlement.status = status
        if status == "processed":
            settlement.utr = f"{self._clock.timestamp()}{new_id('utr')[-6:]}"
        self._store.settlements.save(settlement)
        if status == "processed":
            self._events.publish_settlement("settlement.processed", settlement)
        return settlement

    def adjust(
        self,
        owner: str,
        terms: AdjustmentTerms,
        row_id: str | None = None,
        amount: int | None = None,
    ) -> Adjustment:
        """Add a row that the next settlement contains. The amount, in paise, is what is moved, without a fee."""
        prefix = {"transfer": "trf", "adjustment": "adj"}.get(terms.type, "row")
        return self._store.adjustments.add(
            Adjustment(
                id=row_id or new_id(prefix),
                owner=owner,
                created_at=self._clock.timestamp(),
                amount=max(terms.credit, terms.debit) if amount is None else amount,
                **msgspec.structs.asdict(terms),
            )
        )

    def recon(self, owner: str, query: Fields) -> list[View]:
        """Return the rows settled in a month, or on one day of it."""
        year, month, day = (query.integer(name) for name in ("year", "month", "day"))
        page = Page.from_query(query, max_count=1000, default_count=1000)
        query.reject_unread()
        if year is None or not 2000 <= year <= 2100:
            raise bad_request("The year is not a valid year.", "year")
        if month is None or not 1 <= month <= 12:
            raise bad_request("The month is not a valid month.", "month")
        days_in_month = calendar.monthrange(year, month)[1]
        if day is not None and not 1 <= day <= days_in_month:
            raise bad_request("The day is not a valid day.", "day")
        first_day = datetime(year, month, day or 1, tzinfo=INDIA)
        start = first_day.timestamp()
        end = (first_day + timedelta(days=1 if day else days_in_month)).timestamp()
        rows = (
            (row, settlement)
            for row in self._transactions(owner)
            if row.settlement_id
            and (settlement := self._store.settlements.get(row.settlement_id))
            and start <= settlement.created_at < end
        )
        return [self._recon_view(*each) for each in islice(rows, page.skip, page.skip + page.count)]

    def _settle_all(self, _: str) -> None:
        for owner in self._config.keys:
            self.settle(owner)
        self.schedule_next()

    def _transactions(self, owner: str) -> list[Transaction]:
        """Return what a settlement consists of, oldest first."""
        payments = (p for p in self._store.payments.find_by("owner", owner) if p.captured)
        refunds = (
            refund
            for refund in self._store.refunds.find_by("owner", owner)
            if refund.status == "processed" and self._payment(refund).captured
        )
        lost = (d for d in self._store.disputes.find_by("owner", owner) if d.amount_deducted)
        adjustments = self._store.adjustments.find_by("owner", owner)
        rows: list[Transaction] = [*payments, *refunds, *lost, *adjustments]
        return sorted(rows, key=lambda row: row.created_at)

    def _payment(self, row: Payment | Refund) -> Payment:
        if isinstance(row, Payment):
            return row
        payment = self._store.payments.get(row.payment_id)
        if payment is None:
            raise LookupError(f"{row.id} belongs to an unknown payment")
        return payment

    def _recon_view(self, row: Transaction, settlement: Settlement) -> View:
        view: View = {
            "entity_id": row.id,
            "type": type_of(row),
            "debit": debit(row),
            "credit": credit(row),
            "amount": row.amount,
            "currency": row.currency,
            "fee": 0 if isinstance(row, Refund | Dispute) else row.fee or 0,
            "tax": 0 if isinstance(row, Refund | Dispute) else row.tax or 0,
            "on_hold": False,
            "settled": True,
            "created_at": row.created_at,
            "settled_at": settlement.created_at,
            "settlement_id": settlement.id,
            "posted_at": None,
        }
        if isinstance(row, Payment | Refund):
            return view | self._entity_columns(row, settlement)
        adjustment = row if isinstance(row, Adjustment) else None
        is_transfer = view["type"] == "transfer"
        return {
            **view,
            # Razorpay: an adjustment has no credit type, no payment, and no UTR even when it is settled.
            **({"credit_type": "default"} if is_transfer else {}),
            "description": adjustment.description if adjustment else "Chargeback",
            "notes": None,
            "payment_id": adjustment and adjustment.payment_id,
            "settlement_utr": settlement.utr if is_transfer else None,
            **dict.fromkeys(("order_id", "order_receipt", "method")),
            **dict.fromkeys(("card_network", "card_issuer", "card_type")),
            "dispute_id": adjustment.dispute_id if adjustment else row.id,
        }

    def _entity_columns(self, row: Payment | Refund, settlement: Settlement) -> View:
        payment = self._payment(row)
        order = self._store.orders.get(payment.order_id) if payment.order_id else None
        is_base = settlement.foreign_rows == "base"
        amount = base_amount(row.amount, row.currency) if is_base else row.amount
        return {
            "amount": amount,
            "currency": "INR" if is_base else row.currency,
            "credit_type": "default",
            "description": payment.description,
            "notes": notes_view(row.notes),
            "payment_id": None if row is payment else payment.id,
            "settlement_utr": settlement.utr,
            "order_id": payment.order_id,
            "order_receipt": order.receipt if order else None,
            "method": payment.method,
            "card_network": payment.card and payment.card.network,
            "card_issuer": payment.card and payment.card.issuer,
            "card_type": payment.card and payment.card.type,
            "dispute_id": None,
        }


def type_of(row: Transaction) -> str:
    match row:
        case Payment():
            return "payment"
        case Refund():
            return "refund"
        case Adjustment():
            return row.type
    return "adjustment"


def credit(row: Transaction) -> int:
    """Return what came to the bank account, in paise."""
    if isinstance(row, Payment):
        return base_amount(row.amount, row.currency) - (row.fee or 0)
    return row.credit if isinstance(row, Adjustment) else 0


def debit(row: Transaction) -> int:
    """Return what was taken from the bank account, in paise."""
    if isinstance(row, Refund):
        return base_amount(row.amount, row.currency)
    if isinstance(row, Adjustment):
        return row.debit
    return base_amount(row.amount_deducted, row.currency) if isinstance(row, Dispute) else 0


def _covered(rows: list[Transaction], limit: int | None) -> list[Transaction]:
    """Return the rows that the balance covers."""
    if limit is None:
        return rows
    covered: list[Transaction] = []
    for row in rows:
        net = credit(row) - debit(row)
        if net <= limit:
            covered.append(row)
            limit -= net
    return covered
