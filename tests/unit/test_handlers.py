"""Our handlers: objects that are there already are no work, and answers are as Litestar's."""

from typing import Final

import msgspec
import pytest
from litestar import Litestar, Response
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from kernapay.web.handlers import Constant, RouteHandler, get
from kernapay.web.responses import show_controls_in

TITLE: Final = "a \u202etitle"


class Thing(msgspec.Struct):
    title: str


async def double(number: NamedDependency[int]) -> int:
    return 2 * number


@get("/sum")
async def add(number: NamedDependency[int], doubled: NamedDependency[int]) -> int:
    return number + doubled


@get("/thing")
async def show() -> Thing:
    return Thing(TITLE)


@get("/things", status_code=202)
async def show_all() -> list[Thing]:
    return [Thing(TITLE)]


@get("/answer")
async def answer() -> Response[Thing]:
    return Response(Thing(TITLE), status_code=201)


@get("/headers")
async def answer_with_headers() -> Response[Thing]:
    return Response(Thing(TITLE), headers={"X-More": "1"})


class Even(int):
    """A type that msgspec does not know."""

    @classmethod
    def read(cls, _: type, text: str) -> "Even":
        if int(text) % 2:
            raise ValueError("It is odd.")
        return cls(text)


async def size_of(size: FromQuery[int] = 1) -> int:
    return size


@get(["/pages/{page:str}", "/leaves/{page:str}"])
async def show_page(
    page: FromPath[int],
    sized: NamedDependency[int],
    number: NamedDependency[int],
    even: FromQuery[Even | None] = None,
) -> list[str]:
    return [repr(each) for each in (page, sized, number, even)]


def app() -> Litestar:
    return Litestar(
        [add, show, show_all, answer, answer_with_headers, show_page],
        dependencies={
            "number": Constant(7),
            "doubled": Provide(double),
            "sized": Provide(size_of),
        },
        type_decoders=[(lambda kind: kind is Even, Even.read)],
        after_request=show_controls_in,
        openapi_config=None,
        logging_config=None,
    )


def test_a_constant_is_in_its_place_before_what_is_made_of_it() -> None:
    opened = app()
    with TestClient(opened) as client:
        assert client.get("/sum").json() == 21
    (route,) = (each for each in opened.routes if each.path == "/sum")
    assert isinstance(route, HTTPRoute)
    handler, model = route.route_handler_map["GET"]
    assert isinstance(handler, RouteHandler)
    assert [{each.key for each in batch} for batch in model.dependency_batches] == [{"doubled"}]


@pytest.mark.parametrize(
    ("path", "status"), [("/thing", 200), ("/things", 202), ("/answer", 201), ("/headers", 200)]
)
def test_a_struct_is_json_with_its_status_and_shows_controls(path: str, status: int) -> None:
    with TestClient(app()) as client:
        found = client.get(path)
    assert found.status_code == status
    assert found.headers["content-type"] == "application/json"
    assert int(found.headers["content-length"]) == len(found.content)
    assert "a <U+202E>title" in found.text
    assert found.headers.get("x-more") == ("1" if path == "/headers" else None)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/pages/3", ["3", "1", "7", "None"]),
        ("/pages/3?size=20", ["3", "20", "7", "None"]),
        ("/pages/3?even=4&other=1", ["3", "1", "7", "4"]),
        ("/leaves/3", ["3", "1", "7", "None"]),
    ],
)
def test_what_a_client_sends_is_converted_for_handlers_and_for_what_they_depend_on(
    path: str, values: list[str]
) -> None:
    with TestClient(app()) as client:
        assert client.get(path).json() == values


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/pages/three", "page", "Expected `int`, got `str`"),
        ("/pages/3?even=5", "even", "It is odd."),
        ("/pages/3?size=large", "size", "Expected `int`, got `str`"),
    ],
)
def test_what_cannot_be_converted_is_named(path: str, field: str, words: str) -> None:
    with TestClient(app()) as client:
        found = client.get(path)
    assert found.status_code == 400, found.text
    (error,) = found.json()["extra"]
    assert (error["key"], error["message"]) == (field, words)


def test_objects_of_ours_are_passed_on_unchecked() -> None:
    opened = app()
    with TestClient(opened) as client:
        assert client.get("/pages/3").status_code == 200
    (route,) = (each for each in opened.routes if each.path == "/pages/{page:str}")
    assert isinstance(route, HTTPRoute)
    handler, _ = route.route_handler_map["GET"]
    sent = {"page": "3", "sized": "2", "number": "no number", "even": None, "size": "9"}
    parse = handler.signature_model.parse_values_from_connection_kwargs
    given = parse(connection=None, kwargs=sent)  # type: ignore[arg-type]
    assert given == {"page": 3, "sized": 2, "number": "no number", "even": None}
