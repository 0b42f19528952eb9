"""People who sign up, buy, pay, look and want their money back, each over a connection of their own."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from tests.actors import PAYMENTS, USERS
from tests.aliases import Json
from tests.benchmarks.api.http_client import Answer, Connection, raw_request
from tests.benchmarks.loadtest.recorder import Recorder
from tests.benchmarks.loadtest.target import Target
from tests.factories import PASSWORD, payment_body, sign_up_body, unique, without

# How long a customer waits for the news of a payment that only the gateway's event tells.
_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5
_KNOWN: Final = 50
_TOO_MANY: Final = 429
_RECONNECT_SECONDS: Final = 0.2
_PAID: Final = ("success", "refunded")


class Stopped(Exception):
    """A call had no answer, or an unexpected one, so what follows from it cannot be done. It is recorded."""


class Caller:
    """Sends calls over one connection to a server, and records them."""

    def __init__(self, port: int, recorder: Recorder, prefix: str, *, is_limited: bool) -> None:
        self._port = port
        self._recorder = recorder
        self._prefix = prefix
        self._is_limited = is_limited
        self._connection: Connection | None = None
        self.token: str | None = None

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def call(
        self, name: str, method: str, path: str, body: object = None, *, expect: tuple[int, ...]
    ) -> tuple[int, Json]:
        """Send a call. Return the status and the answer. Raises Stopped."""
        encoded = b"" if body is None else json.dumps(body).encode()
        request = raw_request(method, path, self._port, token=self.token, body=encoded)
        name = f"{self._prefix}{name}"
        started = time.perf_counter()
        try:
            answer = await self._send(request)
        except (OSError, EOFError) as error:
            self._recorder.record(name, 0, time.perf_counter() - started)
            self._recorder.record_problem(name, f"no answer ({type(error).__name__})")
            await self._close()
            await asyncio.sleep(_RECONNECT_SECONDS)
            raise Stopped from error
        self._recorder.record(name, answer.status, time.perf_counter() - started)
        if answer.status == _TOO_MANY and self._is_limited:
            raise Stopped
        if answer.status not in expect:
            self._recorder.record_problem(name, f"{answer.status} {_code(answer)}")
            raise Stopped
        return answer.status, json.loads(answer.body)

    def reject(self, name: str, problem: str) -> None:
        """Record an answer whose status is right and whose content is not. Raises Stopped."""
        self._recorder.record_problem(f"{self._prefix}{name}", problem)
        raise Stopped

    async def _send(self, request: bytes) -> Answer:
        # A server closes connections that were idle for long, and every client opens another one then.
        if self._connection is not None and self._connection.has_ended:
            await self._close()
        if self._connection is None:
            connection = Connection(self._port)
            await connection.__aenter__()
            self._connection = connection
        return await self._connection.send(request)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.__aexit__(None, None, None)


def _code(answer: Answer) -> str:
    """Return the code of a problem: its text may name ids, and every one would count as a kind of its own."""
    try:
        return str(json.loads(answer.body).get("code", ""))
    except ValueError:
        return ""


class Customer:
    """Does one thing after the other until the end, with pauses in between."""

    def __init__(
        self,
        target: Target,
        recorder: Recorder,
        admin_token: str,
        chance: random.Random,
        pause: float,
    ) -> None:
        """An administrator refunds for the customer. `pause` is in seconds, on average."""
        limited = target.is_limited
        self._api = Caller(target.api, recorder, "", is_limited=limited)
        self._other_tab = Caller(target.api, recorder, "", is_limited=limited)
        self._gateway = Caller(target.sandbox, recorder, "sandbox: ", is_limited=False)
        self._admin = Caller(target.api, recorder, "", is_limited=limited)
        self._admin.token = admin_token
        self._chance = chance
        self._pause = pause
        self._id = ""
        self._email = ""
        self._references: list[str] = []
        self._doings: dict[Callable[[], Awaitable[None]], float] = {
            self._buy: 45,
            self._look_at_history: 22,
            self._look_at_status: 20,
            self._look_at_profile: 6,
            self._log_in: 5,
            self._sign_up: 2,
        }

    async def run(self, until: float) -> None:
        """Act until the time of the monotonic clock."""
        async with AsyncExitStack() as stack:
            for caller in (self._api, self._other_tab, self._gateway, self._admin):
                await stack.enter_async_context(caller)
            while time.monotonic() < until:
                # The recorder knows why, and people try something else then.
                with suppress(Stopped):
                    await (self._choose() if self._id else self._sign_up)()
                await asyncio.sleep(self._chance.expovariate(1 / self._pause) if self._pause else 0)

    def _choose(self) -> Callable[[], Awaitable[None]]:
        (doing,) = self._chance.choices(list(self._doings), list(self._doings.values()))
        return doing

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    async def _sign_up(self) -> None:
        body = sign_up_body()
        _, account = await self._api.call("sign up", "POST", f"{USERS}/signup", body, expect=(201,))
        self._id, self._email, self._references = account["_id"], body["email"], []
        await self._log_in()

    async def _log_in(self) -> None:
        self._api.token = await log_in(self._api, self._email, PASSWORD)
        self._other_tab.token = self._api.token

    async def _look_at_profile(self) -> None:
        _, profile = await self._api.call("profile", "GET", f"{USERS}/profile", expect=(200,))
        if profile["_id"] != self._id:
            self._api.reject("profile", "of another account")

    async def _look_at_history(self) -> None:
        path = f"{PAYMENTS}/history/{self._id}?count=10"
        _, page = await self._history(path)
        if len(page) == 10 and self._happens(0.3):
            await self._history(f"{path}&cursor={page[-1]['referenceId']}")

    async def _history(self, path: str) -> tuple[int, Any]:
        return await self._api.call("history", "GET", path, expect=(200,))

    async def _look_at_status(self) -> None:
        if self._references:
            await self._status(self._chance.choice(self._references))

    async def _status(self, reference: str) -> str:
        path = f"{PAYMENTS}/status/{reference}"
        _, payment = await self._api.call("status", "GET", path, expect=(200,))
        return str(payment["status"])

    async def _buy(self) -> None:
        """Create a payment, and pay it as most people do: now and then at the second attempt, or not at all."""
        payment = await self._create()
        self._references = [*self._references[-_KNOWN:], payment["referenceId"]]
        if self._happens(0.1):
            return
        if self._happens(0.1):
            await self._checkout(payment, "failure")
            if self._happens(0.4):
                return
        checkout = await self._checkout(payment, "success")
        if self._happens(0.75):
            await self._verify(payment, checkout)
        else:
            await self._wait_for_event(payment)
        if self._happens(0.08):
            await self._refund(payment)

    async def _create(self) -> Json:
        body = without(payment_body(amount=self._chance.randrange(100, 500_000)), "providerId")
        if self._happens(0.05):
            # Two clicks at once.
            found = await asyncio.gather(
                *(self._send_create(each, body) for each in (self._api, self._other_tab)),
                return_exceptions=True,
            )
            payments = [each for each in found if isinstance(each, dict)]
            if len(payments) < 2:
                raise Stopped
        else:
            payments = [await self._send_create(self._api, body)]
            if self._happens(0.12):
                payments.append(await self._send_create(self._api, body))
        if len({(each["referenceId"], each["orderId"]) for each in payments}) > 1:
            self._api.reject("create", "one key has two payments")
        return payments[0]

    @staticmethod
    async def _send_create(caller: Caller, body: Json) -> Json:
        path = f"{PAYMENTS}/create"
        _, answer = await caller.call("create", "POST", path, body, expect=(200, 201))
        payment: Json = answer["data"]
        return payment

    async def _checkout(self, payment: Json, outcome: str) -> Json:
        play = {"order_id": payment["orderId"], "method": "upi", "outcome": outcome}
        _, checkout = await self._gateway.call("pay", "POST", "/_sandbox/pay", play, expect=(200,))
        return checkout

    async def _verify(self, payment: Json, checkout: Json) -> None:
        body = {
            "razorpayOrderId": checkout["razorpay_order_id"],
            "razorpayPaymentId": checkout["razorpay_payment_id"],
            "razorpaySignature": checkout["razorpay_signature"],
            "referenceId": payment["referenceId"],
        }
        for _ in range(2 if self._happens(0.1) else 1):
            await self._api.call("verify", "POST", f"{PAYMENTS}/verify", body, expect=(200,))
        if await self._status(payment["referenceId"]) not in _PAID:
            self._api.reject("verify", "verified, and not paid")

    async def _wait_for_event(self, payment: Json) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while await self._status(payment["referenceId"]) not in _PAID:
            if time.monotonic() > give_up:
                self._api.reject("event", f"not settled after {_PATIENCE_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def _refund(self, payment: Json) -> None:
        path = f"{PAYMENTS}/{payment['referenceId']}/refunds"
        body: Json = {"idempotencyKey": unique("refund-")}
        if self._happens(0.5):
            body["amount"] = max(1, payment["amount"] // 3)
        _, first = await self._admin.call("refund", "POST", path, body, expect=(200, 201))
        if self._happens(0.2):
            _, again = await self._admin.call("refund", "POST", path, body, expect=(200,))
            if again["data"]["refundId"] != first["data"]["refundId"]:
                self._admin.reject("refund", "one key has two refunds")


async def log_in(caller: Caller, email: str, password: str) -> str:
    """Return a token. Raises Stopped."""
    body = {"email": email, "password": password}
    _, answer = await caller.call("log in", "POST", f"{USERS}/login", body, expect=(200,))
    return str(answer["token"])
