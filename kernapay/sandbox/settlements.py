"""Settlements: what is paid out to the business, and the feed that explains each of them."""

import calendar
from datetime import UTC, datetime, timedelta, timezone

from kernapay.sandbox.agenda import Agenda
from kernapay.sandbox.announcer import Announcer
from kernapay.sandbox.books import Books, page_of
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.entities import Dispute, Payment, Refund, Settlement
from kernapay.sandbox.errors import bad_request, unknown_id
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.ids import check_id, new_id
from kernapay.sandbox.views import View, notes_view

INDIA = timezone(timedelta(hours=5, minutes=30))  # the vendor's books know days, not instants
Transaction = Payment | Refund | Dispute


class Settlements:
    def __init__(
        self,
        config: SandboxConfig,
        books: Books,
        clock: Clock,
        agenda: Agenda,
        announcer: Announcer,
    ) -> None:
        self._config = config
        self._books = books
        self._clock = clock
        self._agenda = agenda
        self._announcer = announcer
        agenda.actions["settle"] = self._settle_by_itself

    def get(self, owner: str, settlement_id: str) -> Settlement:
        check_id("setl", settlement_id)
        settlement = self._books.settlements.get(settlement_id)
        if settlement is None or settlement.owner != owner:
            raise unknown_id()
        return settlement

    def find(self, owner: str, page: Page) -> list[Settlement]:
        return page_of(self._books.settlements.by("owner", owner), page)

    def expect(self) -> None:
        """See to it that settlements go on by themselves."""
        if all(timer.action != "settle" for timer in self._books.timers):
            self._agenda.after(self._config.settle_after_hours * 3600, "settle", "all")

    def settle(self, owner: str) -> Settlement | None:
        """Pay out all that is not settled yet; return None when nothing is owed."""
        rows = [row for row in self._transactions(owner) if row.settlement_id is None]
        amount = sum(credit(row) - debit(row) for row in rows)
        if amount <= 0:
            return None
        now = self._clock.stamp()
        paid = [row for row in rows if isinstance(row, Payment)]
        settlement = self._books.settlements.add(
            Settlement(
                id=new_id("setl"),
                owner=owner,
                amount=amount,
                fees=sum(row.fee or 0 for row in paid),
                tax=sum(row.tax or 0 for row in paid),
                utr=f"{now}{new_id('utr')[-6:]}",
                created_at=now,
            )
        )
        for row in rows:
            row.settlement_id = settlement.id
            if isinstance(row, Payment):
                self._books.payments.changed(row)
            elif isinstance(row, Refund):
                self._books.refunds.changed(row)
            else:
                self._books.disputes.changed(row)
        self._announcer.settlement("settlement.processed", settlement)
        return settlement

    def recon(self, owner: str, query: Fields) -> list[View]:
        """Return the rows settled in a month, or on a day of it (in India's time)."""
        year, month, day = (query.integer(name) for name in ("year", "month", "day"))
        page = Page.of(query, most=1000, default=1000)
        query.done()
        if year is None or not 2000 <= year <= 2100:
            raise bad_request("The year is not a valid year.", "year")
        if month is None or not 1 <= month <= 12:
            raise bad_request("The month is not a valid month.", "month")
        days = calendar.monthrange(year, month)[1]
        if day is not None and not 1 <= day <= days:
            raise bad_request("The day is not a valid day.", "day")
        first = datetime(year, month, day or 1, tzinfo=INDIA)
        after = first + timedelta(days=1 if day else days)
        start, end = (moment.astimezone(UTC).timestamp() for moment in (first, after))
        rows = [
            self._recon_row(row, settlement)
            for row in self._transactions(owner)
            if row.settlement_id
            and (settlement := self._books.settlements.get(row.settlement_id))
            and start <= settlement.created_at < end
        ]
        return rows[page.skip : page.skip + page.count]

    def _settle_by_itself(self, _: str) -> None:
        for owner in self._config.keys:
            self.settle(owner)
        self.expect()

    def _transactions(self, owner: str) -> list[Transaction]:
        payments = (p for p in self._books.payments.by("owner", owner) if p.captured)
        refunds = (
            refund
            for refund in self._books.refunds.by("owner", owner)
            if refund.status == "processed" and self._payment(refund).captured
        )
        lost = (d for d in self._books.disputes.by("owner", owner) if d.amount_deducted)
        rows: list[Transaction] = [*payments, *refunds, *lost]
        return sorted(rows, key=lambda row: row.created_at)

    def _payment(self, row: Transaction) -> Payment:
        if isinstance(row, Payment):
            return row
        payment = self._books.payments.get(row.payment_id)
        if payment is None:
            raise LookupError(f"{row.id} belongs to a payment that is not in the books")
        return payment

    def _recon_row(self, row: Transaction, settlement: Settlement) -> View:
        payment = self._payment(row)
        order = self._books.orders.get(payment.order_id) if payment.order_id else None
        kinds: dict[type[Transaction], str] = {Payment: "payment", Refund: "refund"}
        return {
            "entity_id": row.id,
            "type": kinds.get(type(row), "adjustment"),
            "debit": debit(row),
            "credit": credit(row),
            "amount": row.amount,
            "currency": row.currency,
            "fee": row.fee or 0 if isinstance(row, Payment) else 0,
            "tax": row.tax or 0 if isinstance(row, Payment) else 0,
            "on_hold": False,
            "settled": True,
            "created_at": row.created_at,
            "settled_at": settlement.created_at,
            "settlement_id": settlement.id,
            "posted_at": None,
            "credit_type": "default",
            "description": payment.description,
            "notes": None if isinstance(row, Dispute) else notes_view(row.notes),
            "payment_id": None if row is payment else payment.id,
            "settlement_utr": settlement.utr,
            "order_id": payment.order_id,
            "order_receipt": order.receipt if order else None,
            "method": payment.method,
            "card_network": payment.card and payment.card.network,
            "card_issuer": payment.card and payment.card.issuer,
            "card_type": payment.card and payment.card.type,
            "dispute_id": row.id if isinstance(row, Dispute) else None,
        }


def credit(row: Transaction) -> int:
    return row.amount - (row.fee or 0) if isinstance(row, Payment) else 0


def debit(row: Transaction) -> int:
    if isinstance(row, Dispute):
        return row.amount_deducted
    return row.amount if isinstance(row, Refund) else 0
