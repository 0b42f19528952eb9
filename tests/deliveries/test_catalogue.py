"""The catalogue, its examples and the API's documentation say the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from kernapay.deliveries.catalogue import CATALOGUE, example_of
from kernapay.deliveries.drafts import VERSION, VERSIONS, Draft, Mark, encode_body
from kernapay.deliveries.ids import EVENT_ID_EXAMPLE, EVENT_ID_PATTERN, make_event_id
from kernapay.deliveries.models import EventType
from kernapay.deliveries.payloads import Envelope, PaymentEvent, RefundEvent
from kernapay.payments.dtos import PaymentView, RefundView
from tests.aliases import Json
from tests.command_line import run_command

TYPES = list(EventType)


@pytest.fixture(scope="module")
def document() -> Json:
    """The OpenAPI document that `kernapay openapi` writes."""
    written = run_command("openapi")
    assert written.returncode == 0, written.stderr
    found: Json = json.loads(written.stdout)
    return found


@pytest.fixture(scope="module")
def webhooks(document: Json) -> Json:
    return dict(document["webhooks"])


def test_every_type_is_in_the_catalogue() -> None:
    assert list(CATALOGUE) == TYPES


@pytest.mark.parametrize("event_type", TYPES, ids=str)
def test_an_example_is_what_its_type_decodes(event_type: EventType) -> None:
    entry = CATALOGUE[event_type]
    example = example_of(event_type)
    body = msgspec.json.encode(example)
    assert msgspec.json.decode(body, type=Envelope[entry.data]) == example  # type: ignore[name-defined]
    assert example.type is event_type
    # In an example, a payment has the status that the event tells of.
    word = event_type.value.partition(".")[2]
    status = getattr(example.data, "status", None)
    assert status is None or {
        "created": "pending",
        "succeeded": "success",
        "expired": "failed",
        "cancelled": "failed",
        "opened": "open",
        "action_required": "open",
    }.get(word, word) == str(status)


@pytest.mark.parametrize("event_type", TYPES, ids=str)
def test_the_documentation_shows_it(event_type: EventType, webhooks: Json, document: Json) -> None:
    operation = webhooks[event_type.value]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["example"] == msgspec.to_builtins(example_of(event_type))
    assert operation["summary"] == CATALOGUE[event_type].summary
    schema = {**content["schema"], "components": document["components"]}
    jsonschema_rs.validator_for(schema).validate(content["example"])
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert names == ["webhook-id", "webhook-timestamp", "webhook-signature"]


def test_the_documentation_shows_nothing_else(webhooks: Json) -> None:
    assert set(webhooks) == {event_type.value for event_type in TYPES}


@pytest.mark.parametrize(
    ("data", "answer"), [(PaymentEvent, PaymentView), (RefundEvent, RefundView)]
)
def test_data_is_what_the_api_answers_with(
    data: type[msgspec.Struct], answer: type[msgspec.Struct]
) -> None:
    """The same names with the same types. Only lists are left out, and what belongs to the event comes along."""
    told, shown = fields(data), fields(answer)
    lists = {"history", "refunds", "disputes", "surplusPayments", "settlements", "settledAt"}
    assert set(shown) - set(told) <= lists
    assert {name: told[name] for name in shown.keys() & told.keys()} == {
        name: shown[name] for name in shown.keys() & told.keys()
    }
    assert {"sequence", "previous"} <= set(told)


def fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def ids() -> Iterator[str]:
    for event_type in TYPES:
        for part in (None, "rfnd_1", "a.b"):
            yield make_event_id("66b1f0c2a7d4e5f601234567", 12, event_type, part)


def test_ids_are_those_that_the_specification_allows() -> None:
    """Standard Webhooks: a dot parts the id from the time in what is signed."""
    made = list(ids())
    assert len(set(made)) == len(made)
    assert all(re.match(EVENT_ID_PATTERN, each) and "." not in each for each in made)
    assert re.match(EVENT_ID_PATTERN, EVENT_ID_EXAMPLE)


def test_a_body_is_utf_8_that_hides_nothing() -> None:
    at = CATALOGUE[EventType.PAYMENT_CREATED].at
    mark = Mark("evt_1", EventType.PAYMENT_CREATED, at, 0, "PAY_1")
    text = 'ñ 😀 \u2028 "</script>\u202e'
    example = example_of(EventType.PAYMENT_CREATED).data
    data = msgspec.structs.replace(example, description=text)
    bodies = {encode_body(Draft(mark, data), version) for version in VERSIONS}
    assert len(bodies) == len(VERSIONS)
    body = encode_body(Draft(mark, data), VERSION)
    assert "ñ 😀".encode() in body
    shown = msgspec.json.decode(body)["data"]["description"]
    assert shown == 'ñ 😀 <U+2028> "</script><U+202E>'


GOLDEN = Path(__file__).with_name("bodies_version_1.json")


def contains(whole: Any, part: Any) -> bool:
    """Return whether all that was said is still said, in the same words. More may be said."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contains(whole[name], value) for name, value in part.items()
        )
    return bool(whole == part)


@pytest.mark.parametrize("event_type", TYPES, ids=str)
def test_a_version_goes_on_saying_what_it_said(event_type: EventType) -> None:
    """A receiver is written once. A change that breaks this needs a new version, and endpoints keep the old one."""
    example = example_of(event_type)
    mark = Mark("evt_1", event_type, example.timestamp, 0, "PAY_1")
    body = msgspec.json.decode(encode_body(Draft(mark, example.data), 1))
    assert contains(body, json.loads(GOLDEN.read_text())[event_type.value])
