"""JSON bodies, decoded directly into the type of the handler's `data` parameter."""

from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import SerializationException, ValidationException

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.web.problems import BODY


class JSONRequest(Request[Any, Any, Any]):
    """Decode JSON strictly: Litestar would accept "50000" as an integer and "true" as a boolean."""

    async def json(self) -> Any:
        """Return the decoded body.

        Raises ValidationException, naming the field, and SerializationException when the body is not JSON.
        """
        field = self.route_handler.parsed_data_field
        decoder = _decoder(Any if field is None else field.annotation)
        try:
            return decoder.decode(await self.body())
        except msgspec.ValidationError as error:
            extra = [{"key": BODY, "message": str(error)}]
            raise ValidationException("Invalid input.", extra=extra) from error
        except DECODE_ERRORS as error:
            raise SerializationException("The body is not valid JSON.") from error


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
