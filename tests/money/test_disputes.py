"""Disputes: what the gateway says of them is entered in any order, holds the money, and is seen by who may see it."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from kernapay.bootstrap.services import Services
from kernapay.gateway.base import GatewayDispute
from kernapay.payments.disputes.news import News, build_dispute
from kernapay.payments.evidence import Origin
from kernapay.payments.models import Refund
from kernapay.payments.refund_checks import PaymentDisputed
from kernapay.payments.states import RefundState, Source
from tests.actors import Actor, People, assert_problem, status, verify
from tests.aliases import Json
from tests.factories import unique
from tests.money.disputes import (
    DISPUTES,
    FIRST,
    invented,
    move,
    raise_dispute,
    request_refund,
    resolve,
    seen,
    stored,
    tell,
)
from tests.money.shop import LONG_AGO, Shop
from tests.stack import Api
from tests.waiting import eventually


@pytest.fixture
def sale(shop: Shop, user: Actor) -> tuple[Json, Json]:
    """A paid payment, and what Checkout gave."""
    return user.buy(shop.sandbox)


def test_the_gateways_events_bring_a_dispute_to_all_who_may_see_it(
    api: httpx.Client, api_server: Api, shop: Shop, people: People
) -> None:
    payer, admin, assistant = (people.new(role) for role in ("USER", "ADMIN", "LAB_ASSISTANT"))
    paid, other = (people.new("PROVIDER", approved=True) for _ in range(2))
    payment, checkout = payer.buy(shop.sandbox, providerId=paid.id)
    shop.sandbox.deliver_to(api_server.url)
    raised = raise_dispute(
        shop, checkout["razorpay_payment_id"], amount=20000, reason_description="Not received"
    )
    path = f"{DISPUTES}/{raised['id']}"
    eventually(lambda: admin.call("GET", path).status_code == 200)

    assert shop.row(payment)["disputed"] is True
    shown = seen(admin, raised)
    assert {**shown, "createdAt": 0, "updatedAt": 0, "respondBy": 0} == {
        "disputeId": raised["id"],
        "referenceId": payment["referenceId"],
        "paymentId": checkout["razorpay_payment_id"],
        "amount": 20000,
        "currency": "INR",
        "amountDeducted": 0,
        "status": "open",
        "phase": "chargeback",
        "reasonCode": "chargeback",
        "reasonDescription": "Not received",
        "source": "webhook",
        "respondBy": 0,
        "createdAt": 0,
        "updatedAt": 0,
    }
    assert seen(paid, raised) == seen(assistant, raised) == shown
    for actor in (admin, assistant, paid):
        listed = actor.call("GET", DISPUTES).json()
        assert [each["disputeId"] for each in listed] == [raised["id"]]
        detail = actor.seen(payment["referenceId"])
        assert [each["disputeId"] for each in detail["disputes"]] == [raised["id"]]
        assert detail["history"][-1]["event"] == "payment.dispute.created"
    assert other.call("GET", DISPUTES).json() == []
    assert_problem(other.call("GET", f"{DISPUTES}/{raised['id']}"), 404)
    assert_problem(payer.call("GET", DISPUTES), 403)
    assert_problem(payer.call("GET", f"{DISPUTES}/{raised['id']}"), 403)
    # The payer's bank tells the payer, we do not.
    own = payer.seen(payment["referenceId"])
    assert own["disputes"] == []
    assert "dispute" not in str(own["history"])
    assert status(api, payment)["status"] == "success"

    move(shop, raised, "under_review")
    eventually(lambda: seen(admin, raised)["status"] == "under_review")
    move(shop, raised, "action_required")
    eventually(lambda: seen(admin, raised)["status"] == "open")
    resolve(shop, raised, "lost")
    eventually(lambda: seen(admin, raised)["status"] == "lost")
    assert seen(admin, raised)["amountDeducted"] == 20000
    steps = [step["event"] for step in shop.row(payment)["history"]]
    assert steps[-4:] == [
        f"payment.dispute.{name}" for name in ("created", "under_review", "action_required", "lost")
    ]


@pytest.mark.parametrize("phase", ["chargeback", "pre_arbitration", "arbitration", "a_new_phase"])
@pytest.mark.parametrize("ending", ["open", "under_review", "a_new_status", "lost"])
def test_a_refund_of_the_disputed_part_is_refused(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json], phase: str, ending: str
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount=30000, phase=phase)
    tell(api, "created", raised)
    if ending != "open":
        deducted = 30000 if ending == "lost" else 0
        tell(api, ending, {**raised, "status": ending, "amount_deducted": deducted}, FIRST + 1)

    refused = assert_problem(
        request_refund(admin, payment, 20001), 409, field="amount", code="payment_disputed"
    )
    assert raised["id"] in refused["detail"]
    assert "200.00" in refused["detail"], "it says what is left"
    assert shop.row(payment).get("refunds", []) == []
    rest = request_refund(admin, payment)
    assert (rest.status_code, rest.json()["data"]["amount"]) == (201, 20000)
    assert_problem(request_refund(admin, payment), 409, code="payment_disputed")
    assert_problem(request_refund(admin, payment, 60000), 409, code="not_refundable")


def test_a_dispute_that_was_won_gives_the_money_back(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount_deducted=50000)
    tell(api, "created", raised)
    assert_problem(request_refund(admin, payment, 1000), 409, code="payment_disputed")

    # As with an account that is charged at the onset: whatever the entity says then, a won one holds nothing.
    tell(api, "won", {**raised, "status": "won"}, FIRST + 1)

    assert request_refund(admin, payment).json()["data"]["amount"] == 50000


@pytest.mark.parametrize("phase", ["fraud", "retrieval"])
def test_an_enquiry_may_be_ended_by_a_refund_which_says_so(
    api: httpx.Client,
    api_server: Api,
    shop: Shop,
    admin: Actor,
    sale: tuple[Json, Json],
    phase: str,
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], phase=phase)
    tell(api, "created", raised)

    answer = request_refund(admin, payment, 20000, "one-key")

    assert answer.status_code == 201, answer.text
    assert raised["id"] in answer.json()["data"]["warning"]
    (line,) = api_server.log_entries("refund_under_enquiry", reference=payment["referenceId"])
    assert raised["id"] in line["warning"]
    tell(api, "closed", {**raised, "status": "closed"}, FIRST + 1)
    again = request_refund(admin, payment, 20000, "one-key")
    assert (again.status_code, again.json()["data"]["warning"]) == (200, None)
    assert request_refund(admin, payment).json()["data"]["amount"] == 30000


def test_an_enquiry_that_took_the_money_holds_it(
    api: httpx.Client, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], phase="fraud", amount_deducted=50000)
    tell(api, "created", raised)
    assert_problem(request_refund(admin, payment, 1000), 409, code="payment_disputed")


def test_the_money_of_a_lost_dispute_counts_as_returned(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"])
    tell(api, "created", raised)
    assert verify(api, payment, checkout).status_code == 200, "it may still be won"

    tell(api, "lost", {**raised, "status": "lost", "amount_deducted": 50000}, FIRST + 1)

    assert_problem(verify(api, payment, checkout), 409, code="payment_returned")
    row = shop.row(payment)
    assert (row["status"], row["amountRefunded"]) == ("success", 0), "it is no refund"


def test_a_part_that_was_lost_leaves_the_rest(
    api: httpx.Client, sale: tuple[Json, Json], admin: Actor
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount=30000)
    tell(api, "created", raised)
    tell(api, "lost", {**raised, "status": "lost", "amount_deducted": 10000}, FIRST + 1)

    assert verify(api, payment, checkout).status_code == 200
    assert request_refund(admin, payment).json()["data"]["amount"] == 40000


def test_a_dispute_lost_after_a_refund_is_told_to_a_person_once(
    api: httpx.Client, api_server: Api, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    assert request_refund(admin, payment, 20000).status_code == 201
    raised = invented(checkout["razorpay_payment_id"], amount=30001)
    tell(api, "created", raised)
    assert shop.row(payment).get("mismatches", []) == []
    lost = {**raised, "status": "lost", "amount_deducted": 30001}
    for _ in range(2):
        tell(api, "lost", lost, FIRST + 1)

    (mismatch,) = shop.row(payment)["mismatches"]
    assert (mismatch["reason"], mismatch["disputeId"], mismatch["amount"]) == (
        "dispute_lost_after_refund",
        raised["id"],
        30001,
    )
    assert len(api_server.log_entries("dispute_lost_after_refund", dispute=raised["id"])) == 1


def test_a_refund_of_what_a_lost_dispute_left_is_no_finding(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"], amount=10000)
    lost = resolve(shop, raised, "lost")
    tell(api, "lost", lost)
    assert request_refund(admin, payment).json()["data"]["amount"] == 40000

    tell(api, "lost", lost, FIRST + 9)

    assert shop.differences() == []
    assert shop.row(payment).get("mismatches", []) == []


def test_two_disputes_hold_a_part_each(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    first, second = (
        invented(checkout["razorpay_payment_id"], amount=amount) for amount in (10000, 15000)
    )
    tell(api, "created", first)
    tell(api, "created", second)
    assert_problem(request_refund(admin, payment, 25001), 409, code="payment_disputed")

    tell(api, "lost", {**first, "status": "lost", "amount_deducted": 10000}, FIRST + 1)
    tell(api, "won", {**second, "status": "won"}, FIRST + 1)

    assert [each["status"] for each in stored(shop, payment)] == ["lost", "won"]
    assert request_refund(admin, payment).json()["data"]["amount"] == 40000


def test_the_same_dispute_may_go_on_in_a_later_phase(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    tell(api, "created", raised)
    won = resolve(shop, raised, "won")
    tell(api, "won", won, FIRST + 1)
    reopened = move(shop, raised, "reopened", "pre_arbitration")

    tell(api, "created", reopened, FIRST + 2)

    (dispute,) = stored(shop, payment)
    assert (dispute["status"], dispute["phase"]) == ("open", "pre_arbitration")
    assert_problem(request_refund(admin, payment, 1000), 409, code="payment_disputed")
    tell(api, "won", won, FIRST + 1)
    assert stored(shop, payment)[0]["status"] == "open", "a late repeat of what was before"


STORY = ("created", "under_review", "action_required", "lost")


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(STORY)))))
def test_events_in_any_order_end_in_the_last_word(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json], order: tuple[int, ...]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"])
    story = [
        {**raised, "status": "open"},
        {**raised, "status": "under_review"},
        {**raised, "status": "open", "respond_by": raised["respond_by"] + 86_400},
        {**raised, "status": "lost", "amount_deducted": 50000},
    ]
    for place in (*order, order[0]):
        tell(api, STORY[place], story[place], FIRST + 60 * place)

    (dispute,) = stored(shop, payment)
    assert (dispute["status"], dispute["amountDeducted"]) == ("lost", 50000)
    assert dispute["asOf"] == FIRST + 180
    steps = [step["event"] for step in shop.row(payment)["history"]]
    assert steps[-1] == "payment.dispute.lost"
    assert len(steps) == len(set(steps)), "each event leaves one step at most"


@pytest.mark.parametrize("at", [FIRST, None, "soon"])
def test_where_time_does_not_decide_the_gateway_is_asked(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json], at: Any
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    resolve(shop, raised, "won")
    tell(api, "under_review", {**raised, "status": "under_review"})

    tell(api, "created", raised, at)

    (dispute,) = stored(shop, payment)
    assert (dispute["status"], dispute["source"]) == ("won", "reconciliation")


def test_an_event_whose_name_contradicts_its_dispute_is_not_believed(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])

    tell(api, "won", {**raised, "status": "lost", "amount_deducted": 50000})

    assert seen(admin, raised)["status"] == "open"
    assert stored(shop, payment)[0]["source"] == "reconciliation"


def test_a_decision_is_not_undone_by_an_event_alone(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    lost = resolve(shop, raised, "lost")
    tell(api, "lost", lost)

    tell(api, "under_review", {**raised, "status": "under_review"}, FIRST + 9)

    assert stored(shop, payment)[0]["status"] == "lost"


def test_what_the_gateway_was_asked_for_is_not_undone_by_an_event_from_before(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    tell(api, "created", raised)
    move(shop, raised, "under_review")
    shop.work(lambda services: services.dispute_service.refresh(raised["id"]))

    # It is later than the last event that was heard, and earlier than the answer.
    tell(api, "action_required", raised, FIRST + 5)

    assert stored(shop, payment)[0]["status"] == "under_review"


def test_an_event_that_needs_the_gateway_waits_for_it(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])
    tell(api, "created", raised)
    resolve(shop, raised, "lost")
    shop.sandbox.fault("server_error", route="/v1/disputes/*")
    event_id = unique("evt_")
    tell(api, "under_review", {**raised, "status": "under_review"}, event_id=event_id)
    assert stored(shop, payment)[0]["status"] == "open"

    shop.settle_later()

    assert stored(shop, payment)[0]["status"] == "lost"
    kept = shop.store.webhook_events.find_one({"eventId": event_id})
    assert kept is not None
    assert kept["status"] == "processed"


def test_a_dispute_that_comes_before_the_capture_brings_the_payment_with_it(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"])
    shop.sandbox.refund(checkout["razorpay_payment_id"], 10000)
    raised = raise_dispute(shop, checkout["razorpay_payment_id"], amount=40000)

    tell(api, "created", raised)

    row = shop.row(payment)
    assert row["status"] == "success"
    assert [each["disputeId"] for each in row["disputes"]] == [raised["id"]]
    shop.settle_later()
    assert shop.row(payment)["amountRefunded"] == 10000


def test_the_payment_inside_a_dispute_event_changes_nothing(
    api: httpx.Client, shop: Shop, user: Actor
) -> None:
    payment = user.new_payment()
    checkout = shop.sandbox.pay(payment["orderId"], "authorized")
    row = shop.row(payment)

    # Nothing was captured: a bank that questions it all the same is written down, and no more.
    tell(api, "lost", invented(_payment_of(shop, payment), status="lost", amount_deducted=50000))

    after = shop.row(payment)
    assert after["status"] == row["status"] == "pending"
    assert [each["held"] for each in after["disputes"]] == [50000]
    assert "error" not in checkout
    shop.settle_later()
    assert shop.row(payment)["status"] == "success", "the capture comes, and finds the dispute"
    assert_problem(verify(api, payment, checkout), 409, code="payment_returned")


def _payment_of(shop: Shop, payment: Json) -> str:
    (attempt,) = shop.sandbox.items(f"/v1/orders/{payment['orderId']}/payments")
    return str(attempt["id"])


def test_disputes_of_other_orders_of_the_account_are_set_aside(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    foreign = shop.sandbox.pay(shop.sandbox.order(receipt="theirs-1")["id"])
    event_id = unique("evt_")

    tell(api, "created", raise_dispute(shop, foreign["razorpay_payment_id"]), event_id=event_id)

    kept = shop.store.webhook_events.find_one({"eventId": event_id})
    assert kept is not None
    assert kept["status"] == "ignored"
    assert stored(shop, sale[0]) == []


def test_a_dispute_without_what_it_needs_is_parked(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    raised = invented(sale[1]["razorpay_payment_id"])
    del raised["amount"]
    event_id = unique("evt_")

    tell(api, "created", raised, event_id=event_id)

    kept = shop.store.webhook_events.find_one({"eventId": event_id})
    assert kept is not None
    assert (kept["status"], kept["error"][:10]) == ("parked", "Unreadable")


def test_a_dispute_in_another_currency_holds_the_whole_payment(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount=120, currency="USD")
    tell(api, "created", {**raised, "amount": "120", "respond_by": "1800000001"})
    assert_problem(request_refund(admin, payment, 1), 409, code="payment_disputed")
    tell(api, "won", {**raised, "status": "won"}, FIRST + 1)
    assert request_refund(admin, payment).status_code == 201


def test_a_refund_that_waited_is_not_made_once_its_money_is_disputed(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    shop.sandbox.fault("reset", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(admin, payment, 30000, "one-key"), 503)
    tell(api, "created", invented(checkout["razorpay_payment_id"]))

    shop.settle_later()

    assert shop.refunds_at_gateway(payment) == []
    assert [each["status"] for each in shop.row(payment)["refunds"]] == ["failed"]
    answer = request_refund(admin, payment, 30000, "one-key")
    assert "dispute" in assert_problem(answer, 409, code="refund_rejected")["detail"]


def test_a_refund_that_was_made_before_the_dispute_is_still_entered(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    shop.sandbox.fault("answer_lost", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(admin, payment, 30000, "one-key"), 503)
    tell(api, "created", invented(checkout["razorpay_payment_id"]))

    shop.settle_later()

    assert request_refund(admin, payment, 30000, "one-key").json()["data"]["status"] == "processed"
    assert len(shop.refunds_at_gateway(payment)) == 1


def test_a_reservation_on_a_row_read_before_the_dispute_is_refused_by_the_update(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount=30000)

    async def reserve(services: Services) -> list[bool]:
        stale = await services.payment_repository.get(reference_id=payment["referenceId"])
        await asyncio.to_thread(tell, api, "created", raised)
        made = []
        for amount in (20001, 20000):
            at = stale.created_at
            refund = Refund(
                receipt=unique("KPR_"),
                key=unique(),
                amount=amount,
                status=RefundState.REQUESTED,
                source=Source.ADMIN,
                created_at=at,
                updated_at=at,
            )
            row = await services.payment_ledger.reserve_refund(stale, refund, 50)
            made.append(row is not None)
        return made

    assert shop.work(reserve) == [False, True]


def test_what_a_later_version_stored_with_a_dispute_stays(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    """It runs beside this one during an upgrade. What this one knows and is gone is taken out all the same."""
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], reason_description="Not received")
    tell(api, "created", raised)
    last = len(shop.row(payment)["history"]) - 1
    later = {f"{part}.ofALaterVersion": 1 for part in ("disputes.0", f"history.{last}.dispute")}
    where = {"referenceId": payment["referenceId"]}
    shop.store.payments.update_one(where, {"$set": later})
    assert stored(shop, payment)[0]["warnAt"] is not None
    tell(api, "won", {**raised, "status": "won", "respond_by": None}, at=FIRST + 9)
    (entry,) = stored(shop, payment)
    assert (entry["status"], entry["ofALaterVersion"], entry["revision"]) == ("won", 1, 2)
    assert {"warnAt", "respondBy"}.isdisjoint(entry)
    assert request_refund(admin, payment, 100).status_code == 201


def test_a_dispute_is_not_written_over_what_was_not_read(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    """Two writers with one stale row: the second finds nothing, whatever changed meanwhile."""
    payment, checkout = sale
    raised = invented(checkout["razorpay_payment_id"], amount=10000)
    news = News(
        GatewayDispute(**{k: v for k, v in raised.items() if k != "entity"}),
        Origin(Source.WEBHOOK, "payment.dispute.created"),
        FIRST,
    )

    async def write_twice(services: Services, known_too: bool) -> list[bool]:
        stale = await services.payment_repository.get(reference_id=payment["referenceId"])
        known = stale.disputes[0] if known_too else None
        dispute = build_dispute(stale, known, news, stale.created_at)
        rows = [
            await services.payment_ledger.record_dispute(stale, known, dispute, news.origin, "x")
            for _ in range(2)
        ]
        return [row is not None for row in rows]

    assert shop.work(lambda services: write_twice(services, known_too=False)) == [True, False]
    assert shop.work(lambda services: write_twice(services, known_too=True)) == [True, False]
    assert len(stored(shop, payment)) == 1

    async def write_after_a_move(services: Services) -> bool:
        stale = await services.payment_repository.get(reference_id=payment["referenceId"])
        await asyncio.to_thread(shop.edit, payment, status="refunded")
        dispute = build_dispute(stale, stale.disputes[0], news, stale.created_at)
        row = await services.payment_ledger.record_dispute(
            stale, stale.disputes[0], dispute, news.origin, "x"
        )
        return row is not None

    assert shop.work(write_after_a_move) is False, "its step would have named the status before"


def test_a_disputed_second_payment_is_not_given_back_as_well(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    second = shop.sandbox.pay(
        shop.sandbox.order(receipt=shop.receipt(payment))["id"]
    )  # a second order of the same payment
    raised = raise_dispute(shop, second["razorpay_payment_id"])

    tell(api, "created", raised)

    (dispute,) = stored(shop, payment)
    assert dispute["paymentId"] == second["razorpay_payment_id"] != checkout["razorpay_payment_id"]
    assert request_refund(admin, payment, 49000).status_code == 201, "it holds nothing of the first"

    async def give_back(services: Services) -> None:
        extra = await services.payment_gateway.fetch_payment(second["razorpay_payment_id"])
        await services.surplus_payments.return_rest(extra)

    with pytest.raises(PaymentDisputed):
        shop.work(give_back)
    tell(api, "won", resolve(shop, raised, "won"), FIRST + 1)
    shop.work(give_back)
    assert verify(api, payment, checkout).status_code == 200


def test_the_list_is_ordered_by_deadline_and_paged(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payments = [user.buy(shop.sandbox) for _ in range(3)]
    deadlines = [FIRST + 300, FIRST + 100, FIRST + 200, None]
    raised = []
    for number, deadline in enumerate(deadlines):
        payment_id = payments[number % 3][1]["razorpay_payment_id"]
        raised.append(invented(payment_id, amount=1000, respond_by=deadline))
        tell(api, "created", raised[-1])
    tell(api, "won", {**raised[1], "status": "won"}, FIRST + 1)
    expected = [raised[place]["id"] for place in (3, 1, 2, 0)]

    def page(**params: Any) -> list[str]:
        answer = admin.call("GET", DISPUTES, params=params)
        assert answer.status_code == 200, answer.text
        return [each["disputeId"] for each in answer.json()]

    assert page() == expected
    assert page(count=2) + page(count=2, skip=2) == expected
    walked: list[str] = []
    while found := page(count=1, **({"cursor": walked[-1]} if walked else {})):
        walked += found
    assert walked == expected
    assert page(status="won") == [raised[1]["id"]]
    assert page(status="open") == [expected[place] for place in (0, 2, 3)]
    unknown = admin.call("GET", DISPUTES, params={"cursor": "disp_" + "0" * 14})
    assert_problem(unknown, 404, field="cursor")
    for params in ({"cursor": "disp_"}, {"status": "settled"}, {"count": 101}):
        assert_problem(admin.call("GET", DISPUTES, params=params), 400)


def test_a_deadline_that_comes_near_is_logged_once_and_measured(
    api: httpx.Client, shop: Shop, admin: Actor, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    raised = raise_dispute(shop, checkout["razorpay_payment_id"])  # three days from now
    tell(api, "created", raised)
    enquiry = invented(checkout["razorpay_payment_id"], phase="fraud", respond_by=None)
    tell(api, "created", enquiry)

    async def gauges(services: Services) -> dict[tuple[str, ...], float]:
        families = await services.dispute_deadlines.gauges()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    measured = shop.work(gauges)
    assert measured["kernapay_disputes_undecided", "open", "chargeback"] == 1
    assert measured["kernapay_disputes_undecided", "open", "fraud"] == 1
    assert 2 * 86_400 < measured[("kernapay_dispute_deadline_seconds",)] <= 3 * 86_400
    shop.edit(payment, **{"disputes.0.warnAt": LONG_AGO})
    worker = shop.worker()
    eventually(lambda: stored(shop, payment)[0].get("warnAt") is None)
    worker.stop()
    lines = [line for line in worker.log.read_text().splitlines() if "deadline_near" in line]
    assert len(lines) == 1
    assert raised["id"] in lines[0]
    assert payment["referenceId"] in lines[0]
    tell(api, "under_review", move(shop, raised, "under_review"), FIRST + 1)
    assert ("kernapay_dispute_deadline_seconds",) not in shop.work(gauges)


def test_a_warning_is_noted_once_and_only_for_what_was_read(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json]
) -> None:
    payment, checkout = sale
    tell(api, "created", invented(checkout["razorpay_payment_id"]))

    async def end_twice(services: Services) -> list[bool]:
        row = await services.payment_repository.get(reference_id=payment["referenceId"])
        (dispute,) = row.disputes
        return [await services.payment_ledger.end_warning(row, dispute) for _ in range(2)]

    assert shop.work(end_twice) == [True, False]


Nightly = Callable[[], list[tuple[str, bool]]]


@pytest.fixture
def nightly(shop: Shop, admin: Actor) -> Nightly:
    """Make a report, repair its findings, and return the kind of each and whether it was repaired."""

    def make() -> list[tuple[str, bool]]:
        ran = shop.kernapay("reconcile")
        assert ran.returncode in (0, 1), ran.stderr
        report = next(iter(admin.call("GET", "/v1/api/reconciliation/reports").json()))
        path = f"/v1/api/reconciliation/reports/{report['_id']}"
        findings = admin.call("GET", path).json()["findings"]
        for finding in findings:
            answer = admin.call("POST", f"{path}/findings/{finding['_id']}/repair")
            assert answer.status_code == 200, answer.text
        after = admin.call("GET", path).json()["findings"]
        return [(each["kind"], bool(each["repairedAt"])) for each in after]

    return make


def test_the_night_finds_disputes_that_no_event_told_of(
    shop: Shop, admin: Actor, sale: tuple[Json, Json], nightly: Nightly
) -> None:
    payment, checkout = sale
    first, second = (
        raise_dispute(shop, checkout["razorpay_payment_id"], amount=1000) for _ in range(2)
    )

    assert nightly() == [("dispute_missing", True)] * 2

    assert seen(admin, first)["status"] == seen(admin, second)["status"] == "open"
    assert {each["source"] for each in stored(shop, payment)} == {"reconciliation"}
    resolve(shop, first, "lost")
    assert nightly() == [("dispute", True)]
    assert seen(admin, first)["amountDeducted"] == 1000
    assert nightly() == []
    foreign = shop.sandbox.pay(shop.sandbox.order(receipt="theirs-2")["id"])
    raise_dispute(shop, foreign["razorpay_payment_id"])
    assert nightly() == []


def test_the_night_names_what_the_gateway_does_not_know_and_what_went_back_twice(
    api: httpx.Client, shop: Shop, sale: tuple[Json, Json], nightly: Nightly
) -> None:
    payment, checkout = sale
    tell(api, "created", invented(checkout["razorpay_payment_id"], amount=1000))
    assert nightly() == [("dispute_unknown", False)]
    shop.edit(payment, disputes=[])
    lost = resolve(shop, raise_dispute(shop, checkout["razorpay_payment_id"], amount=1000), "lost")
    tell(api, "lost", lost)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 49001)  # in the dashboard, afterwards
    assert nightly() == [("refunds", True)]
    assert nightly() == [("dispute_refunded", True)]
    assert [each["reason"] for each in shop.row(payment)["mismatches"]] == [
        "dispute_lost_after_refund"
    ]
    assert nightly() == []
