"""The service as it runs in production: strict about itself, and deaf to the tests' switches."""

import secrets
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from actors import USERS, assert_problem, log_in
from factories import payment_body, sign_up_body, unique
from stack import LIVE_KEY_ID, LIVE_KEY_SECRET, Api, Sandbox, Server

from kernapay.devstack.process import ServerError

PRODUCTION = {
    "APP_ENV": "production",
    "JWT_SECRET": secrets.token_hex(32),
    "SALT_ROUNDS": "10",
    "RAZORPAY_KEY_ID": LIVE_KEY_ID,
    "RAZORPAY_KEY_SECRET": LIVE_KEY_SECRET,
    "RAZORPAY_WEBHOOK_SECRET": secrets.token_hex(16),
    "RAZORPAY_WEBHOOK_SECRET_PREVIOUS": "",
}


def test_production_takes_payments_and_ignores_crash_points(
    sandbox: Sandbox, start_api: Callable[..., Api]
) -> None:
    api = start_api(**PRODUCTION, KERNAPAY_CRASH_AT="create.claimed").client
    body = sign_up_body(email=f"{unique()}@kernapay.dev")
    assert api.post(f"{USERS}/signup", json=body).status_code == 201
    user = log_in(api, body["email"], body["password"])
    payment, _ = user.buy(sandbox, **payment_body())
    assert user.seen(payment["referenceId"])["status"] == "success"
    # No mail can ever arrive at such an address.
    assert_problem(api.post(f"{USERS}/signup", json=sign_up_body(email="a@b.test")), 400, "email")


def test_production_with_weak_secrets_does_not_start(
    api_env: dict[str, str], tmp_path: Path
) -> None:
    server = Server(
        "api", tmp_path, ["kernapay", "serve"], {**api_env, "APP_ENV": "production"}, "/health/live"
    )
    try:
        server.launch()
        with pytest.raises(ServerError) as refusal:
            server.wait()
    finally:
        server.kill()
    for name in ("SALT_ROUNDS", "RAZORPAY_KEY_SECRET"):
        assert name in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url, trust_env=False)
