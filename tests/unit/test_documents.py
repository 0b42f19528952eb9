"""Our documents read, check and write what MongoEngine's own would."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mongoengine import (
    BinaryField,
    BooleanField,
    DateTimeField,
    DictField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    EnumField,
    IntField,
    ListField,
    LongField,
    ObjectIdField,
    StringField,
)
from mongoengine.base import BaseDocument, BaseField, ComplexBaseField
from mongoengine.errors import MongoEngineException, ValidationError

from kernapay.payments.models import Payment, Step
from kernapay.payments.states import Status
from kernapay.storage.documents import Items, Mapping, OnePart, Part, Parts
from kernapay.storage.mongo import Record
from tests.aliases import Json
from tests.house.documents import every_document

_REFUSALS = (MongoEngineException, ValidationError, ValueError, TypeError, AttributeError)
_TIMES = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_IDS = st.binary(min_size=12, max_size=12).map(ObjectId)
_ODD = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3), _TIMES, _IDS)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_twins: dict[type[BaseDocument], type[BaseDocument]] = {}


def twin_of(model: type[BaseDocument]) -> type[BaseDocument]:
    """Return a document of MongoEngine's with the same fields."""
    if model not in _twins:
        base = EmbeddedDocument if issubclass(model, Part) else Document
        fields = {
            name: _plain(field)
            for name, field in model._fields.items()
            if not (name == "id" and isinstance(field, ObjectIdField))
        }
        meta = {"strict": model._meta.get("strict", True)}
        _twins[model] = type(f"{model.__name__}Twin", (base,), {**fields, "meta": meta})
    return _twins[model]


def _plain(field: BaseField) -> BaseField:
    options = {
        "db_field": field.db_field,
        "required": field.required,
        "null": field.null,
        "default": field.default,
    }
    if isinstance(field, Parts):
        return EmbeddedDocumentListField(twin_of(field.field.document_type), **options)
    if isinstance(field, OnePart):
        return EmbeddedDocumentField(twin_of(field.document_type), **options)
    if isinstance(field, Items):
        return ListField(copy.deepcopy(field.field), **options)
    if isinstance(field, Mapping):
        return DictField(**options)
    return copy.deepcopy(field)


def values_of(field: BaseField, *, odd: bool) -> st.SearchStrategy[Any]:
    """Make what a column may hold: mostly what the field writes."""
    if isinstance(field, Parts):
        return st.lists(rows_of(field.field.document_type, odd=odd), max_size=2)
    if isinstance(field, OnePart):
        return st.none() | rows_of(field.document_type, odd=odd)
    if isinstance(field, Items):
        return st.lists(values_of(field.field, odd=odd), max_size=2)
    if isinstance(field, Mapping):
        return st.dictionaries(st.sampled_from("abc"), st.integers() | st.text(max_size=3))
    fitting: st.SearchStrategy[Any]
    match field:
        case EnumField():
            fitting = st.sampled_from([each.value for each in field._enum_cls])
        case DateTimeField():
            fitting = _TIMES
        case ObjectIdField():
            fitting = _IDS
        case BooleanField():
            fitting = st.booleans()
        case IntField() | LongField():
            fitting = st.integers(0, 2**40)
        case BinaryField():
            fitting = st.binary(max_size=3)
        case StringField():
            fitting = st.text(max_size=5)
        case _:
            pytest.fail(f"say here what a {type(field).__name__} may hold")
    return st.one_of(fitting, st.none(), _ODD) if odd else fitting


def rows_of(model: type[BaseDocument], *, odd: bool) -> st.SearchStrategy[Json]:
    """Make rows; the odd ones also lack columns, have others, and values of other types."""
    columns = {f.db_field: values_of(f, odd=odd) for f in model._fields.values()}
    if not odd:
        return st.fixed_dictionaries(columns)
    return st.fixed_dictionaries({}, optional={**columns, "ofAnotherVersion": st.integers()})


def told(model: type[BaseDocument], make: Any) -> Any:
    """Return what a document makes of a row, or that it refuses it."""
    try:
        document = make(model)
    except _REFUSALS:
        return "refused"
    try:
        document.validate()
        is_valid = True
    except _REFUSALS:
        is_valid = False
    return is_valid, _written(document), {n: _seen(getattr(document, n)) for n in model._fields}


def _written(document: BaseDocument) -> Any:
    try:
        row = document.to_mongo()
    except _REFUSALS:
        return "refused"
    return {key: value for key, value in row.items() if key != "_id" or value is not None}


def _seen(value: Any) -> Any:
    if isinstance(value, BaseDocument):
        return {name: _seen(getattr(value, name)) for name in value._fields}
    if isinstance(value, list):
        return [_seen(each) for each in value]
    return (type(value), value) if not isinstance(value, dict) else dict(value)


@pytest.mark.parametrize("odd", [False, True], ids=["as we write them", "odd"])
@pytest.mark.parametrize("model", every_document(), ids=lambda model: str(model.__name__))
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_a_row_is_read_checked_and_written_as_by_mongoengine(
    model: type[BaseDocument], odd: bool, data: st.DataObject
) -> None:
    row = data.draw(rows_of(model, odd=odd))

    def read(kind: type[BaseDocument]) -> BaseDocument:
        return kind._from_son(copy.deepcopy(row))

    assert told(model, read) == told(twin_of(model), read)


@pytest.mark.parametrize("model", every_document(), ids=lambda model: str(model.__name__))
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_a_new_document_is_checked_and_written_as_by_mongoengine(
    model: type[BaseDocument], data: st.DataObject
) -> None:
    names = [n for n, f in model._fields.items() if not isinstance(f, Parts | OnePart)]
    given_names = data.draw(st.sets(st.sampled_from(names)))
    values = {n: data.draw(values_of(model._fields[n], odd=True)) for n in given_names}

    def make(kind: type[BaseDocument]) -> BaseDocument:
        return kind(**copy.deepcopy(values))

    assert told(model, make) == told(twin_of(model), make)


def test_a_document_after_an_update_is_another_one() -> None:
    before = Payment(status=Status.PENDING, ends_at=NOON, surplus_orders=["a"], checks=2)
    after = before.with_change(
        {
            "set__status": Status.SUCCESS,
            "set__checks": None,
            "set__fee": None,
            "unset__ends_at": True,
            "push__history": Step(status=Status.SUCCESS, at=NOON),
            "push_all__surplus_orders": ["b", "c"],
        }
    )
    assert (after.status, after.checks, after.fee, after.ends_at) == (Status.SUCCESS, 0, None, None)
    assert ([step.at for step in after.history], after.surplus_orders) == ([NOON], ["a", "b", "c"])
    assert (before.status, before.checks, before.ends_at) == (Status.PENDING, 2, NOON)
    assert (before.history, before.surplus_orders) == ([], ["a"])
    with pytest.raises(ValueError, match="min__check_at"):
        before.with_change({"min__check_at": NOON})


def test_what_a_later_version_adds_makes_no_row_unreadable() -> None:
    """It runs beside this one during an upgrade, and migrates before that."""
    assert [model.__name__ for model in every_document() if model._meta.get("strict", True)] == []


def test_a_name_that_is_no_field_is_refused() -> None:
    for model in every_document():
        with pytest.raises(MongoEngineException, match="stauts"):
            model(stauts="pending")


def test_every_document_is_one_of_ours() -> None:
    """One of MongoEngine's own would cost ten times as much to read."""
    assert [m for m in every_document() if not issubclass(m, Record | Part)] == []
    fields = [field for model in every_document() for field in model._fields.values()]
    assert {type(f) for f in fields if isinstance(f, ComplexBaseField)} <= {Items, Mapping, Parts}
