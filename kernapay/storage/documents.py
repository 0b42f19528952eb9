"""MongoEngine's documents without what this service does not use: change tracking, references, dynamic fields.

Those cost more than all else that a create does with its payment. What is read, validated and written stays the same.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple, Self

from mongoengine import (
    DictField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    ListField,
    StringField,
)
from mongoengine.base import BaseField
from mongoengine.errors import FieldDoesNotExist, ValidationError

Convert = Callable[[Any], Any]

_PRIMARY_KEY: Final = "pk"


class _Column(NamedTuple):
    """A field with what its document needs of it, found once for each class."""

    name: str
    key: str
    """Its name in the database."""
    read: Convert | None
    """Makes the value that the document has from the one of the database or of the caller."""
    write: Convert | None
    default: Any
    is_null_stored: bool
    is_required: bool
    validate: Convert


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
        if unknown := values.keys() - self._fields.keys():
            raise FieldDoesNotExist(f"{self._class_name} has no fields {sorted(unknown)}")
        self._data = {
            column.name: _value_of(column, values.get(column.name))
            for column in _columns(type(self))
        }

    @classmethod
    def _from_son(cls, row: dict[str, Any], *_: Any, **__: Any) -> Self:
        """Return the document of a row. Raises MongoEngineException, ValueError, TypeError, AttributeError."""
        columns = _columns(cls)
        if cls._meta.get("strict", True) and (
            unknown := row.keys() - {column.key for column in columns}
        ):
            raise FieldDoesNotExist(f"{cls._class_name} has no columns {sorted(unknown)}")
        document = cls.__new__(cls)
        document._data = {column.name: _value_of(column, row.get(column.key)) for column in columns}
        return document

    def to_mongo(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the document as a row, without what it does not know."""
        data = self._data
        row = {}
        for column in _columns(type(self)):
            value = data[column.name]
            if value is not None and column.write is not None:
                value = column.write(value)
            if value is not None or column.is_null_stored:
                row[column.key] = value
        return row

    def validate(self, clean: bool = True) -> None:
        """Raise ValidationError for values that their fields refuse, and for required ones that are missing."""
        errors: dict[str, Exception] = {}
        for column in _columns(type(self)):
            value = self._data[column.name]
            if value is not None:
                try:
                    column.validate(value)
                except ValidationError as error:
                    errors[column.name] = error.errors or error
                except (ValueError, AttributeError, AssertionError) as error:
                    errors[column.name] = error
            elif column.is_required:
                errors[column.name] = ValidationError("Field is required", field_name=column.name)
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

    def to_mongo(self, value: Any, *_: Any, **__: Any) -> Any:
        return [each.to_mongo() for each in value]


def _require(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} was expected")
    return value


_found_columns: Final[dict[Any, tuple[_Column, ...]]] = {}


def _columns(document: Any) -> tuple[_Column, ...]:
    columns = _found_columns.get(document)
    if columns is None:
        columns = _found_columns[document] = tuple(
            _Column(
                name,
                field.db_field,
                _reader_of(field),
                _writer_of(field),
                None if field.null else field.default,
                field.null,
                field.required,
                field._validate,
            )
            for name, field in document._fields.items()
        )
    return columns


def _reader_of(field: BaseField) -> Convert | None:
    return field.to_python if _overrides(field, "to_python") else None


def _writer_of(field: BaseField) -> Convert | None:
    # MongoEngine's base class writes what it would read. A text is that already: it was validated.
    if _overrides(field, "to_mongo"):
        write: Convert = field.to_mongo
        return write
    is_as_read = isinstance(field, StringField) or not _overrides(field, "to_python")
    return None if is_as_read else field.to_python


def _overrides(field: BaseField, name: str) -> bool:
    return getattr(type(field), name) is not getattr(BaseField, name)


def _value_of(column: _Column, value: Any) -> Any:
    if value is None:
        default = column.default
        return default() if callable(default) else default
    return value if column.read is None else column.read(value)
