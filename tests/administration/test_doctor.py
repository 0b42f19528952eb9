"""`kernapay doctor` as operators use it."""

import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from kernapay.commands.doctor.dependencies import judge
from kernapay.commands.doctor.examination import examine
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.config.settings import load_settings
from kernapay.devstack.ports import HOST, free_port
from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database
from tests.stack import JWT_SECRET, Api, bare_environment

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def doctor(api_env: dict[str, str], api_server: Api, tmp_path: Path) -> Run:
    def run(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kernapay", "doctor", *options],
            env={**bare_environment(), **api_env, **env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def look(api_env: dict[str, str], api_server: Api, tmp_path: Path) -> Callable[..., Any]:
    """The findings about one subject, without a process."""

    async def look(subject: str, clock: Any = None, **changes: Any) -> list[Finding]:
        given = {name.lower(): value for name, value in api_env.items()}
        settings = load_settings(None, **{**given, "files_dir": tmp_path, **changes})
        clock = {} if clock is None else {"clock": clock}
        return [f async for f in examine(settings, **clock) if f.subject == subject]

    return look


def test_a_sound_installation_passes(doctor: Run) -> None:
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("FAIL")]
    for subject in (
        "configuration",
        "MongoDB",
        "migrations",
        "indexes",
        "Redis",
        "Razorpay",
        "files",
    ):
        assert [line for line in lines if line.startswith("ok") and subject in line], subject
    # Whatever is not well says what to do.
    assert all(" -> " in line for line in lines if not line.startswith("ok"))
    assert JWT_SECRET not in done.stdout


@pytest.mark.anyio
async def test_it_lets_go_of_the_providers_too(api_env: dict[str, str], api_server: Api) -> None:
    def clients() -> list[httpx.AsyncClient]:
        # By type: asking a weak proxy what it is would ask what it stands for, which may be gone.
        return [found for found in gc.get_objects() if type(found) is httpx.AsyncClient]

    given = {name.lower(): value for name, value in api_env.items()}
    keys = {"email_api_key": "k", "sender_email": "pay@example.com", "fast_2_sms_key": "k"}
    known = {id(client): client for client in clients()}
    made: dict[int, httpx.AsyncClient] = {}
    async for _ in examine(load_settings(None, **given, **keys)):
        made |= {id(client): client for client in clients() if id(client) not in known}
    assert len(made) == 2, "one for mails, one for texts"
    assert all(client.is_closed for client in made.values())


def test_servers_that_are_away_fail_it_without_a_traceback(doctor: Run) -> None:
    gone = f"{HOST}:{free_port()}"
    done = doctor(REDIS_URL=f"redis://{gone}", RAZORPAY_BASE_URL=f"http://{gone}")
    assert done.returncode == 1
    assert "FAIL  Redis" in done.stdout
    assert "FAIL  Razorpay" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_database_that_dns_does_not_know_fails_it_without_a_traceback(doctor: Run) -> None:
    done = doctor(MONGODB_URL="mongodb+srv://user:hunter2@nope.invalid/db")
    assert done.returncode == 1
    assert "FAIL  MongoDB       cannot be used: ConfigurationError -> " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Redis" in done.stdout, "the rest is looked at all the same"


def test_looking_makes_no_folder(doctor: Run, tmp_path: Path) -> None:
    done = doctor(FILES_DIR="not/there/yet")
    assert f"kept in the folder {tmp_path}/not/there/yet" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_configuration_is_told_variable_by_variable(doctor: Run) -> None:
    done = doctor(MONGODB_URL="http://x", RAZORPAY_KEY_ID="x", AWS_ACCESS_KEY_ID="alone")
    assert done.returncode == 1
    assert "MONGODB_URL" in done.stdout
    assert "RAZORPAY_KEY_ID" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.anyio
async def test_keys_that_the_gateway_refuses_fail(look: Callable[..., Any]) -> None:
    (finding,) = await look("Razorpay", razorpay_key_secret="not-the-secret")
    assert finding.level is Level.FAIL
    assert "dashboard" in finding.advice


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("off", "level"),
    [
        (timedelta(0), Level.OK),
        (timedelta(seconds=5), Level.WARN),
        (timedelta(hours=1), Level.FAIL),
    ],
)
async def test_a_clock_that_is_off_is_noticed(
    look: Callable[..., Any], off: timedelta, level: Level
) -> None:
    found = await look("clock", clock=lambda: datetime.now(UTC) + off)
    assert [finding.level for finding in found] == [level, level]


@pytest.mark.anyio
async def test_secrets_fit_for_a_laptop_only_are_pointed_out(look: Callable[..., Any]) -> None:
    found = await look("configuration", jwt_secret="short")
    assert [f for f in found if f.level is Level.WARN and "JWT_SECRET" in f.detail]
    found = await look("secrets", jwt_secret_previous="x" * 40)
    assert [f for f in found if "JWT_SECRET_PREVIOUS" in f.detail]


@pytest.mark.anyio
async def test_a_demand_that_nobody_can_fulfil_fails(look: Callable[..., Any]) -> None:
    (without,) = await look("e-mail")
    (demanded,) = await look("e-mail", require_verified="email")
    assert (without.level, demanded.level) == (Level.WARN, Level.FAIL)


@pytest.mark.anyio
async def test_one_of_two_ways_is_enough_where_any_is_demanded(look: Callable[..., Any]) -> None:
    neither = [*await look("e-mail", require_verified="any")]
    neither += await look("SMS", require_verified="any")
    assert [finding.level for finding in neither] == [Level.FAIL, Level.FAIL]
    assert all("REQUIRE_VERIFIED=any" in finding.detail for finding in neither)
    (mail,) = await look("e-mail", require_verified="any", fast_2_sms_key="k")
    (sms,) = await look("SMS", require_verified="any", fast_2_sms_key="k")
    assert (mail.level, sms.level) == (Level.WARN, Level.OK)


@pytest.mark.anyio
@pytest.mark.parametrize("below", ["", "not/there/yet"])
async def test_a_folder_that_cannot_be_written_fails(
    look: Callable[..., Any], tmp_path: Path, below: str
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    (finding,) = await look("files", files_dir=occupied / below)
    assert finding.level is Level.FAIL


class TestDatabase:
    @pytest.fixture
    def other(self, mongo_server: MongoServer, fresh_database: Callable[[], str]) -> Any:
        url = mongo_server.database_url(fresh_database())
        client, database = open_database(url)
        yield url, database
        client.close()

    def test_migrations_that_are_not_applied_fail(
        self, doctor: Run, other: tuple[str, Database[dict[str, Any]]]
    ) -> None:
        done = doctor(MONGODB_URL=other[0])
        assert done.returncode == 1
        assert "not applied: 0001_users" in done.stdout
        assert "-> kernapay migrate up" in done.stdout

    def test_an_index_that_was_lost_or_changed_fails(
        self, doctor: Run, other: tuple[str, Database[dict[str, Any]]]
    ) -> None:
        url, database = other
        Migrator(database).up()
        database.users.drop_index("email")
        database.users.create_index([("email", 1)], name="email")  # no longer unique
        database.payments.drop_index("user_newest")
        done = doctor(MONGODB_URL=url)
        assert done.returncode == 1
        assert "missing or changed: payments.user_newest, users.email" in done.stdout
        assert "kernapay create-admin" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not there")
def test_the_dependency_check_says_clearly_that_it_needs_the_network(doctor: Run) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    done = doctor("--dependencies", HTTPS_PROXY=nowhere, HTTP_PROXY=nowhere, ALL_PROXY=nowhere)
    assert done.returncode == 1
    assert "FAIL  dependencies  the advisories could not be read" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


AUDITED = {"name": "sound", "version": "1.0", "vulns": []}
SKIPPED = {"name": "private", "skip_reason": "Dependency not found on PyPI"}
OURS = {"name": "kernapay", "skip_reason": "distribution marked as editable"}
VULNERABLE = {
    "name": "leaky",
    "version": "2.0",
    "vulns": [{"id": "CVE-2026-1", "fix_versions": ["2.1"], "aliases": [], "description": "…"}],
}


@pytest.mark.parametrize(
    ("dependencies", "told"),
    [
        ([AUDITED, OURS], [(Level.OK, "no known vulnerabilities in 1")]),
        ([AUDITED] * 3 + [SKIPPED], [(Level.WARN, "1 of 4 could not be audited: private")]),
        ([AUDITED, SKIPPED, OURS], [(Level.FAIL, "1 of 2 could not be audited: private")]),
        (
            [SKIPPED] * 132 + [OURS],
            [
                (
                    Level.FAIL,
                    f"132 of 132 could not be audited: {'private, ' * 4}private and 127 more",
                )
            ],
        ),
        ([OURS], [(Level.FAIL, "0 of 0 could not be audited")]),
        ([AUDITED, VULNERABLE], [(Level.FAIL, "leaky 2.0: CVE-2026-1")]),
        (
            [AUDITED, AUDITED, VULNERABLE, SKIPPED],
            [
                (Level.FAIL, "leaky 2.0: CVE-2026-1"),
                (Level.WARN, "1 of 4 could not be audited: private"),
            ],
        ),
    ],
)
def test_what_could_not_be_audited_does_not_pass_for_sound(
    dependencies: list[dict[str, Any]], told: list[tuple[Level, str]]
) -> None:
    report = json.dumps({"dependencies": dependencies, "fixes": []}).encode()
    found = list(judge(report, "No known vulnerabilities found"))
    assert [(finding.level, finding.detail) for finding in found] == told
    assert all(finding.advice for finding in found if finding.level is not Level.OK)
