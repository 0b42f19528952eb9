"""compose.yaml describes what production needs; it is read, not run."""

import configparser
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import TypeAdapter
from yaml.composer import ComposerError

from kernapay.commands.main import cli
from kernapay.config.settings import Settings
from kernapay.config.types import HostNames
from kernapay.web.trusted_hosts import host_name

OURS = ("migrate", "api", "worker", "sandbox")
MONITORING = ("prometheus", "grafana")
REQUIRED = ("JWT_SECRET", "RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET")


class Loader(yaml.SafeLoader):
    """Refuses a key that comes twice. Of two, `safe_load` takes the last without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        # Here, not in the constructor: that already has the keys which `<<` brings, and these may be replaced.
        names = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise ComposerError(None, None, f"the key {key.value} comes twice", key.start_mark)
        return node


def load(text: str) -> dict[str, Any]:
    return dict(yaml.load(text, Loader))


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    return load(text)


@pytest.fixture(scope="module")
def services(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["services"])


@pytest.fixture(scope="module")
def scrape_configs(repository: Path) -> list[dict[str, Any]]:
    file = repository / "kernapay/docs/monitoring/prometheus.yaml"
    return list(load(file.read_text())["scrape_configs"])


def test_a_key_that_comes_twice_is_found() -> None:
    merged = "a: &a {restart: 'no'}\nb: {<<: *a, restart: always}\n"
    assert load(merged)["b"] == {"restart": "always"}
    with pytest.raises(ComposerError, match=r"the key restart comes twice"):
        load(f"{merged}c:\n  restart: always\n  init: true\n  restart: always\n")


def test_every_part_is_there(services: dict[str, Any]) -> None:
    assert set(services) == {"mongodb", "redis", *OURS, *MONITORING}
    assert services["sandbox"]["profiles"] == ["sandbox"]
    assert {tuple(services[name]["profiles"]) for name in MONITORING} == {("monitoring",)}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.owasp(line="API8")
def test_our_containers_run_without_privileges(services: dict[str, Any], name: str) -> None:
    service = services[name]
    stages = service["build"]["dockerfile_inline"].split("FROM ")
    assert re.search(r"^USER (?!root|0)\w+$", stages[-1], re.MULTILINE)
    assert service["read_only"] is True
    # Compose cannot put these into a container with a read-only file system.
    assert not {"secrets", "configs"} & set(service)
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", MONITORING)
@pytest.mark.owasp(line="API8")
def test_monitoring_is_for_this_machine_and_gets_its_secrets_as_files(
    document: dict[str, Any], services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert service["user"] not in ("root", "0")
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    for secret in service["secrets"]:
        assert document["secrets"][secret]["environment"].startswith(("METRICS", "GRAFANA"))


@pytest.mark.parametrize("name", ["mongodb", "redis"])
def test_the_stores_run_as_their_own_users(services: dict[str, Any], name: str) -> None:
    assert services[name]["user"] == name
    assert services[name]["cap_drop"] == ["ALL"]
    assert "ports" not in services[name], "nobody outside may reach the stores"


def test_everything_that_keeps_running_has_a_health_check(services: dict[str, Any]) -> None:
    running = {name for name, service in services.items() if service.get("restart") != "no"}
    assert running == set(services) - {"migrate"}
    assert {name for name, service in services.items() if "healthcheck" in service} == running


def test_what_ends_is_started_again(services: dict[str, Any], repository: Path) -> None:
    """`serve` ends when none of its workers stays alive. So does the guide's unit of systemd."""
    running = [service for name, service in services.items() if name != "migrate"]
    assert {service["restart"] for service in running} <= {"unless-stopped", "always"}
    page = (repository / "kernapay" / "docs" / "operations.md").read_text()
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(page.partition("```ini\n")[2].partition("```")[0])
    assert unit["Service"]["Restart"] == "always"
    program, command, *options = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "kernapay"
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    found.make_context(command, options)


def test_what_is_written_is_kept(document: dict[str, Any], services: dict[str, Any]) -> None:
    assert services["mongodb"]["volumes"] == ["mongodb:/data/db"]
    assert services["redis"]["volumes"] == ["redis:/data"]
    for name in ("api", "worker"):
        folder = services[name]["environment"]["FILES_DIR"]
        assert services[name]["volumes"] == [f"files:{folder}"]
    file = services["sandbox"]["environment"]["SANDBOX_DATA"]
    assert services["sandbox"]["volumes"] == [f"sandbox:{Path(file).parent}"]
    for service in OURS:
        for volume in services[service].get("volumes", []):
            # The containers run without privileges: a volume belongs to its owner in the image.
            assert volume.partition(":")[2] in services[service]["build"]["dockerfile_inline"]
    for name, folder in (("prometheus", "/prometheus"), ("grafana", "/var/lib/grafana")):
        assert f"{name}:{folder}" in services[name]["volumes"]
    assert set(document["volumes"]) == {"mongodb", "redis", "files", "sandbox", *MONITORING}


@pytest.mark.owasp(line="API8")
def test_nobody_uses_the_stores_without_a_password(
    document: dict[str, Any], services: dict[str, Any]
) -> None:
    start = services["mongodb"]["entrypoint"][-1]
    assert "exec mongod --replSet kernapay --keyFile" in start
    assert "kernapay:${MONGODB_PASSWORD:?" in services["api"]["environment"]["MONGODB_URL"]
    assert document["secrets"]["mongodb_password"] == {"environment": "MONGODB_PASSWORD"}
    redis = document["configs"]["redis"]["content"].splitlines()
    assert redis[0].startswith('requirepass "${REDIS_PASSWORD:?')
    assert "appendonly yes" in redis


@pytest.mark.owasp(line="API8")
def test_no_secret_is_an_argument_of_a_process(services: dict[str, Any]) -> None:
    for name, service in services.items():
        arguments = [service.get(part, []) for part in ("command", "entrypoint")]
        arguments.append(service.get("healthcheck", {}).get("test", []))
        for argument in (word for words in arguments for word in words):
            for variable in re.findall(r"\$\{?(\w+)", argument):
                assert not re.search("PASSWORD|SECRET|KEY|TOKEN|URL", variable), name


def test_every_image_is_pinned(text: str, services: dict[str, Any]) -> None:
    images = [services[name]["image"] for name in ("mongodb", "redis", *MONITORING)]
    images += re.findall(r"^ *FROM (\S+)", text, re.MULTILINE)
    assert len(images) == 6
    for image in images:
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", image), image
    assert 'pip install --no-cache-dir -c .ci/constraints.txt ".${EXTRAS:-}"' in text


def test_nothing_grows_without_bounds(document: dict[str, Any], services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["driver"] == "json-file", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
    for name in OURS:
        assert all("size=" in folder for folder in services[name]["tmpfs"]), name
    redis = document["configs"]["redis"]["content"].splitlines()
    settings = dict(line.split(" ", 1) for line in redis if not line.startswith("#"))
    assert settings["maxmemory"].endswith("mb")
    # Any key may go: writes must never fail.
    assert settings["maxmemory-policy"].startswith("allkeys-")
    assert "--wiredTigerCacheSizeGB" in services["mongodb"]["entrypoint"][-1]


def test_the_health_check_of_the_worker_reads_what_the_worker_writes(
    services: dict[str, Any],
) -> None:
    heartbeat = services["worker"]["command"][1:]
    assert heartbeat[0] == "--heartbeat"
    assert services["worker"]["healthcheck"]["test"] == [
        *("CMD", "kernapay", "worker", "--check"),
        *heartbeat,
    ]


def test_services_come_back_and_the_migrations_run_once(services: dict[str, Any]) -> None:
    policies = {name: service["restart"] for name, service in services.items()}
    assert policies.pop("migrate") == "no"
    assert set(policies.values()) == {"unless-stopped"}


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
    assert ":${MONGODB_PASSWORD:?" in environment["MONGODB_URL"]
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
    context = found.make_context(command, [_expand(option) for option in options])
    assert context.command is found


@pytest.mark.parametrize("given", ["pay.example.com", "pay.example.com,[::1]"])
def test_hosts_may_be_limited_and_the_containers_still_reach_the_api(
    services: dict[str, Any], scrape_configs: list[dict[str, Any]], given: str
) -> None:
    written = services["api"]["environment"]["ALLOWED_HOSTS"]
    hosts = TypeAdapter(HostNames).validate_python(_expand(written, ALLOWED_HOSTS=given))
    callers = (
        services["api"]["healthcheck"]["test"][-1],
        services["sandbox"]["environment"]["SANDBOX_WEBHOOKS"],
    )
    own = [host_name(found) for text in callers for found in re.findall(r"http://([^/]+)", text)]
    assert own == ["127.0.0.1", "api"]
    scraped = [target for job in scrape_configs for target in job["static_configs"][0]["targets"]]
    own += [name for target in scraped if (name := host_name(target)) not in own]
    assert own == ["127.0.0.1", "api", "worker"]
    assert f"worker:{services['worker']['environment']['WORKER_METRICS_PORT']}" in scraped
    assert set(hosts) == {*own, *given.split(",")}
    assert _expand(written) == "", "without a limit, any host is ours"


def _expand(text: str, **variables: str) -> str:
    """Replace `${NAME:-default}` and `${NAME:+replacement}` as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, operator, word = found.groups()
        given = variables.get(name, "")
        return word if (operator == "+") == bool(given) else given

    return re.sub(r"\$\{(\w+):([-+])([^}]*)\}", value, text)
