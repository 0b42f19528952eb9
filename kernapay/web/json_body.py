"""JSON bodies, decoded directly into the type of the handler's `data` parameter."""

import json
import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import SerializationException, ValidationException

from kernapay.core.errors import InvalidInput
from kernapay.core.patterns import DECODE_ERRORS
from kernapay.web.body_limits import UnsupportedMediaType
from kernapay.web.problems import BODY

_JSON_BASED: Final = re.compile(r"application/[a-z0-9!#$&^_.-]+\+json")
# ASCII is a part of UTF-8.
_UTF_8: Final = ("utf-8", "utf8", "us-ascii")


class JSONRequest(Request[Any, Any, Any]):
    """Decode JSON strictly: Litestar would accept "50000" as an integer and "true" as a boolean."""

    async def json(self) -> Any:
        """Return the decoded body.

        Raises ValidationException, naming the field, UnsupportedMediaType when the body is said to be something else
        than JSON, and SerializationException when it is not JSON.
        """
        self._refuse_other_types()
        field = self.route_handler.parsed_data_field
        decoder = _decoder(Any if field is None else field.annotation)
        body = await self.body()
        try:
            data = decoder.decode(body)
        except msgspec.ValidationError as error:
            extra = [{"key": BODY, "message": str(error)}]
            raise ValidationException("Invalid input.", extra=extra) from error
        except DECODE_ERRORS as error:
            raise SerializationException("The body is not valid JSON.") from error
        # The decoder takes the last of two values; a proxy that checked the body may have read the first.
        if not _has_surely_no_doubles(body):
            try:
                json.loads(body, object_pairs_hook=refuse_doubles, parse_int=str, parse_float=str)
            except (UnicodeDecodeError, RecursionError) as error:
                # In a field that the decoder has skipped, because the type does not have it.
                raise SerializationException("The body is not valid JSON.") from error
        return data

    def _refuse_other_types(self) -> None:
        """Refuse a body under another name than JSON. Without a name it is taken for JSON."""
        header = self.headers.get("content-type", "")
        if header.strip() and not _is_json(header):
            raise UnsupportedMediaType("Send JSON: Content-Type: application/json, in UTF-8.")


def _has_surely_no_doubles(body: bytes) -> bool:
    """Return whether a body surely has no name twice: it has as many different names as colons.

    Each name is followed by a colon. Where texts contain colons too, this is not sure. Counting costs a fraction of a
    look at each name.
    """
    try:
        return _count_names(msgspec.json.decode(body)) == body.count(b":")
    except DECODE_ERRORS:
        return False


def _count_names(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(map(_count_names, value.values()))
    return sum(map(_count_names, value)) if type(value) is list else 0


def refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    """Raise InvalidInput if an object has a name twice: a hook for `json.loads`."""
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidInput("Send it once.", field=name)
        seen.add(name)


def _is_json(content_type: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/json" and not _JSON_BASED.fullmatch(kind):
        return False
    charsets = [
        each.partition("=")[2].strip('"') for each in parameters if each.startswith("charset=")
    ]
    return all(charset in _UTF_8 for charset in charsets)


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
