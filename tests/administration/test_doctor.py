"""`kernapay doctor` as operators use it."""

import asyncio
import gc
import importlib.util
import json
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from bson import ObjectId

from kernapay.commands.doctor.dependencies import judge
from kernapay.commands.doctor.examination import examine
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.core.clock import Clock, now
from kernapay.devstack.ports import HOST, free_port
from kernapay.storage.migrations import Migrator
from tests.aliases import Json, Store
from tests.command_line import RunKernapay
from tests.environment import PRODUCTION, settings_from
from tests.stack import JWT_SECRET, Api

pytestmark = pytest.mark.long


class Examine(Protocol):
    async def __call__(
        self, subject: str, *, clock: Clock = now, **changes: object
    ) -> list[Finding]: ...


@pytest.fixture
def doctor(run_kernapay: RunKernapay, api_server: Api) -> RunKernapay:
    return lambda *options, **env: run_kernapay("doctor", *options, **env)


@pytest.fixture
def examine_subject(api_env: dict[str, str], api_server: Api, tmp_path: Path) -> Examine:
    """Return the findings about one subject, without a process."""

    async def examine_subject(
        subject: str, *, clock: Clock = now, **changes: object
    ) -> list[Finding]:
        settings = settings_from(api_env, **{"files_dir": tmp_path, **changes})
        return [f async for f in examine(settings, clock) if f.subject == subject]

    return examine_subject


def test_a_sound_installation_passes(doctor: RunKernapay) -> None:
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
    assert all(". Fix: " in line for line in lines if not line.startswith("ok"))
    assert JWT_SECRET not in done.stdout


@pytest.mark.anyio
async def test_a_configuration_with_a_live_key_is_one_for_production() -> None:
    findings = examine(settings_from(PRODUCTION, app_env="development"))
    assert (await anext(findings)).detail == "complete, for production"


@pytest.mark.anyio
async def test_it_lists_the_providers_that_wait_for_approval(
    examine_subject: Examine, empty_database_url: str, empty_database: Store
) -> None:
    async def finding() -> Finding:
        (found,) = await examine_subject("providers", mongodb_url=empty_database_url)
        return found

    assert (await finding()).level is Level.OK
    account = {"type": "PROVIDER", "status": "ACTIVE", "email": "asha@example.com"}
    approved = {**account, "_id": ObjectId(), "isApprovedProvider": True}
    locked_out = {**account, "_id": ObjectId(), "status": "INACTIVE"}
    user = {**account, "_id": ObjectId(), "type": "USER"}
    old = {**account, "_id": ObjectId()}
    new = {**account, "_id": ObjectId(), "isApprovedProvider": False}

    def insert(*rows: Json) -> None:
        empty_database.users.insert_many(rows)

    await asyncio.to_thread(insert, approved, locked_out, user, old, new)
    found = await finding()
    assert (found.level, found.fix != "") == (Level.WARN, True)
    assert found.detail.startswith("2 ")
    assert found.detail.endswith(f"{old['_id']}, {new['_id']}")
    assert "asha@example.com" not in str(found)
    await asyncio.to_thread(insert, *({**account, "_id": ObjectId()} for _ in range(19)))
    assert (await finding()).detail.endswith(" and 1 more")


@pytest.mark.anyio
async def test_it_counts_imported_payments_whose_status_is_not_known_yet(
    examine_subject: Examine, empty_database_url: str, empty_database: Store
) -> None:
    former = {"service": "express", "unit": "rupees", "proof": "operator"}
    rows: list[Json] = [
        {"status": "pending", "former": former},
        {"status": "pending", "former": {**former, "seen": "a hash"}},
        {"status": "success", "former": former},
        {"status": "pending"},
    ]
    await asyncio.to_thread(empty_database.payments.insert_many, rows)
    (found,) = await examine_subject("import", mongodb_url=empty_database_url)
    assert (found.level, found.detail.split()[0]) == (Level.WARN, "1")
    assert "--statuses-later" in found.fix
    await asyncio.to_thread(empty_database.payments.delete_one, {"_id": rows[0]["_id"]})
    assert await examine_subject("import", mongodb_url=empty_database_url) == []


@pytest.mark.anyio
async def test_it_lets_go_of_the_providers_too(api_env: dict[str, str], api_server: Api) -> None:
    def clients() -> list[httpx.AsyncClient]:
        # By type: asking a weak proxy what it is would ask what it stands for, which may be gone.
        return [found for found in gc.get_objects() if type(found) is httpx.AsyncClient]

    keys = {"email_api_key": "k", "sender_email": "pay@example.com", "fast_2_sms_key": "k"}
    known = {id(client): client for client in clients()}
    made: dict[int, httpx.AsyncClient] = {}
    async for _ in examine(settings_from(api_env, **keys)):
        made |= {id(client): client for client in clients() if id(client) not in known}
    assert len(made) == 2, "one for mails, one for texts"
    assert all(client.is_closed for client in made.values())


def test_servers_that_are_away_fail_it_without_a_traceback(doctor: RunKernapay) -> None:
    gone = f"{HOST}:{free_port()}"
    done = doctor(REDIS_URL=f"redis://{gone}", RAZORPAY_BASE_URL=f"http://{gone}")
    assert done.returncode == 1
    assert "FAIL  Redis" in done.stdout
    assert "FAIL  Razorpay" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_database_that_dns_does_not_know_fails_it_without_a_traceback(
    doctor: RunKernapay,
) -> None:
    done = doctor(MONGODB_URL="mongodb+srv://user:hunter2@nope.invalid/db")
    assert done.returncode == 1
    assert (
        "FAIL  MongoDB       cannot be used: ConfigurationError. Fix: start MongoDB" in done.stdout
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Redis" in done.stdout, "the rest is looked at all the same"


def test_looking_makes_no_folder(doctor: RunKernapay, tmp_path: Path) -> None:
    done = doctor(FILES_DIR="not/there/yet")
    assert f"stored in the folder {tmp_path}/not/there/yet" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_configuration_is_told_variable_by_variable(doctor: RunKernapay) -> None:
    done = doctor(MONGODB_URL="http://x", RAZORPAY_KEY_ID="x", AWS_ACCESS_KEY_ID="alone")
    assert done.returncode == 1
    assert "MONGODB_URL" in done.stdout
    assert "RAZORPAY_KEY_ID" in done.stdout
    assert "Fix: set MONGODB_URL in the environment or in .env.payment." in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.anyio
async def test_keys_that_the_gateway_refuses_fail(examine_subject: Examine) -> None:
    (finding,) = await examine_subject("Razorpay", razorpay_key_secret="not-the-secret")
    assert finding.level is Level.FAIL
    assert "dashboard" in finding.fix


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
    examine_subject: Examine, off: timedelta, level: Level
) -> None:
    found = await examine_subject("clock", clock=lambda: now() + off)
    assert [finding.level for finding in found] == [level, level]


@pytest.mark.anyio
async def test_secrets_fit_for_a_laptop_only_are_pointed_out(examine_subject: Examine) -> None:
    found = await examine_subject("configuration", jwt_secret="short")
    (weak,) = [f for f in found if f.level is Level.WARN and "JWT_SECRET" in f.detail]
    assert weak.fix == "set JWT_SECRET to at least 32 random bytes."
    found = await examine_subject("secrets", jwt_secret_previous="x" * 40)
    assert [f for f in found if "JWT_SECRET_PREVIOUS" in f.detail]


@pytest.mark.anyio
async def test_what_is_perhaps_not_meant_is_pointed_out(
    examine_subject: Examine, api_env: dict[str, str]
) -> None:
    url = api_env["MONGODB_URL"]
    weak = f"{url}{'&' if '?' in url else '?'}w=1"
    found = await examine_subject("configuration", mongodb_url=weak)
    (doubt,) = [f for f in found if f.detail.startswith("MONGODB_URL")]
    assert doubt.level is Level.WARN
    assert "written to a majority" in doubt.fix


@pytest.mark.anyio
async def test_a_demand_that_nobody_can_fulfil_fails(examine_subject: Examine) -> None:
    (without,) = await examine_subject("e-mail")
    (demanded,) = await examine_subject("e-mail", require_verified="email")
    assert (without.level, demanded.level) == (Level.WARN, Level.FAIL)


@pytest.mark.anyio
async def test_one_of_two_ways_is_enough_where_any_is_demanded(examine_subject: Examine) -> None:
    neither = [*await examine_subject("e-mail", require_verified="any")]
    neither += await examine_subject("SMS", require_verified="any")
    assert [finding.level for finding in neither] == [Level.FAIL, Level.FAIL]
    assert all("REQUIRE_VERIFIED=any" in finding.detail for finding in neither)
    (mail,) = await examine_subject("e-mail", require_verified="any", fast_2_sms_key="k")
    (sms,) = await examine_subject("SMS", require_verified="any", fast_2_sms_key="k")
    assert (mail.level, sms.level) == (Level.WARN, Level.OK)


@pytest.mark.anyio
@pytest.mark.parametrize("below", ["", "not/there/yet"])
async def test_a_folder_that_cannot_be_written_fails(
    examine_subject: Examine, tmp_path: Path, below: str
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    (finding,) = await examine_subject("files", files_dir=occupied / below)
    assert finding.level is Level.FAIL


class TestDatabase:
    def test_migrations_that_are_not_applied_fail(
        self, doctor: RunKernapay, empty_database_url: str
    ) -> None:
        done = doctor(MONGODB_URL=empty_database_url)
        assert done.returncode == 1
        assert "not applied: 0001_users" in done.stdout
        assert "Fix: kernapay migrate up" in done.stdout

    def test_staff_and_keys_that_earlier_versions_let_in_are_listed(
        self, examine_subject: Examine, empty_database_url: str, empty_database: Store
    ) -> None:
        def user(name: str, **facts: object) -> ObjectId:
            row = {"email": f"{name}@example.com", "status": "ACTIVE", "type": "ADMIN", **facts}
            added: ObjectId = empty_database.users.insert_one(row).inserted_id
            return added

        Migrator(empty_database).up()
        admin, former = user("sound", isEmailVerified=True), user("former", type="USER")
        lab, gone = user("lab", type="LAB_ASSISTANT"), user("gone", status="INACTIVE")
        keys = {"sound": (admin, None), "lost": (former, None), "adopted": (former, admin)}
        for name, (maker, adopter) in keys.items():
            row = {"name": name, "digest": name, "createdBy": maker, "adoptedBy": adopter}
            empty_database.api_keys.insert_one(row)

        def told(subject: str) -> str:
            found = asyncio.run(examine_subject(subject, mongodb_url=empty_database_url))
            return "\n".join(map(str, found))

        staff = told("administrators")
        assert str(lab) in staff
        assert "@example.com" not in staff, "the output may end up in a log"
        assert [each for each in (admin, former, gone) if str(each) in staff] == []
        orphans = told("API keys")
        assert "lost" in orphans
        assert [name for name in ("sound", "adopted") if name in orphans] == []

    def test_an_index_that_was_lost_or_changed_fails(
        self, doctor: RunKernapay, empty_database_url: str, empty_database: Store
    ) -> None:
        Migrator(empty_database).up()
        empty_database.users.drop_index("email")
        empty_database.users.create_index([("email", 1)], name="email")  # no longer unique
        empty_database.payments.drop_index("user_newest")
        done = doctor(MONGODB_URL=empty_database_url)
        assert done.returncode == 1
        assert (
            "missing indexes: payments.user_newest; changed indexes: users.email. "
            "Fix: drop the changed indexes, then kernapay migrate up"
        ) in done.stdout
        assert "No administrator exists. Fix: kernapay create-admin --email …" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not there")
def test_the_dependency_check_says_clearly_that_it_needs_the_network(doctor: RunKernapay) -> None:
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
    ("dependencies", "expected"),
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
    dependencies: list[Json], expected: list[tuple[Level, str]]
) -> None:
    report = json.dumps({"dependencies": dependencies, "fixes": []}).encode()
    found = list(judge(report, "No known vulnerabilities found"))
    assert [(finding.level, finding.detail) for finding in found] == expected
    assert all(finding.fix for finding in found if finding.level is not Level.OK)
