"""The response shapes that clients already know, and stored JSON on its way out."""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar import MediaType, Response
from litestar.response.base import ASGIResponse

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
    """JSON bytes that go out as they are; the type parameter is what they decode to, for the schema."""

    def __init__(self, body: bytes) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]
        self._body = body

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return ASGIResponse(body=self._body, media_type=MediaType.JSON)
