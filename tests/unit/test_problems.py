"""The decoder's sentences, as clients read them."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from kernapay.web.problems import field_error


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    code: int


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    amount_paid: Annotated[int, Meta(ge=1, le=10)]
    name: Annotated[str, Meta(min_length=2, max_length=3)] = "ok"
    inner: Inner | None = None
    notes: dict[str, Annotated[str, Meta(max_length=2)]] = {}
    items: Annotated[list[Inner], Meta(max_length=1)] = []


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "amountPaid"),
        ({"amountPaid": "1"}, "amountPaid"),
        ({"amountPaid": 1.5}, "amountPaid"),
        ({"amountPaid": 0}, "amountPaid"),
        ({"amountPaid": 11}, "amountPaid"),
        ({"amountPaid": 10**30}, "amountPaid"),
        ({"amountPaid": {"$ne": ""}}, "amountPaid"),
        ({"amountPaid": None}, "amountPaid"),
        ({"amountPaid": True}, "amountPaid"),
        ({"amountPaid": 1, "status": "success"}, "status"),
        ({"amountPaid": 1, "name": "x"}, "name"),
        ({"amountPaid": 1, "name": "xxxx"}, "name"),
        ({"amountPaid": 1, "inner": {}}, "inner.code"),
        ({"amountPaid": 1, "inner": {"code": 1, "extra": 1}}, "inner.extra"),
        ({"amountPaid": 1, "inner": {"code": "1"}}, "inner.code"),
        ({"amountPaid": 1, "notes": {"a": "long"}}, "notes"),
        ({"amountPaid": 1, "notes": []}, "notes"),
        ({"amountPaid": 1, "items": [{"code": 1}, {"code": 2}]}, "items"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
def test_a_refusal_names_the_field(document: Any, field: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, Body)
    error = field_error(str(caught.value))
    assert error.field == field
    assert error.message
    assert "$" not in error.message
    assert "`" not in error.field
