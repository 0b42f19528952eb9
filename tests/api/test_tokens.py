"""The bearer token: what is no token of ours opens nothing."""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.actors import USERS, Actor, People, assert_problem
from tests.aliases import Json
from tests.clocks import FrozenClock
from tests.in_process import InProcess
from tests.stack import JWT_SECRET, StartApi, bearer
from tests.tokens import claims_of, encoded, signed

pytestmark = pytest.mark.owasp(line="API2")

OTHER_SECRET = "another-secret-9c0d3b1e5f7a4682bbaa"


def unsigned(claims: Json, algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(claims)}."


def changed(**changes: Any) -> Callable[[str], str]:
    return lambda token: signed({**claims_of(token), **changes})


def lacking(name: str) -> Callable[[str], str]:
    return lambda token: signed({k: v for k, v in claims_of(token).items() if k != name})


def with_body(**changes: Any) -> Callable[[str], str]:
    """Keep the header and the signature, change the claims."""

    def forge(token: str) -> str:
        head, _, signature = token.split(".")
        return f"{head}.{encoded({**claims_of(token), **changes})}.{signature}"

    return forge


def public_key_as_secret(token: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    public = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = {"alg": "RS256", "typ": "JWT"}
    body = f"{encoded(head)}.{encoded(claims_of(token))}"
    return f"{body}.{base64.urlsafe_b64encode(public[:32]).rstrip(b'=').decode()}"


def signed_by_a_stranger(token: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return signed(claims_of(token), pem, "RS256")


FORGERIES: dict[str, Callable[[str], str]] = {
    "expired": changed(exp=int(time.time()) - 1),
    "no expiry": lacking("exp"),
    "an expiry that is text": changed(exp="tomorrow"),
    "an infinite expiry": changed(exp=1e400),
    "another audience": changed(aud="somebody-else"),
    "no audience": lacking("aud"),
    "another issuer": changed(iss="somebody-else"),
    "no issuer": lacking("iss"),
    "no subject": lacking("sub"),
    "no session": lacking("sid"),
    "no time of issue": lacking("iat"),
    "another subject": changed(sub="0123456789abcdef01234567"),
    "an operator as subject": changed(sub={"$ne": ""}),
    "a subject that is no id": changed(sub="../../etc"),
    "another session": changed(sid="no-such-session"),
    "another key": lambda token: signed(claims_of(token), OTHER_SECRET),
    "an empty key": lambda token: signed(claims_of(token), ""),
    "another algorithm of the same key": lambda token: signed(
        claims_of(token), JWT_SECRET, "HS512"
    ),
    "no algorithm": lambda token: unsigned(claims_of(token), "none"),
    "no algorithm, in capitals": lambda token: unsigned(claims_of(token), "None"),
    "an unknown algorithm": lambda token: unsigned(claims_of(token), "XS256"),
    "RS256 with the public key as secret": public_key_as_secret,
    "RS256 of a stranger": signed_by_a_stranger,
    "a changed body": with_body(sub="0123456789abcdef01234567"),
    "a longer life": with_body(exp=int(time.time()) + 10**9),
    "a cut signature": lambda token: token[:-4],
    "no signature": lambda token: token.rsplit(".", 1)[0] + ".",
    "two parts": lambda token: token.rsplit(".", 1)[0],
    "four parts": lambda token: token + ".x",
    "text": lambda _: "hello",
    "dots": lambda _: "..",
    "a very long text": lambda _: "x" * 5000,
    "a list as body": lambda token: ".".join([token.split(".")[0], "W10", token.split(".")[2]]),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_opens_nothing(
    api: httpx.Client, user: Actor, forge: Callable[[str], str]
) -> None:
    answer = api.get(f"{USERS}/profile", headers=bearer(forge(user.token)))
    assert_problem(answer, 401, code="unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert user.profile().status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic {}", "{}", "Token {}", "Bearer{}"])
def test_without_a_bearer_token_nothing_opens(
    api: httpx.Client, user: Actor, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.format(user.token)}
    assert_problem(api.get(f"{USERS}/profile", headers=headers), 401)


def test_the_scheme_is_read_in_any_case(api: httpx.Client, user: Actor) -> None:
    headers = {"Authorization": f"bEARER {user.token}"}
    assert api.get(f"{USERS}/profile", headers=headers).status_code == 200


def test_a_token_of_the_previous_secret_is_good_until_the_rotation_is_over(
    start_api: StartApi, people: People
) -> None:
    user = people.new()
    rotating = start_api(JWT_SECRET=OTHER_SECRET, JWT_SECRET_PREVIOUS=JWT_SECRET)
    assert user.at(rotating.client).profile().status_code == 200
    renewed = user.at(rotating.client).device()
    assert renewed.profile().status_code == 200
    # Signed with the new secret only: the old process does not know it.
    assert_problem(renewed.at(user.client).profile(), 401)
    forged = Actor(
        rotating.client,
        {"_id": user.id, "email": user.email},
        user.password,
        signed(claims_of(user.token), "a-third-secret-5f7a4682bbaa9c0d3b1e"),
    )
    assert_problem(forged.profile(), 401)


@pytest.mark.anyio
async def test_a_token_ends_when_its_time_is_over_although_it_was_good_before(
    in_process: InProcess, user: Actor
) -> None:
    clock = FrozenClock(datetime.now(UTC))
    async with in_process(clock=clock, token_expiry="1h") as client:
        body = {"email": user.email, "password": user.password}
        document = (await client.post(f"{USERS}/login", json=body)).json()
        headers = bearer(document["token"])
        assert (await client.get(f"{USERS}/profile", headers=headers)).status_code == 200
        expires = datetime.fromisoformat(document["expiresAt"])
        assert expires - clock.now == timedelta(hours=1)
        clock.now = expires - timedelta(seconds=2)
        assert (await client.get(f"{USERS}/profile", headers=headers)).status_code == 200
        clock.now = expires
        assert_problem(await client.get(f"{USERS}/profile", headers=headers), 401)
