"""Who may import whom: the contracts hold, and each of them fails on a wrong arrow."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LINT = Path(sys.executable).with_name("lint-imports")
ARROWS = [
    ("payments/currencies.py", "import kernapay.webhooks.models", "layers"),
    ("core/keys.py", "import kernapay.config.settings", "layers"),
    ("storage/cache.py", "import kernapay.config.settings", "layers"),
    ("storage/cache.py", "import kernapay.web.problems", "layers"),
    ("web/problems.py", "import kernapay.payments.states", "layers"),
    ("core/errors.py", "import litestar", "core"),
    ("core/ids.py", "import bson", "core"),
    ("storage/queue.py", "import litestar", "storage"),
    ("webhooks/service.py", "import kernapay.payments.ledger", "ledger"),
    ("reconciliation/service.py", "import kernapay.payments.ledger", "ledger"),
    ("payments/service.py", "import kernapay.payments.ledger", "ledger"),
    ("payments/settlement.py", "import kernapay.payments.refund_pipelines", "changes"),
    ("webhooks/service.py", "import pymongo", "mongodb"),
    ("security/rate_limits.py", "import kernapay.storage.redis_clients", "redis_clients"),
    ("devstack/servers.py", "import redis", "redis"),
    ("web/middleware.py", "import prometheus_client", "prometheus"),
    ("security/tokens.py", "import kernapay.users.models", "layers"),
    ("gateway/base.py", "import kernapay.security.principal", "layers"),
    ("users/service.py", "import kernapay.payments.models", "layers"),
    ("sessions/service.py", "import kernapay.payments.models", "layers"),
    ("payments/service.py", "import kernapay.webhooks.models", "layers"),
    ("sandbox/signing.py", "import kernapay.gateway.signatures", "layers"),
    ("sandbox/signing.py", "import kernapay.core.errors", "layers"),
    ("users/service.py", "import kernapay.gateway.base", "gateway_users"),
    ("payments/service.py", "import kernapay.gateway.razorpay", "adapter"),
    ("payments/service.py", "import razorpay", "sdk"),
    ("payments/service.py", "import kernapay.users.service", "payments_users"),
    ("bootstrap/services.py", "import kernapay.sandbox.app", "sandbox"),
    ("commands/main.py", "import kernapay.sandbox.app", "sandbox"),
    ("bootstrap/services.py", "import kernapay.devstack.servers", "development"),
    ("devstack/ports.py", "import kernapay.core.errors", "devstack"),
    ("gateway/base.py", "import kernapay.config.settings", "configuration"),
    ("payments/service.py", "import mongoengine", "mongoengine"),
    ("payments/service.py", "import redis", "redis"),
]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINT), "--no-cache", "--no-logo"],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def faults(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each contract, by its id, finds in a copy of the package with every wrong arrow and one new module."""
    home = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__", "static")
    shutil.copytree(repository / "kernapay", home / "kernapay", ignore=ignored)
    shutil.copy(repository / "pyproject.toml", home)
    for module, line, _ in ARROWS:
        path = home / "kernapay" / module
        path.write_text(f"{line}\n{path.read_text()}")
    (home / "kernapay" / "helpers.py").write_text("")
    result = lint(home)
    assert result.returncode == 1, result.stdout + result.stderr
    contracts = tomllib.loads((home / "pyproject.toml").read_text())["tool"]["importlinter"]
    ids = {each["name"]: each["id"] for each in contracts["contracts"]}
    # Each name is underlined, and what its contract finds follows.
    _, *parts = re.split(r"^(.+)\n-+\n", result.stdout, flags=re.MULTILINE)
    found = zip(parts[::2], parts[1::2], strict=True)
    return {ids[name]: text for name, text in found if name in ids}


def test_the_tree_keeps_every_contract(repository: Path) -> None:
    result = lint(repository)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(("module", "line", "contract"), ARROWS)
def test_a_wrong_arrow_breaks_the_contract(
    faults: dict[str, str], module: str, line: str, contract: str
) -> None:
    importer = "kernapay." + module.removesuffix(".py").replace("/", ".")
    imported = line.removeprefix("import ")
    arrow = rf"^- +{re.escape(importer)} -> {re.escape(imported)} \("
    assert re.search(arrow, faults[contract], re.MULTILINE), faults[contract]


def test_a_new_module_has_to_find_its_layer(faults: dict[str, str]) -> None:
    assert "- kernapay.helpers\n" in faults["layers"]
