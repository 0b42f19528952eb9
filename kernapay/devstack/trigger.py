"""Cause an event on a running stack."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

PATIENCE: Final = 15.0
_PAYMENTS: Final = "/v1/api/payments"
Row = dict[str, Any]


class TriggerFailed(Exception):
    """A step had an unexpected answer. The message describes it."""


class Trigger:
    """Plays a customer, an administrator, the customer's bank and the gateway."""

    def __init__(
        self,
        customer: httpx.Client,
        administrator: httpx.Client,
        sandbox: httpx.Client,
        patience: float = PATIENCE,
    ) -> None:
        self._customer = customer
        self._administrator = administrator
        self._sandbox = sandbox
        self._patience = patience

    @property
    def plays(self) -> Mapping[str, Callable[[], str]]:
        """The action for each type of events. Each returns the subject of the event."""
        return {
            "payment.created": lambda: self._created()["referenceId"],
            "payment.succeeded": lambda: self._paid()["referenceId"],
            "payment.cancelled": self._cancelled,
            "refund.requested": lambda: self._refunded("refund_pending")["referenceId"],
            "refund.processed": lambda: self._refunded()["referenceId"],
            "refund.failed": lambda: self._refunded("refund_fails_later")["referenceId"],
            "dispute.opened": lambda: self._disputed()["referenceId"],
            "dispute.action_required": lambda: self._disputed(move="action_required")[
                "referenceId"
            ],
            "dispute.won": lambda: self._disputed(end="won")["referenceId"],
            "dispute.lost": lambda: self._disputed(end="lost")["referenceId"],
            "settlement.processed": self._settled,
        }

    def _created(self) -> Row:
        body = {
            "amount": 50000,
            "currency": "INR",
            "serviceType": "CONSULTATION",
            "description": "Triggered from the command line",
            "idempotencyKey": f"trigger-{secrets.token_hex(8)}",
        }
        created: Row = _answer(self._customer.post(f"{_PAYMENTS}/create", json=body))["data"]
        return created

    def _paid(self) -> Row:
        payment = self._created()
        order = {"order_id": payment["orderId"], "method": "upi", "outcome": "success"}
        paid = _answer(self._sandbox.post("/_sandbox/pay", json=order))
        self._wait(payment, lambda row: row["status"] == "success")
        return {**payment, "paymentId": paid["razorpay_payment_id"]}

    def _cancelled(self) -> str:
        payment = self._created()
        _answer(self._customer.post(f"{_PAYMENTS}/{payment['referenceId']}/cancel"))
        return str(payment["referenceId"])

    def _refunded(self, fault: str | None = None) -> Row:
        payment = self._paid()
        if fault is not None:
            armed = {"name": fault, "times": 1, "options": {"seconds": 1}}
            _answer(self._sandbox.post("/_sandbox/faults", json=armed))
        body = {"amount": 10000, "idempotencyKey": f"trigger-{secrets.token_hex(8)}"}
        path = f"{_PAYMENTS}/{payment['referenceId']}/refunds"
        _answer(self._administrator.post(path, json=body))
        return payment

    def _disputed(self, move: str | None = None, end: str | None = None) -> Row:
        payment = self._paid()
        raised = {"payment_id": payment["paymentId"]}
        dispute = _answer(self._sandbox.post("/_sandbox/disputes", json=raised))
        path = f"/_sandbox/disputes/{dispute['id']}"
        if move is not None:
            self._wait_for_dispute(dispute)
            _answer(self._sandbox.post(f"{path}/move", json={"event": move, "phase": None}))
        if end is not None:
            self._wait_for_dispute(dispute)
            _answer(self._sandbox.post(f"{path}/resolve", json={"status": end}))
        return payment

    def _settled(self) -> str:
        self._paid()
        settled = _answer(self._sandbox.post("/_sandbox/settle", json={}))["settlements"]
        return str(settled[-1]["id"])

    def _wait(self, payment: Row, condition: Callable[[Row], bool]) -> None:
        path = f"{_PAYMENTS}/{payment['referenceId']}"
        self._until(
            lambda: condition(_answer(self._customer.get(path))), "The payment was not settled"
        )

    def _wait_for_dispute(self, dispute: Row) -> None:
        # Each of its events tells of another status only if the one before was heard.
        path = f"/v1/api/disputes/{dispute['id']}"
        self._until(
            lambda: self._administrator.get(path).status_code == 200, "The dispute did not arrive"
        )

    def _until(self, look: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + self._patience
        while not look():
            if time.monotonic() > deadline:
                raise TriggerFailed(f"{problem} within {self._patience:.0f} s.")
            time.sleep(0.1)


def _answer(answer: httpx.Response) -> Any:
    if not answer.is_success:
        request = f"{answer.request.method} {answer.request.url.path}"
        raise TriggerFailed(f"{request} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()
