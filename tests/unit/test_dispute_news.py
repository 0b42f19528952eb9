"""What the gateway says of a dispute beside what is stored: whether to ask it, which is newer, and what to store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernapay.gateway.base import GatewayDispute
from kernapay.payments.disputes.double_returns import REASON, may_be_doubled
from kernapay.payments.disputes.news import (
    News,
    build_dispute,
    changes,
    describe,
    find_dispute,
    is_newer,
    is_unsure,
)
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Dispute, Mismatch, Payment, Refund, SurplusPayment
from kernapay.payments.states import DisputeStatus, RefundState, Source, Status

AT = 1_800_000_000
NOW = datetime(2027, 1, 20, tzinfo=UTC)
DEADLINE = AT + 10 * 86_400
RESPOND_BY = datetime.fromtimestamp(DEADLINE, UTC)
PAYMENT = Payment(amount=50_000, currency="INR", status=Status.SUCCESS, razorpay_payment_id="pay_1")


def news(
    name: str = "under_review", at: int | None = AT + 1, *, is_asked: bool = False, **changes: Any
) -> News:
    facts = {
        "id": "disp_1",
        "payment_id": "pay_1",
        "amount": 30_000,
        "currency": "INR",
        "status": "under_review",
        "phase": "chargeback",
        "respond_by": DEADLINE,
    }
    origin = Origin(Source.WEBHOOK, f"payment.dispute.{name}")
    return News(GatewayDispute(**{**facts, **changes}), origin, at, is_asked)


def known(**changes: Any) -> Dispute:
    """Return what is stored: by default, the dispute as it was raised."""
    facts = {
        "dispute_id": "disp_1",
        "payment_id": "pay_1",
        "amount": 30_000,
        "currency": "INR",
        "status": DisputeStatus.OPEN,
        "phase": "chargeback",
        "respond_by": RESPOND_BY,
        "source": Source.WEBHOOK,
        "as_of": AT,
        "rank": 30,
    }
    return Dispute(**{**facts, **changes})


REVIEWED = {"status": DisputeStatus.UNDER_REVIEW, "rank": 31}


@pytest.mark.parametrize(
    ("heard", "stored", "expected"),
    [
        (news(), None, False),
        (news(), known(), False),
        (news(at=AT), known(), True),  # in the same second
        (news(at=AT - 1), known(), False),  # old
        (news(at=None), known(), True),
        (news(at=None), known(**REVIEWED), False),  # a repeat
        (news(), known(source=Source.RECONCILIATION), True),
        (news(), known(status=DisputeStatus.LOST), True),
        (news(), known(status=DisputeStatus.WON), True),
        (news(), known(source=Source.RECONCILIATION, **REVIEWED), False),
        # The name of an event contradicts its content.
        (news("won"), None, True),
        (news("created"), known(**REVIEWED), True),
        (news("action_required"), None, True),
        (news("lost", status="won"), None, True),
        (news("a_new_event"), None, False),
        (news("created", status="a_new_status"), None, False),
    ],
)
def test_the_gateway_is_asked_where_an_event_alone_does_not_decide(
    heard: News, stored: Dispute | None, expected: bool
) -> None:
    assert is_unsure(heard, stored) is expected


@pytest.mark.parametrize(
    ("heard", "stored", "expected"),
    [
        (news(), known(), True),
        (news(at=AT), known(), True),  # of one second, a review follows
        (news(at=AT), known(**REVIEWED), False),
        (news("created", at=AT, status="open"), known(**REVIEWED), False),
        (news("action_required", at=AT, status="open"), known(**REVIEWED), True),
        (news("lost", at=AT, status="lost"), known(rank=32), True),
        (news("created", at=AT, status="open", phase="arbitration"), known(rank=33), True),
        (news("created", at=AT, status="open", phase="a_new_phase"), known(rank=1), False),
        (news(at=AT - 1), known(), False),
        (news(at=None), known(), True),
        (news(at=None), known(**REVIEWED), False),
        # What was asked for is the present state, however old its event.
        (news(at=AT - 1, is_asked=True), known(), True),
        (news(at=AT - 1, is_asked=True), known(**REVIEWED), False),
        (news(at=AT, is_asked=True), known(**REVIEWED), False),
    ],
)
def test_the_newer_word_is_the_later_one_and_of_one_second_the_further_one(
    heard: News, stored: Dispute, expected: bool
) -> None:
    assert is_newer(heard, stored) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"status": "lost"},
        {"phase": "arbitration"},
        {"amount": 30_001},
        {"currency": "USD"},
        {"amount_deducted": 1},
        {"respond_by": DEADLINE + 1},
        {"respond_by": None},
    ],
)
def test_each_fact_is_a_change_and_the_same_facts_are_none(change: dict[str, Any]) -> None:
    stored = known(**REVIEWED)
    assert changes(news(**change), stored)
    assert not changes(news(amount_deducted=0, reason_code="another"), stored)


def test_what_is_stored_is_all_that_the_gateway_says() -> None:
    raised = news(
        "created",
        status="open",
        reason_code=7,
        reason_description="Not received",
        created_at=AT - 5,
        amount_deducted=100,
    )
    assert build_dispute(PAYMENT, None, raised, NOW).to_mongo() == {
        "disputeId": "disp_1",
        "paymentId": "pay_1",
        "amount": 30_000,
        "currency": "INR",
        "amountDeducted": 100,
        "phase": "chargeback",
        "status": "open",
        "reasonCode": "7",
        "reasonDescription": "Not received",
        "respondBy": RESPOND_BY,
        "held": 30_000,
        "lost": 0,
        "source": "webhook",
        "asOf": AT + 1,
        "rank": 30,
        "revision": 1,
        "warnAt": RESPOND_BY - timedelta(hours=48),
        "createdAt": datetime.fromtimestamp(AT - 5, UTC),
        "updatedAt": NOW,
    }


def test_what_news_leave_out_stays_as_it_is_known() -> None:
    created = NOW - timedelta(days=1)
    stored = known(
        reason_code="7", reason_description="Not received", created_at=created, revision=4
    )
    after = build_dispute(PAYMENT, stored, news("lost", at=AT - 9, status="lost"), NOW)
    assert (after.reason_code, after.reason_description, after.created_at) == (
        *("7", "Not received", created),
    )
    assert (after.as_of, after.revision, after.held, after.lost) == (AT, 5, 30_000, 30_000)
    assert (after.source, after.warn_at) == (Source.WEBHOOK, None)

    unknown = build_dispute(PAYMENT, None, news(at=None, is_asked=True), NOW)
    assert (unknown.as_of, unknown.created_at, unknown.source) == (0, NOW, Source.RECONCILIATION)
    assert (unknown.reason_code, unknown.amount_deducted) == (None, 0)


@pytest.mark.parametrize("never", [10**18, -(10**18), 0, None])
def test_a_deadline_that_is_no_time_is_none(never: int | None) -> None:
    raised = build_dispute(PAYMENT, None, news("created", status="open", respond_by=never), NOW)
    assert (raised.respond_by, raised.warn_at) == (None, None)


WARN_AT = RESPOND_BY - timedelta(hours=48)


@pytest.mark.parametrize(
    ("stored", "heard", "warn_at"),
    [
        (known(warn_at=WARN_AT), {}, WARN_AT),
        (known(), {}, None),  # somebody was warned
        (known(), {"phase": "arbitration"}, WARN_AT),
        (known(**REVIEWED), {}, WARN_AT),
        (known(), {"respond_by": DEADLINE + 60}, WARN_AT + timedelta(minutes=1)),
        (known(warn_at=WARN_AT), {"status": "under_review"}, None),
    ],
)
def test_of_each_deadline_somebody_is_warned_once(
    stored: Dispute, heard: dict[str, Any], warn_at: datetime | None
) -> None:
    told = news("action_required", **{"status": "open", **heard})
    assert build_dispute(PAYMENT, stored, told, NOW).warn_at == warn_at


def test_a_dispute_is_found_by_its_id_and_described_with_what_was_taken() -> None:
    first, second = known(dispute_id="disp_0"), known(amount_deducted=70)
    payment = Payment(disputes=[first, second])
    assert find_dispute(payment, "disp_1") is second
    assert find_dispute(payment, "disp_2") is None
    assert describe(first) == "dispute disp_0 open: chargeback, 30000"
    assert describe(second) == "dispute disp_1 open: chargeback, 30000, deducted 70"


def lost(amount: int, **changes: Any) -> Dispute:
    return known(status=DisputeStatus.LOST, held=amount, lost=amount, **changes)


def told_of(dispute_id: str, reason: str = REASON) -> Mismatch:
    return Mismatch(at=NOW, source=Source.RECONCILIATION, reason=reason, dispute_id=dispute_id)


@pytest.mark.parametrize(
    ("dispute", "mismatches", "expected"),
    [
        (lost(30_001), [], True),
        (lost(30_000), [], False),  # the rest was refunded
        (known(held=30_001), [], False),
        (lost(30_001), [told_of("disp_1")], False),
        (lost(30_001), [told_of("disp_2"), told_of("disp_1", "amount")], True),
        (lost(1, payment_id="pay_surplus"), [], True),  # only the gateway knows
        (lost(30_001, payment_id="pay_foreign"), [], False),
    ],
)
def test_money_may_have_gone_back_twice_if_more_left_than_came_in_and_nobody_was_told(
    dispute: Dispute, mismatches: list[Mismatch], expected: bool
) -> None:
    payment = Payment(
        amount=50_000,
        currency="INR",
        status=Status.SUCCESS,
        razorpay_payment_id="pay_1",
        disputes=[dispute],
        mismatches=mismatches,
        refunds=[Refund(amount=20_000, status=RefundState.PROCESSED)],
        surplus_payments=[SurplusPayment(payment_id="pay_surplus")],
    )
    assert may_be_doubled(payment, dispute) is expected
