"""A client that a generator makes of the document pays for something."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.factories import new_email
from tests.stack import Api, Sandbox
from tests.waiting import eventually

pytestmark = pytest.mark.long

PACKAGE = "generated_kernapay_client"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("client")
    (home / "openapi.json").write_text(json.dumps(document))
    # The generator formats what it wrote with the ruff it finds.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    ran = subprocess.run(
        [*command, "--path", "openapi.json", "--output-path", PACKAGE],
        cwd=home,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.findall(r"WARNING parsing (.*) within", ran.stdout) == [], ran.stdout
    return home


@pytest.fixture(scope="module")
def client(generated: Path) -> Iterator[ModuleType]:
    sys.path.insert(0, str(generated))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(generated))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


class Calls:
    """The generated calls and models by their names."""

    def __init__(self, api: str, package: ModuleType) -> None:
        self._package = package
        self._settings = {"base_url": api, "httpx_args": {"trust_env": False}}
        self._clients = [package.Client(**self._settings)]

    def sign_in(self, token: str) -> None:
        self._clients.append(self._package.AuthenticatedClient(token=token, **self._settings))

    def close(self) -> None:
        for client in self._clients:
            client.get_httpx_client().close()

    def model(self, name: str, /, **fields: Any) -> Any:
        return getattr(importlib.import_module(f"{PACKAGE}.models"), name)(**fields)

    def call(self, tag: str, operation: str, *path: str, **arguments: Any) -> tuple[int, Any]:
        module = importlib.import_module(f"{PACKAGE}.api.{tag}.{tag}_{operation}")
        answer = module.sync_detailed(*path, client=self._clients[-1], **arguments)
        return int(answer.status_code), answer.parsed


@pytest.fixture
def calls(api_server: Api, client: ModuleType) -> Iterator[Calls]:
    calls = Calls(api_server.url, client)
    yield calls
    calls.close()


# It takes two minutes. The generated clients in TypeScript are compiled strictly in every run of the long tests.
@pytest.mark.long
@pytest.mark.soak
def test_the_generated_client_is_typed_strictly(generated: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, PACKAGE],
        cwd=generated,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    # The generator's own: the same `__exit__` for every document, and no form for a stream of events.
    own = tuple(f"{PACKAGE}/{name}" for name in ("client.py", "api/payments/payments_events.py"))
    assert [line for line in errors if not line.startswith(own)] == []
    assert "checked 3" in checked.stdout, checked.stdout


def test_the_generated_client_makes_a_payment(calls: Calls, sandbox: Sandbox) -> None:
    email = new_email()
    status, user = calls.call(
        "users",
        "sign_up",
        body=calls.model(
            "SignUp",
            email=email,
            name="Asha Rao",
            password=PASSWORD,
            confirm_password=PASSWORD,
            mobile_number=9876543210,
            country_code="+91",
        ),
    )
    assert (status, user.email) == (201, email)
    login = calls.model("Login", email=email, password=PASSWORD)
    status, session = calls.call("users", "log_in", body=login)
    assert status == 200
    calls.sign_in(session.token)

    wanted = calls.model(
        "PaymentCreate",
        amount=50000,
        currency="INR",
        service_type="CONSULTATION",
        idempotency_key="generated-1",
    )
    status, created = calls.call("payments", "create", body=wanted)
    assert (status, created.data.status.value) == (201, "pending")
    paid = sandbox.pay(created.data.order_id, method="card")
    status, verified = calls.call(
        "payments",
        "verify",
        body=calls.model(
            "PaymentVerify",
            razorpay_order_id=paid["razorpay_order_id"],
            razorpay_payment_id=paid["razorpay_payment_id"],
            razorpay_signature=paid["razorpay_signature"],
            reference_id=created.data.reference_id,
        ),
    )
    assert (status, verified.success, verified.payment_method) == (200, True, "card")

    (row,) = eventually(lambda: calls.call("payments", "history", user.field_id, count=5)[1])
    assert (row.reference_id, row.status.value) == (created.data.reference_id, "success")
    status, again = calls.call("payments", "create", body=wanted)
    assert (status, again) == (200, created)
    _, shown = calls.call("payments", "show", created.data.reference_id)
    assert (shown.amount, shown.payment_method) == (50000, "card")
    assert [step.status.value for step in shown.history][-1] == "success"


def test_the_generated_client_understands_errors(calls: Calls) -> None:
    login = calls.model("Login", email=new_email(), password="wrong wrong wrong")
    status, problem = calls.call("users", "log_in", body=login)
    assert (status, problem.code, problem.status) == (401, "unauthenticated", 401)
    calls.sign_in("not a token")
    status, problem = calls.call("users", "profile")
    assert (status, problem.code) == (401, "unauthenticated")
    assert problem.request_id
