"""The search for secrets at the end of a run would find them."""

import httpx
import pytest

from tests.actors import PAYMENTS, Actor
from tests.factories import PASSWORD
from tests.secrecy import CARD, confidential, leaks_in, learn
from tests.stack import Sandbox


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "odd", "said": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln"}',
        f"key=kp_live_{'a1B2' * 12}x",
        f"key=kp_scoped_live_{'a1B2' * 12}x",
        "hash $2b$04$abcdefghijklmnopqrstuv",
        "hash $bcrypt-sha256$v=2,t=2b,r=4$",
        'user_total{who="asha.rao+1@example.com"} 1.0',
        f"paid with {CARD}",
        f"said {PASSWORD} to nobody",
        f"glued{PASSWORD}together",
        "the code is 417206.",
        '{"code": "417206"}',
    ],
)
def test_a_secret_is_found_wherever_it_stands(line: str) -> None:
    learn({"password": PASSWORD, "text": "417206 is your code"})
    assert list(leaks_in("a line", line))


@pytest.mark.parametrize(
    "line",
    [
        '{"time": "2026-11-24T11:12:56.417206Z", "ms": 0.417206, "order": "order_417206"}',
        '{"route": "/v1/api/users/password/forgot", "status": 202}',
        '{"usedPercent":12,"planningTimeMicros":417206}',
        'kernapay_http_request_seconds_sum{route="/v1/api/users/login"} 417206.5',
    ],
)
def test_what_only_looks_alike_is_no_secret(line: str) -> None:
    learn({"text": "417206 is your code"})
    assert not list(leaks_in("a line", line))


def test_a_database_may_tell_what_it_stores_and_nothing_else() -> None:
    learn({"email": "stored@example.com", "password": PASSWORD})
    assert not list(leaks_in("mongod.log", "slow: stored@example.com", of_database=True))
    assert list(leaks_in("mongod.log", f"slow: {PASSWORD}", of_database=True))


def test_what_crosses_the_wire_is_learned(user: Actor, sandbox: Sandbox) -> None:
    _, checkout = user.buy(sandbox)
    assert user.call("GET", f"{PAYMENTS}/history/{user.id}").is_success
    assert {user.token, user.email, PASSWORD, checkout["razorpay_signature"]} <= confidential


def test_what_was_refused_is_not_learned(api: httpx.Client) -> None:
    """It may be any word, such as one that stands in every log."""
    wrong = {"email": "nobody@example.org", "password": "/v1/api/users/login"}
    assert api.post("/v1/api/users/login", json=wrong).status_code == 401
    assert not {"nobody@example.org", "/v1/api/users/login"} & confidential
