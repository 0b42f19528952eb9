"""A model of gateway, bank and service: whatever the order of the news, the dispute stored last is the gateway's."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import GatewayDispute
from kernapay.payments.dtos import PaymentCreate, RefundCreate
from kernapay.payments.states import ENQUIRIES, PHASES
from kernapay.security.principal import Principal, Role
from tests.aliases import Json, Store
from tests.money.models import ServiceModel, bind, only_if, with_examples

pytestmark = pytest.mark.long

AMOUNT = 50000
DECIDED = ("won", "lost", "closed")
EVENTS = ("under_review", "action_required", "under_review", "won", "lost", "next")
pick = st.integers(0, 50)


class Model(ServiceModel):
    @initialize(is_heard=st.booleans())
    def begin(self, is_heard: bool) -> None:
        """One paid payment; its capture may be told of after its disputes."""
        self.gateway.clear()
        for name in ("payments", "webhook_events"):
            self.stores[0][name].delete_many({})
        user = Principal(id=str(ObjectId()), role=Role.USER, session_id="model")
        self.admin = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="model")
        body = PaymentCreate(amount=AMOUNT, currency="INR", service_type="CONSULTATION")
        created, _ = self.loop.run(self.services.payment_service.create(user, body, "key"))
        self.reference = created.reference_id
        paid = self.gateway.attempt(created.order_id, "captured")
        assert paid is not None
        self.payment_id = paid.id
        if is_heard:
            for event in list(self.gateway.events):
                self.tell(event)
            self.gateway.events.clear()
        self.gateway.dispute(paid.id, 30000, "chargeback")

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def call() -> Any:
            with suppress(KernaPayError):
                return await work()

        return self.loop.run(call())

    def tell(self, event: tuple[str, bytes]) -> None:
        self.do(lambda: self.services.webhook_inbox.receive(event[1], event[0]))

    def row(self) -> Json:
        row = self.stores[0].payments.find_one({"referenceId": self.reference})
        assert row is not None
        return row

    def one(self, which: int) -> GatewayDispute:
        return list(self.gateway.disputes.values())[which % len(self.gateway.disputes)]

    # The bank.

    @rule(phase=st.sampled_from(PHASES[:3]), amount=st.sampled_from([10000, 50000]))
    @only_if(lambda self: len(self.gateway.disputes) < 3)
    def raise_dispute(self, phase: str, amount: int) -> None:
        self.gateway.dispute(self.payment_id, amount, phase)

    @rule(which=pick, events=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=4))
    @only_if(lambda self: self.gateway.disputes)
    def move(self, which: int, events: list[str]) -> None:
        """Let the bank go on with a dispute, several times in one second."""
        dispute_id = self.one(which).id
        for event in events:
            self.gateway.go_on(event, self.gateway.disputes[dispute_id])

    # The network, and time: several moves may fall into one second.

    @rule(which=st.lists(pick, min_size=1, max_size=4), again=st.booleans())
    @only_if(lambda self: self.gateway.events)
    def deliver(self, which: list[int], again: bool) -> None:
        """Deliver events, in any order, some twice."""
        events = self.gateway.events
        for number in which:
            if events:
                event = events[number % len(events)]
                if not again:
                    events.remove(event)
                self.tell(event)

    @rule(seconds=st.sampled_from([1, 3600]))
    def later(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(which=pick)
    @only_if(lambda self: self.gateway.disputes)
    def ask(self, which: int) -> None:
        self.do(lambda: self.services.dispute_service.refresh(self.one(which).id))

    @rule(amount=st.sampled_from([None, 10000]), key=st.sampled_from("xyz"))
    def refund(self, amount: int | None, key: str) -> None:
        body = RefundCreate(amount=amount)

        async def refund() -> None:
            held, reserved = await asyncio.to_thread(lambda: (self.held(), self.reserved()))
            payment = await self.services.refund_service.payment_of(self.admin, self.reference)
            await self.services.refund_service.refund(self.admin, payment, body, key)
            made = await asyncio.to_thread(self.reserved)
            assert made == reserved or made + held <= AMOUNT, "what a dispute holds was given back"

        self.do(refund)

    def reserved(self) -> int:
        refunds = self.row().get("refunds", [])
        return sum(each["amount"] for each in refunds if each["status"] != "failed")

    def held(self) -> int:
        return sum(each["held"] for each in self.row().get("disputes", []))

    # What always holds.

    @invariant()
    def what_is_stored_is_sound(self) -> None:
        if not hasattr(self, "reference"):
            return
        row = self.row()
        ids = [each["disputeId"] for each in row.get("disputes", [])]
        assert len(ids) == len(set(ids))
        for each in row.get("disputes", []):
            is_enquiry, is_decided = each["phase"] in ENQUIRIES, each["status"] in DECIDED
            held = 0 if is_enquiry or each["status"] == "won" else each["amount"]
            assert (each["held"], each["lost"]) == (held, held if is_decided else 0)
        assert row["history"][-1]["status"] == row["status"]
        if ids:
            assert row["status"] in ("success", "refunded"), "only what was captured is disputed"

    def teardown(self) -> None:
        """Deliver everything: then the stored disputes are the gateway's."""
        if not hasattr(self, "reference"):
            return
        for event in self.gateway.events:
            self.tell(event)
        self.what_is_stored_is_sound()
        row = self.row()
        assert {
            each["disputeId"]: (each["status"], each["phase"], each["amountDeducted"])
            for each in row.get("disputes", [])
        } == {
            each.id: (each.status, each.phase, each.amount_deducted or 0)
            for each in self.gateway.disputes.values()
        }
        told = {each.get("disputeId") for each in row.get("mismatches", [])}
        lost = {each["disputeId"] for each in row.get("disputes", []) if each["lost"]}
        assert told <= lost


@pytest.fixture
def model(api_env: dict[str, str], store: Store) -> Iterator[type[Model]]:
    with bind(Model, api_env, store) as bound:
        yield bound


@with_examples(10, soak=200, stateful_step_count=30)
def test_whatever_the_order_the_last_word_on_a_dispute_stays(
    examples: settings, model: type[Model]
) -> None:
    model.clock.ahead = timedelta(0)
    run_state_machine_as_test(model, settings=examples)


class Turn(NamedTuple):
    """One move of the bank, and what follows it at once."""

    event: str
    seconds: int
    """How long after the move before."""
    is_told: bool
    is_asked: bool
    """Whether the gateway is asked for the dispute, as in the night."""


turns = st.lists(
    st.builds(
        Turn, st.sampled_from(EVENTS), st.sampled_from([0, 0, 1]), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=6,
)


@with_examples(60, soak=1000)
def test_every_story_of_one_dispute_ends_as_the_gateway_ends_it(
    examples: settings, model: type[Model]
) -> None:
    @given(turns=turns, order=st.permutations(range(20)))
    def tell_story(turns: list[Turn], order: list[int]) -> None:
        tell(model, turns, order)

    examples(tell_story)()


def tell(model: type[Model], turns: list[Turn], order: list[int]) -> None:
    """Let the bank take the turns, deliver what is left of the events in this order, then each once more."""
    state = model()
    state.begin(is_heard=True)
    (dispute,) = model.gateway.disputes.values()
    waiting = list(model.gateway.events)

    def hear(event: tuple[str, bytes]) -> None:
        state.tell(event)
        waiting.remove(event)

    for turn in turns:
        model.clock.advance(seconds=turn.seconds)
        model.gateway.events.clear()
        model.gateway.go_on(turn.event, model.gateway.disputes[dispute.id])
        waiting += model.gateway.events
        if turn.is_told and waiting:
            hear(waiting[-1])
        if turn.is_asked:
            state.do(lambda: model.services.dispute_service.refresh(dispute.id))
    for place in order:
        if place < len(waiting):
            state.tell(waiting[place])
    for event in waiting:
        state.tell(event)

    theirs = model.gateway.disputes[dispute.id]
    (ours,) = state.row()["disputes"]
    assert (ours["status"], ours["phase"]) == (theirs.status, theirs.phase)
