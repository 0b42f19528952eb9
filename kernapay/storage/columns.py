"""What documents need of their fields, found once for each class."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from bson import ObjectId
from mongoengine import (
    BooleanField,
    DateTimeField,
    EnumField,
    IntField,
    LongField,
    ObjectIdField,
    StringField,
)
from mongoengine.base import BaseField

Convert = Callable[[Any], Any]


class Column(NamedTuple):
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
    plain: type | None
    """The type whose values are read as they are."""
    valid: type | None
    """The type whose values need no check."""

    def convert(self, value: Any) -> Any:
        """Return the value that the document has. Raises what the field raises."""
        return value if self.read is None or type(value) is self.plain else self.read(value)


class Shape(NamedTuple):
    """The columns of a class of documents, by what finds them."""

    columns: tuple[Column, ...]
    by_name: dict[str, Column]
    by_key: dict[str, Column]
    required: tuple[str, ...]
    constants: dict[str, Any]
    """What a document without values has."""
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    """What makes the values of which each document has its own."""

    def blank(self) -> dict[str, Any]:
        """Return the values of a document that was given none."""
        data = self.constants.copy()
        for name, make in self.factories:
            data[name] = make()
        return data


def _find_shape(document: Any) -> Shape:
    columns = tuple(
        Column(
            name,
            field.db_field,
            _reader_of(field),
            _writer_of(field),
            None if field.null else field.default,
            field.null,
            field.required,
            _validator_of(field),
            plain_type_of(field),
            field._enum_cls if isinstance(field, EnumField) else plain_type_of(field),
        )
        for name, field in document._fields.items()
    )
    return Shape(
        columns,
        {column.name: column for column in columns},
        {column.key: column for column in columns},
        tuple(column.name for column in columns if column.is_required),
        {c.name: None if callable(c.default) else c.default for c in columns},
        tuple((c.name, c.default) for c in columns if callable(c.default)),
    )


shape_of: Final[Callable[[Any], Shape]] = cache(_find_shape)
"""Return the columns of a class of documents."""


def _reader_of(field: BaseField) -> Convert | None:
    if isinstance(field, EnumField):
        return _enum_reader_of(field)
    return field.to_python if _overrides(field, "to_python") else None


def _enum_reader_of(field: EnumField) -> Convert:
    members = {member.value: member for member in field._enum_cls}

    def read(value: Any) -> Any:
        member = members.get(value) if type(value) is str else None
        return field.to_python(value) if member is None else member

    return read


def _writer_of(field: BaseField) -> Convert | None:
    # MongoEngine's base class writes what it would read. A text is that already: it was validated.
    if _overrides(field, "to_mongo"):
        write: Convert = field.to_mongo
        return write
    is_as_read = isinstance(field, StringField) or not _overrides(field, "to_python")
    return None if is_as_read else field.to_python


# Not their subclasses, which may read otherwise.
_PLAIN_TYPES: Final = {
    StringField: str,
    IntField: int,
    LongField: int,
    BooleanField: bool,
    DateTimeField: datetime,
    ObjectIdField: ObjectId,
}
_LIMITS: Final = ("regex", "min_length", "max_length", "min_value", "max_value", "choices")


def plain_type_of(field: BaseField) -> type | None:
    """Return the type whose values the field takes and gives as they are, None without one."""
    is_free = all(getattr(field, name, None) is None for name in (*_LIMITS, "validation"))
    return _PLAIN_TYPES.get(type(field)) if is_free else None


def _overrides(field: BaseField, name: str) -> bool:
    return getattr(type(field), name) is not getattr(BaseField, name)


def _validator_of(field: BaseField) -> Convert:
    # MongoEngine's `_validate` looks for choices and for a function of the field's own, and then does this.
    has_more = field.choices or field.validation is not None
    validate: Convert = field._validate if has_more else field.validate
    return validate
