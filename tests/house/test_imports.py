"""Who may import whom: the contracts hold, and each of them fails on a wrong arrow."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(sys.executable).with_name("lint-imports")


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    which = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [str(LINT), "--no-cache", "--no-logo", *which],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    """A copy of the package, to be spoilt."""
    ignored = shutil.ignore_patterns("__pycache__", "static")
    shutil.copytree(repository / "kernapay", tmp_path / "kernapay", ignore=ignored)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(repository: Path) -> None:
    result = lint(repository)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
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
    ],
)
def test_a_wrong_arrow_breaks_the_contract(
    tree: Path, module: str, line: str, contract: str
) -> None:
    path = tree / "kernapay" / module
    path.write_text(f"{line}\n{path.read_text()}")
    result = lint(tree, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout


def test_a_new_module_has_to_find_its_layer(tree: Path) -> None:
    (tree / "kernapay" / "helpers.py").write_text("")
    result = lint(tree, "layers")
    assert result.returncode == 1
    assert "helpers" in result.stdout
