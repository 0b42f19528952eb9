"""Injection, which stands with API8 since 2023: through every field, every parameter and every header.

Whatever stands where a value belongs: the answer is the plain one or a refusal that names the place. Never a 5xx,
never somebody else's data, never more rows.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from kernapay.security.principal import Role
from tests.actors import PAYMENTS
from tests.aliases import Json
from tests.attacks.hostile import OPERATORS, SEGMENTS, SUFFIXES, TEXTS
from tests.attacks.pairs import Pair
from tests.attacks.share import Sweep
from tests.attacks.surface import WEBHOOK, Field, Operation
from tests.attacks.wire import Answer, Wire
from tests.factories import payment_body, sign_up_body, unique
from tests.stack import Api

pytestmark = [pytest.mark.owasp(line="API8"), pytest.mark.owasp(line="API1")]

REQUIRED = {
    "from": "2020-01-01",
    "to": "2020-02-01",
    "expires": "9999999999",
    "signature": "0" * 64,
}
NOT_SET_UP = {"delivery_not_configured"}
"""The one 503 that is meant: this API has no provider of mails."""


def good_body(operation: Operation) -> dict[str, Any]:
    """Return a body with which the call would succeed."""
    fresh: dict[str, Json] = {
        "POST /v1/api/users/signup": sign_up_body(),
        "POST /v1/api/admin/users": sign_up_body(),
        "POST /v1/api/payments/create": payment_body(),
        "POST /v1/api/payments/{reference_id}/refunds": {
            "amount": 1,
            "reason": "",
            "idempotencyKey": unique("key-"),
        },
        # The right one would end the session of who attacks.
        "PUT /v1/api/users/password": {**(operation.body or {}), "currentPassword": "not the one"},
        "POST /v1/api/admin/api-keys": {"name": "Till", "role": "ADMIN"},
    }
    return fresh.get(operation.name, dict(operation.body or {}))


def foreign_words(pairs: Mapping[Role, Pair], role: Role) -> set[str]:
    """Return what the owner, who has this role, must not read."""
    if role in (Role.ADMIN, Role.LAB_ASSISTANT):
        return set()
    return {pair.attacker.email for pair in pairs.values()} | {
        word
        for other, pair in pairs.items()
        if other is not role
        for word in (pair.owner.email, pair.owned.reference_id, pair.owned.session_id)
    }


class Attack:
    """One operation, tried by somebody who may use it."""

    def __init__(self, api: Api, pairs: Mapping[Role, Pair], operation: Operation) -> None:
        role = operation.role or Role.USER
        self.pair = pairs[role]
        self.operation = operation
        self.wire = Wire(api.port, self.pair.owner.token if operation.role else None)
        self._foreign = foreign_words(pairs, role)

    def target(self, query: str = "", **changed: str) -> str:
        owned = {**self.pair.owned.ids, **changed}
        path = self.operation.path.format(**owned)
        return f"{path}?{query}" if query else path

    def check(self, answer: Answer, what: object) -> Answer:
        place = f"{self.operation.name} {what!r}: {answer.status} {answer.text[:300]}"
        assert answer.status, f"no answer: {place}"
        if answer.status >= 500:
            assert answer.status == 503, place
            assert answer.problem["code"] in NOT_SET_UP, place
        assert "html" not in answer.headers.get("content-type", ""), place
        assert answer.headers["x-content-type-options"] == "nosniff", place
        assert "set-cookie" not in answer.headers, place
        assert [word for word in self._foreign if word in answer.text] == [], place
        return answer

    def with_value(self, field: Field, value: object) -> Answer:
        body = good_body(self.operation) | {field.name: value}
        if field.name == "password":
            body["confirmPassword"] = value  # or the difference would be all that is noticed
        answer = self.wire.post(self.operation.method, self.target(), body)
        return self.check(answer, body)


@pytest.fixture(scope="module")
def attacks(
    api_server: Api, pairs: Mapping[Role, Pair], surface: list[Operation]
) -> Iterator[list[Attack]]:
    """Every operation, ready to be tried; the gateway's own has tests of its own."""
    found = [Attack(api_server, pairs, each) for each in surface if each.name != WEBHOOK]
    yield found
    for attack in found:
        attack.wire.close()


def test_no_field_takes_a_condition_for_a_value(attacks: list[Attack]) -> None:
    sweep = Sweep()
    for attack in attacks:
        for field in attack.operation.fields:
            for value in sweep.share(OPERATORS):
                answer = attack.with_value(field, value)
                # Metadata has names of its own; what the service type does not know is refused.
                assert answer.status == 400, f"{attack.operation.name} {field.name} {value}"
                (error,) = answer.problem["errors"]
                # `a.b` is in a map, `a[0]` in a list.
                assert re.split(r"[.\[]", error["field"])[0] == field.name, answer.text
                assert answer.problem["code"] == "invalid_input"


def test_no_text_in_a_field_is_more_than_text(attacks: list[Attack]) -> None:
    sweep = Sweep()
    tried = 0
    for attack in attacks:
        for field in attack.operation.fields:
            for text in sweep.share(TEXTS):
                answer = attack.with_value(field, text)
                if answer.status >= 300 and answer.problem["code"] == "invalid_input":
                    assert answer.problem["errors"], answer.text
                tried += 1
    assert tried > 400


def test_what_is_taken_is_given_back_as_it_was(api_server: Api, pairs: Mapping[Role, Pair]) -> None:
    """Not rewritten, not doubled in its escapes, and under no other name."""
    owner = pairs[Role.USER].owner
    stored = 0
    for text in TEXTS:
        encoded = json.dumps(payment_body(description=text, notes={"cart": text})).encode()
        headers = {"Content-Type": "application/json"}
        made = owner.call("POST", f"{PAYMENTS}/create", content=encoded, headers=headers)
        if made.status_code == 400:
            continue
        assert made.status_code == 201, made.text
        shown = owner.seen(made.json()["data"]["referenceId"])
        assert (shown["description"], shown["notes"]) == (text, {"cart": text})
        stored += 1
    assert stored > 10


def rows(answer: Answer) -> int:
    """Return how many entries an answer has."""
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.body.count(b"\n")
    document = answer.json()
    if isinstance(document, dict):
        return next((len(each) for each in document.values() if isinstance(each, list)), 0)
    return len(document)


def test_no_value_in_a_query_is_a_condition(attacks: list[Attack]) -> None:
    sweep = Sweep()
    for attack in attacks:
        for field in attack.operation.parameters_in("query"):
            needed = {
                other.name: REQUIRED[other.name]
                for other in attack.operation.parameters_in("query")
                if other.name in REQUIRED
            }
            for text in sweep.share([*TEXTS, json.dumps(OPERATORS[0])]):
                query = urlencode({**needed, field.name: text}, errors="surrogatepass")
                answer = attack.wire.ask(attack.operation.method, attack.target(query))
                attack.check(answer, query)
                if answer.status < 300 and field.takes("string") and field.name not in REQUIRED:
                    found = json.dumps(text, ensure_ascii=False)[1:-1] in answer.text
                    moment = any(each.get("format") == "date-time" for each in field.choices)
                    assert found or moment or rows(answer) == 0, f"{attack.operation.name} {query}"


def test_no_name_in_a_query_is_a_condition(attacks: list[Attack]) -> None:
    """`search[$ne]=` is no parameter of ours, so the answer is that without it."""
    sweep = Sweep()
    for attack in attacks:
        operation = attack.operation
        if operation.method != "GET" or not operation.parameters_in("query"):
            continue
        needed = {
            field.name: REQUIRED[field.name]
            for field in operation.parameters_in("query")
            if field.name in REQUIRED
        }
        plain = attack.wire.ask("GET", attack.target(urlencode(needed)))
        for field in operation.parameters_in("query"):
            names = (
                f"{field.name}[$ne]",
                f"{field.name}[$gt]",
                f"{field.name}[]",
                f"{field.name}.$ne",
                f"{field.name}__ne",
                "$where",
                "__raw__",
            )
            for name in sweep.share(names):
                query = urlencode({**needed, name: "x"})
                answer = attack.check(attack.wire.ask("GET", attack.target(query)), query)
                # A parameter with names in brackets takes none that MongoDB would understand.
                is_refused = field.takes("object") and "[" in name
                assert answer.status == (400 if is_refused else plain.status), query
                if answer.status < 300:
                    assert rows(answer) == rows(plain), query


def test_no_segment_of_a_path_leads_elsewhere(attacks: list[Attack]) -> None:
    sweep = Sweep()
    for attack in attacks:
        operation = attack.operation
        for field in operation.parameters_in("path"):
            good = attack.target().split("/")[operation.path.split("/").index(f"{{{field.name}}}")]
            segments = (*SEGMENTS, *(good + suffix for suffix in SUFFIXES))
            for segment in sweep.share(segments):
                target = attack.target(urlencode(REQUIRED), **{field.name: segment})
                body = json.dumps(good_body(operation)).encode() if operation.body else b""
                headers = [("Content-Type", "application/json")]
                answer = attack.wire.ask(operation.method, target, headers, body)
                if not answer.headers.get("x-request-id"):
                    assert answer.status == 400, f"the server itself refused {target}"
                    continue
                attack.check(answer, target)
                assert answer.status in (400, 403, 404, 405), f"{operation.name} {target}"


def test_no_header_is_a_condition_or_a_second_header(attacks: list[Attack]) -> None:
    no_utf8 = ["\udcff\udcfe", "\udcc3(", "\u043a\u043b\u044e\u0447"]
    for attack in attacks:
        for field in attack.operation.parameters_in("header"):
            for text in [*TEXTS, *no_utf8]:
                if "\ud800" in text or set(text) & set("\x00\r\n"):
                    continue  # no header line: the server refuses it before anybody reads it
                body = good_body(attack.operation)
                body.pop("idempotencyKey", None)
                answer = attack.wire.post(
                    attack.operation.method, attack.target(), body, [(field.name, text)]
                )
                attack.check(answer, (field.name, text))


def test_a_name_of_hostile_words_is_found_by_those_very_words(
    api_server: Api, pairs: Mapping[Role, Pair]
) -> None:
    """Stored text is never read as anything else later."""
    admin = pairs[Role.ADMIN].owner
    name = f"<b>{unique()}$where</b> {{{{7*7}}}}"
    body = sign_up_body(name=name)
    assert api_server.client.post("/v1/api/users/signup", json=body).status_code == 201
    for search, known in (
        (name, 1),
        (name[:12], 1),
        (name.replace("7*7", "49"), 0),
        (name.replace("<b>", "..."), 0),
        (name[3:], 0),
        (f"{body['email'][:6]}.*", 0),
    ):
        found = admin.call("GET", "/v1/api/admin/users", params={"search": search}).json()
        assert found["total"] == known, search
