"""How rows are decoded for views."""

from typing import Any, Final

from bson import Int64, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry


class _ObjectIdAsText(TypeDecoder):
    """Decode ids as text, as the views have them. That saves a pass over every row."""

    bson_type = ObjectId

    def transform_bson(self, value: ObjectId) -> str:
        return str(value)


class _Int64AsInt(TypeDecoder):
    """Decode large integers as what they are. The driver's own type cannot be encoded as JSON."""

    bson_type = Int64

    def transform_bson(self, value: Int64) -> int:
        return int(value)


VIEW_CODEC: Final = CodecOptions[dict[str, Any]](
    tz_aware=True,
    type_registry=TypeRegistry([_ObjectIdAsText(), _Int64AsInt()]),
    # What cannot be decoded must not fail the rows beside it. A time outside of Python's is then no time.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
