"""Read the bodies of the sandbox's own calls."""

from typing import TypeVar

import msgspec

from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.rest.call import AnyRequest

StructT = TypeVar("StructT", bound=msgspec.Struct)


async def read(request: AnyRequest, shape: type[StructT]) -> StructT:
    """Return the body as the struct; raise ControlError saying what is wrong with it."""
    body = await request.body() or b"{}"
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as problem:
        raise ControlError(str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ControlError("The body is not valid JSON.") from None
