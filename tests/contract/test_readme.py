"""README and the guide are true: commands run as written, and what is shown and listed is real."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kernapay.config.settings import Settings
from kernapay.devstack.accounts import DEMO_PASSWORD
from kernapay.devstack.credentials import credentials
from tests.checkout import ROOT
from tests.contract.running import DevStack
from tests.environment import REQUIRED, settings_from

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "kernapay" / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
# What differs from one run to the next, each under a name of its own.
CHANGING = {
    "order": r"order_\w{14}",
    "payment": r"pay_\w{14}",
    "refund": r"rfnd_\w{14}",
    "key": r"rzp_test_\w{14}",
    "link": r"/checkout/[\w-]{38}",
    "bank's reference": r"\b\d{14}\b",
    "reference": r"PAY_[0-9a-f]{24}_\d{13}_[\w-]{22}",
    "signature": r"\b[0-9a-f]{64}\b",
    "id": r"\b[0-9a-f]{24}\b",
    "request": r"\b[0-9a-f]{16}\b",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
}


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def steady(text: str) -> Any:
    for name, pattern in CHANGING.items():
        text = re.sub(pattern, f"<{name}>", text)
    body = json.loads(text)
    if isinstance(body, dict):
        body |= {name: "<token>" for name in ("token", "refreshToken") if name in body}
    return body


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_flow_runs_as_written_and_prints_what_is_shown(
    dev_stack: DevStack, tmp_path: Path
) -> None:
    # The others go on in the shell of the first.
    text = section(README, "A payment in five minutes")
    text += section((DOCS / "integrate.md").read_text(), "Repeat safely")
    text += (DOCS / "customers.md").read_text()
    assert "http://127.0.0.1:3000" in text
    assert "http://127.0.0.1:3100" in text
    text = text.replace("http://127.0.0.1:3000", dev_stack.api)
    text = text.replace("http://127.0.0.1:3100", dev_stack.sandbox)
    blocks = re.findall(r"```(sh|json)\n(.*?)```", text, re.DOTALL)
    marked = "\n".join(
        command if language == "sh" else "echo; echo ----" for language, command in blocks
    )
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", marked],
        cwd=tmp_path,
        env={**os.environ, DEMO_PASSWORD: credentials(dev_stack.home)[DEMO_PASSWORD]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    printed = [steady(part) for part in ran.stdout.split("----")[:-1]]
    shown = [steady(output) for language, output in blocks if language == "json"]
    assert len(shown) == 14
    assert printed == shown


def table() -> dict[str, str]:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \|([^|]*)\|", CONFIGURATION, re.MULTILINE)
    return {name: default.strip().strip("`") for name, default in rows}


def test_the_table_names_every_variable_once() -> None:
    named = re.findall(r"^\| `([A-Z0-9_]+)` \|", CONFIGURATION, re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", [n for n, d in table().items() if d not in ("", "required")])
def test_the_table_names_the_true_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.delenv("NODE_ENV", raising=False)
    bare = settings_from(REQUIRED)
    monkeypatch.setenv(name, table()[name])
    assert settings_from(REQUIRED) == bare


def test_the_table_says_which_variables_are_required_and_which_are_unset() -> None:
    defaults = table()
    for name, field in Settings.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        assert (defaults[name.upper()] == "required") is field.is_required(), name
        if not field.is_required():
            assert (defaults[name.upper()] == "") is (default is None or default == ()), name


def test_files_that_are_named_exist() -> None:
    for text in (README, *(path.read_text() for path in DOCS.rglob("*.md"))):
        for path in re.findall(r"`((?:kernapay|tests|migrations|\.ci)/[\w./-]+)`", text):
            assert (ROOT / path).exists(), path
