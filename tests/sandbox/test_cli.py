import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernapay.sandbox.config import ConfigError, SandboxConfig
from tests.sandbox.box import KEY, OTHER_KEY, Box, Receiver, free_port, wait_for


def run(*options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kernapay.sandbox", *options]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20)


def test_help_says_what_there_is(tmp_path: Path) -> None:
    shown = run("--help").stdout
    for word in ("--port", "--data", "--key", "--webhook", "SANDBOX_KEYS", "/_sandbox/pay"):
        assert word in shown
    for name in SandboxConfig.__struct_fields__:
        assert f"SANDBOX_{name.upper()}" in shown


def test_it_starts_in_under_two_seconds_and_says_where_it_is(tmp_path: Path) -> None:
    box = Box(tmp_path, "--data", str(tmp_path / "books.sqlite"))
    try:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        box.start()
        wait_for(lambda: f"{box.url}/v1" in box.log)
        assert KEY[0] in box.log
        assert KEY[1] not in box.log
        assert box.end(signal.SIGINT) == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        box.close()
    # Its own seconds, which others on the same cores do not lengthen; it waits for nothing.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("--port", port)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_options_reach_the_sandbox(tmp_path: Path) -> None:
    hook = "http://127.0.0.1:9/hook?a=b"
    options = ("--key", "rzp_test_a:one", "--webhook", f"{hook}=s", "--capture", "manual")
    box = Box(tmp_path, *options)
    try:
        box.start()
        assert box.look("/health")["keys"] == ["rzp_test_a"]
        (webhook,) = box.look("/webhooks")["items"]
        assert (webhook["url"], webhook["secret"]) == (hook, "s")
        order = {"amount": 100, "currency": "INR"}
        made = box.stranger.post("/v1/orders", json=order, auth=("rzp_test_a", "one")).json()
        paid = box.pay(made)["razorpay_payment_id"]
        payment = box.stranger.get(f"/v1/payments/{paid}", auth=("rzp_test_a", "one")).json()
        assert payment["status"] == "authorized"
    finally:
        box.close()


def test_a_webhook_of_the_configuration_moves_with_it_and_takes_what_waits_along(
    tmp_path: Path, receiver: Receiver
) -> None:
    books = ("--data", str(tmp_path / "books.sqlite"))
    gone, kept = "http://127.0.0.1:9/gone", "http://127.0.0.1:9/kept"

    def run_with(*webhooks: str) -> Box:
        box = Box(tmp_path, *books, *(part for hook in webhooks for part in ("--webhook", hook)))
        return box.start()

    box = run_with(f"{gone}=s", f"{kept}=s")
    try:
        box.control("/webhooks", url="http://127.0.0.1:9/by-hand", secret="mine")
        box.paid()
        box.end()
        box.close()
        box = run_with(f"{kept}=s", f"{receiver.url}=changed")
        hooks = {hook["url"]: hook["secret"] for hook in box.look("/webhooks")["items"]}
        assert hooks == {kept: "s", receiver.url: "changed", "http://127.0.0.1:9/by-hand": "mine"}
        wait_for(lambda: "payment.captured" in {hook.event for hook in receiver.hooks}, 30)
        box.end()
        box.close()
        box = run_with()
        (left,) = box.look("/webhooks")["items"]
        assert left["url"] == "http://127.0.0.1:9/by-hand"
    finally:
        box.close()


def test_settings_do_what_they_say(tmp_path: Path, receiver: Receiver) -> None:
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
    box = Box(tmp_path, **environ)
    try:
        box.start()
        assert box.stranger.get("/v1/orders").status_code == 400
        assert (
            "maximum"
            in box.error("POST", "/v1/orders", {"amount": 1001, "currency": "INR"})["description"]
        )
        abandoned = box.pay(box.order(1000))["razorpay_payment_id"]
        assert receiver.hooks == []
        for _ in range(3):
            order = box.other.post("/v1/orders", json={"amount": 1000, "currency": "INR"}).json()
            box.pay(order)
        receiver.wait(3)
        wait_for(lambda: box.look("/deliveries")["count"] == 2)
        box.advance(301)
        assert box.payment(abandoned)["status"] == "refunded"
        kept = box.order(1000, payment={"capture": "automatic"})
        path = f"/v1/payments/{box.pay(kept)['razorpay_payment_id']}/refund"
        key = {"X-Refund-Idempotency": "settings-key-1"}
        box.ok("POST", path, {"amount": 100}, headers=key)
        assert box.api.post(path, json={"amount": 200}, headers=key).status_code == 409
        box.advance(3601)
        assert box.ok("GET", "/v1/settlements")["count"] == 1
    finally:
        box.close()


def test_every_bad_variable_is_named_at_once() -> None:
    bad = {
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
    with pytest.raises(ConfigError) as caught:
        SandboxConfig.from_env(bad)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(bad)
    ended = run(SANDBOX_KEYS="no-colon")
    assert ended.returncode == 1
    assert "SANDBOX_KEYS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unusable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one" * 20)
    for path in (str(tmp_path / "text"), str(tmp_path / "nowhere" / "books")):
        ended = run("--data", path, "--port", str(free_port()))
        assert ended.returncode == 1
        assert path in ended.stderr
        assert "Traceback" not in ended.stderr


def test_an_empty_environment_means_the_defaults() -> None:
    assert SandboxConfig.from_env({}) == SandboxConfig()
    assert SandboxConfig.from_env({"SANDBOX_KEYS": " "}).first_key == KEY[0]
