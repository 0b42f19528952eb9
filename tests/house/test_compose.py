"""compose.yaml describes what production needs; it is read, not run."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from kernapay.commands.main import cli
from kernapay.config.settings import Settings

OURS = ("migrate", "api", "worker", "sandbox")
REQUIRED = ("JWT_SECRET", "RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET")


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text)["services"])


def test_every_part_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {"mongodb", "redis", *OURS}
    assert services["sandbox"]["profiles"] == ["sandbox"]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.owasp(line="API8")
def test_our_containers_run_without_privileges(services: dict[str, Any], name: str) -> None:
    service = services[name]
    stages = service["build"]["dockerfile_inline"].split("FROM ")
    assert re.search(r"^USER (?!root|0)\w+$", stages[-1], re.MULTILINE)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", ["mongodb", "redis"])
def test_the_stores_run_as_their_own_users(services: dict[str, Any], name: str) -> None:
    assert services[name]["user"] == name
    assert "ports" not in services[name], "nobody outside may reach the stores"


def test_everything_that_keeps_running_has_a_health_check(services: dict[str, Any]) -> None:
    running = {name for name, service in services.items() if service.get("restart") != "no"}
    assert running == set(services) - {"migrate"}
    assert {name for name, service in services.items() if "healthcheck" in service} == running


def test_the_stores_keep_their_data(services: dict[str, Any]) -> None:
    assert services["mongodb"]["volumes"] == ["mongodb:/data/db"]
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["redis"]["command"][1:3] == ["--appendonly", "yes"]
    assert "--replSet" in services["mongodb"]["command"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_nothing_starts_before_the_migrations_are_done(services: dict[str, Any], name: str) -> None:
    needed = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
    assert needed == {
        "mongodb": "service_healthy",
        "redis": "service_healthy",
        "migrate": "service_completed_successfully",
    }


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
@pytest.mark.owasp(line="API8")
def test_secrets_have_no_defaults(services: dict[str, Any], name: str) -> None:
    environment = services[name]["environment"]
    for variable in (*REQUIRED, "REDIS_PASSWORD"):
        assert environment[variable].startswith(f"${{{variable}:?"), variable
    assert environment["APP_ENV"] == "${APP_ENV:-production}"


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_every_variable_is_one_the_settings_read(services: dict[str, Any], name: str) -> None:
    known = {field.upper() for field in Settings.model_fields}
    assert set(services[name]["environment"]) <= known


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(services: dict[str, Any], name: str) -> None:
    command, *options = services[name]["command"]
    found = cli.get_command(click.Context(cli), command)
    assert found is not None, command
    context = found.make_context(command, _literal(options))
    assert context.command is found


def _literal(options: list[str]) -> list[str]:
    """Replace the shell's variables by their defaults."""
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", option) for option in options]
