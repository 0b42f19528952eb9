"""The dashboard and the alerts use metrics and labels that a real API and a real worker tell."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
import yaml

from kernapay.devstack.ports import HOST, free_port
from tests.actors import People, request_refund
from tests.aliases import Json, Store
from tests.checkout import ROOT
from tests.exposition import Exposition
from tests.plain_http import NO_AUTHORITIES
from tests.stack import METRICS_TOKEN, Sandbox, StartApi, StartWorker
from tests.waiting import eventually

pytestmark = pytest.mark.long

MONITORING: Final = ROOT / "kernapay" / "docs" / "monitoring"
RUNBOOKS: Final = ROOT / "kernapay" / "docs" / "runbooks"
ALERTS: Final = MONITORING / "alerts.yaml"
DASHBOARD: Final = MONITORING / "grafana" / "dashboards" / "kernapay.json"
TESTS: Final = Path(__file__).with_name("alerts.yaml")
# Prometheus itself adds these.
OF_PROMETHEUS: Final = {"job", "instance"}
OWN: Final = {"up": OF_PROMETHEUS}
SELECTOR: Final = re.compile(r"\b(kernapay_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def alerts() -> list[Json]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[Json]:
    found: list[Json] = msgspec.json.decode(DASHBOARD.read_bytes())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Yield each expression with its place and, of the dashboard, its legend."""
    for alert in alerts():
        yield alert["alert"], alert["expr"], ""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def faults_of(known: dict[str, set[str]], expression: str, legend: str = "") -> Iterator[str]:
    """Yield the names of metrics and labels in an expression that nobody tells."""
    used: set[str] = {"le"} | OF_PROMETHEUS
    for name, matchers in SELECTOR.findall(expression):
        labels = known.get(name)
        if labels is None:
            yield f"no metric {name}"
            continue
        used |= labels
        for label in MATCHER.findall(matchers or ""):
            if label not in labels | OF_PROMETHEUS:
                yield f"{name} has no label {label}"
    grouped = [
        label.strip() for group in GROUPING.findall(expression) for label in group.split(",")
    ]
    shown = re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)
    yield from (f"no label {label}" for label in {*grouped, *shown} - used)


@pytest.fixture
def told(
    start_api: StartApi, start_worker: StartWorker, store: Store, sandbox: Sandbox
) -> dict[str, set[str]]:
    """The names of the samples that an API with two workers and a worker tell, each with its labels."""
    api = start_api(2)
    port = free_port()
    start_worker(METRICS_TOKEN=METRICS_TOKEN, WORKER_METRICS_PORT=str(port))
    people = People(api.client, store)
    payment, _ = people.new().buy(sandbox)
    assert request_refund(people.new("ADMIN"), payment).is_success
    found: dict[str, set[str]] = dict(OWN)
    with httpx.Client(
        base_url=f"http://{HOST}:{port}", trust_env=False, timeout=20, verify=NO_AUTHORITIES
    ) as worker:
        eventually(lambda: _answers(worker))
        for client in (api.client, worker):
            for name, labels in eventually(partial(_labels_of, client)).items():
                found[name] = found.get(name, set()) | labels
    return found


def _labels_of(client: httpx.Client) -> dict[str, set[str]] | None:
    """Return the names, once the process has measured its pools."""
    labels = Exposition.of(client).labels()
    return labels if "pool" in labels.get("kernapay_pool_busy_threads", ()) else None


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").is_success
    except httpx.TransportError:
        return False


def test_every_metric_and_label_of_the_dashboard_and_the_alerts_is_told(
    told: dict[str, set[str]],
) -> None:
    # These need a dispute, or a night with a good report.
    for name in ("dispute_deadline_seconds", "last_good_night_timestamp_seconds"):
        told.setdefault(f"kernapay_{name}", set())
    faults = [
        f"{place}: {fault}"
        for place, expression, legend in expressions()
        for fault in faults_of(told, expression, legend)
    ]
    assert faults == []


def test_every_metric_of_ours_is_shown_or_watched(told: dict[str, set[str]]) -> None:
    parts = re.compile(r"_(bucket|sum|count|created)$")
    used = {
        parts.sub("", name)
        for _, expression, _ in expressions()
        for name, _ in SELECTOR.findall(expression)
    }
    ours = {
        parts.sub("", name).removesuffix("_total") for name in told if name.startswith("kernapay_")
    }
    # The dashboard shows the counter that tells the method too.
    older = {"kernapay_payment_moves"}
    assert ours - {name.removesuffix("_total") for name in used} == older


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(kernapay_nothing_total[5m])", "no metric kernapay_nothing_total"),
        ('sum(kernapay_a{statut="x"})', "kernapay_a has no label statut"),
        ("sum by (rute) (kernapay_a)", "no label rute"),
    ],
)
def test_a_name_that_nobody_tells_is_found(expression: str, fault: str) -> None:
    assert list(faults_of({"kernapay_a": {"status"}}, expression)) == [fault]


def test_every_alert_has_a_page_that_tells_what_to_do() -> None:
    pages = {f"kernapay/docs/runbooks/{page.name}" for page in RUNBOOKS.glob("*.md")}
    assert {alert["annotations"]["runbook"] for alert in alerts()} == pages
    for alert in alerts():
        page = (ROOT / alert["annotations"]["runbook"]).read_text()
        assert page.startswith(f"# {alert['alert']}\n")
        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Find out", "Do"]
        assert alert["expr"].strip() in page, "the page shows the rule as it is"
        assert f"**Severity:** {alert['labels']['severity']}." in page
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"]


def test_every_alert_is_tried_out() -> None:
    tried = TESTS.read_text()
    assert [alert["alert"] for alert in alerts() if alert["alert"] not in tried] == []


def test_every_panel_has_its_own_place_and_the_data_source_that_is_set_up() -> None:
    (source,) = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    places = set()
    for panel in panels():
        assert panel["datasource"]["uid"] == source["uid"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        places.add((at["x"], at["y"]))
    assert len(places) == len(panels())
    ids = [p["id"] for p in msgspec.json.decode(DASHBOARD.read_bytes())["panels"]]
    assert len(ids) == len(set(ids))


def promtool(*arguments: str, stdin: str | None = None) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    result = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_reads_the_alerts() -> None:
    promtool("check", "rules", str(ALERTS))


def test_the_alerts_fire_when_they_should_and_not_when_all_is_well() -> None:
    promtool("test", "rules", str(TESTS))


def test_prometheus_reads_its_configuration() -> None:
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yaml"))


def test_prometheus_reads_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    rules: list[Any] = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (_, expression, _) in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_prometheus_finds_nothing_wrong_with_what_is_told(start_api: StartApi) -> None:
    promtool("check", "metrics", stdin=Exposition.of(start_api(2).client).text)
