"""The state machine: data, so every sequence of events can be played."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernapay.payments.states import (
    ENQUIRIES,
    MOVES,
    PHASES,
    UNDECIDED,
    DisputeStatus,
    Event,
    Status,
)

PAID = {Status.SUCCESS, Status.REFUNDED}
sequences = st.lists(st.sampled_from(sorted(MOVES)), max_size=30)


def play(events: list[Event], status: Status = Status.PENDING) -> list[Status]:
    """Return every status the payment has, in order; an event without a move from there changes nothing.

    After a final move there is no other one.
    """
    seen = [status]
    for event in events:
        sources, target, is_final = MOVES[event]
        if seen[-1] in sources:
            seen.append(target)
            if is_final:
                break
    return seen


def decisive(events: list[Event]) -> Event | None:
    return next((event for event in events if MOVES[event].is_final), None)


@given(sequences)
def test_success_is_never_lost_whatever_comes_after(events: list[Event]) -> None:
    seen = play(events)
    if Status.SUCCESS in seen:
        assert set(seen[seen.index(Status.SUCCESS) :]) <= PAID


@given(sequences)
def test_captured_money_ends_in_success_unless_the_sale_ended_before(events: list[Event]) -> None:
    assert (play(events)[-1] in PAID) is (decisive(events) is Event.CAPTURED)


@given(sequences, st.integers(1, 4))
def test_repeated_events_change_nothing(events: list[Event], times: int) -> None:
    repeated = [event for event in events for _ in range(times)]
    assert play(repeated) == play(events)


@given(st.permutations(sorted(MOVES)))
def test_the_first_final_event_decides(events: list[Event]) -> None:
    assert (play(events)[-1] is Status.SUCCESS) is (decisive(events) is Event.CAPTURED)


@given(sequences, st.sampled_from(sorted(PAID)))
def test_no_event_leaves_a_paid_payment(events: list[Event], status: Status) -> None:
    assert play(events, status) == [status]


def test_no_move_stands_still_and_refunded_is_reached_by_refunds_only() -> None:
    for sources, target, is_final in MOVES.values():
        assert target not in sources or is_final, "such as the end of a failed payment"
        assert target is not Status.REFUNDED


@pytest.mark.parametrize(
    ("event", "sources", "target", "is_final"),
    [
        ("captured", {"pending", "failed"}, "success", True),
        # Never final: the order at the gateway can still be paid, and nobody has asked whether it is.
        ("declined", {"pending"}, "failed", False),
        ("expired", {"pending", "failed"}, "failed", True),
        ("cancelled", {"pending", "failed"}, "failed", True),
    ],
)
def test_each_event_moves_from_and_to(
    event: str, sources: set[str], target: str, is_final: bool
) -> None:
    move = MOVES[Event(event)]
    assert {source.value for source in move.sources} == sources
    assert (move.target.value, move.is_final) == (target, is_final)
    assert len(MOVES) == 4, "an authorisation moves nothing"


def test_money_came_in_for_these() -> None:
    assert {status for status in Status if status.is_paid} == PAID


def test_the_bank_has_decided_about_these() -> None:
    assert {status for status in DisputeStatus if status.is_decided} == {"won", "lost", "closed"}
    assert set(UNDECIDED) == {"open", "under_review"}


def test_a_dispute_moves_from_enquiries_to_chargebacks() -> None:
    assert PHASES == ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
    assert ENQUIRIES == ("fraud", "retrieval")
