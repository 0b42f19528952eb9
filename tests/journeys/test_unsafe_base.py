"""Nothing runs on an unsafe base: a database without this version's migrations or indexes is served by nobody."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from kernapay.bootstrap.services import Services
from kernapay.commands.main import cli
from kernapay.devstack.ports import free_port
from kernapay.storage.migrations import Migrator
from tests.actors import PAYMENTS, People, assert_problem, send_event
from tests.aliases import Store, json_of
from tests.environment import settings_from
from tests.factories import gateway_payment
from tests.stack import StartApi, StartWorker, bare_environment
from tests.waiting import eventually


@pytest.fixture
def empty_env(api_env: dict[str, str], empty_database_url: str) -> dict[str, str]:
    """The environment of an API whose database is empty."""
    return {**api_env, "MONGODB_URL": empty_database_url}


NEEDS_NO_DATABASE = {
    ("demo",): "it speaks with a running API",
    ("dev",): "it migrates by itself, first of all",
    ("doctor",): "it says what is wrong, and changes nothing",
    ("listen",): "it speaks with a running API",
    ("migrate", "down"): "it is what prepares a database",
    ("migrate", "status"): "it says what is wrong, and changes nothing",
    ("migrate", "up"): "it is what prepares a database",
    ("openapi",): "it does not look at the database",
    ("sandbox",): "it is another program",
    ("trigger",): "it speaks with a running API",
}
ARGUMENTS = {
    ("audit",): (),
    ("create-admin",): ("--email", "a@example.com", "--password", "correct horse battery"),
    ("import", "express"): ("--from", "mongodb://127.0.0.1:9/old"),
    ("inbox", "end"): ("evt_1", "--reason", "not ours"),
    ("inbox", "list"): (),
    ("inbox", "replay"): ("--status", "parked"),
    ("reconcile",): (),
    ("remove-second-factor",): ("--email", "a@example.com"),
    ("repair",): ("66b1f0c2a7d4e5f601234567",),
    ("seed",): (),
    ("serve",): ("--workers", "2", "--port", str(free_port())),
    ("verify-email",): ("--email", "a@example.com"),
    ("worker",): (),
}
"""What each command is given that works with the database."""


def commands(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command as it is typed."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from commands(command, (*names, name))
            else:
                yield (*names, name)


def test_of_every_command_it_is_known_whether_it_works_with_the_database() -> None:
    assert set(commands(cli)) == ARGUMENTS.keys() | NEEDS_NO_DATABASE.keys()


# One process for all of them: to start one costs more than everything else here.
RUN_EACH = """
import json, sys
from kernapay.commands.main import main

for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        print(json.dumps({"exit": ended.code}), file=sys.stderr)
"""


def run_each(env: dict[str, str], folder: Path) -> dict[tuple[str, ...], list[str]]:
    """Run every command that works with the database; return the last two lines that each wrote."""
    typed = [(*command, *arguments) for command, arguments in ARGUMENTS.items()]
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH, json.dumps(typed)],
        cwd=folder,
        env={**bare_environment(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = done.stderr.splitlines()
    ends = [place for place, line in enumerate(lines) if line.startswith('{"exit"')]
    return {
        command: lines[place - 1 : place + 1]
        for command, place in zip(ARGUMENTS, ends, strict=True)
    }


@pytest.mark.parametrize("state", ["empty", "without an index"])
def test_a_command_that_works_with_the_database_refuses_one_that_is_not_ready(
    empty_env: dict[str, str], empty_database: Store, tmp_path: Path, state: str
) -> None:
    if state == "without an index":
        Migrator(empty_database).up()
        empty_database.payments.drop_index("idempotency_key")
    before = contents(empty_database)
    for command, (told, code) in run_each(empty_env, tmp_path).items():
        assert code == '{"exit": 2}', command
        assert told.startswith("Error: The database is not ready: "), command
        assert told.endswith("Fix: kernapay migrate up"), command
    assert contents(empty_database) == before, "they wrote nothing"


def contents(database: Store) -> dict[str, int]:
    names = database.list_collection_names(filter={"name": {"$ne": "system.profile"}})
    return {name: database[name].estimated_document_count() for name in names}


def test_what_is_damaged_beside_a_running_service_stops_it_until_it_is_repaired(
    empty_env: dict[str, str],
    empty_database: Store,
    start_api: StartApi,
    start_worker: StartWorker,
) -> None:
    migrator = Migrator(empty_database)
    migrator.up()
    api = start_api(MONGODB_URL=empty_env["MONGODB_URL"])
    worker = start_worker(MONGODB_URL=empty_env["MONGODB_URL"])
    user = People(api.client, empty_database).new()

    def readiness() -> tuple[int, str | None]:
        answer = api.client.get("/health/ready")
        return answer.status_code, json_of(answer).get("reason")

    assert readiness() == (200, None)
    payment = user.new_payment()
    (reverted,) = migrator.down()
    reason = f"not applied: {reverted}. Fix: kernapay migrate up"
    eventually(lambda: readiness() == (503, reason))
    assert_problem(user.create(), 503, code="not_migrated")
    assert_problem(api.client.get(f"{PAYMENTS}/status/{payment['referenceId']}"), 503)
    entity = gateway_payment(payment["orderId"])
    assert_problem(send_event(api.client, "payment.captured", payment=entity), 503)
    assert api.client.get("/health/live").status_code == 200
    eventually(lambda: "schema_checked" in worker.log.read_text())
    assert migrator.up() == [reverted]
    eventually(lambda: readiness() == (200, None))
    assert user.create().status_code == 201

    # Nobody asks for the readiness this time.
    empty_database.payments.drop_index("idempotency_key")
    eventually(lambda: user.create().status_code == 503)
    expected = "missing indexes: payments.idempotency_key. Fix: kernapay migrate up"
    assert readiness() == (503, expected)
    assert migrator.restore_indexes() == ["payments.idempotency_key"]
    eventually(lambda: readiness() == (200, None))
    assert worker.is_running


async def _request_nights(env: dict[str, str], at: datetime) -> list[bool]:
    services = Services(settings_from(env), clock=lambda: at)
    await services.open()
    try:
        return [await services.reconciliation_service.request_nightly() for _ in range(5)]
    finally:
        await services.close()


def test_without_a_unique_index_too_workers_make_one_report_a_night(
    empty_env: dict[str, str], empty_database: Store
) -> None:
    night = datetime.now(UTC).replace(hour=21) + timedelta(days=1)
    first = asyncio.run(_request_nights(empty_env, night))
    second = asyncio.run(_request_nights(empty_env, night))
    assert (first, second) == ([True, *[False] * 4], [False] * 5)
    assert empty_database.reconciliation_reports.count_documents({}) == 1
