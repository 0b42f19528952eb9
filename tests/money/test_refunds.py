from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from kernapay.sandbox.refunds import NEVER_INSTANT_AMOUNT
from tests.actors import (
    ADMIN_USERS,
    PAYMENTS,
    Actor,
    People,
    assert_problem,
    data_of,
    request_refund,
    send_event,
    status,
)
from tests.aliases import Json
from tests.money.shop import Shop
from tests.stack import Api, Sandbox, StartApi
from tests.waiting import eventually


def test_a_full_refund_shows_in_every_answer(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    assert user.history().json()[0]["refundStatus"] == "not_requested"

    answer = request_refund(admin, payment, reason="Appointment cancelled")

    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert made == {
        "referenceId": payment["referenceId"],
        "refundId": made["refundId"],
        "amount": 50000,
        "currency": "INR",
        "status": "processed",
        "refundStatus": "completed",
        "amountRefunded": 50000,
        "amountRefundable": 0,
        "livemode": False,
        "warning": None,
        "speed": "normal",
        "speedProcessed": "normal",
        "arn": made["arn"],
    }
    assert made["refundId"].startswith("rfnd_")
    for view in (status(api, payment), user.seen(payment["referenceId"]), user.history().json()[0]):
        assert (view["status"], view["refundStatus"], view["amountRefunded"]) == (
            "refunded",
            "completed",
            50000,
        )
    shown = user.seen(payment["referenceId"])["refunds"]
    assert [(r["amount"], r["status"], r["reason"]) for r in shown] == [
        (50000, "processed", "Appointment cancelled")
    ]
    assert shop.sandbox.payment(checkout["razorpay_payment_id"])["amount_refunded"] == 50000
    shop.assert_sound(payment)


@pytest.mark.parametrize(("amount", "made"), [(20000, "instant"), (NEVER_INSTANT_AMOUNT, "normal")])
def test_a_refund_may_be_instant_where_the_bank_allows_it(
    amount: int, made: str, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox, amount=NEVER_INSTANT_AMOUNT + 20000)

    answer = request_refund(admin, payment, amount, speed="optimum", idempotencyKey="fast")

    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert (data["speed"], data["speedProcessed"]) == ("optimum", made)
    (at_gateway,) = shop.refunds_at_gateway(payment)
    assert (at_gateway["speed_requested"], at_gateway["speed_processed"]) == ("optimum", made)
    assert data["arn"] == at_gateway["acquirer_data"]["arn"] is not None
    (shown,) = user.seen(payment["referenceId"])["refunds"]
    assert (shown["speed"], shown["speedProcessed"], shown["arn"]) == (
        "optimum",
        made,
        data["arn"],
    )
    other = request_refund(admin, payment, amount, idempotencyKey="fast")
    assert_problem(other, 409, "idempotencyKey", "idempotency_key_reused")


def test_the_banks_reference_is_entered_when_it_comes(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("refund_pending", options={"seconds": 3600})
    data = request_refund(admin, payment).json()["data"]
    assert (data["status"], data["arn"]) == ("pending", None)

    shop.sandbox.advance(3700)
    shop.settle_later()

    (at_gateway,) = shop.refunds_at_gateway(payment)
    (refund,) = shop.assert_sound(payment)["refunds"]
    assert (refund["status"], refund["arn"]) == ("processed", at_gateway["acquirer_data"]["arn"])


def test_an_event_without_our_receipt_and_a_repeat_are_one_refund(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    shop.sandbox.fault("answer_lost", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(admin, payment, 20000, idempotencyKey="once"), 503)
    (made,) = shop.refunds_at_gateway(payment)
    facts = shop.sandbox.payment(checkout["razorpay_payment_id"])
    nameless = {**made, "receipt": None}
    told = send_event(api, "refund.processed", payment=facts, refund=nameless)
    assert told.status_code == 200
    assert shop.row(payment)["amountRefunded"] == 20000

    again = request_refund(admin, payment, 20000, idempotencyKey="once")

    assert again.status_code == 200, again.text
    row = shop.assert_sound(payment)
    assert row["amountRefunded"] == 20000
    (refund,) = row["refunds"]
    assert (refund["refundId"], refund["key"]) == (made["id"], "once")
    send_event(api, "refund.processed", payment=facts, refund=nameless)
    assert shop.assert_sound(payment)["refunds"] == row["refunds"]


def test_several_partial_refunds_add_up_to_a_whole_one(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)

    first = request_refund(admin, payment, 20000).json()["data"]
    assert (first["refundStatus"], first["amountRefunded"], first["amountRefundable"]) == (
        "requested",
        20000,
        30000,
    )
    assert status(api, payment)["status"] == "success"
    assert_problem(
        request_refund(admin, payment, 30001), 409, field="amount", code="not_refundable"
    )
    assert request_refund(admin, payment, 10000).status_code == 201
    last = request_refund(admin, payment).json()["data"]

    assert (last["amount"], last["refundStatus"], last["amountRefundable"]) == (
        20000,
        "completed",
        0,
    )
    assert_problem(request_refund(admin, payment, 1), 409, code="not_refundable")
    assert shop.assert_sound(payment)["status"] == "refunded"


@pytest.mark.owasp(line="API1")
def test_the_provider_who_was_paid_may_refund_and_no_other(shop: Shop, people: People) -> None:
    user = people.new("USER")
    paid, other = (people.new("PROVIDER", approved=True) for _ in range(2))
    payment, _ = user.buy(shop.sandbox, providerId=paid.id)

    assert_problem(request_refund(other, payment, 100), 404)
    assert_problem(request_refund(user, payment, 100), 403)
    answer = request_refund(paid, payment, 100)

    assert answer.status_code == 201, answer.text
    assert shop.row(payment)["refunds"][0]["actor"] == paid.id
    shop.assert_sound(payment)


def test_a_refund_accepted_before_the_approval_ended_is_finished_by_the_worker(
    api: httpx.Client, shop: Shop, people: People, user: Actor, admin: Actor
) -> None:
    paid = people.new("PROVIDER", approved=True)
    payment, _ = user.buy(shop.sandbox, providerId=paid.id)
    shop.sandbox.fault("reset", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(paid, payment, 30000, "one-key"), 503)
    path = f"{ADMIN_USERS}/{paid.id}/revoke-approval"
    assert admin.call("POST", path).status_code == 200
    assert_problem(request_refund(paid, payment, 30000, "one-key"), 403, code="not_approved")

    shop.settle_later()

    assert status(api, payment)["amountRefunded"] == 30000
    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [30000]
    shop.assert_sound(payment)


def test_a_refund_of_an_unknown_payment_is_not_found(shop: Shop, admin: Actor) -> None:
    unknown = {"referenceId": f"PAY_{'0' * 24}_1760000000000_{'x' * 22}"}

    assert_problem(request_refund(admin, unknown, 100), 404)


def test_what_was_not_paid_cannot_be_refunded(shop: Shop, user: Actor, admin: Actor) -> None:
    pending = user.new_payment()
    failed = user.new_payment()
    shop.sandbox.pay(failed["orderId"], "failure")
    shop.settle_later()
    assert shop.row(failed)["status"] == "failed"

    for payment in (pending, failed):
        assert_problem(request_refund(admin, payment, 100), 409, code="not_refundable")
        assert shop.row(payment).get("refunds", []) == []


def test_bad_refund_bodies_name_their_field(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/refunds"

    for body, field in (
        ({"amount": 0, "idempotencyKey": "k"}, "amount"),
        ({"amount": -5, "idempotencyKey": "k"}, "amount"),
        ({"amount": "100", "idempotencyKey": "k"}, "amount"),
        ({"amount": 1.5, "idempotencyKey": "k"}, "amount"),
        ({"amount": 100}, "idempotencyKey"),
        ({"amount": 100, "idempotencyKey": ""}, "idempotencyKey"),
        ({"amount": 100, "idempotencyKey": "k", "status": "processed"}, "status"),
    ):
        assert_problem(admin.call("POST", path, json=body), 400, field=field)
    assert shop.row(payment).get("refunds", []) == []


def test_repeating_a_refund_gives_the_same_refund(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)

    first = request_refund(admin, payment, 20000, "one-key")
    again = request_refund(admin, payment, 20000, "one-key")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == first.json()["data"]
    assert len(shop.refunds_at_gateway(payment)) == 1


@pytest.mark.owasp(line="API6")
def test_a_refund_key_with_another_body_is_refused(shop: Shop, user: Actor, admin: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    request_refund(admin, payment, 20000, "one-key", reason="late")

    for amount, reason in ((20001, "late"), (20000, None), (None, "late")):
        answer = request_refund(admin, payment, amount, "one-key", reason=reason)
        assert_problem(answer, 409, field="idempotencyKey", code="idempotency_key_reused")
    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [20000]


@pytest.mark.owasp(line="API6")
def test_fifty_parallel_refunds_never_give_back_more_than_came(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)

    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(lambda n: request_refund(admin, payment, 7000, f"key-{n}"), range(50))
        )

    made = [a for a in answers if a.status_code == 201]
    assert len(made) == 7  # 7 x 7000 = 49000 of 50000
    assert {a.status_code for a in answers} == {201, 409}
    assert shop.sandbox.payment(checkout["razorpay_payment_id"])["amount_refunded"] == 49000
    assert shop.assert_sound(payment)["amountRefunded"] == 49000


@pytest.mark.owasp(line="API6")
def test_fifty_parallel_requests_with_one_key_are_one_refund(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)

    def refund(_: int) -> Json:
        def refunded() -> Json | None:
            answer = request_refund(admin, payment, 7000, "one-key")
            return data_of(answer) if answer.status_code in (200, 201) else None

        return eventually(refunded)

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(refund, range(50)))

    assert len({answer["refundId"] for answer in answers}) == 1
    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [7000]


def test_a_refund_the_gateway_refuses_gives_its_reservation_back(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    refusal = {"description": "The payment status should be captured for action to be taken"}
    shop.sandbox.fault("refusal", route="/v1/payments/*/refund", method="POST", options=refusal)

    assert_problem(request_refund(admin, payment, 50000, "poor"), 409, code="refund_rejected")
    assert status(api, payment)["refundStatus"] == "not_requested"
    # The key stands for this refusal; another try is another key.
    assert_problem(request_refund(admin, payment, 50000, "poor"), 409, code="refund_rejected")
    assert request_refund(admin, payment, 50000, "rich").status_code == 201

    assert [r["status"] for r in user.seen(payment["referenceId"])["refunds"]] == [
        "failed",
        "processed",
    ]
    shop.assert_sound(payment)


def test_a_refund_without_an_answer_is_resumed_by_its_key(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("answer_lost", route="/v1/payments/*/refund", method="POST")

    lost = request_refund(admin, payment, 30000, "one-key")

    assert_problem(lost, 503)
    assert int(lost.headers["retry-after"]) > 0
    assert status(api, payment)["refundStatus"] == "requested"
    assert_problem(request_refund(admin, payment, 20001), 409, code="not_refundable")
    again = request_refund(admin, payment, 30000, "one-key")
    assert again.status_code == 200, again.text
    assert again.json()["data"]["status"] == "processed"
    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [30000]
    shop.assert_sound(payment)


def test_a_silent_gateway_leaves_the_refund_to_the_worker(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("reset", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(admin, payment, 30000, "one-key"), 503)
    assert shop.refunds_at_gateway(payment) == []

    shop.settle_later()

    assert status(api, payment)["amountRefunded"] == 30000
    assert request_refund(admin, payment, 30000, "one-key").status_code == 200
    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [30000]
    shop.assert_sound(payment)


def test_a_refusal_of_a_question_is_no_refusal_of_the_refund(
    api: httpx.Client, shop: Shop, start_api: StartApi, user: Actor, admin: Actor
) -> None:
    """Only what the gateway says to the refund itself may give the reservation back."""
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("answer_lost", route="/v1/payments/*/refund", method="POST")
    assert_problem(request_refund(admin, payment, 50000, "one-key"), 503)
    stranger = start_api(RAZORPAY_KEY_SECRET="not_the_secret_of_this_key")

    assert_problem(request_refund(admin.at(stranger.client), payment, 50000, "one-key"), 502)

    assert status(api, payment)["refundStatus"] == "requested"
    assert request_refund(admin, payment, 50000, "one-key").status_code == 200
    assert len(shop.refunds_at_gateway(payment)) == 1
    shop.assert_sound(payment)


def test_a_refund_under_way_is_requested_until_it_is_processed(
    api_server: Api, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    shop.sandbox.deliver_to(api_server.url)
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("refund_pending", options={"seconds": 60})

    made = request_refund(admin, payment, 50000).json()["data"]

    assert (made["status"], made["refundStatus"], made["amountRefunded"]) == (
        "pending",
        "requested",
        0,
    )
    assert shop.differences() == []
    shop.sandbox.advance(61)
    eventually(lambda: status(api, payment)["status"] == "refunded")
    assert status(api, payment)["amountRefunded"] == 50000


def test_a_refund_that_fails_later_can_be_made_again(
    api_server: Api, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    shop.sandbox.deliver_to(api_server.url)
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("refund_fails_later", options={"seconds": 60})
    assert request_refund(admin, payment, 50000, "first").json()["data"]["status"] == "pending"
    assert_problem(request_refund(admin, payment, 50000), 409, code="not_refundable")

    shop.sandbox.advance(61)
    eventually(lambda: status(api, payment)["refundStatus"] == "not_requested")

    repeated = request_refund(admin, payment, 50000, "first")
    assert (repeated.status_code, repeated.json()["data"]["status"]) == (200, "failed")
    assert request_refund(admin, payment, 50000, "second").status_code == 201
    eventually(lambda: status(api, payment)["status"] == "refunded")
    shop.assert_sound(payment)


def test_a_pending_refund_whose_event_is_lost_is_found_by_the_worker(
    api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    shop.sandbox.fault("refund_pending", options={"seconds": 60})
    request_refund(admin, payment, 50000)
    shop.sandbox.advance(61)

    shop.settle_later()

    assert status(api, payment)["status"] == "refunded"
    shop.assert_sound(payment)


def test_refunds_started_in_the_dashboard_are_entered(
    api_server: Api, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    shop.sandbox.deliver_to(api_server.url)
    payment, checkout = user.buy(shop.sandbox)

    shop.sandbox.refund(checkout["razorpay_payment_id"], 20000)

    eventually(lambda: status(api, payment)["amountRefunded"] == 20000)
    assert_problem(request_refund(admin, payment, 30001), 409, code="not_refundable")
    assert request_refund(admin, payment, 30000).status_code == 201
    shop.assert_sound(payment)


def test_a_dashboard_refund_we_never_heard_of_cannot_be_doubled(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    shop.sandbox.refund(checkout["razorpay_payment_id"], 40000)

    assert_problem(request_refund(admin, payment, 20000), 409, code="refund_rejected")

    assert [r["amount"] for r in shop.refunds_at_gateway(payment)] == [40000]


def test_an_authorisation_that_is_returned_uncaptured_fails_the_payment(
    api_server: Api, api: httpx.Client, shop: Shop, user: Actor, admin: Actor
) -> None:
    shop.sandbox.deliver_to(api_server.url)
    payment = user.new_payment()
    shop.sandbox.fault("auto_refund", options={"seconds": 60})
    shop.sandbox.pay(payment["orderId"])
    eventually(lambda: "authorizedAt" in shop.row(payment))

    shop.sandbox.advance(61)

    eventually(lambda: status(api, payment)["status"] == "failed")
    assert status(api, payment)["amountRefunded"] == 0
    assert shop.differences() == []


def test_refunds_stay_within_the_sandbox_books(
    sandbox: Sandbox, shop: Shop, user: Actor, admin: Actor
) -> None:
    bought = [user.buy(sandbox)[0] for _ in range(3)]
    for n, payment in enumerate(bought):
        for _ in range(n + 1):
            assert request_refund(admin, payment, 10000).status_code == 201

    overview = sandbox.call("GET", "/_sandbox/overview")["refunds"]

    assert sum(r["amount"] for r in overview) == 60000
    assert sum(shop.row(p)["amountRefunded"] for p in bought) == 60000
