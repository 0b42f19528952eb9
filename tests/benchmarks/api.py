"""How many requests a second the API answers, and what each costs it: `python -m tests.benchmarks.api`.

Needs wrk (Debian: apt-get install wrk). Starts a `kernapay dev` stack of its own in a temporary folder and ends it.
Every row is one run on whatever this machine was doing besides: compare rows with each other, not with other machines.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.devstack.credentials import credentials
from kernapay.devstack.state import NoStack, StackState, find_stack

SECONDS = 5
CONNECTIONS = 16
CREATE = """
local BODY = '{"amount":50000,"currency":"INR","serviceType":"CONSULTATION",'
  .. '"idempotencyKey":"%s-%d"}'
local n = 0
request = function()
  n = n + 1
  local body = string.format(BODY, KEY, n)
  return wrk.format("POST", nil, nil, body)
end
"""


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "RATE_LIMITS": "off", "LOG_LEVEL": "INFO"}
        log = Path(home, "dev.log")
        stack = subprocess.Popen(
            [sys.executable, "-m", "kernapay", "dev", "--data", home, "--port", "23000"],
            env=env,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            measure(wait_for(Path(home), stack), Path(home))
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(30)


def wait_for(home: Path, stack: subprocess.Popen[bytes]) -> StackState:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and stack.poll() is None:
        try:
            return find_stack(home)
        except NoStack:
            time.sleep(0.2)
    sys.exit((home / "dev.log").read_text())


def measure(stack: StackState, home: Path) -> None:
    login = call(
        f"{stack.api}/v1/api/users/login",
        {"email": DEMO_ACCOUNTS["USER"], "password": credentials(home)[DEMO_PASSWORD]},
    )
    user, token = login["user"]["_id"], login["token"]
    for number in range(10):
        reference = call(
            f"{stack.api}/v1/api/payments/create",
            {
                "amount": 50000,
                "currency": "INR",
                "serviceType": "CONSULTATION",
                "idempotencyKey": f"first-{number}",
            },
            token,
        )["data"]["referenceId"]
    worker = int(re.search(r"pid=(\d+)", listening(stack.api))[1])  # type: ignore[index]
    script = home / "create.lua"
    script.write_text(f'local KEY = "{time.time_ns()}"\n' + CREATE)
    print(f"{'':<28}{'requests/s':>12}{'CPU us/request':>16}{'errors':>8}")
    for name, path, more in (
        ("liveness", "/health/live", []),
        ("profile, cached", "/v1/api/users/profile", []),
        ("history of 10, cached", f"/v1/api/payments/history/{user}?count=10", []),
        ("status, from the database", f"/v1/api/payments/status/{reference}", []),
        ("create, with its order", "/v1/api/payments/create", ["-s", str(script)]),
    ):
        row(name, stack.api + path, token, worker, more)


def row(name: str, url: str, token: str, worker: int, more: list[str]) -> None:
    headers = [
        "-H",
        f"Authorization: Bearer {token}",
        "-H",
        "Content-Type: application/json",
    ]
    before = cpu_seconds(worker)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *headers, *more, url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = cpu_seconds(worker) - before
    count = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    print(f"{name:<28}{rate:>12.0f}{spent / count * 1e6:>16.0f}{errors[1] if errors else 0:>8}")


def listening(address: str) -> str:
    port = address.rpartition(":")[2]
    return subprocess.run(
        ["ss", "-ltnpH", f"sport = :{port}"], capture_output=True, text=True, check=True
    ).stdout


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call(url: str, body: dict[str, Any], token: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
