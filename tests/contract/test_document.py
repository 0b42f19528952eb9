"""The OpenAPI document: complete, readable, and true in itself."""

import asyncio
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import pytest

from kernapay.web.openapi.glossary import read_glossary
from tests.aliases import Json
from tests.in_process import InProcess

# A body that crawls in, a compressed one, a rate limit: these may stand before any answer.
OF_THE_TRANSPORT = {408, 415, 429}


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def contents(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield every body and answer: where it is, its media type, its description."""
    for name, operation in operations(document):
        places = {"body": operation.get("requestBody", {})} | operation["responses"]
        for place, described in places.items():
            for media_type, content in described.get("content", {}).items():
                yield f"{name} {place}", media_type, content


def examples(content: Json) -> list[Any]:
    if "example" in content:
        return [content["example"]]
    return [example["value"] for example in content.get("examples", {}).values()]


@pytest.mark.owasp(line="API9")
def test_the_served_document_is_the_written_one(document: Json, served_document: Json) -> None:
    assert served_document == document


@pytest.mark.anyio
async def test_the_document_is_written_once_and_only_when_it_is_asked_for(
    document: Json, in_process: InProcess
) -> None:
    async with in_process() as client:
        assert (await client.get("/health/live")).status_code == 200
        assert "document" not in client.app.state
        paths = ["/docs", *["/docs/openapi.json"] * 5]
        page, *answers = await asyncio.gather(*map(client.get, paths))
        assert [answer.json() for answer in answers] == [document] * 5
        assert "SwaggerUIBundle" in page.text
        written = client.app.state["document"]
        await client.get("/docs/openapi.json")
        assert client.app.state["document"] is written


@pytest.mark.anyio
async def test_writing_the_document_does_not_stop_the_event_loop(
    in_process: InProcess,
) -> None:
    async with in_process() as client:
        request = asyncio.create_task(client.get("/docs/openapi.json"))
        turns = 0
        while "document" not in client.app.state:
            await asyncio.sleep(0)
            turns += 1
        assert (await request).status_code == 200
        # On the loop it would be written between two turns, a few after the request was made.
        assert turns > 100


def test_every_operation_says_what_it_does_under_a_readable_name(document: Json) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert re.fullmatch("[a-z]+(_[a-z]+)+", operation["operationId"]), name
        assert 10 < len(operation["summary"]) <= 120, name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name


def test_every_parameter_is_described(document: Json) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{name}: {parameter['name']}"
            assert "oneOf" not in parameter["schema"], f"{name}: {parameter['name']}"


def test_an_operation_needs_the_token_or_says_that_it_does_not(document: Json) -> None:
    assert {"BearerToken": []} in document["security"]
    schemes = document["components"]["securitySchemes"]
    for name, operation in operations(document):
        security = operation["security"] if "security" in operation else document["security"]
        assert all(set(way) <= set(schemes) for way in security), name
        assert security == [{}] or "401" in operation["responses"], name


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("users_sign_up", {201, 400, 409, 413, 503}),
        ("users_log_in", {200, 400, 401, 413, 503}),
        ("payments_create", {201, 200, 400, 401, 403, 404, 409, 413, 502, 503}),
        ("payments_verify", {200, 400, 404, 409, 413, 502, 503}),
        ("payments_history", {200, 400, 401, 403, 404, 503}),
        ("payments_status", {200, 400, 404, 503}),
        ("webhooks_receive", {200, 400, 401, 413, 503}),
    ],
)
def test_an_operation_declares_the_answers_it_gives(
    document: Json, operation: str, statuses: set[int]
) -> None:
    (found,) = (o for _, o in operations(document) if o["operationId"] == operation)
    assert {int(status) for status in found["responses"]} - OF_THE_TRANSPORT == statuses


def test_errors_are_problems(document: Json) -> None:
    for place, media_type, content in contents(document):
        status = place.rpartition(" ")[2]
        if status.startswith(("4", "5")) and "/health/ready" not in place:
            assert media_type == "application/problem+json", place
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, place
            for example in examples(content):
                assert example["status"] == int(status), place


def test_every_body_and_answer_has_an_example_that_fits(document: Json) -> None:
    seen = 0

    @cache  # most answers share a few schemas, and each validator reads all components
    def validator(schema: str) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for(
            {**json.loads(schema), "components": document["components"]}, validate_formats=True
        )

    for place, media_type, content in contents(document):
        if not media_type.endswith("json"):
            continue
        assert examples(content), place
        check = validator(json.dumps(content["schema"], sort_keys=True))
        for example in examples(content):
            errors = [
                f"{error.instance_path}: {error.message}" for error in check.iter_errors(example)
            ]
            assert not errors, f"{place}: {errors}"
            seen += 1
    assert seen > 50


def test_bodies_refuse_unknown_fields(document: Json) -> None:
    schemas = document["components"]["schemas"]
    for name, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None or operation["operationId"] == "webhooks_receive":
            continue  # what the gateway sends grows without asking us
        schema = schemas[body["schema"]["$ref"].rpartition("/")[2]]
        assert schema["additionalProperties"] is False, name


def test_limits_reach_into_unions_and_maps(document: Json) -> None:
    fields = document["components"]["schemas"]["PaymentCreate"]["properties"]
    assert fields["description"]["anyOf"][0]["maxLength"] == 256
    assert fields["metadata"]["maxProperties"] == 32
    assert fields["metadata"]["propertyNames"]["maxLength"] == 64
    number, text = document["components"]["schemas"]["SignUp"]["properties"]["mobileNumber"][
        "anyOf"
    ]
    assert (number["maximum"], text["pattern"]) == (999_999_999_999_999, "^[0-9]{4,15}$")


def test_components_have_names_that_people_would_choose(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert all(re.fullmatch("[A-Z][A-Za-z]+", name) for name in schemas)
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert references == set(schemas)


def test_options_without_a_token_is_no_server_error(document: Json, api: httpx.Client) -> None:
    for path, item in document["paths"].items():
        public = all(operation.get("security") == [{}] for operation in item.values())
        answer = api.options(re.sub("{[^}]*}", "0" * 24, path))
        allowed = {204, 400, 401} if "{" in path or not public else {204}
        assert answer.status_code in allowed, f"{path}: {answer.text}"


def test_every_property_is_described_and_no_description_is_left_over(document: Json) -> None:
    schemas = document["components"]["schemas"]
    properties = [
        (name, key, value)
        for name, schema in schemas.items()
        for key, value in schema.get("properties", {}).items()
    ]
    assert [
        f"{name}.{key}" for name, key, value in properties if not value.get("description")
    ] == []
    glossary = read_glossary()
    shown = {(key, value["description"].partition(" Default: ")[0]) for _, key, value in properties}
    assert glossary["all"].items() - shown == set()
    for kind, sentences in glossary["types"].items():
        for key, sentence in sentences.items():
            shown_sentence = schemas[kind]["properties"][key]["description"]
            assert shown_sentence.partition(" Default: ")[0] == sentence, f"{kind}.{key}"


def test_the_servers_are_those_that_a_reader_can_use(document: Json) -> None:
    assert [each["url"] for each in document["servers"]] == ["/", "http://127.0.0.1:3000"]


def test_what_may_be_left_out_is_optional_to_generators(document: Json) -> None:
    """They take a property with a default for one that is always there."""
    for name, schema in document["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            assert "default" not in field, f"{name}.{key}"
    fields = document["components"]["schemas"]["PaymentCreate"]["properties"]
    assert fields["checkout"]["description"].endswith("Default: `false`.")
    assert "Default" not in fields["notes"]["description"]


def test_every_file_has_the_type_of_its_forms(document: Json) -> None:
    files = {
        place: {**content["schema"], "as": media_type}
        for place, media_type, content in contents(document)
        if " 2" in place and not media_type.endswith(("json", "event-stream"))
    }
    assert {each["as"] for each in files.values()} == {
        *("text/html", "text/csv", "application/octet-stream"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
    for place, media_type, content in contents(document):
        assert re.fullmatch("[a-z]+/[a-z.+-]+", media_type), place
        assert content["schema"], place
        if media_type.startswith("text/") and media_type != "text/event-stream":
            assert content["schema"] == {"type": "string"}, place


def test_a_parameter_has_the_enum_that_answers_have(document: Json) -> None:
    """So that a client has one type for both."""
    schemas = document["components"]["schemas"]
    enums = {
        frozenset(schema["enum"]): name for name, schema in schemas.items() if "enum" in schema
    }
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            values = parameter["schema"].get("enum", ())
            assert frozenset(values) not in enums, f"{name}: {parameter['name']}"
    assert "PaymentState" in str(document["paths"]["/v1/api/payments"]["get"]["parameters"])


def test_every_problem_code_is_listed_once_with_what_to_do(document: Json) -> None:
    listed = re.findall(
        r"^- `(\w+)` \((\d{3})\): ..",
        document["components"]["schemas"]["Problem"]["description"],
        re.MULTILINE,
    )
    assert len(set(listed)) == len(listed) > 60
    shown = {
        (example["code"], status)
        for place, media_type, content in contents(document)
        if media_type == "application/problem+json"
        for example in examples(content)
        for status in [place.rpartition(" ")[2]]
    }
    assert shown - set(listed) == set()


def test_no_answer_says_a_thing_twice(document: Json) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            said = answer["description"].splitlines()
            assert len(set(said)) == len(said), f"{name} {status}"
