"""The envelopes of answers, and answers whose JSON is already encoded."""

from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

from kernapay.core.text import show_controls_in_json

T = TypeVar("T")
_JSON: Final = (b"content-type", b"application/json")


class Success(msgspec.Struct, Generic[T], frozen=True):
    """A result in the envelope of the payment calls."""

    data: T
    success: bool = True


class Message(msgspec.Struct, frozen=True):
    """A confirmation."""

    message: Annotated[str, msgspec.Meta(examples=["Signed out."])]
    success: bool = True


class EncodedJSON(Response[T]):
    """An answer of JSON bytes. The type parameter is their type, for the schema.

    It answers by itself: Litestar's own answers look for headers, cookies and a background task, of which it has none.
    """

    def __init__(self, body: bytes, status_code: int = 200) -> None:
        self.content = None  # type: ignore[assignment]
        self._status = status_code
        self._body = show_controls_in_json(body)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        return self

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        body = self._body
        headers = [_JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def show_controls_in(response: Any) -> Any:
    """Encode the answer of a handler, with control characters made visible: many answers contain text of strangers."""
    if isinstance(response, Response) and isinstance(response.content, msgspec.Struct | list):
        response.content = show_controls_in_json(msgspec.json.encode(response.content))
    return response
