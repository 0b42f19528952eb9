"""The layer that makes a process speak the Express service's contract, with COMPAT=express.

It translates requests and answers around KernaPay's own routes, and refuses requests that are not in the contract.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
import structlog
from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from kernapay.compat import answers
from kernapay.compat.bodies import Translation, key_of, read_fields
from kernapay.compat.routes import NOWHERE, UNCHANGED, Route, find
from kernapay.core.errors import Forbidden, TooLarge
from kernapay.security.authentication import KEY_PREFIX
from kernapay.web.problems import MEDIA_TYPE, on_kernapay_error

_log = structlog.get_logger("kernapay.compat")
# On every answer that may have an amount, so that nobody has to guess the unit.
_MARK: Final = (b"kernapay-compat", b"express; amounts=rupees")
# The answers are read here, so they must not be compressed, and the console has no place here.
_DROPPED: Final = frozenset({b"accept-encoding", b"cookie"})
_LENGTH: Final = b"content-length"
_PROBLEM: Final = (b"content-type", MEDIA_TYPE.encode())
_NO_PATH: Final = (
    "This process speaks the contract of the Express service (COMPAT=express), which has no such call. "
    "KernaPay's own API is at a process without COMPAT."
)
_NO_KEYS: Final = (
    "This process takes amounts in rupees (COMPAT=express), and API keys are for clients of KernaPay's own API. "
    "Call a process without COMPAT."
)


class ExpressContract:
    """Wrap the application. Translated bodies have at most `body_limit` bytes."""

    def __init__(self, app: ASGIApp, body_limit: int) -> None:
        self._app = app
        self._body_limit = body_limit
        _log.warning("compat_express", amounts="rupees", fix="unset COMPAT to speak paise")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in UNCHANGED:
            await self._app(scope, receive, send)
            return
        route, target = find(scope["method"], scope["path"])
        headers = dict(scope["headers"])
        answer = _Answer(send, route, scope["method"])
        if _has_api_key(headers):
            await _refuse(scope, receive, answer)
            return
        # What this contract lacks is answered by the application too, so that pages of other origins can read it.
        _redirect(scope, target, route.query)
        if route.body is not None:
            receive = _Body(receive, answer, route.body, headers, self._body_limit)
        await self._app(scope, receive, answer)


def _has_api_key(headers: Mapping[bytes, bytes]) -> bool:
    token = headers.get(b"authorization", b"").partition(b" ")[2]
    return token.strip().startswith(KEY_PREFIX.encode())


async def _refuse(scope: Any, receive: Receive, send: Send) -> None:
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    refusal = on_kernapay_error(request, Forbidden(_NO_KEYS))
    await refusal.to_asgi_response(app=None, request=request)(scope, receive, send)


def _redirect(scope: Any, target: str, parameters: tuple[str, ...]) -> None:
    """Turn a request into one of KernaPay's in place, so that the log names the route that answers."""
    scope["path"] = target
    scope["raw_path"] = target.encode()
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    # The Express service ignored all others.
    known = [(name, value) for name, value in given if name in parameters]
    scope["query_string"] = urlencode(known).encode()
    scope["headers"] = [each for each in scope["headers"] if each[0] not in _DROPPED]


class _Body:
    """A `receive` that translates the body when the application asks for it.

    By then the caller is authenticated, and the application answers errors in the body like any other.
    """

    def __init__(
        self,
        receive: Receive,
        answer: "_Answer",
        translate: Translation,
        headers: Mapping[bytes, bytes],
        limit: int,
    ) -> None:
        self._receive = receive
        self._answer = answer
        self._translate = translate
        self._headers = headers
        self._limit = limit
        self._is_given = False

    async def __call__(self) -> Any:
        """Raise TooLarge, InvalidInput naming the field, and what reading raises."""
        if self._is_given:
            return await self._receive()
        fields = read_fields(await self._read())
        given = key_of(fields, self._headers)
        fields = self._translate(fields, self._headers)
        self._is_given = True
        self._answer.key = given or key_of(fields, self._headers)
        return {"type": "http.request", "body": msgspec.json.encode(fields), "more_body": False}

    async def _read(self) -> bytes:
        body = bytearray()
        while True:
            message: Any = await self._receive()
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise TooLarge(f"Send at most {self._limit} bytes.")
            if not message.get("more_body", False):
                return bytes(body)


class _Answer:
    """A `send` that translates an answer once it is complete. Answers of the Express contract are short."""

    def __init__(self, send: Send, route: Route, method: str) -> None:
        self._send = send
        self._route = route
        self._method = method
        self._start: Any = None
        self._body = bytearray()
        self.key = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish()

    async def _finish(self) -> None:
        headers = [*self._start.get("headers", ()), _MARK]
        status, body = self._start["status"], bytes(self._body)
        # What answers OPTIONS is for browsers: it has no body.
        if self._method != "OPTIONS":
            status, body = self._translate(status, _PROBLEM in headers, msgspec.json.decode(body))
            headers = [each for each in headers if each[0].lower() != _LENGTH]
            headers.append((_LENGTH, b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _translate(self, status: int, is_problem: bool, answer: Any) -> tuple[int, bytes]:
        new_status = self._route.statuses.get(status, status)
        if not is_problem:
            return new_status, answers.encode(self._route.shape(answer, status, self.key))
        if self._route is NOWHERE:
            answer["detail"] = _NO_PATH
        problem = answers.problem(answer, new_status, self._route.texts)
        return new_status, answers.encode(problem)
