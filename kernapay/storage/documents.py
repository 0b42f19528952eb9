"""MongoEngine's documents without what this service does not use: change tracking, references, dynamic fields.

Those cost more than all else that a create does with its payment. What is read, validated and written stays the same.
"""

from collections.abc import Mapping as Keywords
from typing import Any, ClassVar, Final, Self

from mongoengine import (
    DictField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    ListField,
)
from mongoengine.base import BaseField
from mongoengine.errors import FieldDoesNotExist, ValidationError

from kernapay.storage.columns import shape_of

_PRIMARY_KEY: Final = "pk"


class _Lean:
    """The methods of a document that every read and every insert goes through."""

    _fields: ClassVar[dict[str, BaseField]]
    _meta: ClassVar[dict[str, Any]]
    _class_name: ClassVar[str]
    _initialised = False
    """MongoEngine's fields would note every change of an initialised document, and look for references in it."""
    _created = True
    _instance = None
    _changed_fields: ClassVar[tuple[str, ...]] = ()
    _data: dict[str, Any]

    __setattr__ = object.__setattr__

    def __init__(self, **values: Any) -> None:
        """Raise FieldDoesNotExist for a name that is not a field's."""
        if _PRIMARY_KEY in values:
            values[self._meta["id_field"]] = values.pop(_PRIMARY_KEY)
        shape = shape_of(type(self))
        if unknown := values.keys() - shape.by_name.keys():
            raise FieldDoesNotExist(f"{self._class_name} has no fields {sorted(unknown)}")
        self._data = shape.blank()
        for name, value in values.items():
            if value is not None:
                self._data[name] = shape.by_name[name].convert(value)

    @classmethod
    def _from_son(cls, row: dict[str, Any], *_: Any, **__: Any) -> Self:
        """Return the document of a row. Raises MongoEngineException, ValueError, TypeError, AttributeError."""
        shape = shape_of(cls)
        if cls._meta.get("strict", True) and (unknown := row.keys() - shape.by_key.keys()):
            raise FieldDoesNotExist(f"{cls._class_name} has no columns {sorted(unknown)}")
        document = cls.__new__(cls)
        data = document._data = shape.blank()
        for key, value in row.items():
            column = shape.by_key.get(key)
            if column is not None and value is not None:
                data[column.name] = column.convert(value)
        return document

    def to_mongo(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the document as a row, without what it does not know."""
        data = self._data
        row = {}
        for column in shape_of(type(self)).columns:
            value = data[column.name]
            if value is not None and column.write is not None:
                value = column.write(value)
            if value is not None or column.is_null_stored:
                row[column.key] = value
        return row

    def with_change(self, change: Keywords[str, Any]) -> Self:
        """Return the document as an update leaves it that only sets, unsets and pushes values of its fields."""
        changed = type(self).__new__(type(self))
        data = changed._data = self._data.copy()
        blank = shape_of(type(self)).blank()
        for keyword, value in change.items():
            operator, _, name = keyword.partition("__")
            match operator:
                case "set":
                    data[name] = blank[name] if value is None else value
                case "unset":
                    data[name] = blank[name]
                case "push":
                    data[name] = [*data[name], value]
                case "push_all":
                    data[name] = [*data[name], *value]
                case _:
                    raise ValueError(f"{keyword} neither sets, unsets nor pushes")
        return changed

    def validate(self, clean: bool = True) -> None:
        """Raise ValidationError for values that their fields refuse, and for required ones that are missing."""
        errors: dict[str, Exception] = {}
        shape = shape_of(type(self))
        for name, value in self._data.items():
            column = shape.by_name[name]
            if value is None or type(value) is column.valid:
                continue
            try:
                column.validate(value)
            except ValidationError as error:
                errors[name] = error.errors or error
            except (ValueError, AttributeError, AssertionError) as error:
                errors[name] = error
        for name in shape.required:
            if self._data[name] is None:
                errors[name] = ValidationError("Field is required", field_name=name)
        if errors:
            raise ValidationError(f"ValidationError ({self._class_name})", errors=errors)


class LeanDocument(_Lean, Document):  # type: ignore[misc]
    """A document of a collection."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}


class Part(_Lean, EmbeddedDocument):  # type: ignore[misc]
    """A document inside another one."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}


class _AsStored:
    """A field whose value is handed out as it is, not wrapped in one that notes its changes."""

    name: str

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else instance._data.get(self.name)


class Items(_AsStored, ListField):  # type: ignore[misc]
    """A list of plain values of one kind."""

    def to_python(self, value: Any) -> Any:
        return [self.field.to_python(each) for each in _require(list, value)]

    def validate(self, value: Any) -> None:
        if value != [] or self.required:
            super().validate(value)

    def to_mongo(self, value: Any, *_: Any, **__: Any) -> Any:
        return [self.field.to_mongo(each) for each in value]


class Mapping(_AsStored, DictField):  # type: ignore[misc]
    """A mapping of plain values, which may be lists and mappings themselves."""

    def to_python(self, value: Any) -> Any:
        return dict(_require(dict, value))

    def to_mongo(self, value: Any, *_: Any, **__: Any) -> Any:
        return dict(value)


class OnePart(_AsStored, EmbeddedDocumentField):  # type: ignore[misc]
    """One part."""

    def to_python(self, value: Any) -> Any:
        kind = self.document_type
        return value if isinstance(value, kind) else kind._from_son(_require(dict, value))

    def to_mongo(self, value: Any, *_: Any, **__: Any) -> Any:
        return value.to_mongo()


class Parts(_AsStored, EmbeddedDocumentListField):  # type: ignore[misc]
    """A list of parts."""

    def to_python(self, value: Any) -> Any:
        kind = self.field.document_type
        return [
            each if isinstance(each, kind) else kind._from_son(_require(dict, each))
            for each in _require(list, value)
        ]

    def validate(self, value: Any) -> None:
        if value != [] or self.required:
            super().validate(value)

    def to_mongo(self, value: Any, *_: Any, **__: Any) -> Any:
        return [each.to_mongo() for each in value]


def _require(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} was expected")
    return value
