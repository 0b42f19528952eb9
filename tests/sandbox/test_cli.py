import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernapay.sandbox.config import ConfigError, SandboxConfig
from kernapay.sandbox.signing import sign
from tests.sandbox.sandbox_process import KEY, OTHER_KEY, SandboxProcess, free_port, wait_for
from tests.sandbox.webhook_receiver import WebhookReceiver


def run(*options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kernapay.sandbox", *options]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=20, check=False
    )


def test_help_lists_options_calls_and_variables() -> None:
    output = run("--help").stdout
    for word in ("--port", "--data", "--key", "--webhook", "SANDBOX_KEYS", "/_sandbox/pay"):
        assert word in output
    for name in SandboxConfig.__struct_fields__:
        assert f"SANDBOX_{name.upper()}" in output


def test_it_starts_in_under_two_seconds_and_prints_its_address(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "sandbox.sqlite"))
    sandbox = SandboxProcess(tmp_path, *data, is_preloaded=False)
    try:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sandbox.start()
        wait_for(lambda: f"{sandbox.url}/v1" in sandbox.log)
        assert KEY[0] in sandbox.log
        assert KEY[1] not in sandbox.log
        assert sandbox.stop(signal.SIGINT) == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        sandbox.close()
    # CPU seconds, since other processes on the same cores lengthen the real ones.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        result = run("--port", port)
    assert result.returncode == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_options_reach_the_sandbox(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/hook?a=b"
    options = ("--key", "rzp_test_a:one", "--webhook", f"{url}=s", "--capture", "manual")
    sandbox = SandboxProcess(tmp_path, *options)
    try:
        sandbox.start()
        assert sandbox.inspect("/health")["keys"] == ["rzp_test_a"]
        (webhook,) = sandbox.inspect("/webhooks")["items"]
        assert (webhook["url"], webhook["secret_exists"]) == (url, True)
        key = ("rzp_test_a", "one")
        body = {"amount": 100, "currency": "INR"}
        order = sandbox.anonymous.post("/v1/orders", json=body, auth=key).json()
        payment_id = sandbox.pay(order)["razorpay_payment_id"]
        payment = sandbox.anonymous.get(f"/v1/payments/{payment_id}", auth=key).json()
        assert payment["status"] == "authorized"
    finally:
        sandbox.close()


def test_a_configured_webhook_gets_its_new_address_with_its_pending_deliveries(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    data = ("--data", str(tmp_path / "sandbox.sqlite"))
    old_url, same_url = "http://127.0.0.1:9/old", "http://127.0.0.1:9/same"
    manual_url = "http://127.0.0.1:9/manual"

    def run_with(*webhooks: str) -> SandboxProcess:
        options = (part for webhook in webhooks for part in ("--webhook", webhook))
        return SandboxProcess(tmp_path, *data, *options).start()

    sandbox = run_with(f"{old_url}=s", f"{same_url}=s")
    try:
        sandbox.control("/webhooks", url=manual_url, secret="mine")
        sandbox.create_payment()
        sandbox.stop()
        sandbox.close()
        sandbox = run_with(f"{same_url}=s", f"{receiver.url}=changed")
        urls = {row["url"] for row in sandbox.inspect("/webhooks")["items"]}
        assert urls == {same_url, receiver.url, manual_url}
        wait_for(lambda: "payment.captured" in receiver.events, 30)
        for received in receiver.webhooks:
            assert received.signature == sign("changed", received.body)
        stored = tmp_path / "sandbox.sqlite"
        assert stored.stat().st_mode & 0o077 == 0, "it holds secrets"
        sandbox.stop()
        sandbox.close()
        sandbox = run_with()
        (webhook,) = sandbox.inspect("/webhooks")["items"]
        assert webhook["url"] == manual_url
    finally:
        sandbox.close()


def test_every_variable_takes_effect(tmp_path: Path, receiver: WebhookReceiver) -> None:
    environ = {
        "SANDBOX_WEBHOOKS": f"{receiver.url}|s|{OTHER_KEY[0]}",
        "SANDBOX_CAPTURE": "manual",
        "SANDBOX_AUTO_REFUND_MINUTES": "5",
        "SANDBOX_MAX_AMOUNT": "1000",
        "SANDBOX_SETTLE_AFTER_HOURS": "1",
        "SANDBOX_DELIVERY_LOG": "2",
        "SANDBOX_BAD_KEY_STATUS": "400",
        "SANDBOX_REFUND_CONFLICT_STATUS": "409",
    }
    sandbox = SandboxProcess(tmp_path, is_preloaded=True, **environ)
    try:
        sandbox.start()
        assert sandbox.anonymous.get("/v1/orders").status_code == 400
        too_much = {"amount": 1001, "currency": "INR"}
        assert "maximum" in sandbox.expect_error("POST", "/v1/orders", too_much)["description"]
        uncaptured = sandbox.pay(sandbox.create_order(1000))["razorpay_payment_id"]
        assert receiver.webhooks == []
        for _ in range(3):
            order = sandbox.other_api.post(
                "/v1/orders", json={"amount": 1000, "currency": "INR"}
            ).json()
            sandbox.pay(order)
        receiver.wait_for(3)
        wait_for(lambda: sandbox.inspect("/deliveries")["count"] == 2)
        sandbox.advance_clock(301)
        assert sandbox.fetch_payment(uncaptured)["status"] == "refunded"
        order = sandbox.create_order(1000, payment={"capture": "automatic"})
        path = f"/v1/payments/{sandbox.pay(order)['razorpay_payment_id']}/refund"
        key = {"X-Refund-Idempotency": "settings-key-1"}
        sandbox.call("POST", path, {"amount": 100}, headers=key)
        assert sandbox.api.post(path, json={"amount": 200}, headers=key).status_code == 409
        sandbox.advance_clock(3601)
        assert sandbox.call("GET", "/v1/settlements")["count"] == 1
    finally:
        sandbox.close()


def test_all_invalid_variables_are_named_at_once() -> None:
    environ = {
        "SANDBOX_KEYS": "no-colon",
        "SANDBOX_WEBHOOKS": "http://127.0.0.1:1/x",
        "SANDBOX_CAPTURE": "later",
        "SANDBOX_AUTO_REFUND_MINUTES": "0",
        "SANDBOX_MAX_AMOUNT": "much",
        "SANDBOX_SETTLE_AFTER_HOURS": "-1",
        "SANDBOX_WEBHOOK_TIMEOUT": "nan",
        "SANDBOX_WEBHOOK_BACKOFF": "0",
        "SANDBOX_DELIVERY_LOG": "1.5",
        "SANDBOX_BAD_KEY_STATUS": "500",
        "SANDBOX_REFUND_CONFLICT_STATUS": "410",
    }
    with pytest.raises(ConfigError) as error:
        SandboxConfig.from_env(environ)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(environ)
    result = run(SANDBOX_KEYS="no-colon")
    assert result.returncode == 1
    assert "SANDBOX_KEYS" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unusable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but as long as the header of one" * 20)
    for path in (str(tmp_path / "text"), str(tmp_path / "missing" / "file")):
        result = run("--data", path, "--port", str(free_port()))
        assert result.returncode == 1
        assert path in result.stderr
        assert "Traceback" not in result.stderr


def test_an_empty_environment_means_the_defaults() -> None:
    assert SandboxConfig.from_env({}) == SandboxConfig()
    assert SandboxConfig.from_env({"SANDBOX_KEYS": " "}).first_key == KEY[0]
