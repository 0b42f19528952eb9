"""The command line, as an operator types it."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from bson import ObjectId

from kernapay import __version__
from tests.actors import Actor, People, assert_problem, log_in
from tests.aliases import Store
from tests.command_line import RunKernapay
from tests.databases import row_of
from tests.factories import new_email
from tests.stack import bearer

PASSWORD = "a very long passphrase"


def test_help_names_every_command(run_kernapay: RunKernapay) -> None:
    result = run_kernapay("--help")
    assert result.returncode == 0
    for command in ("serve", "dev", "migrate", "worker", "sandbox", "create-admin", "openapi"):
        assert f"\n  {command}" in result.stdout
    assert run_kernapay("--version").stdout.startswith(f"kernapay, version {__version__}")


@pytest.mark.parametrize("command", [("serve",), ("migrate", "up")])
def test_a_bad_configuration_is_one_message_that_names_every_variable(
    run_kernapay: RunKernapay, command: tuple[str, ...]
) -> None:
    result = run_kernapay(
        *command, MONGODB_URL=None, PORT="80000", RAZORPAY_KEY_ID="", TOKEN_EXPIRY="soon"
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for line in ("MONGODB_URL: is missing", "PORT: ", "RAZORPAY_KEY_ID: ", "TOKEN_EXPIRY: "):
        assert f"\n  {line}" in result.stderr


def test_the_configuration_may_stand_in_a_file_and_no_secret_of_it_is_repeated(
    run_kernapay: RunKernapay, tmp_path: Path
) -> None:
    (tmp_path / ".env.payment").write_text("PORT=80000\nMONGODB_URL=http://user:hunter2@db\n")
    result = run_kernapay("serve", MONGODB_URL=None)
    assert result.returncode == 2
    assert "PORT: " in result.stderr
    assert "MONGODB_URL: " in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize(
    "command", [("migrate", "status"), ("inbox", "list"), ("create-admin", "--email", "a@b.co")]
)
def test_a_database_that_dns_does_not_know_is_a_message(
    run_kernapay: RunKernapay, command: tuple[str, ...]
) -> None:
    url = "mongodb+srv://someone:hunter2@nope.invalid/db"
    result = run_kernapay(*command, MONGODB_URL=url, KERNAPAY_ADMIN_PASSWORD=PASSWORD)
    assert result.returncode in (1, 2)
    assert "MONGODB_URL" in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


def test_a_database_that_refuses_is_a_message(run_kernapay: RunKernapay, mongo_url: str) -> None:
    url = mongo_url.replace("mongodb://", "mongodb://someone:hunter2@")
    result = run_kernapay("migrate", "status", MONGODB_URL=url)
    assert result.returncode == 1
    assert "MONGODB_URL: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("environment", [None, "production"])
def test_openapi_is_valid_json_and_needs_no_configuration(
    run_kernapay: RunKernapay, tmp_path: Path, environment: str | None
) -> None:
    bare = {"MONGODB_URL": None, "JWT_SECRET": None, "RAZORPAY_KEY_ID": None}
    result = run_kernapay("openapi", "--output", "api.json", APP_ENV=environment, **bare)
    assert result.returncode == 0, result.stderr
    schema = json.loads((tmp_path / "api.json").read_text())
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["version"] == __version__
    assert "/v1/api/payments/create" in schema["paths"]


def create_admin(
    run_kernapay: RunKernapay, email: str, *options: str, password: str = PASSWORD
) -> subprocess.CompletedProcess[str]:
    return run_kernapay(
        "create-admin", "--email", email, *options, KERNAPAY_ADMIN_PASSWORD=password
    )


def test_create_admin_opens_an_account_with_which_one_can_sign_in(
    run_kernapay: RunKernapay, store: Store, api: httpx.Client
) -> None:
    email = new_email()
    result = create_admin(run_kernapay, email)
    assert result.returncode == 0, result.stderr
    assert PASSWORD not in result.stdout
    row = row_of(store.users, email=email)
    assert row["type"] == "ADMIN"
    assert row["password"].startswith("$")
    # Whoever runs the command vouches for the address. Nobody has named a phone number.
    assert row["isEmailVerified"] is True
    assert row.get("mobileNumber") is row.get("countryCode") is None
    someone = log_in(api, email, PASSWORD)
    assert someone.profile().json()["type"] == "ADMIN"
    assert_problem(someone.update(mobileNumber=9876543210), 400, field="countryCode")
    assert_problem(someone.update(countryCode="+91"), 400, field="mobileNumber")
    assert someone.update(mobileNumber=9876543210, countryCode="+91").status_code == 200


def test_create_admin_leaves_an_account_that_is_there_alone(
    run_kernapay: RunKernapay, store: Store, people: People
) -> None:
    """Or whoever signed up with the operator's address would become ADMIN."""
    stranger = people.new("USER")
    before = row_of(store.users, _id=ObjectId(stranger.id))
    result = create_admin(run_kernapay, stranger.email)
    assert result.returncode == 1
    assert "--promote" in result.stderr
    assert "Traceback" not in result.stderr
    assert row_of(store.users, _id=ObjectId(stranger.id)) == before
    assert stranger.profile().json()["type"] == "USER"


def test_create_admin_takes_an_account_from_whoever_has_it_when_told_to(
    run_kernapay: RunKernapay, store: Store, people: People, admin: Actor
) -> None:
    stranger = people.new("USER")
    second = stranger.device()
    bound = {"name": "Back end", "role": "USER", "userId": stranger.id}
    key = admin.call("POST", "/v1/api/admin/api-keys", json=bound).json()["key"]

    result = create_admin(run_kernapay, stranger.email, "--promote")
    assert result.returncode == 0, result.stderr
    assert PASSWORD not in result.stdout
    row = row_of(store.users, _id=ObjectId(stranger.id))
    assert (row["type"], row["isEmailVerified"]) == ("ADMIN", True)
    assert [device.profile().status_code for device in (stranger, second)] == [401, 401]

    def sign_in(password: str) -> httpx.Response:
        body = {"email": stranger.email, "password": password}
        return stranger.client.post("/v1/api/users/login", json=body)

    assert sign_in(stranger.password).status_code == 401
    answer = sign_in(PASSWORD)
    assert (answer.status_code, answer.json()["user"]["type"]) == (200, "ADMIN")
    # A rise ends every key.
    assert stranger.client.get("/v1/api/admin/users", headers=bearer(key)).status_code == 401


def test_an_administrator_that_is_taken_back_keeps_no_key(
    run_kernapay: RunKernapay, admin: Actor
) -> None:
    """Its role does not change, so nothing else ends the keys that somebody else made."""
    body = {"name": "Back door", "role": "ADMIN"}
    key = admin.call("POST", "/v1/api/admin/api-keys", json=body).json()["key"]
    assert create_admin(run_kernapay, admin.email, "--promote").returncode == 0
    assert admin.client.get("/v1/api/admin/users", headers=bearer(key)).status_code == 401


def test_promoting_with_a_password_that_will_not_do_changes_nothing(
    run_kernapay: RunKernapay, people: People
) -> None:
    person = people.new("USER")
    result = create_admin(run_kernapay, person.email, "--promote", password="password")
    assert result.returncode == 1
    assert "password: " in result.stderr
    assert person.profile().json()["type"] == "USER"


def test_promoting_opens_an_account_where_there_is_none(
    run_kernapay: RunKernapay, api: httpx.Client
) -> None:
    email = new_email()
    assert create_admin(run_kernapay, email, "--promote").returncode == 0
    answer = api.post("/v1/api/users/login", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["user"]["type"]) == (200, "ADMIN")


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [("nonsense", PASSWORD, "email"), ("a@example.com", "short", "password")],
)
def test_create_admin_names_what_is_wrong(
    run_kernapay: RunKernapay, email: str, password: str, field: str
) -> None:
    result = create_admin(run_kernapay, email, password=password)
    assert result.returncode == 1
    assert f"{field}: " in result.stderr
    assert "Traceback" not in result.stderr


def test_demo_accounts_are_refused_in_production(run_kernapay: RunKernapay) -> None:
    result = run_kernapay(
        "seed",
        APP_ENV="production",
        JWT_SECRET="q8Zt2mVx7LcR4bNs9KdW1yHf6PgJ3aTe",
        RAZORPAY_KEY_SECRET="Zt2mVx7LcR4bNs9KdW1yHf6P",
        RAZORPAY_WEBHOOK_SECRET="Vx7LcR4bNs9KdW1yHf6PgJ3a",
        SALT_ROUNDS="10",
    )
    assert result.returncode == 1
    assert "not created in production" in result.stderr


def test_a_host_that_can_be_no_name_is_told(run_kernapay: RunKernapay) -> None:
    result = run_kernapay("serve", "--host", "a" * 70)
    assert result.returncode == 1
    assert "check --host or HOST" in result.stderr
    assert "Traceback" not in result.stderr
