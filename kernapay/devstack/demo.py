"""The demo: one payment on a running stack, from sign-up to webhook. Each step is checked."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
from rich.console import Console

# Seconds to wait for a webhook on a busy machine.
PATIENCE: Final = 15.0
PASSWORD: Final = "correct horse battery"  # noqa: S105


class StepFailed(Exception):
    """A step had an unexpected result. The message describes it."""


class Demo:
    """Plays the customer and the shop's page, and checks every answer."""

    def __init__(
        self,
        api: httpx.Client,
        sandbox: httpx.Client,
        console: Console,
        patience: float = PATIENCE,
    ) -> None:
        self._api = api
        self._sandbox = sandbox
        self._console = console
        self._patience = patience
        run = secrets.token_hex(4)
        self._email = f"demo-{run}@example.com"
        self._body: dict[str, Any] = {
            "amount": 50000,
            "currency": "INR",
            "serviceType": "CONSULTATION",
            "description": "Consultation, 30 minutes",
            "idempotencyKey": f"demo-{run}",
        }
        self._user_id = ""
        self._created: dict[str, Any] = {}
        self._paid: dict[str, Any] = {}

    def run(self) -> bool:
        """Run the steps in order. Return False at the first one that fails."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("Sign up", self._sign_up),
            ("Log in", self._log_in),
            ("Create a payment", self._create),
            ("Pay in the sandbox", self._pay),
            ("Verify the signature", self._verify),
            ("Webhook arrives", self._webhook),
            ("History shows it", self._history),
            ("The same key again", self._repeat),
        ]
        started_at = time.monotonic()
        for number, (name, step) in enumerate(steps, 1):
            if not self._run_step(f"{number}. {name}", step):
                return False
        self._console.print(
            f"\nAll {len(steps)} steps succeeded in {time.monotonic() - started_at:.1f} s.",
            style="green",
        )
        return True

    def _run_step(self, name: str, step: Callable[[], str]) -> bool:
        started_at = time.monotonic()
        try:
            result = step()
        except (StepFailed, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self._console.print(f"[red]✗[/] {name}", "failed")
            reason = str(error) if isinstance(error, StepFailed) else _describe(error)
            self._console.print(f"    {reason}", style="red", markup=False, soft_wrap=True)
            return False
        milliseconds = (time.monotonic() - started_at) * 1000
        self._console.print(f"[green]✓[/] {name:<24}[dim]{milliseconds:6.0f} ms[/]")
        self._console.print(f"    {result}", style="dim", markup=False, soft_wrap=True)
        return True

    def _sign_up(self) -> str:
        user = self._call(
            201,
            "POST",
            "/v1/api/users/signup",
            {
                "email": self._email,
                "name": "Asha Rao",
                "password": PASSWORD,
                "confirmPassword": PASSWORD,
                "mobileNumber": 9876543210,
                "countryCode": "+91",
                "type": "USER",
            },
        )
        self._user_id = user["_id"]
        _expect("password" not in user, "the answer contains the password")
        return f"{self._email} is user {self._user_id}"

    def _log_in(self) -> str:
        body = {"email": self._email, "password": PASSWORD}
        session = self._call(200, "POST", "/v1/api/users/login", body)
        self._api.headers["Authorization"] = f"Bearer {session['token']}"
        profile = self._call(200, "GET", "/v1/api/users/profile")
        _expect(profile["email"] == self._email, f"the token belongs to {profile['email']}")
        return f"the token is valid until {session['expiresAt']}"

    def _create(self) -> str:
        self._created = self._call(201, "POST", "/v1/api/payments/create", self._body)["data"]
        _expect(self._created["status"] == "pending", f"its status is {self._created['status']}")
        return f"{self._created['orderId']}, reference {self._created['referenceId']}, pending"

    def _pay(self) -> str:
        order = {"order_id": self._created["orderId"], "method": "upi", "outcome": "success"}
        self._paid = _answer(200, self._sandbox.post("/_sandbox/pay", json=order))
        _expect("razorpay_signature" in self._paid, f"the sandbox answered {self._paid}")
        return f"{self._paid['razorpay_payment_id']} by UPI, signed for the page"

    def _verify(self) -> str:
        proof = {
            "razorpayOrderId": self._paid["razorpay_order_id"],
            "razorpayPaymentId": self._paid["razorpay_payment_id"],
            "razorpaySignature": self._paid["razorpay_signature"],
            "referenceId": self._created["referenceId"],
        }
        verified = self._call(200, "POST", "/v1/api/payments/verify", proof)
        _expect(verified["success"] is True, f"the answer was {verified}")
        status = self._call(200, "GET", f"/v1/api/payments/status/{proof['referenceId']}")
        _expect(status["status"] == "success", f"the payment is {status['status']}")
        return f"success, paid by {verified['paymentMethod']}"

    def _webhook(self) -> str:
        deadline = time.monotonic() + self._patience
        while (delivery := self._delivery()) is None:
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"The webhook payment.captured was not delivered within {self._patience:.0f} s."
                )
            time.sleep(0.1)
        return f"payment.captured {delivery['event_id']} was delivered and answered with 200"

    def _delivery(self) -> Any:
        query = {"event": "payment.captured", "status": "delivered", "count": "100"}
        answer = self._sandbox.get("/_sandbox/deliveries", params=query)
        for delivery in _answer(200, answer)["items"]:
            event = json.loads(delivery["body"])
            if event["payload"]["payment"]["entity"]["id"] == self._paid["razorpay_payment_id"]:
                return delivery
        return None

    def _history(self) -> str:
        rows = self._call(200, "GET", f"/v1/api/payments/history/{self._user_id}")
        _expect(len(rows) == 1, f"there are {len(rows)} payments, not one")
        actual = (rows[0]["referenceId"], rows[0]["status"], rows[0]["amount"])
        expected = (self._created["referenceId"], "success", self._body["amount"])
        _expect(actual == expected, f"it shows {actual}")
        return f"one payment of {rows[0]['amount'] / 100:.2f} {rows[0]['currency']}, success"

    def _repeat(self) -> str:
        again = self._call(200, "POST", "/v1/api/payments/create", self._body)["data"]
        _expect(again == self._created, f"the answer changed to {again}")
        payment = self._call(200, "GET", f"/v1/api/payments/{self._created['referenceId']}")
        orders = _answer(200, self._sandbox.get("/_sandbox/overview"))["orders"]
        mine = [o for o in orders if o["notes"].get("kernapay_payment", "")[:24] == payment["_id"]]
        _expect(len(mine) == 1, f"the gateway has {len(mine)} orders for it")
        return "the same answer, and still one order at the gateway"

    def _call(self, status: int, method: str, path: str, body: Any = None) -> Any:
        return _answer(status, self._api.request(method, path, json=body))


def _answer(status: int, answer: httpx.Response) -> Any:
    request = f"{answer.request.method} {answer.request.url.path}"
    if answer.status_code != status:
        raise StepFailed(
            f"{request} answered {answer.status_code} instead of {status}: {answer.text[:500]}"
        )
    return answer.json()


def _expect(condition: bool, problem: str) -> None:
    if not condition:
        raise StepFailed(f"Unexpected: {problem}.")


def _describe(error: Exception) -> str:
    if isinstance(error, httpx.HTTPError):
        return f"{error.request.method} {error.request.url}: {error or type(error).__name__}"
    return f"The answer has an unexpected format: {error!r}"
