"""The HTTP session of the Razorpay SDK: urllib3 under the deadline of the call, with typed errors.

The SDK accepts any object with the interface of requests.Session. This one needs a third of the CPU and never follows
redirects or retries. Its errors have the status, code, field and reason, which the SDK's own errors lack.
"""

import re
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
import urllib3
from urllib3.util import make_headers

from kernapay.core.bound_http import BoundPool
from kernapay.gateway.base import GatewayError, GatewayUnknown
from kernapay.gateway.decoding import Unreadable, read_json
from kernapay.gateway.metrics import count_call
from kernapay.gateway.refusals import judge, read_refusal

_log = structlog.get_logger("kernapay.gateway")
_PERSONAL: Final = re.compile(r"\S+@\S+|\+?\d[\d -]{8,}\d|\b\w+_[A-Za-z0-9]{14,}")
_LONGEST_LOGGED: Final = 1_000


class Response:
    """The part of requests.Response that the SDK reads."""

    def __init__(self, status_code: int, document: Any) -> None:
        self.status_code = status_code
        self._document = document

    def json(self) -> Any:
        return self._document


class Session:
    """A pool of connections that the gateway's threads share. Each thread holds the deadline of its call."""

    def __init__(self, connections: int) -> None:
        self._pool = BoundPool(connections)

    def get(self, url: str, **options: Any) -> Response:
        return self._send("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        return self._send("POST", url, **options)

    def patch(self, url: str, **options: Any) -> Response:
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
    ) -> Response:
        start = perf_counter()
        status: int | None = None
        call = _template_of(method, url)
        try:
            response = self._pool.send(
                method,
                url,
                body=data,
                fields=params or None,
                headers={**headers, **make_headers(basic_auth=":".join(auth))},
            )
            status = response.status
        except urllib3.exceptions.HTTPError as error:
            _log.warning(
                "gateway_unanswered",
                call=call,
                error=type(error).__name__,
                detail=_for_log(str(error)),
                seconds=round(perf_counter() - start, 2),
            )
            raise GatewayUnknown("The payment gateway did not answer. Try again.") from error
        finally:
            count_call(method, url, status, perf_counter() - start)
        return _read(call, response.status, response.data, is_change=method != "GET")


def _template_of(method: str, url: str) -> str:
    """Return a call for the log, without ids: `POST payments/{id}/capture`."""
    parts = urlsplit(url).path.strip("/").split("/")[1:]
    return f"{method} {'/'.join('{id}' if '_' in part else part for part in parts)}"


def _for_log(text: str) -> str:
    """Shorten foreign words, and take out what could be somebody's address or number."""
    # First shortened: on unbounded text, the search would take quadratic time.
    return _PERSONAL.sub("[redacted]", text[:_LONGEST_LOGGED])[:300]


def _read(call: str, status: int, body: bytes, *, is_change: bool) -> Response:
    if not 200 <= status < 300:
        raise _read_error(call, status, body, is_change=is_change)
    try:
        return Response(status, read_json(body))
    except Unreadable as error:
        _log.warning("gateway_unreadable", call=call, status=status, bytes=len(body))
        raise GatewayUnknown(
            "The payment gateway's answer is not valid JSON.", http_status=status
        ) from error


def _read_error(call: str, status: int, body: bytes, *, is_change: bool) -> GatewayError:
    refusal = read_refusal(status, body)
    error = judge(refusal, is_change=is_change)
    _log.warning(
        "gateway_refused",
        call=call,
        status=status,
        code=refusal.code,
        field=refusal.field,
        reason=refusal.reason,
        description=_for_log(refusal.description or body[:200].decode(errors="replace")),
        judged=type(error).__name__,
    )
    return error
