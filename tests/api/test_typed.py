"""What people type, over HTTP: one form for the same characters, and nothing that hides or reorders text."""

import asyncio
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from bson import ObjectId
from litestar import Litestar
from msgspec import inspect
from passlib.hash import bcrypt_sha256
from redis import Redis

from kernapay.web.parameters import declared
from tests.actors import (
    ADMIN_USERS,
    API_KEYS,
    PAYMENTS,
    USERS,
    Actor,
    People,
    assert_problem,
    log_in,
)
from tests.aliases import Store
from tests.attacks.hostile import REORDERING
from tests.databases import row_of
from tests.factories import PASSWORD, sign_up_body, unique
from tests.house.routes import body_structs, routes
from tests.in_process import InProcess

# Text that is compared and never stored or shown, and must stay as it was typed: passwords from before the rule still
# sign in. An address is judged with words of its own (tests/unit/test_text.py), and so is a URL, which has to be ASCII
# (tests/deliveries/test_addresses.py).
COMPARED_ONLY = {
    *("SignUp.confirmPassword", "NewUser.confirmPassword", "PasswordReset.confirmPassword"),
    *("EndpointCreate.url", "EndpointChange.url"),
    *("PasswordChange.confirmPassword", "PasswordChange.currentPassword", "Login.password"),
    *("SecondFactorEnrol.currentPassword", "SecondFactorDisable.currentPassword"),
    "ConsoleProof.currentPassword",
    *(
        f"{name}.email"
        for name in ("SignUp", "NewUser", "Login", "PasswordForgot", "PasswordReset")
    ),
}


def texts(kind: inspect.Type, value: str) -> Iterator[Any]:
    """Yield values of a field of this type that hold the text: itself, and in lists and objects."""
    match kind:
        case inspect.Metadata():
            yield from texts(kind.type, value)
        case inspect.UnionType():
            for each in kind.types:
                yield from texts(each, value)
        case inspect.StrType():
            yield value
        case inspect.DictType():
            yield from ({value: "x"}, {"x": value})
        case inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
            yield from ([each] for each in texts(kind.item_type, value))


def test_every_text_of_every_body_refuses_what_reorders_or_breaks_text(
    application: Litestar,
) -> None:
    lenient, tried = set(), 0
    structs = {struct for found in routes(application) for struct in body_structs(found.handler)}
    for struct in structs:
        for field in msgspec.structs.fields(struct):
            kind = msgspec.defstruct("One", [(field.encode_name, field.type)])
            for point in REORDERING:
                for text in (f"Asha{chr(point)}Rao", chr(point), f"123456{chr(point)}"):
                    for value in texts(inspect.type_info(field.type), text):
                        tried += 1
                        try:
                            msgspec.convert({field.encode_name: value}, kind)
                        except msgspec.ValidationError:
                            continue
                        lenient.add(f"{struct.__name__}.{field.encode_name}")
    assert tried > 5000
    assert lenient == COMPARED_ONLY


def test_every_text_of_every_query_refuses_them_too(
    application: Litestar, admin: Actor, people: People
) -> None:
    provider = people.new("PROVIDER")
    tried = 0
    names = {handler: query for handler, query, _ in declared(application)}
    for found in routes(application):
        method, path = found.name.split(" ")
        caller = provider if path.endswith("/received") else admin
        for name in names[found.handler]:
            for control in ("\u202e", "\x85", "\u2028"):
                target = re.sub("{.*?}", "0" * 24, path)
                answer = caller.call(method, target, params={name: f"a{control}b"})
                assert answer.status_code == 400, f"{found.name} {name}"
                tried += 1
    assert tried > 90


def test_an_invisible_name_is_refused_wherever_a_name_is_given(
    api: httpx.Client, user: Actor, admin: Actor
) -> None:
    for name in ("\u200b", "\u3164", "\u2800\u2800", "\u00ad \u200d"):
        assert_problem(api.post(f"{USERS}/signup", json=sign_up_body(name=name)), 400, "name")
        assert_problem(user.update(name=name), 400, "name")
        body = sign_up_body(name=name)
        assert_problem(admin.call("POST", ADMIN_USERS, json=body), 400, "name")
        key = {"name": name, "role": "USER"}
        assert_problem(admin.call("POST", API_KEYS, json=key), 400, "name")


def test_a_name_is_stored_and_found_in_one_form(user: Actor, admin: Actor) -> None:
    mark = unique()
    assert user.update(name=f" {mark}  Rene\u0301 ").json()["name"] == f"{mark} René"
    for search in (f"{mark} rene\u0301", f"{mark.upper()} RENÉ", f"{mark} ｒｅｎé"):
        found = admin.call("GET", ADMIN_USERS, params={"search": search}).json()
        assert [each["_id"] for each in found["users"]] == [user.id], search


def test_an_address_in_full_width_letters_is_the_same_account(api: httpx.Client) -> None:
    name = unique("asha")
    wide = name.translate({point: point + 0xFEE0 for point in range(0x21, 0x7F)})
    answer = api.post(f"{USERS}/signup", json=sign_up_body(email=f"{wide}@example.com"))
    assert answer.json()["email"] == f"{name}@example.com"
    for email in (f"{name}@example.com", f"{wide}＠example.com", f"{wide.upper()}@example.com"):
        body = sign_up_body(email=email)
        assert_problem(api.post(f"{USERS}/signup", json=body), 409, code="email_taken")
        assert log_in(api, email, PASSWORD).profile().is_success


def test_accounts_from_before_still_sign_in_each_with_its_own_address(
    api: httpx.Client, people: People, store: Store
) -> None:
    """One in full-width letters beside one in ASCII, and those that would be refused today."""
    plain, other = people.new(), people.new()
    wide = plain.email.replace("asha", "ａｓｈａ")
    store.users.update_one({"email": other.email}, {"$set": {"email": wide}})
    assert log_in(api, plain.email, PASSWORD).id == plain.id
    assert log_in(api, wide, PASSWORD).id == other.id
    assert_problem(api.post(f"{USERS}/signup", json=sign_up_body(email=wide)), 409)
    for odd in ("\u0430sha", "x²", "😀"):
        address = f"{odd}.{unique()}@example.com"
        person = people.new()
        store.users.update_one({"email": person.email}, {"$set": {"email": address}})
        assert log_in(api, address, PASSWORD).id == person.id
        body = sign_up_body(email=address.replace("@", "x@"))
        assert_problem(api.post(f"{USERS}/signup", json=body), 400, "email")


SPELLINGS = ("Stra\u00dfe caf\u00e9 12", "Stra\u00dfe\u00a0cafe\u0301\u3000１２")


def test_a_password_is_the_same_on_every_keyboard(api: httpx.Client) -> None:
    for written, typed in (SPELLINGS, SPELLINGS[::-1]):
        body = sign_up_body(password=written, confirmPassword=typed)
        assert api.post(f"{USERS}/signup", json=body).status_code == 201
        for spelling in (written, typed):
            person = log_in(api, body["email"], spelling)
        change = {"currentPassword": typed, "password": written, "confirmPassword": written}
        assert_problem(person.call("PUT", f"{USERS}/password", json=change), 400, "password")


def test_a_common_password_is_one_in_every_width(api: httpx.Client) -> None:
    wide = "ｐａｓｓｗｏｒｄ１２３"
    body = sign_up_body(password=wide, confirmPassword=wide)
    assert_problem(api.post(f"{USERS}/signup", json=body), 400, "password")


@pytest.mark.parametrize(
    "secret", ["cafe\u0301 in the \u00a0morning", "ｗｉｄｅ battery", "old\u202e \x85\u3000older"]
)
def test_a_password_from_before_works_and_is_hashed_anew(
    api: httpx.Client, people: People, store: Store, secret: str
) -> None:
    person = people.new()
    former = bcrypt_sha256.using(rounds=4).hash(secret)
    store.users.update_one({"email": person.email}, {"$set": {"password": former}})
    body = {"email": person.email, "password": f"{secret}x"}
    assert_problem(api.post(f"{USERS}/login", json=body), 401)
    log_in(api, person.email, secret)
    renewed = row_of(store.users, email=person.email)["password"]
    assert renewed != former
    log_in(api, person.email, secret)
    log_in(api, person.email, unicodedata.normalize("NFKC", secret))


def test_controls_in_old_rows_are_shown_as_such(
    user: Actor, admin: Actor, store: Store, redis_client: Redis
) -> None:
    payment = user.new_payment(description="Consultation", notes={"cart": "42"})
    bad, shown = "gnp\u202e.exe\x85\u2069", "gnp<U+202E>.exe<U+0085><U+2069>"
    store.users.update_one({"email": user.email}, {"$set": {"name": bad}})
    store.payments.update_one(
        {"referenceId": payment["referenceId"]},
        {"$set": {"description": bad, "notes.cart": bad, "history.0.reason": bad}},
    )
    redis_client.delete(f"user:{user.id}", f"payment_history:{user.id}")
    store.sessions.update_many({"userId": ObjectId(user.id)}, {"$set": {"userAgent": bad}})
    query = {"from": "2026-01-01", "to": "2100-01-01"}
    answers = [
        user.profile(),
        user.history(),
        admin.call("GET", f"{ADMIN_USERS}/{user.id}"),
        admin.call("GET", ADMIN_USERS),
        user.show(payment["referenceId"]),
        admin.call("GET", f"{PAYMENTS}/export", params=query),
        user.call("GET", f"{USERS}/sessions"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert shown in answer.text, answer.request.url
        assert not re.search("[\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", answer.text)


def test_a_field_that_is_named_by_a_control_is_named_as_such(user: Actor) -> None:
    problem = assert_problem(user.update(**{"\u202eeman": "x"}), 400)
    assert problem["errors"][0]["field"] == "<U+202E>eman"


@pytest.mark.anyio
async def test_of_two_accounts_with_one_address_neither_uses_up_the_others_sign_ins(
    in_process: InProcess, people: People, store: Store
) -> None:
    plain = await asyncio.to_thread(people.new)
    other = await asyncio.to_thread(people.new)
    wide = plain.email.replace("asha", "ａｓｈａ")
    change = {"$set": {"email": wide}}
    await asyncio.to_thread(store.users.update_one, {"email": other.email}, change)
    async with in_process(
        rate_limits="on", rate_limit_login="off", rate_limit_right_password="2/hour"
    ) as client:

        async def sign_in(email: str) -> int:
            body = {"email": email, "password": PASSWORD}
            return (await client.post(f"{USERS}/login", json=body)).status_code

        assert [await sign_in(wide) for _ in range(3)] == [200, 200, 429]
        assert await sign_in(plain.email) == 200
