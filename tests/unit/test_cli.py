"""The command line, as an operator types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from factories import new_email
from pymongo.database import Database
from stack import bare_environment

from kernapay import __version__

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PASSWORD = "a very long passphrase"


@pytest.fixture
def run(api_env: dict[str, str], tmp_path: Path) -> Run:
    """Run `kernapay` in an empty folder; `NAME=None` takes a variable away."""

    def run(*arguments: str, **env: str | None) -> "subprocess.CompletedProcess[str]":
        given = {**bare_environment(), **api_env, **env}
        return subprocess.run(
            [sys.executable, "-m", "kernapay", *arguments],
            cwd=tmp_path,
            env={name: value for name, value in given.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return run


def test_help_names_every_command(run: Run) -> None:
    result = run("--help")
    assert result.returncode == 0
    for command in ("serve", "dev", "migrate", "worker", "sandbox", "create-admin", "openapi"):
        assert f"\n  {command}" in result.stdout
    assert run("--version").stdout.strip().endswith(__version__)


@pytest.mark.parametrize("command", [("serve",), ("migrate", "up")])
def test_a_bad_configuration_is_one_message_that_names_every_variable(
    run: Run, command: tuple[str, ...]
) -> None:
    result = run(*command, MONGODB_URL=None, PORT="80000", RAZORPAY_KEY_ID="", TOKEN_EXPIRY="soon")
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for line in ("MONGODB_URL: is missing", "PORT: ", "RAZORPAY_KEY_ID: ", "TOKEN_EXPIRY: "):
        assert f"\n  {line}" in result.stderr


def test_the_configuration_may_stand_in_a_file_and_no_secret_of_it_is_repeated(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / ".env.payment").write_text("PORT=80000\nMONGODB_URL=http://user:hunter2@db\n")
    result = run("serve", MONGODB_URL=None)
    assert result.returncode == 2
    assert "PORT: " in result.stderr
    assert "MONGODB_URL: " in result.stderr
    assert "hunter2" not in result.stderr


def test_a_database_that_refuses_is_a_message(run: Run, mongo_url: str) -> None:
    url = mongo_url.replace("mongodb://", "mongodb://someone:hunter2@")
    result = run("migrate", "status", MONGODB_URL=url)
    assert result.returncode == 1
    assert "MONGODB_URL: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("environment", [None, "production"])
def test_openapi_is_valid_json_and_needs_no_configuration(
    run: Run, tmp_path: Path, environment: str | None
) -> None:
    bare = {"MONGODB_URL": None, "JWT_SECRET": None, "RAZORPAY_KEY_ID": None}
    result = run("openapi", "--output", "api.json", APP_ENV=environment, **bare)
    assert result.returncode == 0, result.stderr
    schema = json.loads((tmp_path / "api.json").read_text())
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["version"] == __version__
    assert "/v1/api/payments/create" in schema["paths"]


def create_admin(run: Run, email: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return run("create-admin", "--email", email, **{"KERNAPAY_ADMIN_PASSWORD": PASSWORD, **env})


def test_create_admin_opens_an_account_with_which_one_can_sign_in(
    run: Run, store: Database[dict[str, Any]], api: Any
) -> None:
    email = new_email()
    result = create_admin(run, email)
    assert result.returncode == 0, result.stderr
    assert PASSWORD not in result.stdout
    row = store.users.find_one({"email": email})
    assert row is not None
    assert row["type"] == "ADMIN"
    assert row["password"].startswith("$")
    answer = api.post("/v1/api/users/login", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["user"]["type"]) == (200, "ADMIN")


def test_create_admin_promotes_an_account_and_leaves_its_password(
    run: Run, store: Database[dict[str, Any]], people: Any
) -> None:
    person = people.new("USER")
    result = create_admin(run, person.email)
    assert result.returncode == 0, result.stderr
    row = store.users.find_one({"_id": ObjectId(person.id)})
    assert row is not None
    assert row["type"] == "ADMIN"
    assert person.profile().json()["type"] == "ADMIN", "the cached profile is gone"
    answer = person.client.post(
        "/v1/api/users/login", json={"email": person.email, "password": person.password}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [("nonsense", PASSWORD, "email"), ("a@example.com", "short", "password")],
)
def test_create_admin_names_what_is_wrong(run: Run, email: str, password: str, field: str) -> None:
    result = create_admin(run, email, KERNAPAY_ADMIN_PASSWORD=password)
    assert result.returncode == 1
    assert f"{field}: " in result.stderr
    assert "Traceback" not in result.stderr


def test_demo_accounts_are_refused_in_production(run: Run) -> None:
    result = run(
        "seed",
        APP_ENV="production",
        JWT_SECRET="q8Zt2mVx7LcR4bNs9KdW1yHf6PgJ3aTe",
        RAZORPAY_KEY_SECRET="Zt2mVx7LcR4bNs9KdW1yHf6P",
        RAZORPAY_WEBHOOK_SECRET="Vx7LcR4bNs9KdW1yHf6PgJ3a",
        SALT_ROUNDS="10",
    )
    assert result.returncode == 1
    assert "not in production" in result.stderr
