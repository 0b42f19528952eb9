"""What a body is called, how an answer is encoded, and what a client need not load again."""

import gzip
import json
from collections.abc import Mapping

import httpx
import pytest

from kernapay.web.negotiation import preference
from tests.actors import PAYMENTS, USERS, Actor, assert_problem
from tests.attacks.wire import Wire
from tests.factories import payment_body, sign_up_body
from tests.in_process import InProcess
from tests.stack import Api

ASSET = "/docs/assets/swagger-ui.css"


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/octet-stream",
        "application/jsonp",
        "text/json",
        "json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
    ],
)
def test_a_body_that_is_no_json_by_its_name_is_a_415(user: Actor, kind: str) -> None:
    content = json.dumps(payment_body()).encode()
    for path in (f"{PAYMENTS}/create", f"{PAYMENTS}/verify", f"{USERS}/login"):
        answer = user.call("POST", path, content=content, headers={"Content-Type": kind})
        assert_problem(answer, 415, code="unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        'APPLICATION/JSON ;charset="UTF-8"',
        "application/vnd.shop.v1+json",
        "",
        None,
    ],
)
def test_a_body_that_is_json_is_taken(user: Actor, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    content = json.dumps(payment_body()).encode()
    assert user.call("POST", f"{PAYMENTS}/create", content=content, headers=headers).is_success


@pytest.mark.parametrize(
    ("header", "gzip_first", "identity"),
    [
        ("gzip", True, True),
        ("GZIP", True, True),
        ("x-gzip", True, True),
        ("*", True, True),
        ("br, gzip;q=0.3", True, True),
        ("gzip;q=1.0, identity;q=0.5", True, True),
        ("gzip;q=0.5, identity", False, True),
        ("gzip;q=0.5, *;q=0.8", False, True),
        ("identity", False, True),
        ("", False, True),
        ("br", False, True),
        ("gzip;q=0", False, True),
        ("gzip; q=0.000", False, True),
        ("gzip;q=2", False, True),
        ("gzip;q=x", False, True),
        ("notgzip", False, True),
        ("br;q=1, *;q=0", False, False),
        ("*;q=0", False, False),
        ("identity;q=0", False, False),
        ("identity;q=0, gzip;q=0", False, False),
        ("identity;q=0, gzip", True, False),
        ("gzip, *;q=0", True, False),
        ("identity;q=0, *", True, False),
        ("*;q=0, identity;q=0.1", False, True),
    ],
)
def test_encodings_are_weighed_as_the_rfc_says(
    header: str, gzip_first: bool, identity: bool
) -> None:
    wish = preference(header)
    assert (bool(wish.gzip) and wish.gzip >= wish.identity, bool(wish.identity)) == (
        gzip_first,
        identity,
    )


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.1, identity", None),
        ("identity;q=0, gzip", "gzip"),
        ("*", "gzip"),
    ],
)
def test_a_large_answer_is_encoded_as_it_is_wanted(
    api: httpx.Client, header: str, encoding: str | None
) -> None:
    answer = api.get(ASSET, headers={"Accept-Encoding": header})
    assert answer.headers.get("content-encoding") == encoding
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert "swagger" in answer.text


def test_who_refuses_plain_answers_gets_small_ones_compressed_too(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        answer = wire.ask("GET", "/health/live", [("Accept-Encoding", "gzip, identity;q=0")])
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == b'{"status":"ok"}'


def test_who_refuses_everything_is_told_so_before_anything_happens(
    api: httpx.Client, user: Actor
) -> None:
    refusing = {"Accept-Encoding": "identity;q=0, gzip;q=0"}
    assert_problem(api.get("/health/live", headers=refusing), 406, code="not_acceptable")
    before = user.history().json()
    answer = user.call("POST", f"{PAYMENTS}/create", json=payment_body(), headers=refusing)
    assert_problem(answer, 406)
    assert user.history().json() == before


def test_several_headers_of_encodings_are_one_list(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        values = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]
        assert wire.ask("GET", ASSET, values).headers["content-encoding"] == "gzip"


def conditions(first: httpx.Response) -> list[tuple[Mapping[str, str], int]]:
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    return [
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": etag.removeprefix("W/")}, 304),
        ({"If-None-Match": f'"another", {etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"another"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 99999999999 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 +99999999999999"}, 200),
        ({"If-None-Match": '"another"', "If-Modified-Since": modified}, 200),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_asset_is_loaded_once(api: httpx.Client, method: str) -> None:
    first = api.get(ASSET)
    assert first.headers["cache-control"] == "no-cache"
    assert (
        first.headers["etag"]
        == api.get(ASSET, headers={"Accept-Encoding": "identity"}).headers["etag"]
    )
    for headers, status in conditions(first):
        answer = api.request(method, ASSET, headers=headers)
        assert answer.status_code == status, headers
        assert answer.headers["etag"] == first.headers["etag"], headers
        if status == 304:
            assert answer.content == b""
            assert "content-type" not in answer.headers


def test_there_are_no_assets_but_those_of_the_page(api: httpx.Client) -> None:
    for name in ("nothing.js", "..%2fswagger-ui.css", "swagger/swagger-ui.css", "%2e%2e", ""):
        assert api.get(f"/docs/assets/{name}").status_code == 404, name


@pytest.mark.anyio
async def test_pages_may_read_the_name_of_a_file(in_process: InProcess) -> None:
    origin = {"Origin": "https://shop.example"}
    async with in_process(cors_origins="https://shop.example") as client:
        answer = await client.get("/health/live", headers=origin)
        exposed = (
            answer.headers["access-control-expose-headers"].lower().replace(" ", "").split(",")
        )
        assert {"content-disposition", "x-request-id", "retry-after"} <= set(exposed)
        assert {"accept-encoding", "origin"} <= set(
            answer.headers["vary"].lower().replace(" ", "").split(",")
        )
        preflight = {**origin, "Access-Control-Request-Method": "HEAD"}
        assert (await client.options(f"{USERS}/profile", headers=preflight)).status_code == 204


def test_a_sign_up_form_is_no_sign_up(api: httpx.Client) -> None:
    answer = api.post(f"{USERS}/signup", data=sign_up_body())
    assert "application/json" in assert_problem(answer, 415)["detail"]
