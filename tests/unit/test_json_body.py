"""Bodies with a name twice are refused, however they are nested and whatever their texts contain."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.params import JSONBody
from litestar.testing import TestClient
from msgspec import Struct

from kernapay.core.errors import InvalidInput
from kernapay.web.handlers import post
from kernapay.web.json_body import JSONRequest, refuse_doubles
from kernapay.web.problems import HANDLERS

Pairs = list[tuple[str, Any]]
names = st.sampled_from(["a", "b", ":", "a:b", '"', "\\", "é"])
values = st.recursive(
    st.none()
    | st.integers(-(2**70), 2**70)
    | st.text(':"\\,{}ab')
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(names, inner), max_size=4),
    max_leaves=8,
)


def text_of(value: Any, *, escaped: bool) -> str:
    """Return a value as JSON, with lists of pairs as objects, which so may have a name twice."""
    if isinstance(value, list) and value and all(isinstance(each, tuple) for each in value):
        fields = (
            f"{text_of(name, escaped=escaped)}: {text_of(each, escaped=escaped)}"
            for name, each in value
        )
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(text_of(each, escaped=escaped) for each in value) + "]"
    text = json.dumps(value)
    return text.replace(":", "\\u003a") if escaped and isinstance(value, str) else text


@post("/")
async def take(data: JSONBody[Any]) -> None:
    """Take any body."""


class Small(Struct):
    """A type whose decoder skips every other field, unread."""

    amount: int


@post("/small")
async def take_small(data: JSONBody[Small]) -> None:
    """Take a body with an amount."""


client = TestClient(
    Litestar(
        [take, take_small],
        request_class=JSONRequest,
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
    ),
    raise_server_exceptions=False,
)


@given(st.lists(st.tuples(names, values), min_size=1, max_size=5), st.booleans())
@example([("a", 1), ("a", 2)], False)
@example([("a", 1), ("a", 2), ("b", ":")], True)
@example([("a", [[("b", 1), ("b", 1)]])], False)
@example([("a", "http://b"), ("b", [("a", ":")])], False)
def test_a_name_that_comes_twice_is_refused_and_nothing_else_is(
    pairs: Pairs, escaped: bool
) -> None:
    body = text_of(pairs, escaped=escaped).encode()
    errors = []
    try:
        json.loads(body, object_pairs_hook=refuse_doubles)
    except InvalidInput as error:
        errors.append({"field": error.field, "message": "Send it once."})
    answer = client.post("/", content=body)
    assert (answer.status_code == 400) is bool(errors), body
    assert not errors or answer.json()["errors"] == errors


@pytest.mark.parametrize(
    "field",
    [b'"more": "\xff"', b'"\xff": 1', b'"more": "\xff", "more": 1'],
    ids=["value", "name", "twice"],
)
def test_bytes_that_are_no_text_are_refused_in_a_field_that_is_not_read(field: bytes) -> None:
    answer = client.post("/small", content=b'{"amount": 1, ' + field + b"}")
    assert (answer.status_code, answer.json()["detail"]) == (400, "body: Must be valid JSON.")


@pytest.mark.parametrize("inner", [b"1", b'":"', b'{"a": 1, "a": 2}'])
def test_deep_nesting_is_an_error_of_the_client_at_every_depth(inner: bytes) -> None:
    # Somewhere here one of the decoders gives up, and a few levels earlier or later the other one.
    for depth in range(900, 1_000, 3):
        body = b'{"amount": 1, "more": ' + b"[" * depth + inner + b"]" * depth + b"}"
        status = client.post("/small", content=body).status_code
        assert status == 400 or (status == 201 and b'"a"' not in inner), depth
