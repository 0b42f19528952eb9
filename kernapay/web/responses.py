"""The envelopes of answers, and answers whose JSON is stored already."""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar import MediaType, Response
from litestar.response.base import ASGIResponse

from kernapay.core.text import show_controls_in_json

T = TypeVar("T")


class Success(msgspec.Struct, Generic[T], frozen=True):
    """A result in the envelope of the payment calls."""

    data: T
    success: bool = True


class Message(msgspec.Struct, frozen=True):
    """A confirmation."""

    message: Annotated[str, msgspec.Meta(examples=["Signed out."])]
    success: bool = True


class StoredJSON(Response[T]):
    """An answer of stored JSON bytes. The type parameter is their type, for the schema."""

    def __init__(self, body: bytes) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]
        self._body = body

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return ASGIResponse(body=show_controls_in_json(self._body), media_type=MediaType.JSON)


async def show_controls_in(response: Any) -> Any:
    """Encode the answer of a handler, and show controls as such: what strangers wrote is in many of them."""
    if isinstance(response, Response) and isinstance(response.content, msgspec.Struct | list):
        response.content = show_controls_in_json(msgspec.json.encode(response.content))
    return response
