"""The service as it runs in production: strict about itself, and deaf to the tests' switches."""

import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kernapay.devstack.process import ServerError
from kernapay.storage.migrations import Migrator
from tests.actors import USERS, assert_problem, log_in
from tests.aliases import Store
from tests.databases import forget_payments
from tests.factories import payment_body, sign_up_body, unique
from tests.stack import (
    STRONG_KEY_ID,
    STRONG_KEY_SECRET,
    Api,
    Sandbox,
    Server,
    StartApi,
    StartWorker,
)
from tests.waiting import eventually

PRODUCTION = {
    "APP_ENV": "production",
    "JWT_SECRET": secrets.token_hex(32),
    "SALT_ROUNDS": "10",
    "RAZORPAY_KEY_ID": STRONG_KEY_ID,
    "RAZORPAY_KEY_SECRET": STRONG_KEY_SECRET,
    "RAZORPAY_WEBHOOK_SECRET": secrets.token_hex(16),
    "RAZORPAY_WEBHOOK_SECRET_PREVIOUS": "",
}


@pytest.fixture
def other_account(store: Store) -> Iterator[None]:
    """Payments are made with the keys of another account than that of the other tests, and taken away again."""
    yield
    forget_payments(store)


@pytest.mark.owasp(line="API9")
@pytest.mark.usefixtures("other_account")
def test_production_takes_payments_and_ignores_crash_points(
    sandbox: Sandbox, start_api: StartApi
) -> None:
    server = start_api(**PRODUCTION, KERNAPAY_CRASH_AT="create.claimed")
    # Once for each start, not for each worker.
    (doubt,) = server.log_entries("configuration_doubtful", variable="RAZORPAY_KEY_ID")
    assert "test key" in doubt["text"]
    api = server.client
    body = sign_up_body(email=f"{unique()}@kernapay.dev")
    assert api.post(f"{USERS}/signup", json=body).status_code == 201
    user = log_in(api, body["email"], body["password"])
    payment, _ = user.buy(sandbox, **payment_body())
    assert user.seen(payment["referenceId"])["status"] == "success"
    # No mail can ever arrive at such an address.
    assert_problem(api.post(f"{USERS}/signup", json=sign_up_body(email="a@b.test")), 400, "email")


def test_the_logs_say_production_for_a_live_key_whatever_app_env_says(
    empty_database_url: str,
    empty_database: Store,
    start_api: StartApi,
    start_worker: StartWorker,
) -> None:
    Migrator(empty_database).up()
    live = {
        **PRODUCTION,
        "APP_ENV": "development",
        "MONGODB_URL": empty_database_url,
        "RAZORPAY_KEY_ID": "rzp_live_production",
        "RAZORPAY_BASE_URL": "https://gateway.example.com",
    }
    (serving,) = start_api(**live).log_entries("serving")
    worker_lines = map(json.loads, start_worker(**live).log_lines())
    (started,) = [line for line in worker_lines if line["event"] == "worker_started"]
    for line in (serving, started):
        assert (line["environment"], line["live"]) == ("production", True)


@pytest.mark.owasp(line="API8")
def test_production_with_weak_secrets_does_not_start(
    api_env: dict[str, str], tmp_path: Path
) -> None:
    server = Server(
        "api", tmp_path, ["kernapay", "serve"], {**api_env, "APP_ENV": "production"}, "/health/live"
    )
    with pytest.raises(ServerError) as refusal, server:
        pytest.fail("it started")
    for name in ("SALT_ROUNDS", "RAZORPAY_KEY_SECRET"):
        assert name in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url, trust_env=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_taken_port_is_not_shared(
    api_env: dict[str, str], api_server: Api, tmp_path: Path, workers: int
) -> None:
    """Or half of the requests would go to the other one, which may be of another configuration."""
    second = Api(tmp_path, api_env, port=api_server.port, workers=workers)
    try:
        second.launch()
        # Not until it is ready: the other one would answer for it.
        assert eventually(lambda: second.process.exit_code) == 1
    finally:
        second.process.kill()
        second.client.close()
    assert f"port {api_server.port} is taken" in second.log()
    assert "--port" in second.log()
    assert "Traceback" not in second.log()
    assert api_server.client.get("/health/live").status_code == 200


def test_an_address_of_another_machine_is_a_message(
    api_env: dict[str, str], tmp_path: Path
) -> None:
    server = Api(tmp_path, {**api_env, "HOST": "192.0.2.1"})
    with pytest.raises(ServerError, match=r"192\.0\.2\.1 port \d+ cannot be listened on"), server:
        pytest.fail("it started")


def test_a_restart_finds_its_port_free_again(api_env: dict[str, str], tmp_path: Path) -> None:
    first = Api(tmp_path, api_env).launch().wait()
    # The side that closes first keeps the connection's port for a minute (TIME_WAIT): the server's.
    with socket.create_connection(("127.0.0.1", first.port)) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while connection.recv(65536):
            pass
    first.process.stop()
    with socket.socket() as strict, pytest.raises(OSError, match="in use"):
        strict.bind(("127.0.0.1", first.port))
    second = Api(tmp_path, api_env, port=first.port).launch().wait()
    try:
        assert second.client.get("/health/live").status_code == 200
    finally:
        first.client.close()
        second.kill()
