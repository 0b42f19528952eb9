"""Our handlers: objects that are there already are no work, and answers are as Litestar's."""

from typing import Final

import msgspec
import pytest
from litestar import Litestar, Response
from litestar.di import NamedDependency, Provide
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


def app() -> Litestar:
    return Litestar(
        [add, show, show_all, answer, answer_with_headers],
        dependencies={"number": Constant(7), "doubled": Provide(double)},
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
