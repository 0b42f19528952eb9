"""What reaches the log: JSON lines, and nothing that is nobody's business."""

import json
import subprocess
import sys
from typing import Any

import pytest

from kernapay.core.logs import redact
from tests.stack import bare_environment

SCRIPT = """
import logging, structlog
from kernapay.core import logs
logs.configure("INFO")
log = structlog.get_logger("kernapay.test")
log.info("one", count=1, path="/x\\n", when=object, password="hunter2", userEmail="hunter2")
log.debug("not shown", detail="hunter2")
try:
    raise ValueError("broken")
except ValueError as error:
    log.error("two", exc_info=error)
logging.getLogger("driver").warning("three %s", 3)
logging.getLogger("pymongo.command").debug("a query with hunter2")
logging.getLogger("driver").info("chatter")
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What a process writes that logs in every way."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert result.stderr == ""
    assert "hunter2" not in result.stdout
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_event_is_one_line_of_json(lines: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in lines] == ["one", "two", "three 3"]
    assert [line["level"] for line in lines] == ["info", "error", "warning"]
    assert all(line["time"].endswith("Z") for line in lines)
    assert (lines[0]["count"], lines[0]["path"]) == (1, "/x\n")


def test_an_error_keeps_its_story(lines: list[dict[str, Any]]) -> None:
    assert "ValueError: broken" in lines[1]["exception"]


@pytest.mark.owasp(line="API8")
def test_secrets_are_blanked_by_the_name_of_their_field(lines: list[dict[str, Any]]) -> None:
    assert lines[0]["password"] == lines[0]["userEmail"] == "[redacted]"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "confirmPassword",
        "jwt_secret",
        "token",
        "refreshToken",
        "Authorization",
        "x-razorpay-signature",
        "otp",
        "set-cookie",
        "email",
        "mobileNumber",
        "card_number",
        "EMAIL_API_KEY",
    ],
)
def test_these_names_speak_of_secrets_or_people(name: str) -> None:
    assert redact(None, "info", {name: "hunter2", "status": 200}) == {
        name: "[redacted]",
        "status": 200,
    }


def test_secrets_are_blanked_however_deep_they_lie() -> None:
    event = {
        "request": {"headers": [{"Authorization": "hunter2"}], "body": {"password": "hunter2"}}
    }
    assert "hunter2" not in json.dumps(redact(None, "info", event))
    assert redact(None, "info", {"a": {"b": [1, {"c": "kept"}]}}) == {
        "a": {"b": [1, {"c": "kept"}]}
    }
