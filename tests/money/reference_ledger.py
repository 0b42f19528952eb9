"""What the model demands of the stored payments after every step, and of both books in the end."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from tests.aliases import Json
from tests.money.fake_gateway import FakeGateway

PAID = ("success", "refunded")
LATE_GRACE = timedelta(hours=24)
# What may follow what; the same status again is a note in between.
LEGAL = {
    ("pending", "success"),
    ("pending", "failed"),
    ("failed", "success"),
    ("success", "refunded"),
    ("refunded", "success"),  # the bank sent a refund back
}


class ReferenceLedger:
    """Follows every payment from step to step. Each check raises AssertionError."""

    def __init__(self, gateway: FakeGateway, late_payments: str = "refund") -> None:
        """`late_payments` is the setting LATE_PAYMENTS of the service."""
        self._gateway = gateway
        self._late_payments = late_payments
        self._before: dict[object, Json] = {}

    def follow(self, rows: Sequence[Json]) -> None:
        """Check what holds at any time, and what may have changed since the last look."""
        for row in rows:
            self._check_past(row)
            self._check_steps(row)
            self._check_refunds(row)
            for surplus in surplus_of(row):
                self._check_surplus(row, surplus)
            if row["status"] in PAID:
                counted = row["razorpayPaymentId"]
                assert self._gateway.payments[counted].captured, "success without a capture"
                assert counted not in {each["paymentId"] for each in surplus_of(row)}
        self._before = {row["_id"]: row for row in rows}
        for payment in self._gateway.payments.values():
            assert self._gateway.returned_of(payment.id) <= payment.amount, "returned twice"
        assert self._gateway.overdrawn == [], "asked to return more than was left"
        receipts = [order.receipt for order in self._gateway.orders.values()]
        assert len(receipts) == len(set(receipts)), "an order was made twice"
        ours = [r.receipt for r in self._gateway.refunds.values() if r.receipt]
        assert len(ours) == len(set(ours)), "a refund was made twice"

    def close(self, rows: Sequence[Json]) -> list[tuple[str, str]]:
        """Check that every captured paisa is accounted for, once all is delivered and all work is done.

        Return what the comparison has to leave to a person: kinds of findings, with their orders.
        """
        left: list[tuple[str, str]] = []
        for row in rows:
            captured = {
                payment.id: payment
                for payment in self._gateway.payments.values()
                if payment.captured and payment.order_id == row["razorpayOrderId"]
            }
            surplus = {each["paymentId"]: each for each in surplus_of(row)}
            assert surplus.keys() <= captured.keys()
            counted = captured.keys() - surplus.keys()
            if row["status"] in PAID:
                others = counted - {row["razorpayPaymentId"]}
                assert len(others) < len(counted)
                left += self._check_unentered(row, others)
                self._check_counted(row)
            else:
                left += self._check_held(row, counted)
                assert row.get("amountRefunded", 0) == 0
            for payment_id, each in surplus.items():
                assert each["status"] == "processed", "surplus that did not go back"
                lost = sum(d["lost"] for d in disputes_of(row) if d["paymentId"] == payment_id)
                returned = self._gateway.returned_of(payment_id)
                assert returned + lost >= captured[payment_id].amount
            self._check_disputes(row, set(captured))
        return sorted(left)

    def _check_held(self, row: Json, payment_ids: set[str]) -> list[tuple[str, str]]:
        """Check money of a sale that ended unpaid, and that does not go back: a person decides about it."""
        held = {
            each["paymentId"]
            for each in row.get("mismatches", [])
            if each["reason"] == "late_payment"
        }
        assert not held or self._late_payments == "hold", "left to a person"
        assert payment_ids <= held, f"{row['status']}, but paid"
        return [("status", row["razorpayOrderId"])] if payment_ids else []

    def _check_unentered(self, row: Json, payment_ids: set[str]) -> list[tuple[str, str]]:
        """Check second payments that no event told of: nobody returns them without looking at the first.

        Those that somebody returned in the dashboard are no matter any more.
        """
        kept = [
            each
            for each in payment_ids
            if self._gateway.returned_of(each) < self._gateway.payments[each].amount
        ]
        lost = sum(
            d["lost"] for d in disputes_of(row) if d["paymentId"] == row["razorpayPaymentId"]
        )
        has_nothing_left = row.get("amountRefunded", 0) + lost >= row["amountPaid"]
        assert not kept or has_nothing_left, "money that nobody accounts for"
        return [("second_payment", row["razorpayOrderId"])] * len(kept)

    def _check_past(self, row: Json) -> None:
        before = self._before.get(row["_id"])
        if before is None:
            return
        steps = before["history"]
        assert row["history"][: len(steps)] == steps, "the past was changed"
        assert row["status"] in PAID or before["status"] not in PAID, "success undone"
        for name in ("final", "cancelledAt", "payableUntil"):
            assert not before.get(name) or row.get(name) == before[name], f"{name} taken back"
        if before["status"] in PAID:
            for name in ("razorpayPaymentId", "amountPaid", "paidAt"):
                assert row[name] == before[name], f"{name} of what was paid has changed"

    def _check_steps(self, row: Json) -> None:
        steps = row["history"]
        statuses = [step["status"] for step in steps]
        assert (statuses[0], statuses[-1]) == ("pending", row["status"])
        changes = {pair for pair in pairwise(statuses) if pair[0] != pair[1]}
        assert changes <= LEGAL, changes
        finals = [step for step in steps if step.get("final")]
        assert bool(finals) == bool(row.get("final"))
        assert row["status"] not in PAID or row.get("final")
        ended = next((step for step in finals if step["status"] == "failed"), None)
        if ended is None:
            assert not any(step.get("late") for step in steps), "late, but the sale had not ended"
            return
        for step in steps[steps.index(ended) + 1 :]:
            assert ended["event"] != "cancelled" or step["status"] not in PAID, (
                "cancelled, but sold"
            )
        for step in steps:
            # A person's decision holds for whoever hears of the money first.
            is_approved = row.get("approvedPaymentId") == step.get("razorpayPaymentId")
            if step.get("late") and not is_approved:
                assert self._late_payments != "hold", "sold without a person"
                is_in_time = step["updatedAt"] <= row["payableUntil"] + LATE_GRACE
                assert is_in_time or self._late_payments == "capture", "too late to be sold"
        late = [step for step in steps if step.get("late")]
        assert len(late) == (row["status"] in PAID), "sold after the end without a word"
        assert not late or steps.index(late[0]) > steps.index(ended)

    def _check_refunds(self, row: Json) -> None:
        paid = row.get("amountPaid", row["amount"])
        reserved = [r for r in row.get("refunds", []) if r["status"] != "failed"]
        # The bank may have returned one that counts as processed here until we hear of it.
        known = self._gateway.refunds
        unheard = sum(
            r["amount"]
            for r in reserved
            if r.get("refundId") and known[r["refundId"]].status == "failed"
        )
        assert row.get("amountRefunded", 0) - unheard <= paid, "more returned than was captured"
        assert sum(r["amount"] for r in reserved) - unheard <= paid or any(
            r["source"] == "webhook" or not r.get("key") for r in reserved
        ), "more promised than was captured"
        ids = [r["refundId"] for r in row.get("refunds", []) if r.get("refundId")]
        assert len(ids) == len(set(ids)), "one refund was counted twice"

    def _check_surplus(self, row: Json, surplus: Json) -> None:
        assert self._gateway.payments[surplus["paymentId"]].captured
        known = [each["paymentId"] for each in surplus_of(row)]
        assert len(known) == len(set(known))
        sold = [
            s for s in row["history"] if s["status"] in PAID and s["updatedAt"] <= surplus["at"]
        ]
        match surplus["reason"]:
            case "second_payment":
                assert sold, "the first payment of its sale was given back as a second one"
            case "cancelled_payment":
                assert row["cancelledAt"] <= surplus["at"]
            case "late_payment":
                assert self._late_payments == "refund", "given back, against the setting"
                assert row["final"]
                assert not sold
                is_late = surplus["at"] > row["payableUntil"] + LATE_GRACE
                assert is_late, "given back, although the sale could still be paid"

    def _check_counted(self, row: Json) -> None:
        payment = self._gateway.payments[row["razorpayPaymentId"]]
        assert row["amountPaid"] == payment.amount
        refunded = self._gateway.returned_of(payment.id)
        assert row.get("amountRefunded", 0) == refunded
        assert (row["status"] == "refunded") == (refunded >= row["amountPaid"])
        assert (row.get("feeBearer"), row.get("offerId")) == (payment.fee_bearer, payment.offer_id)
        assert row["paidAt"].timestamp() == payment.created_at

    def _check_disputes(self, row: Json, payment_ids: set[str]) -> None:
        """Both books have the same disputes, and whoever lost money twice was named."""
        disputes = self._gateway.disputes.values()
        ours = {each["disputeId"]: each for each in disputes_of(row)}
        assert {each.id: each.status for each in disputes if each.payment_id in payment_ids} == {
            name: each["status"] for name, each in ours.items()
        }
        lost = {
            name: each["lost"]
            for name, each in ours.items()
            if each["lost"] and each["paymentId"] == row.get("razorpayPaymentId")
        }
        reserved = sum(r["amount"] for r in row.get("refunds", []) if r["status"] != "failed")
        # A refund of what the disputes left is right.
        if lost and reserved + sum(lost.values()) > row["amountPaid"]:
            assert lost.keys() <= {each.get("disputeId") for each in row.get("mismatches", [])}


def disputes_of(row: Json) -> list[Json]:
    found: list[Json] = row.get("disputes", [])
    return found


def surplus_of(row: Json) -> list[Json]:
    found: list[Json] = row.get("surplusPayments", [])
    return found
