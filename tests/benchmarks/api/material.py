"""The prepared requests of the rows, and the accounts and payments that they need."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tests.benchmarks.api.http_client import Answer, raw_request, send_all
from tests.benchmarks.api.limits import PAGE
from tests.benchmarks.api.load import Batch
from tests.benchmarks.api.stack import WEBHOOK_SECRET, Program, Servers, Stack
from tests.factories import (
    PASSWORD,
    event_body,
    event_headers,
    gateway_payment,
    payment_body,
    sign_up_body,
    unique,
    without,
)
from tests.stack import WEBHOOK_PATH

_USERS: Final = "/v1/api/users"
_PAYMENTS: Final = "/v1/api/payments"
# As many as the first page of a history has.
_PAYMENTS_EACH: Final = int(PAGE.partition(":")[2])
_KNOWN: Final = 1024
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class User(NamedTuple):
    id: str
    email: str
    token: str


class Unexpected(Exception):
    """A server did not answer as the benchmark needs it."""


class Requests:
    """Requests to the API from accounts that take turns, so what one connection reads its neighbour does not read."""

    def __init__(self, servers: Servers, users: Sequence[User]) -> None:
        self._servers = servers
        self._api = servers.api.port
        self.users = users

    def _call_all(
        self, program: Program, requests: Sequence[bytes], *expected: int
    ) -> list[dict[str, Any]]:
        """Send the requests. Return the answers as JSON. Raises Unexpected for any other status."""
        answers = send_all(program.port, requests)
        for answer in answers:
            _check(answer, *expected)
        return [json.loads(answer.body) for answer in answers]

    def _post(self, path: str, body: Any, token: str | None = None) -> bytes:
        encoded = json.dumps(body).encode()
        return raw_request("POST", path, self._api, token=token, body=encoded)

    def _get(
        self, path: str, token: str | None = None, headers: Mapping[str, str] = _NO_HEADERS
    ) -> bytes:
        return raw_request("GET", path, self._api, token=token, headers=headers)

    def _login(self, email: str) -> bytes:
        return self._post(f"{_USERS}/login", {"email": email, "password": PASSWORD})

    def _create(self, count: int) -> list[dict[str, Any]]:
        answers = self._call_all(self._servers.api, self.creates(count), 201)
        return [answer["data"] for answer in answers]

    def _each(self, make: Callable[[User], bytes]) -> Batch:
        return Batch([make(user) for user in self.users])

    def history(self) -> Batch:
        """Return requests of pages that are in the cache, as are the sessions and profiles."""
        return self._histories()

    def history_gzip(self) -> Batch:
        return self._histories({"Accept-Encoding": "gzip"})

    def _histories(self, headers: Mapping[str, str] = _NO_HEADERS) -> Batch:
        path = f"{_PAYMENTS}/history"
        batch = self._each(
            lambda user: self._get(f"{path}/{user.id}?count=10", user.token, headers)
        )
        for answer in send_all(self._api, batch.requests):
            _check(answer, 200)
        return batch

    def profile(self) -> Batch:
        batch = self._each(lambda user: self._get(f"{_USERS}/profile", user.token))
        self._call_all(self._servers.api, batch.requests, 200)
        return batch

    def live(self) -> Batch:
        return Batch([self._get("/health/live")])

    def logins(self) -> Batch:
        return self._each(lambda user: self._login(user.email))

    def creates(self, count: int) -> list[bytes]:
        """Return requests that each create a payment under a key of its own."""
        return [self.create_of(number) for number in range(count)]

    def create_of(self, number: int) -> bytes:
        """Return a request that creates a payment, of the account whose turn it is."""
        user = self.users[number % len(self.users)]
        body = without(payment_body(), "providerId")
        return self._post(f"{_PAYMENTS}/create", body, user.token)

    def same_keys(self) -> Batch:
        """Return requests that were sent before, under many more keys than there are connections.

        So two requests with one key are never under way at once, and no look-up can be shared.
        """
        requests = self.creates(_KNOWN)
        self._call_all(self._servers.api, requests, 201)
        return Batch(requests)

    def events(self, count: int) -> list[bytes]:
        """Return signed events that each tell of the capture of a payment of its own."""
        return [self.event_of(payment) for payment in self._create(count)]

    def event_of(self, payment: Mapping[str, Any]) -> bytes:
        """Return a signed event that tells of the capture of a payment."""
        body = event_body("payment.captured", payment=gateway_payment(payment["orderId"]))
        headers = without(event_headers(body, unique("evt_"), WEBHOOK_SECRET), "Content-Type")
        return raw_request("POST", WEBHOOK_PATH, self._api, body=body, headers=headers)

    def known_events(self) -> Batch:
        """Return events that were processed before, many more than there are connections."""
        requests = self.events(_KNOWN)
        self._call_all(self._servers.api, requests, 200)
        return Batch(requests)

    def checkouts(self, count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Create payments and pay them at the sandbox. Return each with what Checkout passed to the page."""
        payments = self._create(count)
        sandbox = self._servers.sandbox
        pays = [
            raw_request(
                "POST",
                "/_sandbox/pay",
                sandbox.port,
                body=json.dumps({"order_id": each["orderId"], "method": "upi"}).encode(),
            )
            for each in payments
        ]
        return list(zip(payments, self._call_all(sandbox, pays, 200), strict=True))

    def verify(self, payment: Mapping[str, Any], checkout: Mapping[str, Any]) -> bytes:
        """Return what the page of the shop sends after Checkout."""
        return self._post(
            f"{_PAYMENTS}/verify",
            {
                "razorpayOrderId": checkout["razorpay_order_id"],
                "razorpayPaymentId": checkout["razorpay_payment_id"],
                "razorpaySignature": checkout["razorpay_signature"],
                "referenceId": payment["referenceId"],
            },
        )

    def verifies(self, count: int) -> list[bytes]:
        """Return what the page of the shop sends after Checkout, each for a payment of its own."""
        return [self.verify(*each) for each in self.checkouts(count)]


class Material(Requests):
    """The requests of the rows, from accounts that are made for them: one for each connection.

    Each account has a page of payments.
    """

    def __init__(self, stack: Stack, accounts: int) -> None:
        super().__init__(stack, [])
        self._stack = stack
        self.users = self._sign_up(accounts)
        self.references = [
            payment["referenceId"] for payment in self._create(accounts * _PAYMENTS_EACH)
        ]

    def _sign_up(self, count: int) -> list[User]:
        bodies = [sign_up_body() for _ in range(count)]
        signed_up = [self._post(f"{_USERS}/signup", body) for body in bodies]
        self._call_all(self._servers.api, signed_up, 201)
        logins = [self._login(body["email"]) for body in bodies]
        answers = self._call_all(self._servers.api, logins, 200)
        return [User(a["user"]["_id"], a["user"]["email"], a["token"]) for a in answers]

    def status(self) -> Batch:
        return Batch([self._get(f"{_PAYMENTS}/status/{each}") for each in self.references])

    def mini(self) -> Batch:
        self._histories()
        port = self._stack.limits.port
        return self._each(lambda user: raw_request("GET", "/mini", port, token=user.token))

    def find_one(self) -> Batch:
        port = self._stack.limits.port
        paths = [f"/find_one/{reference}" for reference in self.references]
        return Batch([raw_request("GET", path, port) for path in paths])

    def insert(self) -> Batch:
        return Batch([raw_request("POST", "/insert", self._stack.limits.port)])

    def check_password(self) -> Batch:
        return Batch([raw_request("GET", "/bcrypt", self._stack.limits.port)])


def _check(answer: Answer, *expected: int) -> None:
    if answer.status not in expected:
        raise Unexpected(f"{answer.status} instead of {expected}: {answer.body[:500]!r}")
