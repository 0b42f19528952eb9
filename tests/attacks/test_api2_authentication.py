"""API2, broken authentication: whatever an attacker can make or find, every guarded route refuses it.

Guessing passwords, codes and refresh tokens is tried where those live: `tests/sessions`, `tests/verification`.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwk, jwt

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, USERS, Actor, send_event
from tests.aliases import Store
from tests.attacks.pairs import Pair, fingerprints
from tests.attacks.share import Sweep
from tests.attacks.surface import Operation
from tests.attacks.wire import Headers, Wire
from tests.factories import PASSWORD, gateway_payment, signature_of
from tests.stack import JWT_SECRET, KEY_ID, KEY_SECRET, WEBHOOK_SECRET, Api, bearer
from tests.tokens import claims_of, encoded, signed

pytestmark = pytest.mark.owasp(line="API2")


class Try(NamedTuple):
    what: str
    headers: Headers
    query: str = ""


@cache
def a_strangers_keys() -> tuple[str, str]:
    """Return a private key that is not ours, and its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def mac(secret: str, text: str) -> str:
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def with_head(token: str, key: str, **head: Any) -> str:
    """Return the token's own claims under another header, signed as HS256 with this key."""
    signed_part = f"{encoded({'alg': 'HS256', 'typ': 'JWT', **head})}.{token.split('.')[1]}"
    return f"{signed_part}.{mac(key, signed_part)}"


def unsigned_tokens(token: str) -> Iterator[tuple[str, str]]:
    _, body, signature = token.split(".")
    spellings: list[Any] = ["none", "None", "NONE", "nOnE", " none", "none\0", "", None, ["none"]]
    for alg in [*spellings, {"alg": "HS256"}, 0, "HS256 ", "hs256", "HS1", "A256KW", "dir"]:
        head = encoded({"alg": alg, "typ": "JWT"})
        yield f"alg {alg!r} without a signature", f"{head}.{body}."
        yield f"alg {alg!r} with the old signature", f"{head}.{body}.{signature}"
    yield "no alg", f"{encoded({'typ': 'JWT'})}.{body}.{signature}"
    yield (
        "two heads' names",
        f"{encoded({'alg': 'none'})}.{encoded({'alg': 'HS256'})}.{body}.{signature}",
    )


def signed_by_others(token: str) -> Iterator[tuple[str, str]]:
    private, public = a_strangers_keys()
    guesses = {
        "": "nothing",
        "secret": "a usual secret",
        "kernapay": "our name",
        KEY_ID: "the public key id",
        KEY_SECRET: "the gateway's secret",
        WEBHOOK_SECRET: "the webhook's secret",
        JWT_SECRET.upper(): "the secret in capitals",
        JWT_SECRET[:-1]: "a part of the secret",
        base64.b64encode(JWT_SECRET.encode()).decode(): "the secret in base64",
        public: "a public key",
        "null": "null",
    }
    for key, what in guesses.items():
        yield f"signed with {what}", with_head(token, key)
    for kid in (
        "../../../../dev/null",
        "/proc/sys/kernel/ostype",
        "x' UNION SELECT '",
        "http://127.0.0.1:9/k",
    ):
        yield f"kid {kid}", with_head(token, "", kid=kid)
        yield f"kid {kid}, signed with it", with_head(token, kid, kid=kid)
    strangers = jwk.construct(public, "RS256").to_dict()
    own = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in strangers.items()
    }
    claims = claims_of(token)
    for head in (
        {"jwk": own},
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/cert.pem"},
        {"x5c": [base64.b64encode(public.encode()).decode()]},
    ):
        yield (
            f"RS256 of a stranger with {set(head)}",
            jwt.encode(claims, private, "RS256", headers=head),
        )
    symmetric = {"kty": "oct", "k": base64.urlsafe_b64encode(b"mine").decode()}
    yield "its own key in its head", with_head(token, "mine", jwk=symmetric)
    for algorithm in ("HS384", "HS512"):
        yield f"{algorithm} with the right secret", signed(claims, JWT_SECRET, algorithm)
    yield (
        "a key of ours for another purpose",
        with_head(token, hmac.new(JWT_SECRET.encode(), b"refresh-token", "sha256").hexdigest()),
    )


def forgeries(pair: Pair, refresh_token: str) -> Iterator[Try]:
    """Yield all that is no token of this person, or is not where a token belongs."""
    token = pair.owner.token
    for what, forged in (*unsigned_tokens(token), *signed_by_others(token)):
        yield Try(what, [("Authorization", f"Bearer {forged}")])
    for what, word in {
        "the refresh token": refresh_token,
        "the password": PASSWORD,
        "the session's id": claims_of(token)["sid"],
        "the account's id": pair.owner.id,
        "a reference": pair.owned.reference_id,
        "an idempotency key": pair.owned.idempotency_key,
        "an API key's id": pair.owned.key_id,
        "an API key without its end": "kp_test_" + "0" * 43,
        "an API key of nobody": "kp_live_" + "A" * 49,
        "a code": "000000",
        "the secret itself": JWT_SECRET,
        "the webhook's secret": WEBHOOK_SECRET,
        "two tokens": f"{token},{token}",
        "a quoted token": f'"{token}"',
        "a token and more": f"{token} {token}",
        "a token in other letters": token.swapcase(),
        "half a token": token[: len(token) // 2],
        "bytes": "\udcff\udcfe",
        "an operator": '{"$ne": null}',
    }.items():
        yield Try(what, [("Authorization", f"Bearer {word}")])
    basic = base64.b64encode(f"{pair.owner.email}:{PASSWORD}".encode()).decode()
    for header in (f"Basic {basic}", f"Token {token}", token, f"Bearer{token}", f"JWT {token}"):
        yield Try(f"as {header[:6]}", [("Authorization", header)])
    for name in ("X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Api-Key", "Token"):
        yield Try(f"in {name}", [(name, f"Bearer {token}")])
    for name in ("token", "access_token", "Authorization", "session", "jwt"):
        yield Try(f"in the cookie {name}", [("Cookie", f"{name}={token}")])
        yield Try(f"in the query as {name}", [], f"{name}={token}")
    # One for whoever checks it on the way, and another one for us.
    forged = with_head(token, "")
    for pair_of_headers in ((token, forged), (forged, token), (token, token)):
        yield Try("two tokens", [("Authorization", f"Bearer {each}") for each in pair_of_headers])
    yield Try("nothing", [])


def test_no_guarded_route_takes_anything_but_the_token(
    surface: list[Operation], pairs: Mapping[Role, Pair], store: Store, api_server: Api
) -> None:
    tries = {}
    for role, pair in pairs.items():
        login = {"email": pair.owner.email, "password": PASSWORD}
        signed_in = api_server.client.post(f"{USERS}/login", json=login).json()
        tries[role] = list(forgeries(pair, signed_in["refreshToken"]))
    before = fingerprints(store)
    sweep = Sweep()
    tried = 0
    with Wire(api_server.port) as wire:
        for operation in surface:
            if not operation.takes_tokens:
                continue
            role = operation.role or Role.USER
            pair = pairs[role]
            path = operation.path.format(**pair.owned.ids)
            body = json.dumps(operation.body).encode() if operation.body is not None else b""
            headers = [("Content-Type", "application/json")] if body else []
            for each in sweep.share(tries[role]):
                if operation.role is None and "Authorization" not in dict(each.headers):
                    continue  # as nobody
                target = f"{path}?{each.query}" if each.query else path
                answer = wire.ask(operation.method, target, [*headers, *each.headers], body)
                assert answer.status == 401, f"{operation.name} with {each.what}: {answer}"
                assert answer.problem["code"] == "unauthenticated"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                tried += 1
    assert tried > 1000
    assert fingerprints(store) == before
    for pair in pairs.values():
        assert pair.owner.profile().status_code == 200, "the token itself is good"


def hexmac(secret: str) -> Callable[[str], str]:
    return lambda text: signature_of(text.encode(), secret)


@pytest.mark.parametrize("secret", [JWT_SECRET, WEBHOOK_SECRET, "", KEY_ID])
def test_a_checkout_signature_is_made_with_the_gateways_secret_only(
    pairs: Mapping[Role, Pair], api_server: Api, secret: str
) -> None:
    owned = pairs[Role.USER].owned
    proof = f"{owned.order_id}|{owned.payment_id}"
    tries = [hexmac(secret)(proof)]
    # The right secret over another message, or the right message in another writing.
    for text in (
        f"{owned.payment_id}|{owned.order_id}",
        owned.order_id,
        owned.payment_id,
        proof + " ",
    ):
        tries.append(hexmac(KEY_SECRET)(text))
    good = hexmac(KEY_SECRET)(proof)
    tries += [good.upper(), good + "0", good[:-1], base64.b64encode(bytes.fromhex(good)).decode()]
    body = {
        "referenceId": owned.reference_id,
        "razorpayOrderId": owned.order_id,
        "razorpayPaymentId": owned.payment_id,
    }
    for signature in tries:
        answer = api_server.client.post(
            f"{PAYMENTS}/verify", json={**body, "razorpaySignature": signature}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    answer = api_server.client.post(f"{PAYMENTS}/verify", json={**body, "razorpaySignature": good})
    assert answer.status_code == 200


@pytest.mark.parametrize("secret", [JWT_SECRET, KEY_SECRET, "", "whsec"])
def test_an_event_is_signed_with_the_webhooks_secret_only(
    api_server: Api, secret: str, store: Store
) -> None:
    payment = gateway_payment("order_nobody")
    answer = send_event(api_server.client, "payment.captured", secret=secret, payment=payment)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")
    assert store.webhook_events.count_documents({"body": {"$regex": payment["id"]}}) == 0


@pytest.mark.parametrize("secret", [JWT_SECRET, KEY_SECRET, WEBHOOK_SECRET, ""])
def test_a_link_is_signed_with_a_key_of_its_own(
    pairs: Mapping[Role, Pair], api_server: Api, secret: str
) -> None:
    name = pairs[Role.USER].owned.file_name
    for text in (f"{name}\n9999999999", name, f"{name}9999999999"):
        params = {"expires": "9999999999", "signature": hexmac(secret)(text)}
        answer = api_server.client.get(f"/v1/api/files/{name}", params=params)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_refused")


def test_a_token_of_one_person_is_of_no_use_to_another(pairs: Mapping[Role, Pair]) -> None:
    """Neither their sessions nor their keys can be put together from halves."""
    first, second = (pairs[role].owner for role in (Role.USER, Role.ADMIN))
    for mine, theirs in ((first.token, second.token), (second.token, first.token)):
        a, b = mine.split("."), theirs.split(".")
        for mixed in ((a[0], b[1], a[2]), (b[0], b[1], a[2]), (a[0], a[1], b[2])):
            answer = first.client.get(f"{USERS}/profile", headers=bearer(".".join(mixed)))
            assert answer.status_code == 401
    crossed = {**claims_of(first.token), "sid": claims_of(second.token)["sid"]}
    thief = Actor(first.client, {"_id": first.id, "email": first.email}, PASSWORD, signed(crossed))
    assert thief.profile().status_code == 401, "even signed: the session is another account's"
