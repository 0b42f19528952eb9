"""JSON over HTTP: how controllers read their requests and write their responses."""

from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from kernapay.sandbox.errors import ControlError

AnyRequest = Request[Any, Any, Any]
StructT = TypeVar("StructT", bound=msgspec.Struct)


async def read_json(request: AnyRequest, struct: type[StructT]) -> StructT:
    """Return the body as the struct. Raise ControlError if it does not fit."""
    body = await request.body() or b"{}"
    try:
        return msgspec.json.decode(body, type=struct)
    except msgspec.ValidationError as error:
        raise ControlError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ControlError("The body is not valid JSON. Send one JSON object.") from None


def json_response(view: Any, status: int = 200) -> Response[bytes]:
    return Response(
        msgspec.json.encode(view),
        status_code=status,
        media_type="application/json",
        headers={"X-Content-Type-Options": "nosniff"},
    )
