"""Until when a payment can be paid, and what becomes of money that comes later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.models import Payment
from kernapay.payments.states import LatePayments, RefundState, Status

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
END = CREATED + WEEK
SECOND = timedelta(seconds=1)
LIFETIMES = Lifetimes(timedelta(minutes=15), WEEK)


def payment(**changes: Any) -> Payment:
    return Payment(**{"created_at": CREATED, "payable_until": END, **changes})


def lifetimes(late_payments: str) -> Lifetimes:
    return Lifetimes(timedelta(minutes=15), WEEK, LatePayments(late_payments))


def test_the_end_is_the_stored_one_and_of_older_rows_follows_from_their_age() -> None:
    assert LIFETIMES.payable_until(payment(payable_until=CREATED + SECOND)) == CREATED + SECOND
    assert LIFETIMES.payable_until(payment(payable_until=None)) == END


@pytest.mark.parametrize(
    ("changes", "at", "has_expired"),
    [
        ({}, END - SECOND, False),
        ({}, END, True),
        ({"status": Status.FAILED}, END, True),
        ({"status": Status.SUCCESS}, END, False),
        ({"status": Status.REFUNDED}, END, False),
        ({"final": True}, END, False),
    ],
)
def test_what_is_unpaid_at_its_end_has_expired_once(
    changes: dict[str, Any], at: datetime, has_expired: bool
) -> None:
    assert LIFETIMES.has_expired(payment(**changes), at) is has_expired


DAY_AFTER = END + timedelta(hours=24)


@pytest.mark.parametrize(
    ("setting", "at", "becomes"),
    [
        ("refund", DAY_AFTER, "capture"),
        ("refund", DAY_AFTER + SECOND, "refund"),
        ("capture", DAY_AFTER, "capture"),
        ("capture", DAY_AFTER + SECOND, "capture"),
        ("hold", END, "hold"),
        ("hold", DAY_AFTER, "hold"),
        ("hold", DAY_AFTER + SECOND, "hold"),
    ],
)
def test_for_a_day_a_sale_is_still_paid_unless_a_person_decides(
    setting: str, at: datetime, becomes: str
) -> None:
    assert lifetimes(setting).judge_late(payment(), "pay_1", at) == becomes


@pytest.mark.parametrize("setting", list(LatePayments))
def test_nothing_brings_back_what_was_cancelled(setting: str) -> None:
    cancelled = payment(cancelled_at=CREATED, approved_payment_id="pay_1")
    assert lifetimes(setting).judge_late(cancelled, "pay_1", CREATED) is LatePayments.REFUND


@pytest.mark.parametrize("setting", list(LatePayments))
def test_a_persons_approval_holds_for_the_payment_that_it_names(setting: str) -> None:
    approved = payment(approved_payment_id="pay_1")
    judge = lifetimes(setting).judge_late
    late = DAY_AFTER + SECOND
    assert judge(approved, "pay_1", late) is LatePayments.CAPTURE
    assert judge(approved, "pay_2", late) == setting


def test_late_money_goes_back_unless_the_operator_says_otherwise() -> None:
    assert LIFETIMES.judge_late(payment(), "pay_1", DAY_AFTER + SECOND) is LatePayments.REFUND


def test_money_may_come_four_days_after_the_last_moment_at_which_it_could_be_tried() -> None:
    assert LIFETIMES.may_come_late(END + timedelta(days=4)) == CREATED


def test_payers_take_turns_in_each_queue_and_a_claim_is_no_attempt() -> None:
    names = ("due", "attempts", "owner", "counts_claims", "is_visible", "leases", "offset")
    two_minutes = (timedelta(minutes=2),)
    for rules, due, attempts, offset in (
        (LIFETIMES.end_rules(), "ends_at", "end_checks", timedelta(0)),
        (LIFETIMES.surplus_rules(), "surplus_at", "surplus_checks", timedelta(0)),
        (LIFETIMES.check_rules(lambda _: {}), "check_at", "checks", timedelta(minutes=15)),
    ):
        assert tuple(getattr(rules, name) for name in names) == (
            *(due, attempts, "user_id", False, False, two_minutes, offset),
        )


def test_a_queue_has_the_rows_that_wait_for_it() -> None:
    rules = LIFETIMES.check_rules(lambda at: {"status": Status.PENDING, "created_at__lt": at})
    assert rules.waiting(END) == {"status": Status.PENDING, "created_at__lt": END}
    assert LIFETIMES.end_rules().waiting(END) == {}


def test_the_pauses_between_attempts_grow_to_a_day() -> None:
    minutes = {
        "end": (5, 30, 120, 720, 1440),
        "surplus": (2, 15, 60, 240, 1440),
        "check": (15, 60, 240, 720, 1440),
    }
    assert minutes == {
        name: tuple(pause.total_seconds() / 60 for pause in rules.pauses)
        for name, rules in (
            ("end", LIFETIMES.end_rules()),
            ("surplus", LIFETIMES.surplus_rules()),
            ("check", LIFETIMES.check_rules(lambda _: {})),
        )
    }


def test_surplus_that_nobody_can_return_counts_as_parked() -> None:
    rules = LIFETIMES.surplus_rules()
    assert rules.is_parked == {"surplus_payments__status": RefundState.FAILED}
