"""What production refuses, and what counts as production."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kernapay.config.hosts import is_loopback, is_this_machine
from kernapay.config.settings import Environment
from tests.environment import PRODUCTION, REQUIRED
from tests.stack import bare_environment
from tests.unit.conftest import Load, Problems

TEST_KEY = {"RAZORPAY_KEY_ID": "rzp_test_q8Zt2mVx7LcR4b"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SECRET", "short-but-random-4f0c"),
        ("JWT_SECRET", "x" * 40),
        ("JWT_SECRET", "change-me-please-change-me-please!"),
        ("JWT_SECRET", "your-secret-key-your-secret-key-0"),
        ("JWT_SECRET", "${JWT_SECRET_FROM_A_FILE_ELSEWHERE}"),
        ("JWT_SECRET", "0123456789abcdefghijklmnopqrstuvwxyz"),
        ("JWT_SECRET", "mysecretmysecretmysecretmysecret"),
        ("JWT_SECRET", "qwertyuiopasdfghjklzxcvbnm1234567890"),
        ("JWT_SECRET", "01" * 20),
        ("JWT_SECRET", "q8Zt2mVx7LcR4bNs" * 3),
        ("JWT_SECRET_PREVIOUS", "short"),
        ("JWT_SECRET_PREVIOUS", PRODUCTION["JWT_SECRET"]),
        ("RAZORPAY_KEY_SECRET", "sandbox_secret_kernapay_0001"),
        ("RAZORPAY_KEY_SECRET", "tooshort"),
        ("RAZORPAY_KEY_SECRET", PRODUCTION["RAZORPAY_KEY_ID"]),
        ("RAZORPAY_WEBHOOK_SECRET", "abababababababababab"),
        ("RAZORPAY_WEBHOOK_SECRET", "abcdefgh12345678abcdefgh"),
        ("RAZORPAY_WEBHOOK_SECRET", PRODUCTION["JWT_SECRET"].lower()),
        ("RAZORPAY_WEBHOOK_SECRET_PREVIOUS", "default-webhook-secret"),
        ("RAZORPAY_KEY_SECRET_PREVIOUS", "default-key-secret"),
        ("METRICS_TOKEN", "metrics"),
        ("METRICS_TOKEN", "letmein-letmein-letmein"),
        ("METRICS_TOKEN", PRODUCTION["RAZORPAY_WEBHOOK_SECRET"]),
        ("REDIS_PASSWORD", PRODUCTION["JWT_SECRET"]),
        ("RAZORPAY_BASE_URL", "http://gateway.example.com"),
        ("RAZORPAY_BASE_URL", "HTTP://10.0.0.5:3100"),
        ("RAZORPAY_BASE_URL", "http://localhost.evil.example"),
        ("PUBLIC_URL", "http://pay.example.com"),
        ("FAST_2_SMS_URL", "http://sms.example.com"),
        ("SENDGRID_URL", "http://mail.example.com"),
        ("AWS_ENDPOINT_URL", "http://minio:9000"),
        ("MAILBOX_URL", "http://127.0.0.1:3100"),
        ("SALT_ROUNDS", "9"),
        ("DEV_STACK", "true"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*"),
        ("CORS_ORIGINS", "https://shop.example,https://*.shop.example"),
        ("CORS_ORIGINS", "https://shop*.example"),
        ("CORS_ORIGINS", "http://shop.example"),
        ("TRUSTED_PROXIES", "0.0.0.0/1"),
        ("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1"),
        ("TRUSTED_PROXIES", ",".join(f"{start}.0.0.0/5" for start in range(16, 120, 8))),
        ("TRUSTED_PROXIES", "10.0.0.0/8,2000::/3"),
        ("TRUSTED_PROXIES", "::/1"),
        ("TRUSTED_PROXIES", "::ffff:128.0.0.0/97"),
        ("REFRESH_GRACE", "61s"),
        ("REFRESH_GRACE", "1 day"),
    ],
)
@pytest.mark.owasp(line="API8")
def test_production_refuses_what_development_takes(
    load: Load, problems: Problems, name: str, value: str
) -> None:
    load(**{name: value})
    assert set(problems(PRODUCTION, **{name: value})) == {name}


def test_production_takes_what_is_sound(load: Load) -> None:
    load(
        PRODUCTION,
        METRICS_TOKEN="9f86d081884c7d65",
        CORS_ORIGINS="https://shop.example,http://localhost:5173",
        # Cloudflare's and private networks.
        TRUSTED_PROXIES="10.0.0.0/8,172.16.0.0/12,104.16.0.0/13,172.64.0.0/13,2a06:98c0::/29,fc00::/7",
        REFRESH_GRACE="1m",
        AWS_ENDPOINT_URL="http://127.0.0.1:9000",
        RAZORPAY_BASE_URL="https://gateway.example.com",
    )


@pytest.mark.parametrize("name", ["JWT_SECRET", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET"])
@pytest.mark.owasp(line="API8")
def test_production_has_no_default_secrets(problems: Problems, name: str) -> None:
    assert problems(PRODUCTION, **{name: None}) == {name: "is missing"}


@pytest.mark.parametrize("app_env", [None, "", "development", "test", "production"])
@pytest.mark.owasp(line="API8")
def test_a_key_that_moves_real_money_means_production(
    load: Load, problems: Problems, app_env: str | None
) -> None:
    live = {**REQUIRED, "RAZORPAY_KEY_ID": PRODUCTION["RAZORPAY_KEY_ID"], "APP_ENV": app_env}
    assert "RAZORPAY_KEY_SECRET" in problems(live, JWT_SECRET="weak")
    settings = load(PRODUCTION, APP_ENV=app_env)
    assert settings.is_production
    assert settings.environment is Environment.PRODUCTION


def test_a_test_key_is_no_production_unless_it_is_said(load: Load) -> None:
    assert not load().is_production
    assert load(APP_ENV="test").environment is Environment.TEST
    assert load(PRODUCTION, **TEST_KEY).is_production
    assert load(PRODUCTION, APP_ENV=None, NODE_ENV="production", **TEST_KEY).is_production


HERE = ["localhost", "LOCALHOST.", "pay.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1"]
HERE += ["[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]


@pytest.mark.parametrize("host", HERE)
@pytest.mark.owasp(line="API8")
def test_real_money_is_not_asked_of_a_gateway_on_this_machine(
    load: Load, problems: Problems, host: str
) -> None:
    assert is_loopback(host.strip("[]"))
    url = f"https://{host}:3100"
    assert set(problems(PRODUCTION, RAZORPAY_BASE_URL=url)) == {"RAZORPAY_BASE_URL"}
    # The sandbox is for test keys, also where the rest is as in production.
    load(PRODUCTION, RAZORPAY_BASE_URL=f"http://{host}:3100", **TEST_KEY)


def test_a_machine_knows_its_own_names_and_addresses() -> None:
    assert is_this_machine(socket.gethostname())
    assert is_this_machine("host.docker.internal")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only the route is looked up
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        own = probe.getsockname()[0]
    assert is_this_machine(own)
    for host in ("192.0.2.1", "2001:db8::1", "api.razorpay.com", "", "localhost.example"):
        assert not is_this_machine(host)
        assert not is_loopback(host)


@pytest.mark.owasp(line="API8")
def test_what_is_wrong_and_what_production_refuses_is_one_message(problems: Problems) -> None:
    found = problems(
        PRODUCTION,
        MONGODB_URL=None,
        PORT="http",
        JWT_SECRET="short",
        SALT_ROUNDS="9",
        CORS_ORIGINS="*",
        TOKEN_EXPIRY="soon",
        AWS_ACCESS_KEY_ID="alone",
        RAZORPAY_KEYID="rzp_live_x",
    )
    assert set(found) == {
        *("MONGODB_URL", "PORT", "JWT_SECRET", "SALT_ROUNDS", "CORS_ORIGINS", "TOKEN_EXPIRY"),
        *("AWS_SECRET_ACCESS_KEY", "RAZORPAY_KEYID"),
    }
    assert found["RAZORPAY_KEYID"].endswith("rename it to RAZORPAY_KEY_ID, if that is meant.")


@pytest.mark.parametrize(
    "unknown",
    [
        {"APP_ENV": "prod"},
        {"NODE_ENV": "live"},
        {"RAZORPAY_KEY_ID": "rzp_live_a b"},
        {"RAZORPAY_KEY_ID": " RZP_LIVE_a"},
    ],
)
def test_what_may_be_meant_for_production_is_checked_for_it(
    problems: Problems, unknown: dict[str, str]
) -> None:
    (name,) = unknown
    assert set(problems(SALT_ROUNDS="4", **unknown)) >= {name, "SALT_ROUNDS"}


@pytest.mark.owasp(line="API8")
def test_a_key_that_moves_real_money_disarms_the_points_that_kill(tmp_path: Path) -> None:
    """They serve the tests, and obey a variable."""
    code = (
        "from kernapay.config.loading import load_settings\n"
        "from kernapay.bootstrap.services import Services\n"
        "from kernapay.core.crash_points import crash_point\n"
        "Services(load_settings())\n"
        "crash_point('create.claimed')\n"
    )
    armed = {"APP_ENV": "test", "KERNAPAY_CRASH_AT": "create.claimed"}
    env = {**bare_environment(), **PRODUCTION, **armed}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0
