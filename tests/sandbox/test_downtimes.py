"""Outages of payment methods and settlements on request, by the vendor's Python SDK."""

import json
from typing import Any

import pytest
import razorpay

from tests.sandbox.sandbox_process import NEW_YEAR, SandboxProcess, wait_for
from tests.sandbox.shapes import check_shape
from tests.sandbox.webhook_receiver import WebhookReceiver


def test_an_outage_is_listed_told_and_felt_until_it_is_over(
    sandbox: SandboxProcess, client: Any, receiver: WebhookReceiver, webhook: dict[str, Any]
) -> None:
    upi = sandbox.control(
        "/downtimes", method="upi", instrument={"vpa_handle": "razorpay"}, fails_payments=True
    )
    check_shape("downtime", upi)
    card = {"network": "Visa", "card_type": "credit"}
    visa = sandbox.control("/downtimes", method="card", instrument=card, severity="low")
    assert client.payment.fetchDownTime()["items"] == [visa, upi]
    assert client.payment.fetchDownTimeById(upi["id"]) == upi
    error = sandbox.pay(sandbox.create_order(), method="upi")["error"]
    assert (error["code"], error["reason"]) == ("GATEWAY_ERROR", "gateway_technical_error")
    assert sandbox.create_payment(method="upi", vpa="asha@okaxis")["status"] == "captured"
    assert sandbox.create_payment(method="card")["status"] == "captured", "only told of"
    raised = sandbox.control(f"/downtimes/{visa['id']}/update", severity="high")
    assert (raised["status"], raised["severity"]) == ("updated", "high")
    over = sandbox.control(f"/downtimes/{upi['id']}/resolve")
    assert over["end"]
    assert client.payment.fetchDownTime()["items"] == [raised]
    assert client.payment.fetchDownTimeById(upi["id"]) == over
    assert sandbox.create_payment(method="upi")["status"] == "captured"

    def told() -> list[str]:
        return sorted(e for e in receiver.events if e.startswith("payment.downtime."))

    names = ("resolved", "started", "started", "updated")
    wait_for(lambda: told() == [f"payment.downtime.{name}" for name in names])
    for received in receiver.webhooks:
        if received.event.startswith("payment.downtime."):
            event = json.loads(received.body)
            assert event["contains"] == ["payment.downtime"]
            check_shape("downtime", event["payload"]["payment.downtime"]["entity"])
    bodies = [
        w.body.decode() for w in receiver.webhooks if b"Visa" in w.body and b"down_" in w.body
    ]
    assert '"instrument":{"network":"Visa","type":"credit"}' in bodies[0]
    assert '"instrument_schema":["network","type"]' in bodies[0]


def test_a_planned_outage_begins_and_ends_by_the_clock(sandbox: SandboxProcess) -> None:
    sandbox.freeze_clock()
    planned = sandbox.control(
        "/downtimes", method="netbanking", begin=NEW_YEAR + 60, end=NEW_YEAR + 120
    )
    assert (planned["status"], planned["scheduled"]) == ("scheduled", True)

    def status() -> str:
        path = f"/v1/payments/downtimes/{planned['id']}"
        return str(sandbox.call("GET", path)["status"])

    for seconds, expected in ((61, "started"), (61, "resolved")):
        sandbox.advance_clock(seconds)
        wait_for(lambda expected=expected: status() == expected)  # type: ignore[misc]
    for body in (
        {"method": "cash"},
        {"method": "upi", "instrument": {"bank": "HDFC"}},
        {"method": "upi", "severity": "mild"},
        {"method": "upi", "end": NEW_YEAR - 1},
    ):
        assert sandbox.anonymous.post("/_sandbox/downtimes", json=body).status_code == 400
    resolve = f"/_sandbox/downtimes/{planned['id']}/resolve"
    assert sandbox.anonymous.post(resolve).status_code == 409


def test_money_is_paid_out_on_request_and_not_again(sandbox: SandboxProcess, client: Any) -> None:
    sandbox.freeze_clock()
    sandbox.create_payment(500_000)
    owed = 500_000 - 11_800
    instant = client.settlement.create_ondemand_settlement(
        {"amount": 200_000, "description": "Need this", "notes": {"a": "b"}}
    )
    check_shape("ondemand", instant)
    check_shape("ondemand_payout", instant["ondemand_payouts"]["items"][0])
    assert (instant["fees"], instant["tax"], instant["amount_pending"]) == (590, 90, 199_410)
    sandbox.advance_clock(61)
    path = f"/v1/settlements/ondemand/{instant['id']}"
    wait_for(lambda: sandbox.call("GET", path)["status"] == "processed")
    processed = client.settlement.fetch_ondemand_settlement_id(
        instant["id"], {"expand[]": "ondemand_payouts"}
    )
    check_shape("ondemand_payout", processed["ondemand_payouts"]["items"][0])
    assert (processed["amount_settled"], processed["amount_pending"]) == (199_410, 0)
    listed = client.settlement.fetch_all_ondemand_settlement()["items"]
    assert listed == [{k: v for k, v in processed.items() if k != "ondemand_payouts"}]
    for body, words in (
        ({"amount": 99}, "Minimum amount that can be settled is ₹ 1."),
        ({"amount": owed}, "greater than the available balance"),
        ({"amount": 100, "description": "<b>"}, "description format"),
    ):
        with pytest.raises(razorpay.errors.BadRequestError, match=words):
            client.settlement.create_ondemand_settlement(body)
    (settlement,) = sandbox.control("/settle")["settlements"]
    assert settlement["amount"] == owed - 200_000
    sandbox.create_payment(100_000)
    rest = client.settlement.create_ondemand_settlement({"amount": 1, "settle_full_balance": True})
    assert rest["amount_requested"] == 100_000 - 2_360
