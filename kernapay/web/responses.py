"""The envelopes of answers, and answers whose JSON is stored already."""

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
    """An answer of stored JSON bytes. The type parameter is their type, for the schema."""

    def __init__(self, body: bytes) -> None:
        super().__init__(content=None)  # type: ignore[arg-type]
        self._body = body

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return ASGIResponse(body=self._body, media_type=MediaType.JSON)
