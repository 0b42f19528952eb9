"""`kernapay demo` checks what it shows: it is green on a whole stack only."""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from rich.console import Console

from kernapay.commands.main import cli
from kernapay.devstack.demo import Demo
from tests.contract.running import DevStack
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Sandbox, bare_environment

pytestmark = pytest.mark.long

STEPS = 8
NOWHERE = "http://127.0.0.1:9"


def demo(*arguments: object) -> tuple[int, str]:
    ran = CliRunner().invoke(cli, ["demo", *map(str, arguments)])
    return ran.exit_code, ran.output


def test_the_demo_is_green_on_a_running_stack(dev_stack: DevStack) -> None:
    code, output = demo("--data", dev_stack.home)
    assert code == 0, output
    assert len(re.findall(r"^✓ \d\. ", output, re.MULTILINE)) == STEPS
    assert f"All {STEPS} steps" in output


def test_the_demo_can_be_repeated_on_the_same_stack(dev_stack: DevStack) -> None:
    first = demo("--api", dev_stack.api, "--sandbox", dev_stack.sandbox)
    second = demo("--api", dev_stack.api, "--sandbox", dev_stack.sandbox)
    assert (first[0], second[0]) == (0, 0), first[1] + second[1]


def test_a_step_that_fails_is_named_and_ends_the_demo(dev_stack: DevStack) -> None:
    code, output = demo("--api", dev_stack.api, "--sandbox", NOWHERE)
    assert code == 1
    assert "✗ 4. Pay in the sandbox failed" in output
    assert NOWHERE in output
    assert "5. Verify" not in output


def test_an_api_that_is_not_there_fails_the_first_step(dev_stack: DevStack) -> None:
    code, output = demo("--api", NOWHERE, "--sandbox", dev_stack.sandbox)
    assert code == 1
    assert "✗ 1. Sign up failed" in output


def test_a_webhook_that_does_not_come_fails_its_step(api: httpx.Client, sandbox: Sandbox) -> None:
    screen = StringIO()
    with httpx.Client(base_url=api.base_url, trust_env=False, verify=NO_AUTHORITIES) as stranger:
        assert not Demo(stranger, sandbox.client, Console(file=screen), patience=0.3).run()
    assert "✓ 5. Verify" in screen.getvalue()
    assert "✗ 6. Webhook arrives failed" in screen.getvalue()


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    code, output = demo("--data", tmp_path)
    assert code == 1
    assert "kernapay dev" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "command",
    ["doctor", "create-admin --email ops@kernapay.dev", "inbox list", "audit", "reconcile"],
)
def test_operators_commands_work_on_a_running_stack(
    dev_stack: DevStack, tmp_path: Path, command: str
) -> None:
    ran = subprocess.run(
        ["sh", "-c", f'. {dev_stack.home}/env && exec "{sys.executable}" -m kernapay {command}'],
        cwd=tmp_path,
        env={**bare_environment(), "KERNAPAY_ADMIN_PASSWORD": "a very long passphrase"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
