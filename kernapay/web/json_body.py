"""The body of a request, decoded straight into the type that its handler takes."""

from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import SerializationException, ValidationException

from kernapay.core.patterns import DECODE_ERRORS

_BODY: Final = "data"


class JSONRequest(Request[Any, Any, Any]):
    """Read JSON strictly: the framework would take "50000" for a number and "true" for a yes."""

    async def json(self) -> Any:
        """Raises ValidationException naming the field, SerializationException when this is no JSON."""
        field = self.route_handler.parsed_data_field
        decoder = _decoder(Any if field is None else field.annotation)
        try:
            return decoder.decode(await self.body())
        except msgspec.ValidationError as error:
            extra = [{"key": _BODY, "message": str(error)}]
            raise ValidationException("Invalid input.", extra=extra) from error
        except DECODE_ERRORS as error:
            raise SerializationException("The body is not valid JSON.") from error


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
