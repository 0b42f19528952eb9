"""The state machine: data, so every sequence of events can be played."""

from hypothesis import given
from hypothesis import strategies as st

from kernapay.payments.states import MOVES, Event, Status

PAID = {Status.SUCCESS, Status.REFUNDED}
sequences = st.lists(st.sampled_from(sorted(MOVES)), max_size=30)


def play(events: list[Event], status: Status = Status.PENDING) -> list[Status]:
    """Return every status the payment has, in order; an event without a move from there changes nothing."""
    seen = [status]
    for event in events:
        sources, target = MOVES[event]
        if seen[-1] in sources:
            seen.append(target)
    return seen


@given(sequences)
def test_success_is_never_lost_whatever_comes_after(events: list[Event]) -> None:
    seen = play(events)
    if Status.SUCCESS in seen:
        assert set(seen[seen.index(Status.SUCCESS) :]) <= PAID


@given(sequences)
def test_captured_money_always_ends_in_success(events: list[Event]) -> None:
    assert (play(events)[-1] in PAID) is (Event.CAPTURED in events)


@given(sequences, st.integers(1, 4))
def test_repeated_events_change_nothing(events: list[Event], times: int) -> None:
    repeated = [event for event in events for _ in range(times)]
    assert play(repeated) == play(events)


@given(st.permutations(sorted(MOVES)))
def test_the_end_does_not_depend_on_the_order(events: list[Event]) -> None:
    assert play(events)[-1] is Status.SUCCESS


@given(sequences, st.sampled_from(sorted(PAID)))
def test_no_event_leaves_a_paid_payment(events: list[Event], status: Status) -> None:
    assert play(events, status) == [status]


def test_no_move_stands_still_and_refunded_is_reached_by_refunds_only() -> None:
    for sources, target in MOVES.values():
        assert target not in sources
        assert target is not Status.REFUNDED
