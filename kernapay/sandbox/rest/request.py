"""What every REST handler begins and ends with."""

from typing import Any

import msgspec
from litestar import Request, Response

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.rest.account import authenticate

AnyRequest = Request[Any, Any, Any]


def provide_owner(sandbox: Sandbox, request: AnyRequest) -> str:
    """Return the key id whose objects the caller may see."""
    return authenticate(sandbox.config, request.headers.get("authorization", "")).key_id


async def body_of(request: AnyRequest) -> Fields:
    return Fields.of_body(await request.body(), request.headers.get("content-type", ""))


def query_of(request: AnyRequest) -> Fields:
    return Fields.of_query(request.scope["query_string"])


def answer(view: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(view), status_code=status, media_type="application/json")
