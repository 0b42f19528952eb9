"""What clients read about their mistakes: what a field takes, never what was sent."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from litestar.testing import TestClient
from msgspec import Meta

from kernapay.apikeys.dtos import ApiKeyCreate
from kernapay.core.patterns import explain, must_be
from kernapay.payments.dtos import PaymentCreate, PaymentVerify, RefundCreate
from kernapay.reconciliation.dtos import ReportRequest
from kernapay.users.dtos import SignUp
from kernapay.web.field_errors import field_error
from kernapay.web.json_body import JSONRequest
from kernapay.web.problems import HANDLERS
from kernapay.webhooks.dtos import ReplayRequest

WORD = explain("^[a-z]+$", "a word in small letters")


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    code: int


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    amount_paid: Annotated[int, Meta(ge=1, le=10)]
    price: Annotated[int, Meta(ge=1, extra=must_be("an integer in paise: 50000 for ₹500.00"))] = 1
    name: Annotated[str, Meta(min_length=2, max_length=3)] = "ok"
    initial: Annotated[str, Meta(min_length=1)] = "X"
    word: Annotated[str, Meta(pattern=WORD)] = "ok"
    unexplained: Annotated[str, Meta(pattern="^[a-z]+$")] = "ok"
    colour: Colour | None = None
    colours: list[Colour] = []
    number_or_word: int | Annotated[str, Meta(pattern=WORD)] = 1
    inner: Inner | None = None
    notes: dict[
        Annotated[str, Meta(pattern=WORD)],
        Annotated[str, Meta(max_length=2)] | bool | int | float | None,
    ] = {}
    items: Annotated[list[Inner], Meta(max_length=1)] = []
    since: Annotated[datetime, Meta(tz=True)] | None = None
    ratio: float = 1.0
    is_open: bool = True


def refusal(document: Any) -> tuple[str, str]:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, Body)
    error = field_error(str(caught.value), Body)
    return error.field, error.message


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({}, "amountPaid", "Required."),
        ({"amountPaid": "1"}, "amountPaid", "Must be an integer."),
        ({"amountPaid": 1.5}, "amountPaid", "Must be an integer."),
        ({"amountPaid": {"$ne": ""}}, "amountPaid", "Must be an integer."),
        ({"amountPaid": None}, "amountPaid", "Must be an integer."),
        ({"amountPaid": True}, "amountPaid", "Must be an integer."),
        ({"amountPaid": 0}, "amountPaid", "Must be at least 1."),
        ({"amountPaid": 11}, "amountPaid", "Must be at most 10."),
        ({"amountPaid": 10**30}, "amountPaid", "Must be at most 10."),
        ({"price": "500"}, "price", "Must be an integer in paise: 50000 for ₹500.00."),
        ({"price": 0}, "price", "Must be at least 1."),
        ({"status": "success"}, "status", "Unknown field."),
        ({"name": 5}, "name", "Must be text."),
        ({"name": "x"}, "name", "Must have at least 2 characters."),
        ({"name": "xxxx"}, "name", "Must have at most 3 characters."),
        ({"initial": ""}, "initial", "Must have at least 1 character."),
        ({"word": "X"}, "word", "Must be a word in small letters."),
        ({"word": 5}, "word", "Must be a word in small letters."),
        ({"unexplained": "X"}, "unexplained", "Must be text in the documented format."),
        ({"colour": "blue"}, "colour", "Must be one of: red, green."),
        ({"colour": "blue` - at `$.name`"}, "colour", "Must be one of: red, green."),
        ({"colour": 5}, "colour", "Must be one of: red, green."),
        ({"colours": ["red", "blue"]}, "colours[1]", "Must be one of: red, green."),
        ({"colours": "red"}, "colours", "Must be a list."),
        (
            {"numberOrWord": "X"},
            "numberOrWord",
            "Must be an integer or a word in small letters.",
        ),
        ({"inner": {}}, "inner.code", "Required."),
        ({"inner": []}, "inner", "Must be an object."),
        ({"inner": {"code": 1, "extra": 1}}, "inner.extra", "Unknown field."),
        ({"inner": {"code": "1"}}, "inner.code", "Must be an integer."),
        ({"notes": {"a": "long"}}, "notes", "Each value must have at most 2 characters."),
        (
            {"notes": {"a": []}},
            "notes",
            "Each value must be text, true or false, an integer or a number.",
        ),
        ({"notes": {"A": "a"}}, "notes", "Each name must be a word in small letters."),
        ({"notes": []}, "notes", "Must be an object."),
        ({"items": [{"code": 1}, {"code": 2}]}, "items", "Must have at most 1 item."),
        ({"items": [{"code": "1"}]}, "items[0].code", "Must be an integer."),
        ({"since": "today"}, "since", "Must be a time such as 2026-01-31T10:15:30.250Z."),
        (
            {"since": "2026-01-31T10:15:30"},
            "since",
            "Must be a time such as 2026-01-31T10:15:30.250Z.",
        ),
        ({"ratio": "x"}, "ratio", "Must be a number."),
        ({"isOpen": "yes"}, "isOpen", "Must be true or false."),
        ([], "body", "Must be an object."),
        ("text", "body", "Must be an object."),
        (None, "body", "Must be an object."),
    ],
)
def test_a_refusal_names_the_field_and_what_it_takes(
    document: Any, field: str, message: str
) -> None:
    if isinstance(document, dict) and document:
        document = {"amountPaid": 1, **document}
    assert refusal(document) == (field, message)


# Values that nobody would find in a message by chance.
SENT = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-73573, 73573, 73573.25, 10**30 + 73573])
    | st.text(max_size=8).map(lambda text: f"«{text}» - at `$.x`"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.just("«key»"), inner, max_size=1)
    ),
    max_leaves=4,
)
KINDS = (
    Body,
    PaymentCreate,
    PaymentVerify,
    RefundCreate,
    SignUp,
    ApiKeyCreate,
    ReplayRequest,
    ReportRequest,
)


def documents(kind: type[msgspec.Struct]) -> st.SearchStrategy[tuple[type, Any]]:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    body = st.dictionaries(st.sampled_from(names), SENT) | SENT
    return body.map(lambda sent: (kind, sent))


@given(st.one_of([documents(kind) for kind in KINDS]))
def test_no_message_repeats_what_was_sent_or_the_decoders_words(sent: tuple[type, Any]) -> None:
    kind, document = sent
    try:
        msgspec.json.decode(msgspec.json.encode(document), type=kind)
    except msgspec.ValidationError as refused:
        message = field_error(str(refused), kind).message
    else:
        return
    for forbidden in ("`", "«", "»", "73573", "Expected", "Invalid", "^", "\\", "$"):
        assert forbidden not in message
    assert kind is Body or "documented format" not in message, "a pattern has no explanation"
    assert message[0].isupper()
    assert message.endswith(".")


@get("/search")
async def search(
    colour: Annotated[Colour | None, QueryParameter()] = None,
    count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    keep: Annotated[bool, QueryParameter(name="keepCurrent")] = False,
    before: Annotated[datetime | None, QueryParameter()] = None,
    key: Annotated[str | None, HeaderParameter(name="Idempotency-Key", pattern=WORD)] = None,
) -> None:
    pass


@get("/needs")
async def needs(signature: Annotated[str, QueryParameter(pattern=WORD)]) -> None:
    pass


@post("/bodies")
async def take(data: JSONBody[Body]) -> None:
    pass


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    app = Litestar(
        [search, needs, take],
        exception_handlers=HANDLERS,
        request_class=JSONRequest,
        logging_config=None,
        openapi_config=None,
    )
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"colour": "blue - at `$.count`"}, "colour", "Must be one of: red, green."),
        ({"count": "many"}, "count", "Must be an integer."),
        ({"count": "0"}, "count", "Must be at least 1."),
        ({"count": "101"}, "count", "Must be at most 100."),
        ({"keepCurrent": "perhaps"}, "keepCurrent", "Must be true or false."),
        ({"before": "noon"}, "before", "Must be a time such as 2026-01-31T10:15:30.250Z."),
    ],
)
def test_a_parameter_is_refused_by_its_public_name(
    client: TestClient[Litestar], query: dict[str, str], field: str, message: str
) -> None:
    answer = client.get("/search", params=query)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": field, "message": message}]
    assert answer.json()["detail"] == f"{field}: {message}"


def test_a_header_is_refused_by_its_public_name(client: TestClient[Litestar]) -> None:
    (error,) = client.get("/search", headers={"Idempotency-Key": "X"}).json()["errors"]
    assert error == {"field": "Idempotency-Key", "message": "Must be a word in small letters."}


def test_all_wrong_parameters_are_named_at_once(client: TestClient[Litestar]) -> None:
    answer = client.get("/search", params={"count": "many", "colour": "blue"})
    assert {error["field"] for error in answer.json()["errors"]} == {"count", "colour"}


def test_a_missing_parameter_is_named(client: TestClient[Litestar]) -> None:
    answer = client.get("/needs")
    assert answer.json()["errors"] == [{"field": "signature", "message": "Required."}]


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": "\xff"}'])
def test_a_body_that_is_no_json_says_so(client: TestClient[Litestar], body: bytes) -> None:
    answer = client.post("/bodies", content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "body", "message": "Must be valid JSON."}]


def test_a_missing_body_is_named(client: TestClient[Litestar]) -> None:
    assert client.post("/bodies").json()["errors"] == [{"field": "body", "message": "Required."}]


def test_a_body_is_refused_by_the_names_of_its_fields(client: TestClient[Litestar]) -> None:
    answer = client.post("/bodies", json={"amountPaid": 1, "colour": "blue"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {"field": "colour", "message": "Must be one of: red, green."}
    ]
