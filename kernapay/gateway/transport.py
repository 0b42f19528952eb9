"""The session the Razorpay SDK talks through: urllib3, a forced timeout, typed errors.

The SDK takes any object with the interface of requests.Session. This one costs a third of the CPU, never follows
redirects, never retries, and keeps the status, code, field and reason that the SDK's own errors lose.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

import msgspec
import urllib3
from prometheus_client import Histogram
from urllib3.util import Timeout, make_headers

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.gateway.base import GatewayBusy, GatewayError, GatewayRejected, GatewayUnknown

CALLS: Final = Histogram(
    "kernapay_gateway_call_seconds",
    "Time the gateway took, by call and outcome",
    ("call", "outcome"),
)
_CONNECT_SECONDS: Final = 3.0
_ENTITIES: Final = frozenset({"orders", "payments", "refunds", "settlements"})


class Answer:
    """As much of requests.Response as the SDK reads."""

    def __init__(self, status_code: int, document: Any) -> None:
        self.status_code = status_code
        self._document = document

    def json(self) -> Any:
        return self._document


class _Problem(msgspec.Struct):
    code: str | None = None
    description: str | None = None
    field: str | None = None
    reason: str | None = None


class _Envelope(msgspec.Struct):
    error: _Problem


class Session:
    """A pool of connections shared by the gateway's threads."""

    def __init__(self, timeout: float, connections: int) -> None:
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            block=False,
            retries=False,
            timeout=Timeout(connect=min(_CONNECT_SECONDS, timeout), total=timeout),
        )

    def get(self, url: str, **options: Any) -> Answer:
        return self._send("GET", url, **options)

    def post(self, url: str, **options: Any) -> Answer:
        return self._send("POST", url, **options)

    def patch(self, url: str, **options: Any) -> Answer:
        return self._send("PATCH", url, **options)

    def close(self) -> None:
        self._pool.clear()

    def _send(
        self,
        method: str,
        url: str,
        *,
        auth: tuple[str, str],
        headers: Mapping[str, str],
        data: str | None = None,
        params: Mapping[str, Any] | None = None,
        verify: str | None = None,
    ) -> Answer:
        started = perf_counter()
        outcome = "unknown"
        try:
            response = self._pool.request(
                method,
                url,
                body=data,
                fields=params or None,
                headers={**headers, **make_headers(basic_auth=":".join(auth))},
                redirect=False,
            )
            outcome = str(response.status)
        except urllib3.exceptions.HTTPError as error:
            raise GatewayUnknown("The payment gateway did not answer.") from error
        finally:
            CALLS.labels(f"{method} {_kind(url)}", outcome).observe(perf_counter() - started)
        return _read(response.status, response.data)


def _kind(url: str) -> str:
    """Name the call for the metrics, without ids."""
    return next((part for part in url.split("/") if part in _ENTITIES), "other")


def _read(status: int, body: bytes) -> Answer:
    if status in (200, 201):
        try:
            return Answer(status, msgspec.json.decode(body))
        except DECODE_ERRORS as error:
            raise GatewayUnknown(
                "The payment gateway's answer cannot be read.", http_status=status
            ) from error
    raise _error(status, body)


def _error(status: int, body: bytes) -> GatewayError:
    try:
        problem = msgspec.json.decode(body, type=_Envelope).error
    except DECODE_ERRORS:
        problem = _Problem()  # a proxy's HTML page, or nothing
    facts: dict[str, Any] = {
        "http_status": status,
        "gateway_code": problem.code,
        "gateway_field": problem.field,
        "reason": problem.reason,
    }
    if status == 429:
        return GatewayBusy("The payment gateway asks for fewer requests.", **facts)
    if status == 409:
        return GatewayBusy("The payment gateway is still at work on this request.", **facts)
    if 400 <= status < 500 and problem.code != "SERVER_ERROR":
        return GatewayRejected(
            f"The payment gateway refused: {problem.description or f'status {status}'}", **facts
        )
    return GatewayUnknown("The payment gateway failed.", **facts)
