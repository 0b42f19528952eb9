"""The example data is made by the services and the sandbox, so that both books agree."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from kernapay.bootstrap.services import Services, open_services
from kernapay.commands.example_data.samples import PROVIDERS, SHOP
from kernapay.commands.main import cli
from kernapay.core.clock import now
from kernapay.devstack.example_data import EXAMPLE_SETTINGS
from kernapay.devstack.ports import HOST, free_port
from kernapay.payments.insights.dtos import Breakdown, Insights, Unit
from kernapay.security.principal import Principal, Role
from tests.checkout import ROOT
from tests.databases import open_migrated_store
from tests.environment import settings_from
from tests.stack import WEBHOOK_PATH, WEBHOOK_SECRET, SandboxServer

COUNT = 40


@pytest.fixture
def env(
    api_env: dict[str, str], empty_database_url: str, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The environment of a stack that has a sandbox and a database of its own, and no API yet."""
    port = free_port()
    webhook = f"http://{HOST}:{port}{WEBHOOK_PATH}|{WEBHOOK_SECRET}"
    with SandboxServer(tmp_path, SANDBOX_WEBHOOKS=webhook) as sandbox:
        yield {
            **api_env,
            **EXAMPLE_SETTINGS,
            "MONGODB_URL": empty_database_url,
            "RAZORPAY_BASE_URL": sandbox.url,
            "MAILBOX_URL": sandbox.url,
            "PORT": str(port),
            "SALT_ROUNDS": "4",
            "DELIVERY_ALLOWED_HOSTS": HOST,
            "DELIVERIES_ALWAYS_STORE": "true",
        }


def run(env: dict[str, str], *arguments: str) -> str:
    ran = CliRunner().invoke(cli, arguments, env=env)
    assert ran.exit_code == 0, ran.output
    return ran.output


async def look(env: dict[str, str]) -> tuple[Insights, dict[str, int]]:
    async with open_services(settings_from(env)) as services:
        end = now()
        start = end - timedelta(days=7)
        admin = Principal("0" * 24, Role.ADMIN, "")
        insights = await services.insight_service.show(
            admin, start.isoformat(), end.isoformat(), Unit.DAY, Breakdown.SERVICE_TYPE
        )
        return insights, await waiting(services)


async def waiting(services: Services) -> dict[str, int]:
    shown = await services.attention_service.look()
    return {
        "disputes": shown.open_disputes,
        "mismatches": shown.mismatches,
        "providers": shown.providers_to_approve,
        "nights": shown.nights_missing,
        "findings": shown.findings,
    }


def test_nobody_there_has_an_address_that_the_guide_signs_up() -> None:
    pages = [ROOT / "README.md", *(ROOT / "kernapay/docs").glob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    signed_up = set(re.findall(r'users/signup[^"]*"\$JSON"[^"]*"email": "([^"]+)"', text))
    assert signed_up >= {"asha@example.com"}
    assert signed_up.isdisjoint({SHOP[0], *(each.email for each in PROVIDERS)})


@pytest.mark.soak
def test_it_shows_a_living_system_whose_books_agree_and_is_not_made_twice(
    env: dict[str, str], empty_database_url: str
) -> None:
    with open_migrated_store(empty_database_url) as database:
        made = run(env, "seed", "--example-payments", str(COUNT))
        assert f"{COUNT} payments" in made.splitlines()[-1]
        assert "agree" in run(env, "audit")
        insights, attention = asyncio.run(look(env))
        (week,) = insights.totals
        assert week.paid > COUNT / 4
        assert week.amount_paid > 0
        assert len(insights.series) > 4
        assert len({each.name for each in insights.groups}) > 2
        assert week.created > week.paid
        assert week.refunded > 0
        # What a person should find there, and every night has its report.
        assert attention == {
            "disputes": 1,
            "mismatches": 1,
            "providers": 1,
            "nights": 0,
            "findings": 0,
        }
        for rows in ("settlements", "customers", "deliveries", "api_keys", "messages"):
            assert database[rows].count_documents({}) > 0, rows
        again = run(env, "seed", "--example-payments", str(COUNT))
        assert "There are payments already" in again
        assert database.payments.count_documents({}) == COUNT
