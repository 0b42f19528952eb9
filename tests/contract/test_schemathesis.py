"""schemathesis over the whole document: no 5xx, no answer outside it, bad input refused, tokens demanded."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.actors import Actor, People
from tests.aliases import Json
from tests.checkout import ROOT
from tests.stack import WEBHOOK_SECRET, Api, Sandbox, StartApi, bare_environment

pytestmark = pytest.mark.long

# Whose answers depend on the role; the rest is tried as a user.
FOR_ADMINISTRATORS = (
    "administration_|reconciliation_|settlements_|disputes_|webhooks_.*_"
    "|payments_(capture|export|insights|refund|statement)"
)


@pytest.fixture
def target(start_api: StartApi, sandbox: Sandbox) -> Api:
    return start_api(RATE_LIMITS="false", MAILBOX_URL=sandbox.url)


@pytest.fixture
def newcomer(people: People) -> Callable[[str], Actor]:
    # Not the password of the document's examples, or the one that changes it would.
    secret = "not the one in the examples"
    return lambda role: people.new(role, password=secret, confirmPassword=secret)


COVERAGE = ("--phases", "examples,coverage")
"""Each rule of each schema kept and broken once."""
FUZZING = ("--phases", "fuzzing", "--max-examples", "20")
with_phases = pytest.mark.parametrize(
    "phases",
    [COVERAGE, pytest.param(FUZZING, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
    ids=["coverage", "fuzzing"],
)


def fuzz(actor: Actor, target: Api, document: Json, home: Path, *options: str) -> str:
    (home / "openapi.json").write_text(json.dumps(document))
    config = Path(__file__).with_name("schemathesis.toml")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", config),
            *("run", "openapi.json", "--url", target.url, "--no-color"),
            *("--generation-deterministic", "--continue-on-failure", "--request-timeout", "20"),
            *options,
        ],
        cwd=home,
        env={
            **bare_environment(),
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.contract.schemathesis_hooks",
            "FUZZED_API": target.url,
            "FUZZED_ID": actor.id,
            "FUZZED_EMAIL": actor.email,
            "FUZZED_PASSWORD": actor.password,
            "FUZZED_WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    return ran.stdout


def cases(output: str) -> int:
    """Return how many requests passed, none of them left unchecked."""
    (passed,) = re.findall(r"(\d+) generated, \1 passed", output)
    return int(passed)


@with_phases
@pytest.mark.owasp(line="API9")
def test_a_user_finds_nothing_outside_the_document(
    newcomer: Callable[[str], Actor],
    target: Api,
    document: Json,
    tmp_path: Path,
    phases: tuple[str, ...],
) -> None:
    rest = ("--exclude-operation-id-regex", FOR_ADMINISTRATORS)
    output = fuzz(newcomer("USER"), target, document, tmp_path, *phases, *rest)
    assert cases(output) > 700


@pytest.mark.soak
@with_phases
@pytest.mark.owasp(line="API9")
def test_an_administrator_finds_nothing_outside_the_document(
    newcomer: Callable[[str], Actor],
    target: Api,
    document: Json,
    tmp_path: Path,
    phases: tuple[str, ...],
) -> None:
    only = ("--include-operation-id-regex", FOR_ADMINISTRATORS)
    output = fuzz(newcomer("ADMIN"), target, document, tmp_path, *phases, *only)
    assert cases(output) > 300


def test_a_service_that_breaks_its_word_is_found(
    newcomer: Callable[[str], Actor], target: Api, document: Json, tmp_path: Path
) -> None:
    strict = json.loads(json.dumps(document))
    del strict["paths"]["/v1/api/payments/status/{reference_id}"]["get"]["responses"]["404"]
    only = ("--include-operation-id", "payments_status")
    with pytest.raises(AssertionError, match="Undocumented status code"):
        fuzz(newcomer("USER"), target, strict, tmp_path, *COVERAGE, *only)
