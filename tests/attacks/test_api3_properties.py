"""API3, broken object property level authorization: nobody writes, or reads, a property that is not theirs.

The properties are not a list of ours: they are every field of every document in the database, and every property
of every answer.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import httpx
import pytest

from kernapay.security.principal import Role
from tests.actors import USERS, assert_problem
from tests.aliases import Json, Store
from tests.attacks.pairs import Pair, fingerprints
from tests.attacks.share import Sweep
from tests.attacks.surface import WEBHOOK, Operation
from tests.attacks.wire import Wire
from tests.databases import row_of
from tests.house.documents import every_document
from tests.house.roles import CALLERS, TABLE, Row, World
from tests.stack import JWT_SECRET, KEY_SECRET, WEBHOOK_SECRET, Api

pytestmark = pytest.mark.owasp(line="API3")

JSON = {"Content-Type": "application/json"}
INVENTED = {
    *("__proto__", "constructor", "prototype", "$set", "$where", "$inc", "type.$", "user.role"),
    *("isAdmin", "admin", "roles", "permissions", "scope", "password_hash", "passwordHash"),
    *("fees", "fee", "tax", "discount", "price", "paid", "verified", "balance", "captured"),
}
SECRET_FIELDS = {
    "users": ("password", "refreshToken"),
    "sessions": ("refreshHash", "previousHash"),
    "api_keys": ("digest",),
    "codes": ("digest",),
    "payments": ("fingerprint", "razorpaySignature"),
}
SECRET_NAMES = ("password", "hash", "digest", "fingerprint", "secret", "signature", "lease")
TO_THEIR_OWNER = {
    # Routes whose very purpose it is to hand out a token, a link or a secret.
    "POST /v1/api/users/login",
    "POST /v1/api/users/refresh",
    "PUT /v1/api/users/password",
    "POST /v1/api/admin/api-keys",
    "POST /v1/api/endpoints",
    "POST /v1/api/endpoints/{endpoint_id}/rotate",
}


def stored_names() -> set[str]:
    """Return every field of every document."""
    return {field.db_field for model in every_document() for field in model._fields.values()}


def answered_names(document: Json) -> set[str]:
    schemas = document["components"]["schemas"].values()
    return {name for schema in schemas for name in schema.get("properties", ())}


def test_no_body_takes_a_property_that_is_not_on_its_form(
    surface: list[Operation],
    served_document: Json,
    pairs: Mapping[Role, Pair],
    store: Store,
    api_server: Api,
) -> None:
    privileged = stored_names() | answered_names(served_document) | INVENTED
    assert len(privileged) > 100, "the fields were not found"
    sweep = Sweep()
    attacked = 0
    for operation in surface:
        if operation.body is None or operation.name == WEBHOOK:
            continue
        pair = pairs[operation.role or Role.USER]
        path = operation.path.format(**pair.owned.ids)
        before = fingerprints(store)
        with Wire(api_server.port, pair.owner.token) as wire:
            names = sorted(privileged - {field.name for field in operation.fields})
            for name in sweep.share(names):
                answer = wire.post(operation.method, path, {**operation.body, name: "ADMIN"})
                assert answer.status == 400, f"{operation.name} {name}: {answer.text}"
                assert answer.problem["errors"] == [{"field": name, "message": "Unknown field."}]
                attacked += 1
        assert fingerprints(store) == before, operation.name
    assert attacked > 1000


def test_a_property_beside_the_body_changes_nothing(
    surface: list[Operation], pairs: Mapping[Role, Pair], store: Store
) -> None:
    """In the query, in a header, in a cookie, in a form: nothing but the JSON body is read."""
    pair = pairs[Role.USER]
    smuggled = {"type": "ADMIN", "status": "INACTIVE", "isEmailVerified": "true", "_id": "0" * 24}
    before = row_of(store.users, email=pair.owner.email)
    headers = {f"X-{name.strip('_')}": value for name, value in smuggled.items()}
    cookies = "; ".join(f"{name}={value}" for name, value in smuggled.items())
    for options in (
        {"params": smuggled, "json": {"name": "Asha"}},
        {"headers": {**headers, "Cookie": cookies}, "json": {"name": "Asha"}},
    ):
        answer = pair.owner.call("PUT", f"{USERS}/update", **options)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {**pair.owner.profile().json(), "type": "USER"}
    assert_problem(pair.owner.call("PUT", f"{USERS}/update", data=smuggled), 415)
    after = row_of(store.users, email=pair.owner.email)
    named = {"name": "Asha", "nameFolded": "asha", "updatedAt": 0}
    assert {**before, **named} == {**after, "updatedAt": 0}


def test_of_a_property_given_twice_none_slips_past_its_check(pairs: Mapping[Role, Pair]) -> None:
    owner = pairs[Role.USER].owner
    for content in (
        b'{"name": "Asha", "name": "\\u0000"}',
        b'{"name": "Asha", "name": {"$ne": ""}}',
        b'{"name": "Asha", "type": "ADMIN", "type": "USER"}',
        b'{"name": "Asha", "\\u0074ype": "ADMIN"}',
        b'{"name": "Asha", "TYPE": "ADMIN"}',
        b'{"name": "Asha", " type": "ADMIN"}',
    ):
        answer = owner.call("PUT", f"{USERS}/update", content=content, headers=JSON)
        assert_problem(answer, 400)
    assert owner.profile().json()["type"] == "USER"


def secrets_of(store: Store) -> dict[str, str]:
    """Return every stored secret, and the secrets of the service, with where each belongs."""
    found = {JWT_SECRET: "JWT_SECRET", KEY_SECRET: "key secret", WEBHOOK_SECRET: "webhook secret"}
    for collection, names in SECRET_FIELDS.items():
        for row in store[collection].find({}, dict.fromkeys(names, 1)):
            found |= {row[name]: f"{collection}.{name}" for name in names if row.get(name)}
    return found


def keys_in(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        yield from document
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from keys_in(each)


class Answered(NamedTuple):
    row: Row
    caller: str
    answer: httpx.Response
    emails: frozenset[str]
    """Of everybody who had an account before it."""


@pytest.fixture(scope="module")
def answered(world: World, store: Store) -> list[Answered]:
    """Every route as every role, by the table of roles, which is complete."""
    found = []
    for row in TABLE:
        emails = frozenset(store.users.distinct("email"))
        found += [
            Answered(row, caller, row.ask(world, world.callers[caller]), emails)
            for caller, status in zip(CALLERS, row.answers.split(), strict=True)
            if status != "-"
        ]
    return found


def test_no_answer_to_any_role_holds_a_secret(
    answered: list[Answered], world: World, store: Store
) -> None:
    secrets = secrets_of(store)
    assert len(secrets) > 20
    # The proof in a body of one's own is no secret to who sent it.
    secrets.pop(world.checkout["razorpaySignature"], None)
    for row, caller, answer, _ in answered:
        leaked = [what for secret, what in secrets.items() if secret in answer.text]
        assert leaked == [], f"{row.route} as {caller}"
        if not answer.headers["content-type"].startswith("application/json"):
            continue
        names = {name.lower() for name in keys_in(answer.json())}
        if row.route in TO_THEIR_OWNER:
            names.discard("secret")
        leaked = [name for name in names for word in SECRET_NAMES if word in name]
        assert leaked == [], f"{row.route} as {caller}"
        if row.route not in TO_THEIR_OWNER:
            assert not [name for name in names if "token" in name], row.route


def test_nobody_but_an_administrator_reads_addresses_of_others(
    answered: list[Answered], world: World
) -> None:
    for row, caller, answer, emails in answered:
        # Who signs in with the owner's password is the owner.
        if caller == "ADMIN" or row.what == "with a password":
            continue
        others = emails - {world.callers[caller].email}
        assert [email for email in others if email in answer.text] == [], row.route


def test_every_answer_holds_what_the_document_says_and_nothing_else(
    served_document: Json, pairs: Mapping[Role, Pair]
) -> None:
    def properties(name: str) -> set[str]:
        return set(served_document["components"]["schemas"][name]["properties"])

    pair = pairs[Role.ADMIN]
    reference = pair.owned.reference_id
    shown = pair.owner.show(reference).json()
    status = pair.owner.client.get(f"/v1/api/payments/status/{reference}").json()
    (line,) = pair.owner.history().json()
    (first, *_) = pair.owner.call("GET", "/v1/api/admin/users").json()["users"]
    for name, answer in (
        ("PaymentView", shown),
        ("PaymentStatus", status),
        ("PaymentSummary", line),
        ("UserView", first),
        ("UserView", pair.owner.profile().json()),
    ):
        assert set(answer) == properties(name), name
    assert not {"userId", "providerId", "description", "notes", "metadata"} & set(status)
