"""Fields that read what earlier systems stored, and whose conditions match it as it is stored."""

from typing import Any

from mongoengine import ObjectIdField, StringField


class TextId(str):
    """An id that the row holds as text. Conditions compare with the text: an ObjectId would match nothing."""

    __slots__ = ()


class IdOrTextField(ObjectIdField):  # type: ignore[misc]
    """An id that earlier systems stored as text."""

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, TextId) else super().to_python(value)

    def validate(self, value: Any) -> None:
        if not isinstance(value, TextId):
            super().validate(value)

    def to_mongo(self, value: Any) -> Any:
        return str(value) if isinstance(value, TextId) else super().to_mongo(value)


class DefaultTextField(StringField):  # type: ignore[misc]
    """A text that rows of earlier systems may lack. A condition with the default finds these rows too."""

    def __init__(self, stands_for_none: str, **options: Any) -> None:
        super().__init__(**options)
        self._stands_for_none = stands_for_none

    def prepare_query_value(self, op: str, value: Any) -> Any:
        if op is None and value == self._stands_for_none:
            return {"$in": [value, None]}
        return super().prepare_query_value(op, value)
